/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/volume.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

/* The begin of a slot, an hour and a day. */
static const int64_t START = INT64_C(20000) * DAY;

static const struct volume_limits LIMITS = {.message = 10, .hour = 20, .day = 50, .strangers = 30};

/* How many of so many recipients, of which each is new if step is 1, are counted. */
static uint32_t take(struct volume *volume, const struct volume_limits *limits, uint32_t count,
		     uint64_t first, uint64_t step, int64_t now, struct volume_refusal *refusal_out)
{
	for (uint32_t i = 0; i < count; i++)
		if (!volume_take(volume, limits, 0, first + step * i, now, refusal_out))
			return i;
	return count;
}

static void c19_an_hour_and_a_day_have_an_end(void **state)
{
	struct volume *volume = volume_new();
	struct volume_refusal refusal;

	(void)state;
	assert_int_equal(take(volume, &LIMITS, 100, 1, 0, START + MINUTE, &refusal), 20);
	assert_int_equal(refusal.limit, VOLUME_HOUR);
	assert_int_equal(refusal.most, 20);
	assert_int_equal(refusal.until, START + HOUR);
	assert_false(volume_take(volume, &LIMITS, 0, 1, refusal.until - 1, &refusal));
	assert_int_equal(take(volume, &LIMITS, 100, 1, 0, START + HOUR, &refusal), 20);
	assert_int_equal(take(volume, &LIMITS, 100, 1, 0, START + 2 * HOUR, &refusal), 10);
	assert_int_equal(refusal.limit, VOLUME_DAY);
	assert_int_equal(refusal.until, START + DAY);
	assert_false(volume_take(volume, &LIMITS, 0, 1, START + DAY - 1, &refusal));
	assert_int_equal(take(volume, &LIMITS, 100, 1, 0, START + DAY, &refusal), 20);
	volume_free(&volume);
}

/* The time that is told is exact: refused just before it, taken at it, whatever was sent when. */
static void until_is_when_one_more_is_taken(void **state)
{
	struct volume_limits limits = {.hour = 7, .day = 40};
	struct volume *volume = volume_new();
	struct volume_refusal refusal, later;
	uint32_t random = 1;
	int64_t now = START;
	int refused = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		random = random * 1103515245 + 12345;
		now += (random >> 8) % (4 * MINUTE);
		if (volume_take(volume, &limits, 0, random % 50, now, &refusal))
			continue;
		refused++;
		assert_true(refusal.until > now);
		assert_true(refusal.until <= now + DAY);
		assert_false(volume_take(volume, &limits, 0, 1, refusal.until - 1, &later));
		assert_true(volume_take(volume, &limits, 0, 1, refusal.until, &later));
		now = refusal.until;
	}
	assert_true(refused > 100);
	volume_free(&volume);
}

static void c19_strangers_are_counted_once_and_only_they(void **state)
{
	struct volume_limits limits = {.strangers = 5};
	struct volume *volume = volume_new();
	struct volume_refusal refusal;
	struct volume_sums sums;

	(void)state;
	assert_int_equal(take(volume, &limits, 3, 100, 1, START, &refusal), 3);
	assert_int_equal(take(volume, &limits, 50, 101, 0, START, &refusal), 50);
	assert_int_equal(take(volume, &limits, 50, 200, 1, START, &refusal), 2);
	assert_int_equal(refusal.limit, VOLUME_STRANGERS);
	assert_int_equal(refusal.until, START + DAY);
	assert_true(volume_take(volume, &limits, 0, 102, START, &refusal)); /* well known */
	volume_sums(volume, START, &sums);
	assert_int_equal(sums.day, 56);
	assert_int_equal(sums.strangers, 5);
	assert_true(volume_take(volume, &limits, 0, 999, START + DAY, &refusal));
	volume_free(&volume);
}

static void a_message_has_its_own_limit(void **state)
{
	struct volume *volume = volume_new();
	struct volume_refusal refusal;

	(void)state;
	assert_true(volume_take(volume, &LIMITS, 9, 1, START, &refusal));
	assert_false(volume_take(volume, &LIMITS, 10, 1, START, &refusal));
	assert_int_equal(refusal.limit, VOLUME_MESSAGE);
	assert_int_equal(refusal.until, 0);
	volume_free(&volume);
}

static void none_means_none(void **state)
{
	struct volume_limits limits = {0};
	struct volume *volume = volume_new();
	struct volume_refusal refusal;

	(void)state;
	assert_int_equal(take(volume, &limits, 100000, 1, 0, START, &refusal), 100000);
	volume_free(&volume);
}

/* What was not mailed does not count; but that guesses were tried does. */
static void given_back(void **state)
{
	struct volume *volume = volume_new();
	struct volume_refusal refusal;
	struct volume_sums sums;

	(void)state;
	assert_int_equal(take(volume, &LIMITS, 5, 1, 1, START, &refusal), 5);
	assert_int_equal(take(volume, &LIMITS, 5, 1, 0, START + 10 * MINUTE, &refusal), 5);
	volume_give_back(volume, 7, START + 15 * MINUTE);
	volume_sums(volume, START + 15 * MINUTE, &sums);
	assert_int_equal(sums.hour, 3);
	assert_int_equal(sums.strangers, 5);
	volume_give_back(volume, 1000, START + 15 * MINUTE); /* a smtpd that lies gains nothing */
	volume_sums(volume, START + 15 * MINUTE, &sums);
	assert_int_equal(sums.day, 0);
	volume_free(&volume);
}

