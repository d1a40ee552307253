/* SPDX-License-Identifier: Apache-2.0 */
/* Admission with a clock of our own: places, sources, reserve, rates, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy/admission.h"

enum { MANY = 1000 };

static struct admission *door;
static int64_t now;

static int set_up(void **state)
{
	(void)state;
	door = admission_new();
	now = 1000000;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	admission_free(&door);
	return 0;
}

static void limits(struct admission_limits limits)
{
	admission_set_limits(door, &limits);
}

static void ipv4(uint32_t number, unsigned char source_out[ADMISSION_SOURCE])
{
	memset(source_out, 0, ADMISSION_SOURCE);
	source_out[10] = source_out[11] = 0xff;
	for (int i = 0; i < 4; i++)
		source_out[12 + i] = (unsigned char)(number >> (24 - 8 * i));
}

static struct admission_verdict knock(uint32_t source, struct visitor **visitor_out)
{
	unsigned char address[ADMISSION_SOURCE];

	ipv4(source, address);
	return admission_knock(door, address, now, visitor_out, visitor_out);
}

static void enters(uint32_t source, struct visitor **visitor_out)
{
	struct admission_verdict verdict = knock(source, visitor_out);

	assert_int_equal(verdict.answer, ADMISSION_ENTER);
	assert_null(verdict.out);
}

static void goes_away(uint32_t source, enum admission_limit why)
{
	struct visitor *visitor;
	struct admission_verdict verdict = knock(source, &visitor);

	assert_int_equal(verdict.answer, ADMISSION_AWAY);
	assert_int_equal(verdict.why, why);
	assert_null(visitor);
}

static struct admission_use use(void)
{
	struct admission_use use;

	admission_use(door, &use);
	return use;
}

static void the_total_is_exact(void **state)
{
	struct visitor *in[20], *late;

	(void)state;
	limits((struct admission_limits){.sessions = 20, .reserve = 2});
	for (uint32_t i = 0; i < 20; i++) {
		enters(i, &in[i]);
		visitor_logged_in(in[i]);
	}
	goes_away(99, ADMISSION_SESSIONS);
	assert_int_equal(use().sessions, 20);
	visitor_free(&in[7]);
	enters(99, &late);
	visitor_logged_in(late);
	goes_away(100, ADMISSION_SESSIONS);
	assert_int_equal(use().struck[ADMISSION_SESSIONS], 2);
	visitor_free(&late);
	for (int i = 0; i < 20; i++)
		visitor_free(&in[i]);
	assert_int_equal(use().sessions, 0);
	assert_int_equal(use().sources, 0);
}

/* One source with 4000 connections that never log in; people come and log in all the same (M1). */
static void m1_the_crowd_makes_room(void **state)
{
	struct visitor *crowd[90], *person[20];
	struct admission_verdict verdict;

	(void)state;
	limits((struct admission_limits){
		.sessions = 100, .reserve = 10, .sessions_per_source = 80});
	for (int i = 0; i < 80; i++)
		enters(1, &crowd[i]);
	goes_away(1, ADMISSION_PER_SOURCE);
	for (int i = 80; i < 90; i++)
		enters(2, &crowd[i]);
	for (uint32_t i = 0; i < 20; i++) {
		verdict = knock(1000 + i, &person[i]);
		assert_int_equal(verdict.answer, ADMISSION_ENTER);
		/* The first that logged in left their places among the strangers to the next. */
		if (i < 10) {
			assert_ptr_equal(verdict.out, i < 10 && i > 0 ? NULL : crowd[0]);
		}
		if (verdict.out != NULL)
			visitor_free(visitor_data(verdict.out));
		visitor_logged_in(person[i]);
	}
	assert_int_equal(use().sessions, 100);
	assert_true(use().strangers <= 90);
	assert_true(use().struck[ADMISSION_RESERVE] >= 10);
	/* Of the crowd the oldest of the larger source went, of the smaller one nobody. */
	for (int i = 80; i < 90; i++)
		assert_non_null(crowd[i]);
	for (int i = 0; i < 90; i++)
		visitor_free(&crowd[i]);
	for (int i = 0; i < 20; i++)
		visitor_free(&person[i]);
}

