/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/retry.h"

static const struct retry_schedule schedule = {
	.first_ms = 300000, .max_ms = 14400000, .factor_percent = 200, .expire_ms = 432000000};

static void pauses_grow_to_the_longest(void **state)
{
	uint64_t middle = 300000;

	(void)state;
	for (uint32_t attempt = 1; attempt <= 40; attempt++) {
		for (uint64_t random = 0; random < 2000000; random += 99991) {
			uint64_t pause = retry_pause(&schedule, attempt, random);

			assert_in_range(pause, middle * 89 / 100, middle * 111 / 100);
		}
		middle = middle * 2 > schedule.max_ms ? schedule.max_ms : middle * 2;
	}
	/* Never a pause of nothing, whatever the numbers. */
	assert_true(retry_pause(&schedule, UINT32_MAX, 12345) > 0);
}

static void m9_jitter_spreads(void **state)
{
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	for (uint64_t random = 0; random < 100000; random++) {
		uint64_t pause = retry_pause(&schedule, 1, random * 7919);

		least = pause < least ? pause : least;
		most = pause > most ? pause : most;
	}
	assert_true(least < 273000);
	assert_true(most > 327000);
}

static void odd_schedules_end(void **state)
{
	struct retry_schedule flat = {.first_ms = 10, .max_ms = 1000, .factor_percent = 100};
	struct retry_schedule steep = {
		.first_ms = UINT64_MAX / 2, .max_ms = 500, .factor_percent = UINT64_MAX};

	(void)state;
	assert_in_range(retry_pause(&flat, UINT32_MAX, 0), 9, 11);
	assert_in_range(retry_pause(&steep, 50, 0), 440, 560);
}

static void expires(void **state)
{
	(void)state;
	assert_false(retry_expired(&schedule, 1000, 1000 + 431999999));
	assert_true(retry_expired(&schedule, 1000, 1000 + 432000000));
	assert_false(retry_expired(&schedule, 1000, 0)); /* the clock went back */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_grow_to_the_longest),
		cmocka_unit_test(m9_jitter_spreads),
		cmocka_unit_test(odd_schedules_end),
		cmocka_unit_test(expires),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