static void those_not_written_to_for_longest_are_forgotten(void **state)
{
	struct volume_limits limits = {0};
	struct volume *volume = volume_new();
	struct volume_refusal refusal;
	struct volume_sums sums;

	(void)state;
	for (uint64_t i = 0; i < VOLUME_KNOWN_MAX; i++)
		(void)volume_take(volume, &limits, 0, i, START + (int64_t)(i % 7) * DAY, &refusal);
	(void)volume_take(volume, &limits, 0, 7, START + 9 * DAY, &refusal); /* of the oldest */
	(void)volume_take(volume, &limits, 0, 1 << 20, START + 9 * DAY, &refusal);
	volume_sums(volume, START + 9 * DAY, &sums);
	assert_int_equal(sums.strangers, 1);
	(void)volume_take(volume, &limits, 0, 7, START + 9 * DAY, &refusal);
	(void)volume_take(volume, &limits, 0, 6, START + 9 * DAY, &refusal);
	volume_sums(volume, START + 9 * DAY, &sums);
	assert_int_equal(sums.strangers, 1);
	(void)volume_take(volume, &limits, 0, 0, START + 9 * DAY, &refusal); /* had to go */
	volume_sums(volume, START + 9 * DAY, &sums);
	assert_int_equal(sums.strangers, 2);
	volume_free(&volume);
}

/* Nobody gets a new day by a new process. */
static void what_was_saved_counts_after_a_restart(void **state)
{
	struct volume *before = volume_new(), *after = volume_new();
	struct volume_known known[64];
	struct volume_hour hours[2];
	struct volume_refusal refusal;
	struct volume_sums sums;
	int64_t now = START + 90 * MINUTE;
	size_t count;

	(void)state;
	assert_false(volume_unsaved(before));
	assert_int_equal(take(before, &LIMITS, 12, 1, 1, START + 50 * MINUTE, &refusal), 12);
	assert_int_equal(take(before, &LIMITS, 3, 1, 1, now, &refusal), 3);
	assert_true(volume_unsaved(before));
	volume_save_hours(before, now, hours);
	assert_int_equal(hours[0].hour, START + HOUR);
	assert_int_equal(hours[0].recipients, 3);
	assert_int_equal(hours[1].recipients, 12);
	assert_int_equal(hours[1].strangers, 12);
	count = volume_save_known(before, known, 5);
	count += volume_save_known(before, known + count, 64 - count);
	assert_int_equal(count, 12);
	assert_int_equal(volume_save_known(before, known, 64), 0);
	volume_saved(before);
	volume_not_saved(before, known, 3);
	assert_true(volume_unsaved(before));
	assert_int_equal(volume_save_known(before, known + count, 64 - count), 3);
	volume_saved(before);
	assert_false(volume_unsaved(before));

	now += 2 * MINUTE;
	for (size_t i = 0; i < 2; i++)
		volume_load_hour(after, &hours[i], now);
	for (size_t i = 0; i < count; i++)
		volume_load_known(after, &known[i]);
	volume_sums(after, now, &sums);
	assert_int_equal(sums.day, 15);
	assert_int_equal(sums.hour, 15);
	assert_int_equal(sums.strangers, 12);
	assert_int_equal(take(after, &LIMITS, 100, 1, 0, now, &refusal), 5);
	volume_save_hours(after, now, hours); /* the same hour goes on */
	assert_int_equal(hours[0].recipients, 8);
	assert_int_equal(volume_save_known(after, known, 64), 0);
	hours[0].hour -= 10 * DAY;
	volume_load_hour(after, &hours[0], now); /* too old to matter */
	volume_sums(after, now, &sums);
	assert_int_equal(sums.day, 20);
	volume_free(&before);
	volume_free(&after);
}

static void a_clock_that_is_set_back_gives_nothing_away(void **state)
{
	struct volume *volume = volume_new();
	struct volume_refusal refusal;

	(void)state;
	assert_int_equal(take(volume, &LIMITS, 100, 1, 0, START + HOUR, &refusal), 20);
	assert_false(volume_take(volume, &LIMITS, 0, 1, START, &refusal));
	assert_int_equal(refusal.until, START + 2 * HOUR);
	volume_free(&volume);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c19_an_hour_and_a_day_have_an_end),
		cmocka_unit_test(until_is_when_one_more_is_taken),
		cmocka_unit_test(c19_strangers_are_counted_once_and_only_they),
		cmocka_unit_test(a_message_has_its_own_limit),
		cmocka_unit_test(none_means_none),
		cmocka_unit_test(given_back),
		cmocka_unit_test(those_not_written_to_for_longest_are_forgotten),
		cmocka_unit_test(what_was_saved_counts_after_a_restart),
		cmocka_unit_test(a_clock_that_is_set_back_gives_nothing_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