static void whoever_came_first_goes_first(void **state)
{
	struct visitor *a, *b, *c, *d;
	struct admission_verdict verdict;

	(void)state;
	limits((struct admission_limits){.sessions = 3});
	enters(1, &a);
	enters(2, &b);
	enters(3, &c);
	/* But each has a second to log in. */
	goes_away(4, ADMISSION_RESERVE);
	now += ADMISSION_TIME_MS - 1;
	goes_away(4, ADMISSION_RESERVE);
	now++;
	verdict = knock(4, &d);
	assert_int_equal(verdict.answer, ADMISSION_ENTER);
	assert_ptr_equal(verdict.out, a);
	assert_int_equal(verdict.why_out, ADMISSION_RESERVE);
	assert_int_equal(use().sessions, 3);
	assert_int_equal(use().struck[ADMISSION_RESERVE], 3);
	visitor_free(&a);
	visitor_free(&b);
	visitor_free(&c);
	visitor_free(&d);
}

static void an_ipv6_source_is_its_64(void **state)
{
	unsigned char one[ADMISSION_SOURCE] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	unsigned char two[ADMISSION_SOURCE] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};
	unsigned char other[ADMISSION_SOURCE] = {0x20, 0x01, 0x0d, 0xb8, [7] = 1, [15] = 1};
	struct visitor *a, *b, *c;

	(void)state;
	limits((struct admission_limits){.sessions = 10, .sessions_per_source = 1});
	assert_int_equal(admission_knock(door, one, now, NULL, &a).answer, ADMISSION_ENTER);
	assert_int_equal(admission_knock(door, two, now, NULL, &b).answer, ADMISSION_AWAY);
	assert_int_equal(admission_knock(door, other, now, NULL, &c).answer, ADMISSION_ENTER);
	visitor_free(&a);
	visitor_free(&c);
	/* IPv4 addresses are whole ones. */
	enters(1, &a);
	enters(2, &b);
	visitor_free(&a);
	visitor_free(&b);
}

static void ipv6(uint16_t site, uint16_t subnet, unsigned char source_out[ADMISSION_SOURCE])
{
	memset(source_out, 0, ADMISSION_SOURCE);
	memcpy(source_out, (unsigned char[]){0x20, 0x01, 0x0d, 0xb8}, 4);
	source_out[4] = (unsigned char)(site >> 8);
	source_out[5] = (unsigned char)site;
	source_out[6] = (unsigned char)(subnet >> 8);
	source_out[7] = (unsigned char)subnet;
	source_out[15] = 1;
}

static struct admission_verdict knock6(uint16_t site, uint16_t subnet, struct visitor **visitor_out)
{
	unsigned char address[ADMISSION_SOURCE];

	ipv6(site, subnet, address);
	return admission_knock(door, address, now, visitor_out, visitor_out);
}

/*
 * Five thousand connections a second from all /64s of one /48, each the first of its /64: what is
 * in the way of others is the /48, whose own ones make room, and no person's (M1).
 */
static void m1_a_48_is_a_crowd_whatever_its_64s(void **state)
{
	enum { PLACES = 900 };
	struct visitor *flood[PLACES], *person[20], *spare;
	struct admission_verdict verdict;
	unsigned refused = 0;

	(void)state;
	limits((struct admission_limits){.sessions = PLACES, .sessions_per_source = PLACES / 4});
	for (uint16_t i = 0; i < PLACES; i++)
		assert_int_equal(knock6(1, i, &flood[i]).answer, ADMISSION_ENTER);
	for (uint16_t n = 0; n < 20; n++) {
		verdict = n % 2 == 0 ? knock(n, &person[n])
				     : knock6((uint16_t)(2 + n), 0, &person[n]);
		assert_int_equal(verdict.answer, ADMISSION_ENTER);
		assert_non_null(verdict.out);
		assert_true(visitor_data(verdict.out) == &flood[n]); /* the oldest of the crowd */
		visitor_free(visitor_data(verdict.out));
		for (uint16_t i = 0; i < 500; i++) {
			verdict = knock6(1, (uint16_t)(1000 + 500 * n + i), &spare);
			assert_int_equal(verdict.answer, ADMISSION_AWAY);
			refused++;
		}
		now += 40;
	}
	/* Each may be slow: the flood has been in for longer than the time, and fights itself. */
	now += ADMISSION_TIME_MS;
	for (uint16_t i = 0; i < 20; i++) {
		verdict = knock6(1, (uint16_t)(20000 + i), &flood[i]);
		assert_int_equal(verdict.answer, ADMISSION_ENTER);
		assert_ptr_equal(verdict.out, flood[20 + i]);
		visitor_free(&flood[20 + i]);
	}
	assert_int_equal(refused, 10000);
	for (int n = 0; n < 20; n++) {
		visitor_logged_in(person[n]);
		visitor_free(&person[n]);
	}
	for (int i = 0; i < PLACES; i++)
		visitor_free(&flood[i]);
	assert_int_equal(use().sources, 0);
}

