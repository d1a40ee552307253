/* SPDX-License-Identifier: Apache-2.0 */
/* Guessing passwords does not pay, and nobody can keep others out by it (C11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "policy/penalties.h"

enum { FAILURES = 10, MINUTE = 60000, BLOCK = 10 * MINUTE, HOUR = 60 * MINUTE };

static struct penalties *penalties;
static unsigned blocks; /* that began */
static int64_t now;

static void on_block(void *arg, const struct penalties_row *row)
{
	(void)arg;
	assert_non_null(row->network);
	assert_true(row->until > now);
	blocks++;
}

static int set_up(void **state)
{
	(void)state;
	penalties = penalties_new(on_block, NULL);
	penalties_set_rules(penalties, &(struct penalties_rules){FAILURES, BLOCK});
	blocks = 0;
	now = 1000000;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	penalties_free(&penalties);
	return 0;
}

static struct penalties_attempt from(const char *client, const char *account, uint64_t password)
{
	struct penalties_attempt attempt = {.account = account, .password = password};

	assert_true(source_read(slice_str(client), attempt.source));
	return attempt;
}

/* One login; what it was answered. Its hash, if any, is computed at once. */
static enum penalties_answer login(struct penalties_attempt attempt, enum penalties_outcome outcome)
{
	enum penalties_answer answer = penalties_begin(penalties, &attempt, now);

	if (answer != PENALTIES_GO)
		assert_false(attempt.under_way);
	(void)penalties_end(penalties, &attempt, outcome, "bad-password", now);
	return answer;
}

/* Guesses of one source, each another password, gap ms apart; how many were verified. */
static unsigned guesses(const char *client, const char *account, unsigned count, int64_t gap)
{
	static uint64_t password = 1000;
	unsigned verified = 0;

	for (unsigned i = 0; i < count; i++) {
		verified +=
			login(from(client, account, ++password), PENALTIES_FAILED) == PENALTIES_GO;
		now += gap;
	}
	return verified;
}

static enum penalties_answer good(const char *client, const char *account, enum known_degree degree)
{
	struct penalties_attempt attempt = from(client, account, 7);

	attempt.degree = degree;
	return login(attempt, PENALTIES_SUCCEEDED);
}

static void c11_one_source_has_so_many_guesses(void **state)
{
	(void)state;
	assert_int_equal(guesses("192.0.2.1", "alice", 10000, 10), FAILURES);
	assert_int_equal(blocks, 2); /* the source, and it for this account */
	assert_int_equal(good("192.0.2.1", "bob", KNOWN_NEVER), PENALTIES_BLOCKED);
	/* Whoever is elsewhere, next door even, notices nothing. */
	assert_int_equal(good("192.0.2.2", "alice", KNOWN_NEVER), PENALTIES_GO);
	assert_int_equal(good("2001:db8::1", "alice", KNOWN_NEVER), PENALTIES_GO);
	/* A name for each guess is no way around it, nor is IPv4 written as IPv6. */
	assert_int_equal(guesses("192.0.2.9", "u1", 5, 0), 5);
	assert_int_equal(guesses("::ffff:192.0.2.9", "u2", 5, 0), 5);
	assert_int_equal(guesses("192.0.2.9", "u3", 5, 0), 0);
}

static void c11_a_block_ends_and_the_next_one_is_longer(void **state)
{
	int64_t began;

	(void)state;
	for (int round = 0; round < 8; round++) {
		int64_t length = (int64_t)BLOCK
				 << (round < PENALTIES_DOUBLINGS ? round : PENALTIES_DOUBLINGS);

		assert_int_equal(guesses("192.0.2.1", "alice", 20, 0), FAILURES);
		began = now;
		now = began + length - 1;
		assert_int_equal(guesses("192.0.2.1", "alice", 1, 0), 0);
		now = began + length;
	}
	/* A day of peace, and it is as at the beginning. */
	now += 25 * HOUR;
	assert_int_equal(guesses("192.0.2.1", "alice", 20, 0), FAILURES);
	now += BLOCK;
	assert_int_equal(guesses("192.0.2.1", "alice", 1, 0), 1);
}

