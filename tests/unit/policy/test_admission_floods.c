/* SPDX-License-Identifier: Apache-2.0 */
/* Admission in floods: from one site, from everywhere, and of those who wait. */
#include "admission_door.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(m1_a_48_is_a_crowd_whatever_its_64s),
		TEST(m1_many_sources_wash_away_nobody_who_is_new),
		TEST(the_oldest_of_all_when_who_has_most_is_new),
		TEST(m1_few_of_a_source_wait),
		TEST(m1_a_full_waiting_room_has_room_for_a_person),
		TEST(m1_turns_go_by_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