/* A flood of addresses with one connection each: who is in has his time, those who are idle go. */
static void m1_many_sources_wash_away_nobody_who_is_new(void **state)
{
	struct visitor *idle[10], *person, *flood[10], *late;
	struct admission_verdict verdict;

	(void)state;
	limits((struct admission_limits){.sessions = 11});
	for (uint32_t i = 0; i < 10; i++)
		enters(i, &idle[i]);
	now += ADMISSION_TIME_MS;
	enters(100, &person);
	for (uint32_t i = 0; i < 10; i++) {
		verdict = knock(1000 + i, &flood[i]);
		assert_ptr_equal(verdict.out, idle[i]);
		visitor_free(&idle[i]);
	}
	for (uint32_t i = 0; i < 1000; i++)
		goes_away(2000 + i, ADMISSION_RESERVE);
	now += ADMISSION_TIME_MS;
	verdict = knock(5000, &late);
	assert_ptr_equal(verdict.out, person); /* he had it */
	visitor_free(&person);
	visitor_free(&late);
	for (int i = 0; i < 10; i++)
		visitor_free(&flood[i]);
}

/* Whoever has most comes and goes quickly: then it is the oldest of all that makes room. */
static void the_oldest_of_all_when_who_has_most_is_new(void **state)
{
	struct visitor *idle[40], *office[3], *late;
	struct admission_verdict verdict;

	(void)state;
	limits((struct admission_limits){.sessions = 43});
	for (uint32_t i = 0; i < 40; i++)
		enters(i, &idle[i]);
	now += ADMISSION_TIME_MS;
	enters(100, &office[0]);
	enters(100, &office[1]);
	verdict = knock(101, &late); /* two of 43 are no crowd */
	assert_null(verdict.out);
	visitor_free(&late);
	now += 10;
	verdict = knock(102, &late);
	assert_null(verdict.out);
	verdict = knock(103, &office[2]);
	assert_ptr_equal(verdict.out, idle[0]);
	for (int i = 0; i < 40; i++)
		visitor_free(&idle[i]);
	for (int i = 0; i < 3; i++)
		visitor_free(&office[i]);
	visitor_free(&late);
}

/* Lets the clock run and counts who comes in; each must at last. */
static unsigned come_in(int64_t ms)
{
	struct admission_verdict verdict;
	struct visitor *visitor;
	unsigned count = 0;
	int64_t wake, until = now + ms;

	for (;;) {
		while (admission_next(door, now, &verdict, &visitor, &wake)) {
			assert_int_equal(verdict.answer, ADMISSION_ENTER);
			assert_false(visitor_waits(visitor));
			count++;
		}
		if (wake > until)
			break;
		assert_true(wake > now);
		now = wake;
	}
	now = until;
	return count;
}

static void a_rate_delays_and_refuses_nobody(void **state)
{
	struct visitor *in[MANY];
	unsigned at_once = 0, later;

	(void)state;
	limits((struct admission_limits){.sessions = MANY, .rate = 3});
	for (uint32_t i = 0; i < 30; i++)
		at_once += knock(i, &in[i]).answer == ADMISSION_ENTER;
	assert_int_equal(at_once, 3);
	assert_int_equal(use().struck[ADMISSION_RATE], 27);
	later = come_in(4000);
	assert_in_range(later, 11, 13);
	assert_int_equal(use().waiting, 27 - later);
	assert_int_equal(come_in(6000), 27 - later);
	assert_int_equal(use().sessions, 30);
	for (int i = 0; i < 30; i++)
		visitor_free(&in[i]);
}