static void c11_in_a_day_one_source_guesses_few(void **state)
{
	unsigned verified;

	(void)state;
	verified = guesses("192.0.2.1", "alice", 24 * 3600, 1000);
	assert_in_range(verified, FAILURES, 14 * FAILURES);
}

static void c11_slow_guesses_are_few_too(void **state)
{
	unsigned verified = 0;

	(void)state;
	/* One each two minutes: never as many at a time as would block a source of many people. */
	verified = guesses("192.0.2.1", "alice", 24 * 30, 2 * MINUTE);
	assert_in_range(verified, FAILURES, 300);
}

/* All at once is not more than one after the other. */
static void c11_guesses_at_once_are_counted_before_they_fail(void **state)
{
	static struct penalties_attempt attempts[100];
	unsigned going = 0, waiting = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		enum penalties_answer answer;

		attempts[i] = from("192.0.2.1", "alice", i + 1);
		answer = penalties_begin(penalties, &attempts[i], now);
		going += answer == PENALTIES_GO;
		waiting += answer == PENALTIES_WAIT;
	}
	assert_int_equal(going, FAILURES);
	assert_int_equal(waiting, 90);
	for (unsigned i = 0; i < 100; i++)
		(void)penalties_end(penalties, &attempts[i], PENALTIES_FAILED, "bad-password", now);
	assert_int_equal(guesses("192.0.2.1", "alice", 1, 0), 0);
}

/* An office behind one address, after a power cut. */
static void many_people_of_one_source_log_in_at_once(void **state)
{
	static struct penalties_attempt attempts[50];
	static char names[50][8];
	unsigned done = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "user%u", i);
		attempts[i] = from("192.0.2.1", names[i], 99);
	}
	for (unsigned round = 0; done < 50 && round < 10; round++) {
		unsigned first = done;

		while (done < 50 &&
		       penalties_begin(penalties, &attempts[done], now) == PENALTIES_GO)
			done++;
		if (done < 50)
			assert_int_equal(penalties_begin(penalties, &attempts[done], now),
					 PENALTIES_WAIT);
		while (first < done)
			(void)penalties_end(penalties, &attempts[first++], PENALTIES_SUCCEEDED,
					    NULL, now);
	}
	assert_int_equal(done, 50);
	assert_int_equal(blocks, 0);
}

static void c11_the_same_wrong_password_is_no_guess(void **state)
{
	(void)state;
	/* A forgotten phone, all day, behind the address of an office. */
	for (int i = 0; i < 24 * 60; i++) {
		assert_int_equal(login(from("192.0.2.1", "alice", 42), PENALTIES_FAILED),
				 PENALTIES_GO);
		now += MINUTE;
	}
	/* With several wrong passwords in turn, too. */
	for (int i = 0; i < 600; i++) {
		assert_int_equal(login(from("192.0.2.2", "alice", 1 + i % 4), PENALTIES_FAILED),
				 PENALTIES_GO);
		now += 10000;
	}
	assert_int_equal(blocks, 0);
	/* Logins that show no password make none of them forgotten. */
	for (uint64_t i = 0; i < 6; i++)
		(void)login(from("192.0.2.4", "alice", i == 0 || i == 5 ? 42 : 0),
			    PENALTIES_FAILED);
	assert_int_equal(guesses("192.0.2.4", "bob", FAILURES, 0), FAILURES - 3);
	assert_int_equal(blocks, 1);
	assert_int_equal(good("192.0.2.1", "bob", KNOWN_NEVER), PENALTIES_GO);
}

/* But it computes a hash each time, so it may not come without end; and that hits nobody else. */
static void c11_hammering_the_same_password_ends(void **state)
{
	unsigned verified = 0;

	(void)state;
	for (int i = 0; i < 10000; i++, now += 10)
		verified += login(from("192.0.2.1", "alice", 42), PENALTIES_FAILED) == PENALTIES_GO;
	assert_in_range(verified, PENALTIES_REPEATS, PENALTIES_REPEATS + FAILURES + 2);
	assert_int_equal(good("192.0.2.1", "alice", KNOWN_NEVER), PENALTIES_BLOCKED);
	assert_int_equal(good("192.0.2.1", "bob", KNOWN_NEVER), PENALTIES_GO);
}

