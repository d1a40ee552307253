/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/pace.h"

/* Sends so many bytes every so many ms; the time until it is cut off, 0: within ten minutes not. */
static int64_t cut_off(uint64_t bytes, int64_t every)
{
	struct pace pace = {0};
	int64_t now = 1000;

	pace_wait(&pace, now);
	while (now < 601000) {
		now += every;
		if (!pace_take(&pace, now, bytes, 64))
			return now - 1000;
	}
	return 0;
}

/* One byte in ten seconds is slowloris; what a modem sends is not (M1). */
static void m1_trickles_are_cut_off(void **state)
{
	(void)state;
	assert_int_equal(cut_off(1, 10000), 60000);
	assert_int_equal(cut_off(63, 1000), 60000);
	assert_in_range(cut_off(1, 540000), 540000, 1200000 - 1);
	assert_int_equal(cut_off(64, 1000), 0);
	assert_int_equal(cut_off(1400, 20000), 0);
}

static void a_pause_is_forgiven(void **state)
{
	struct pace pace = {0};

	(void)state;
	pace_wait(&pace, 1000);
	assert_true(pace_take(&pace, 301000, 1400, 64));
	for (int64_t now = 301000; now < 400000; now += 1000)
		assert_true(pace_take(&pace, now, 1400, 64));
}

/* While it waits for us no time of its own passes. */
static void our_own_time_does_not_count(void **state)
{
	struct pace pace = {0};
	int64_t now = 1000;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		pace_wait(&pace, now);
		now += 10;
		assert_true(pace_take(&pace, now, 1, 64));
		pace_stop(&pace, now);
		now += 9000;
	}
	assert_true(pace_take(&pace, now, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(m1_trickles_are_cut_off),
		cmocka_unit_test(a_pause_is_forgiven),
		cmocka_unit_test(our_own_time_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