static void who_waits_takes_turns_by_source(void **state)
{
	struct visitor *in[40], *person, *next;
	struct admission_verdict verdict;
	unsigned turns = 0;
	int64_t wake;

	(void)state;
	limits((struct admission_limits){.sessions = MANY, .rate = 1});
	for (uint32_t i = 0; i < 40; i++)
		(void)knock(1, &in[i]);
	assert_int_equal(knock(2, &person).answer, ADMISSION_WAIT);
	for (next = NULL; next != person; turns++) {
		if (!admission_next(door, now, &verdict, &next, &wake))
			now = wake;
	}
	assert_true(turns < 8); /* not behind the forty */
	for (int i = 0; i < 40; i++)
		visitor_free(&in[i]);
	visitor_free(&person);
}

static void a_rate_per_source_holds_up_nobody_else(void **state)
{
	struct visitor *in[20], *other;

	(void)state;
	limits((struct admission_limits){.sessions = MANY, .rate_per_source = 2});
	for (uint32_t i = 0; i < 20; i++)
		(void)knock(1, &in[i]);
	assert_int_equal(use().sessions, 2);
	enters(2, &other);
	assert_in_range(come_in(2000), 3, 5);
	/* One that goes away while it waits leaves its turn to the next. */
	for (int i = 0; i < 20; i++) {
		if (visitor_waits(in[i]))
			visitor_free(&in[i]);
	}
	assert_int_equal(use().waiting, 0);
	assert_int_equal(come_in(5000), 0);
	for (int i = 0; i < 20; i++)
		visitor_free(&in[i]);
	visitor_free(&other);
}

/* Sixteen of one source wait at most: a hundred would only wait for nothing. */
static void m1_few_of_a_source_wait(void **state)
{
	struct visitor *in[6], *other;

	(void)state;
	limits((struct admission_limits){.sessions = MANY, .rate = 1, .waiting_per_source = 4});
	enters(1, &in[0]);
	for (int i = 1; i < 5; i++)
		assert_int_equal(knock(1, &in[i]).answer, ADMISSION_WAIT);
	goes_away(1, ADMISSION_SOURCE_WAITING);
	assert_int_equal(knock(2, &other).answer, ADMISSION_WAIT);
	assert_int_equal(use().highest_waiting, 4);
	visitor_free(&in[2]); /* he gave up */
	assert_int_equal(knock(1, &in[5]).answer, ADMISSION_WAIT);
	assert_int_equal(use().struck[ADMISSION_SOURCE_WAITING], 1);
	visitor_free(&other);
	for (int i = 0; i < 6; i++)
		visitor_free(&in[i]);
}

/* When the places to wait are taken, who has most of them loses his newest. */
static void m1_a_full_waiting_room_has_room_for_a_person(void **state)
{
	struct visitor *first, *flood[12], *person, *late;
	struct admission_verdict verdict;

	(void)state;
	limits((struct admission_limits){
		.sessions = MANY, .rate = 1, .waiting = 12, .waiting_per_source = 4});
	enters(7, &first);
	for (uint16_t i = 0; i < 12; i++) /* four /64s of one /48 */
		assert_int_equal(knock6(1, i / 3, &flood[i]).answer, ADMISSION_WAIT);
	verdict = knock(1, &person);
	assert_int_equal(verdict.answer, ADMISSION_WAIT);
	assert_ptr_equal(verdict.out, flood[2]);
	assert_int_equal(verdict.why_out, ADMISSION_WAITING);
	visitor_free(&flood[2]);
	assert_int_equal(use().waiting, 12);
	/* One more of the crowd makes no room for itself. */
	assert_int_equal(knock6(1, 99, &late).answer, ADMISSION_AWAY);
	assert_int_equal(use().struck[ADMISSION_WAITING], 2);
	/* Nor do those who have one each for one another. */
	for (int i = 0; i < 12; i++)
		visitor_free(&flood[i]);
	for (uint32_t i = 0; i < 11; i++)
		assert_int_equal(knock(100 + i, &flood[i]).answer, ADMISSION_WAIT);
	goes_away(200, ADMISSION_WAITING);
	for (int i = 0; i < 11; i++)
		visitor_free(&flood[i]);
	visitor_free(&person);
	visitor_free(&first);
}