static void c11_a_mechanism_that_shows_no_password(void **state)
{
	unsigned verified = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		verified += login(from("192.0.2.1", "alice", 0), PENALTIES_FAILED) == PENALTIES_GO;
	assert_int_equal(verified, FAILURES);
	assert_int_equal(blocks, 1); /* it might be a phone: the others there go on */
	assert_int_equal(good("192.0.2.1", "bob", KNOWN_NEVER), PENALTIES_GO);
	/* Many names are many guesses. */
	for (int i = 0; i < 10; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "user%d", i);
		(void)login(from("192.0.2.1", name, 0), PENALTIES_FAILED);
	}
	assert_int_equal(good("192.0.2.1", "bob", KNOWN_NEVER), PENALTIES_BLOCKED);
}

static void c11_two_thousand_sources_of_one_network(void **state)
{
	unsigned verified = 0;
	char client[64];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(client, sizeof(client), "2001:db8:1:%x::%x", i, i);
		verified += guesses(client, client, 5, 1);
	}
	assert_int_equal(verified, FAILURES * PENALTIES_NETWORK);
	assert_int_equal(blocks, 1);
	/* Who has logged in from that network before, or from another, does so now. */
	assert_int_equal(good("2001:db8:1:ffff::1", "alice", KNOWN_NEVER), PENALTIES_BLOCKED);
	assert_int_equal(good("2001:db8:1:ffff::1", "alice", KNOWN_NEAR), PENALTIES_GO);
	assert_int_equal(good("2001:db8:2::1", "alice", KNOWN_NEVER), PENALTIES_GO);
}

static void c11_two_thousand_sources_and_one_account(void **state)
{
	unsigned verified = 0;
	char client[64];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) { /* no two of them in one network; 10 minutes in all */
		(void)snprintf(client, sizeof(client), "10.%u.%u.7", i / 200, i % 200);
		verified += guesses(client, "alice", 5, BLOCK / 10000);
		if (i % 100 == 50) /* the person, where he always is */
			assert_int_equal(good("192.0.2.7", "alice", KNOWN_HERE), PENALTIES_GO);
	}
	assert_in_range(verified, PENALTIES_STRANGERS, PENALTIES_STRANGERS + 101);
	assert_int_equal(blocks, 0);
	(void)guesses("172.16.0.1", "alice", 2, 0);
	assert_int_equal(good("192.0.2.7", "alice", KNOWN_NEVER), PENALTIES_LATER);
	assert_int_equal(good("192.0.2.7", "alice", KNOWN_NEAR), PENALTIES_GO);
	assert_int_equal(good("192.0.2.7", "bob", KNOWN_NEVER), PENALTIES_GO);
	/* The person, on a journey: when they have stopped, and not much later. */
	now += PENALTIES_STRANGER_MS;
	assert_int_equal(good("198.51.100.7", "alice", KNOWN_NEVER), PENALTIES_GO);
}

static void c11_strangers_lock_nobody_out(void **state)
{
	struct penalties_attempt attempt;

	(void)state;
	(void)guesses("192.0.2.1", "bob", 100, 0); /* somebody else behind the same address */
	assert_int_equal(good("192.0.2.1", "alice", KNOWN_HERE), PENALTIES_GO);
	assert_int_equal(good("192.0.2.1", "alice", KNOWN_NEAR), PENALTIES_BLOCKED);
	/* What is tried at alice from there is not by strangers, as far as one can know. */
	for (unsigned i = 0; i < FAILURES; i++) {
		attempt = from("192.0.2.1", "alice", 500 + i);
		attempt.degree = KNOWN_HERE;
		assert_int_equal(login(attempt, PENALTIES_FAILED), PENALTIES_GO);
	}
	assert_int_equal(good("192.0.2.1", "alice", KNOWN_HERE), PENALTIES_BLOCKED);
	assert_int_equal(good("192.0.2.2", "alice", KNOWN_HERE), PENALTIES_GO);
}

