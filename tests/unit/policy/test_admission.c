/* SPDX-License-Identifier: Apache-2.0 */
/* Admission with a clock of our own: places, sources, reserve, rates, bounds. */
#include "admission_door.h"

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
	const struct CMUnitTest tests[] = {
		TEST(the_total_is_exact),
		TEST(m1_the_crowd_makes_room),
		TEST(whoever_came_first_goes_first),
		TEST(an_ipv6_source_is_its_64),
		TEST(a_rate_delays_and_refuses_nobody),
		TEST(who_waits_takes_turns_by_source),
		TEST(a_rate_per_source_holds_up_nobody_else),
		TEST(no_more_are_taken_over_than_there_are_places),
		TEST(accounts_have_their_number),
		TEST(lower_limits_let_out_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