/* A hundred /64s of one /48 have one turn, then a person has. */
static void m1_turns_go_by_networks(void **state)
{
	struct visitor *in[100], *person, *next = NULL;
	struct admission_verdict verdict;
	unsigned turns = 0;
	int64_t wake;

	(void)state;
	limits((struct admission_limits){.sessions = MANY, .rate = 1});
	for (uint16_t i = 0; i < 100; i++)
		(void)knock6(1, i, &in[i]);
	assert_int_equal(knock(2, &person).answer, ADMISSION_WAIT);
	while (next != person) {
		if (admission_next(door, now, &verdict, &next, &wake))
			turns++;
		else
			now = wake;
	}
	assert_in_range(turns, 1, 2);
	for (int i = 0; i < 100; i++)
		visitor_free(&in[i]);
	visitor_free(&person);
}

static void no_more_are_taken_over_than_there_are_places(void **state)
{
	unsigned char source[ADMISSION_SOURCE];
	struct visitor *in[3];

	(void)state;
	ipv4(1, source);
	limits((struct admission_limits){.sessions = 3, .sessions_per_source = 1});
	for (int i = 0; i < 3; i++) {
		in[i] = admission_present(door, source, now, NULL);
		assert_non_null(in[i]);
	}
	assert_null(admission_present(door, source, now, NULL));
	assert_int_equal(use().sessions, 3);
	for (int i = 0; i < 3; i++)
		visitor_free(&in[i]);
}

static void accounts_have_their_number(void **state)
{
	(void)state;
	limits((struct admission_limits){.sessions = 1, .sessions_per_account = 2});
	assert_true(admission_account_enter(door, 7));
	assert_true(admission_account_enter(door, 7));
	assert_false(admission_account_enter(door, 7));
	assert_true(admission_account_enter(door, 8));
	assert_int_equal(use().highest_account, 2);
	admission_account_leave(door, 7);
	assert_true(admission_account_enter(door, 7));
	assert_int_equal(use().struck[ADMISSION_PER_ACCOUNT], 1);
	admission_account_leave(door, 9); /* nobody's */
	for (int i = 0; i < 2; i++)
		admission_account_leave(door, 7);
	admission_account_leave(door, 8);
	assert_int_equal(use().highest_account, 0);
}

static void lower_limits_let_out_nobody(void **state)
{
	struct visitor *in[10], *again;

	(void)state;
	limits((struct admission_limits){.sessions = 10});
	for (uint32_t i = 0; i < 10; i++)
		enters(i, &in[i]);
	limits((struct admission_limits){.sessions = 5});
	goes_away(77, ADMISSION_SESSIONS);
	assert_int_equal(use().sessions, 10);
	for (int i = 0; i < 6; i++)
		visitor_free(&in[i]);
	enters(77, &again);
	for (int i = 6; i < 10; i++)
		visitor_free(&in[i]);
	visitor_free(&again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_total_is_exact),
		TEST(m1_the_crowd_makes_room),
		TEST(whoever_came_first_goes_first),
		TEST(an_ipv6_source_is_its_64),
		TEST(m1_a_48_is_a_crowd_whatever_its_64s),
		TEST(m1_many_sources_wash_away_nobody_who_is_new),
		TEST(the_oldest_of_all_when_who_has_most_is_new),
		TEST(a_rate_delays_and_refuses_nobody),
		TEST(who_waits_takes_turns_by_source),
		TEST(a_rate_per_source_holds_up_nobody_else),
		TEST(m1_few_of_a_source_wait),
		TEST(m1_a_full_waiting_room_has_room_for_a_person),
		TEST(m1_turns_go_by_networks),
		TEST(no_more_are_taken_over_than_there_are_places),
		TEST(accounts_have_their_number),
		TEST(lower_limits_let_out_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