static void a_good_login_forgives_what_it_failed_before(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct penalties_attempt attempt = from("192.0.2.1", "alice", 1);

		assert_int_equal(guesses("192.0.2.1", "alice", FAILURES - 1, 0), FAILURES - 1);
		attempt.degree = KNOWN_HERE;
		assert_int_equal(login(attempt, PENALTIES_SUCCEEDED), PENALTIES_GO);
		now += BLOCK; /* the points of the source are gone */
	}
	assert_int_equal(blocks, 0);
}

/* Where many people share an address, such as a webmail server, answers are slow and no more. */
static void an_exempt_source_is_never_blocked(void **state)
{
	struct penalties_attempt attempt;
	uint32_t delay = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		attempt = from("192.0.2.1", "alice", i + 1);
		attempt.exempt = true;
		assert_int_equal(penalties_begin(penalties, &attempt, now), PENALTIES_GO);
		delay = penalties_end(penalties, &attempt, PENALTIES_FAILED, "bad-password", now);
	}
	assert_int_equal(delay, PENALTIES_DELAY_MAX);
	assert_int_equal(blocks, 0);
	/* A good login forgives there, too. */
	attempt = from("192.0.2.1", "alice", 7);
	attempt.exempt = true;
	assert_int_equal(login(attempt, PENALTIES_SUCCEEDED), PENALTIES_GO);
	attempt = from("192.0.2.1", "alice", 2000);
	attempt.exempt = true;
	assert_int_equal(penalties_begin(penalties, &attempt, now), PENALTIES_GO);
	assert_int_equal(penalties_end(penalties, &attempt, PENALTIES_FAILED, "x", now), 0);
	attempt = from("192.0.2.1", "bob", 1);
	attempt.exempt = true;
	assert_int_equal(penalties_begin(penalties, &attempt, now), PENALTIES_GO);
	assert_int_equal(penalties_end(penalties, &attempt, PENALTIES_FAILED, "x", now), 0);
	now += 24 * HOUR; /* and not for ever */
	attempt = from("192.0.2.1", "alice", 5000);
	attempt.exempt = true;
	assert_int_equal(penalties_begin(penalties, &attempt, now), PENALTIES_GO);
	assert_int_equal(penalties_end(penalties, &attempt, PENALTIES_FAILED, "x", now), 0);
}

static void answers_to_failures_come_later_each_time(void **state)
{
	static const uint32_t EXPECTED[] = {0, 500, 1000, 2000, 4000, 8000, 8000, 8000};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct penalties_attempt attempt = from("192.0.2.1", "alice", i + 1);

		assert_int_equal(penalties_begin(penalties, &attempt, now), PENALTIES_GO);
		assert_int_equal(penalties_end(penalties, &attempt, PENALTIES_FAILED, "x", now),
				 EXPECTED[i]);
		/* Once only, and never for what ended otherwise. */
		assert_int_equal(penalties_end(penalties, &attempt, PENALTIES_FAILED, "x", now), 0);
	}
}

static void what_was_not_found_out_is_no_failure(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(login(from("192.0.2.1", "alice", i + 1), PENALTIES_DROPPED),
				 PENALTIES_GO);
	assert_int_equal(blocks, 0);
}

struct listed {
	unsigned count, strangers;
	char account[64], network[NETWORK_TEXT_MAX];
};

static void list(void *arg, const struct penalties_row *row)
{
	struct listed *listed = arg;

	listed->count++;
	listed->strangers += row->network == NULL;
	assert_true(row->until > now);
	assert_true(row->since <= now);
	assert_true(row->failures >= FAILURES);
	assert_string_equal(row->reason, "bad-password");
	if (row->account[0] != '\0')
		(void)snprintf(listed->account, sizeof(listed->account), "%s", row->account);
	if (row->network != NULL)
		network_print(row->network, listed->network);
}

static void the_operator_sees_and_forgives(void **state)
{
	struct listed listed = {0};
	struct network network;

	(void)state;
	(void)guesses("2001:db8::7:8", "alice", 20, 0);
	penalties_each(penalties, now, list, &listed);
	assert_int_equal(listed.count, 2);
	assert_int_equal(listed.strangers, 0);
	assert_string_equal(listed.account, "alice");
	assert_string_equal(listed.network, "2001:db8::/64");
	assert_int_equal(penalties_blocked(penalties, now), 2);
	assert_int_equal(network_read(SLICE_LIT("2001:db8:0:1::1"), &network), ERR_OK);
	assert_int_equal(penalties_forgive_network(penalties, &network, now), 0);
	assert_int_equal(network_read(SLICE_LIT("2001:db8::1"), &network), ERR_OK);
	assert_int_equal(penalties_forgive_network(penalties, &network, now), 2);
	assert_int_equal(good("2001:db8::1", "alice", KNOWN_NEVER), PENALTIES_GO);

	for (unsigned i = 0; i < 30; i++) {
		char client[32];

		(void)snprintf(client, sizeof(client), "10.%u.0.1", i);
		(void)guesses(client, "bob", 1, 0);
	}
	assert_int_equal(good("192.0.2.1", "bob", KNOWN_NEVER), PENALTIES_LATER);
	listed = (struct listed){0};
	penalties_each(penalties, now, list, &listed);
	assert_int_equal(listed.count, 1);
	assert_int_equal(listed.strangers, 1);
	assert_string_equal(listed.account, "bob");
	assert_int_equal(penalties_forgive_account(penalties, "alice", now), 0);
	assert_int_equal(penalties_forgive_account(penalties, "bob", now), 1);
	assert_int_equal(good("192.0.2.1", "bob", KNOWN_NEVER), PENALTIES_GO);
}

/* Forgotten while an attempt is under way: its end must not count for what came after. */
static void forgiven_in_between(void **state)
{
	struct penalties_attempt first = from("192.0.2.1", "alice", 1), second = first;
	struct network network;

	(void)state;
	assert_int_equal(penalties_begin(penalties, &first, now), PENALTIES_GO);
	assert_int_equal(network_read(SLICE_LIT("192.0.2.1"), &network), ERR_OK);
	(void)penalties_forgive_network(penalties, &network, now);
	assert_int_equal(penalties_begin(penalties, &second, now), PENALTIES_GO);
	(void)penalties_end(penalties, &second, PENALTIES_SUCCEEDED, NULL, now);
	(void)penalties_end(penalties, &first, PENALTIES_FAILED, "x", now);
	assert_int_equal(guesses("192.0.2.1", "bob", 20, 0), FAILURES - 1);
	penalties_set_rules(penalties, &(struct penalties_rules){0, BLOCK});
	assert_int_equal(guesses("192.0.2.1", "bob", 100, 0), 100);
}

static void millions_of_sources_stay_within_bounds(void **state)
{
	char client[64], name[64];

	(void)state;
	for (unsigned i = 0; i < 3 * PENALTIES_MAX; i++) {
		(void)snprintf(client, sizeof(client), "%u.%u.%u.1", 1 + i / 65536, i / 256 % 256,
			       i % 256);
		(void)snprintf(name, sizeof(name), "user%u", i);
		(void)guesses(client, name, 1, 0);
	}
	/* The last ones are remembered, the first ones are not. */
	assert_int_equal(guesses(client, name, 20, 0), FAILURES - 1);
	assert_int_equal(guesses("1.0.0.1", "user0", 20, 0), FAILURES);
}

static void known_sources(void **state)
{
	unsigned char here[SOURCE_BYTES], near[SOURCE_BYTES], far[SOURCE_BYTES];
	struct known *known = known_new(2);
	int64_t day = 24 * HOUR, t = 1700000000000;

	(void)state;
	assert_true(source_read(SLICE_LIT("192.0.2.1"), here));
	assert_true(source_read(SLICE_LIT("192.0.2.9"), near));
	assert_true(source_read(SLICE_LIT("192.0.3.1"), far));
	assert_false(source_read(SLICE_LIT("local"), far));
	assert_int_equal(known_find(known, "alice", here, t), KNOWN_NEVER);
	assert_true(known_seen(known, "alice", here, t));
	assert_false(known_seen(known, "alice", here, t + day - 1));
	assert_true(known_seen(known, "alice", here, t + day));
	t += day;
	assert_int_equal(known_find(known, "alice", here, t), KNOWN_HERE);
	assert_int_equal(known_find(known, "alice", near, t), KNOWN_NEAR);
	assert_int_equal(known_find(known, "alice", far, t), KNOWN_NEVER);
	assert_int_equal(known_find(known, "bob", here, t), KNOWN_NEVER);
	assert_int_equal(known_find(known, "alice", here, t + KNOWN_TIME - 1), KNOWN_HERE);
	assert_int_equal(known_find(known, "alice", here, t + KNOWN_TIME), KNOWN_NEVER);
	/* Beyond its bound the longest unseen goes. */
	known_load(known, "bob", far, t, t + 1);
	assert_int_equal(known_find(known, "bob", far, t + 2), KNOWN_HERE);
	assert_true(known_seen(known, "carol", near, t + 2));
	assert_int_equal(known_find(known, "alice", here, t + 2), KNOWN_NEVER);
	assert_int_equal(known_find(known, "bob", far, t + 2), KNOWN_HERE);
	known_free(&known);
}

/* New is where an account has been for less than a day, when it has been elsewhere for longer. */
static void c19_elsewhere(void **state)
{
	unsigned char home[SOURCE_BYTES], near[SOURCE_BYTES], far[SOURCE_BYTES];
	struct known *known = known_new(10);
	int64_t day = 24 * HOUR, t = 1700000000000;

	(void)state;
	assert_true(source_read(SLICE_LIT("192.0.2.1"), home));
	assert_true(source_read(SLICE_LIT("192.0.2.9"), near));
	assert_true(source_read(SLICE_LIT("198.51.100.1"), far));
	assert_false(
		known_elsewhere(known, "alice", home, t)); /* of a new account nothing is known */
	(void)known_seen(known, "alice", home, t);
	assert_false(known_elsewhere(known, "alice", far, t + day - 1));
	assert_true(known_elsewhere(known, "alice", far, t + day));
	assert_false(known_elsewhere(known, "alice", home, t + day));
	assert_false(known_elsewhere(known, "alice", near, t + day));
	assert_false(known_elsewhere(known, "bob", far, t + day));
	(void)known_seen(known, "alice", far, t + day);
	assert_true(known_elsewhere(known, "alice", far, t + 2 * day - 1));
	assert_false(known_elsewhere(known, "alice", far, t + 2 * day));
	/* After a month away it is new again, even if it was not forgotten. */
	assert_true(known_elsewhere(known, "alice", home, t + KNOWN_TIME));
	(void)known_seen(known, "alice", far, t + KNOWN_TIME - 1);
	(void)known_seen(known, "alice", home, t + KNOWN_TIME + day);
	assert_true(known_elsewhere(known, "alice", home, t + KNOWN_TIME + day));
	/* As it was kept. */
	known_load(known, "bob", home, t, t + 5 * day);
	assert_true(known_elsewhere(known, "bob", far, t + 5 * day));
	assert_false(known_elsewhere(known, "bob", near, t + 5 * day));
	known_free(&known);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(c11_one_source_has_so_many_guesses),
		TEST(c11_a_block_ends_and_the_next_one_is_longer),
		TEST(c11_in_a_day_one_source_guesses_few),
		TEST(c11_slow_guesses_are_few_too),
		TEST(c11_guesses_at_once_are_counted_before_they_fail),
		TEST(many_people_of_one_source_log_in_at_once),
		TEST(c11_the_same_wrong_password_is_no_guess),
		TEST(c11_hammering_the_same_password_ends),
		TEST(c11_a_mechanism_that_shows_no_password),
		TEST(c11_two_thousand_sources_of_one_network),
		TEST(c11_two_thousand_sources_and_one_account),
		TEST(c11_strangers_lock_nobody_out),
		TEST(a_good_login_forgives_what_it_failed_before),
		TEST(an_exempt_source_is_never_blocked),
		TEST(answers_to_failures_come_later_each_time),
		TEST(what_was_not_found_out_is_no_failure),
		TEST(the_operator_sees_and_forgives),
		TEST(forgiven_in_between),
		TEST(millions_of_sources_stay_within_bounds),
		TEST(known_sources),
		TEST(c19_elsewhere),
	};

	hash_set_key((const unsigned char *)"0123456789abcdef");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
