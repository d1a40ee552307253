/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy/dispatch.h"

static const struct dispatch_options options = {.window = 40, .first_window = 4, .ready_max = 100};
static char thing; /* data of deliveries */
static const struct dispatch_rank ordinary;

static struct dispatch_next next(struct dispatch *dispatch, int64_t now)
{
	struct dispatch_next next;

	dispatch_next(dispatch, now, &next);
	return next;
}

static void count_drop(void *arg, void *data)
{
	assert_ptr_equal(data, &thing);
	(*(int *)arg)++;
}

static void end(struct dispatch **dispatch, int expected)
{
	int dropped = 0;

	dispatch_free(dispatch, count_drop, &dropped);
	assert_null(*dispatch);
	assert_int_equal(dropped, expected);
}

static void window_opens_with_success(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);
	struct dispatch_next n;

	(void)state;
	for (uint64_t key = 1; key <= 20; key++)
		assert_int_equal(dispatch_fresh(dispatch, 1, key, ordinary, &thing), ERR_OK);
	for (uint64_t key = 1; key <= 4; key++) {
		n = next(dispatch, 0);
		assert_int_equal(n.action, DISPATCH_START);
		assert_int_equal(n.key, key); /* in their order */
	}
	assert_int_equal(next(dispatch, 0).action, DISPATCH_NOTHING);
	for (uint64_t key = 1; key <= 4; key++)
		dispatch_finish(dispatch, 1, key, DISPATCH_WORKED, 0, INT64_MAX);
	for (int i = 0; i < 8; i++)
		assert_int_equal(next(dispatch, 0).action, DISPATCH_START);
	assert_int_equal(next(dispatch, 0).action, DISPATCH_NOTHING);
	for (uint64_t key = 5; key <= 12; key++)
		dispatch_finish(dispatch, 1, key, DISPATCH_WORKED, 0, INT64_MAX);
	for (int i = 0; i < 8; i++)
		assert_int_equal(next(dispatch, 0).action, DISPATCH_START);
	assert_int_equal(dispatch_totals(dispatch).ready, 0);
	end(&dispatch, 8);
}

/* As next, for a store that has nothing. */
static enum dispatch_action next_start(struct dispatch *dispatch)
{
	struct dispatch_next n;

	while ((n = next(dispatch, 0)).action == DISPATCH_LOAD)
		dispatch_loaded(dispatch, n.destination, INT64_MAX);
	return n.action;
}

static void never_more_than_a_quarter(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);
	uint64_t key = 0, oldest = 1;
	int most = 0;

	(void)state;
	for (int round = 0; round < 50; round++) {
		while (dispatch_fresh(dispatch, 1, ++key, ordinary, &thing) == ERR_OK)
			;
		for (int i = 0; i < 12; i++) {
			if (next_start(dispatch) == DISPATCH_START)
				most = (int)dispatch_totals(dispatch).under_way > most
					       ? (int)dispatch_totals(dispatch).under_way
					       : most;
		}
		while (dispatch_totals(dispatch).under_way != 0) /* they start in order */
			dispatch_finish(dispatch, 1, oldest++, DISPATCH_WORKED, 0, INT64_MAX);
	}
	assert_int_equal(most, 10);
	dispatch_set_window(dispatch, 0); /* a tenth of the whole remains: one of these */
	assert_int_equal(next_start(dispatch), DISPATCH_START);
	assert_int_equal(next_start(dispatch), DISPATCH_NOTHING);
	dispatch_set_window(dispatch, 1000);
	for (int i = 0; i < 9; i++)
		assert_int_equal(next_start(dispatch), DISPATCH_START);
	assert_int_equal(next_start(dispatch), DISPATCH_NOTHING);
	end(&dispatch,
	    (int)(dispatch_totals(dispatch).ready + dispatch_totals(dispatch).under_way));
}

static void m9_one_probe_while_down(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);
	struct dispatch_next n;

	(void)state;
	for (uint64_t key = 1; key <= 10; key++)
		assert_int_equal(dispatch_fresh(dispatch, 1, key, ordinary, &thing), ERR_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(next(dispatch, 0).action, DISPATCH_START);
	for (uint64_t key = 1; key <= 4; key++) /* one failure, not four */
		dispatch_finish(dispatch, 1, key, DISPATCH_DOWN, 1000, 1000);
	assert_int_equal(dispatch_failures(dispatch, 1), 1);
	for (int i = 0; i < 6; i++)
		assert_int_equal(next(dispatch, 0).action, DISPATCH_DROP);
	n = next(dispatch, 0);
	assert_int_equal(n.action, DISPATCH_NOTHING);
	assert_int_equal(n.wake, 1000);
	assert_int_equal(dispatch_fresh(dispatch, 1, 11, ordinary, &thing), ERR_FULL);
	assert_int_equal(next(dispatch, 999).action, DISPATCH_NOTHING);
	n = next(dispatch, 1000);
	assert_int_equal(n.action, DISPATCH_LOAD);
	for (uint64_t key = 1; key <= 10; key++)
		assert_true(dispatch_add(dispatch, 1, key, ordinary, &thing));
	dispatch_loaded(dispatch, 1, 1000);
	assert_int_equal(next(dispatch, 1000).action, DISPATCH_START);
	assert_int_equal(next(dispatch, 1000).action, DISPATCH_NOTHING);
	dispatch_finish(dispatch, 1, 1, DISPATCH_DOWN, 5000, 5000);
	assert_int_equal(dispatch_failures(dispatch, 1), 2);
	for (int i = 0; i < 9; i++)
		assert_int_equal(next(dispatch, 1000).action, DISPATCH_DROP);
	assert_int_equal(next(dispatch, 1000).wake, 5000);
	/* The operator does not want to wait; and now it works. */
	dispatch_wake(dispatch, 1, 0);
	assert_int_equal(next(dispatch, 1000).action, DISPATCH_LOAD);
	for (uint64_t key = 2; key <= 11; key++)
		assert_true(dispatch_add(dispatch, 1, key, ordinary, &thing));
	dispatch_loaded(dispatch, 1, 5000);
	n = next(dispatch, 1000);
	assert_int_equal(n.action, DISPATCH_START);
	dispatch_finish(dispatch, 1, n.key, DISPATCH_WORKED, 0, INT64_MAX);
	assert_int_equal(dispatch_failures(dispatch, 1), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(next(dispatch, 1000).action, DISPATCH_START);
	assert_int_equal(next(dispatch, 1000).action, DISPATCH_NOTHING);
	end(&dispatch, 9);
}

static void a_load_brings_back_nothing_old(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);

	(void)state;
	assert_int_equal(dispatch_fresh(dispatch, 1, 1, ordinary, &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 1, 2, ordinary, &thing), ERR_OK);
	assert_int_equal(next(dispatch, 0).action, DISPATCH_START);
	dispatch_destination(dispatch, 1, 0, 0, 0); /* there is more on disk */
	while (next(dispatch, 0).action != DISPATCH_LOAD)
		;
	/* Between the question and the answer: 1 ends, 4 is dropped, 5 comes fresh. */
	dispatch_finish(dispatch, 1, 1, DISPATCH_WORKED, 0, INT64_MAX);
	assert_null(dispatch_take(dispatch, 1, 4));
	assert_int_equal(dispatch_fresh(dispatch, 1, 5, ordinary, &thing), ERR_OK);
	assert_false(dispatch_add(dispatch, 1, 1, ordinary, &thing));
	assert_false(dispatch_add(dispatch, 1, 2, ordinary, &thing));
	assert_true(dispatch_add(dispatch, 1, 3, ordinary, &thing));
	assert_false(dispatch_add(dispatch, 1, 4, ordinary, &thing));
	assert_false(dispatch_add(dispatch, 1, 5, ordinary, &thing));
	dispatch_loaded(dispatch, 1, INT64_MAX);
	/* The next answer may: 4 was given back to the queue since. */
	dispatch_destination(dispatch, 1, 0, 0, 0);
	while (next(dispatch, 0).action != DISPATCH_LOAD)
		;
	assert_true(dispatch_add(dispatch, 1, 4, ordinary, &thing));
	dispatch_loaded(dispatch, 1, INT64_MAX);
	end(&dispatch, 4);
}

static void news_during_a_load_are_kept(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);
	struct dispatch_next n;

	(void)state;
	dispatch_destination(dispatch, 7, 500, 0, 0);
	n = next(dispatch, 0);
	assert_int_equal(n.action, DISPATCH_NOTHING);
	assert_int_equal(n.wake, 500);
	assert_int_equal(next(dispatch, 500).action, DISPATCH_LOAD);
	dispatch_wake(dispatch, 7, 800); /* committed after the answer was read */
	dispatch_loaded(dispatch, 7, INT64_MAX);
	assert_int_equal(next(dispatch, 600).wake, 800);
	assert_int_equal(next(dispatch, 800).action, DISPATCH_LOAD);
	dispatch_loaded(dispatch, 7, INT64_MAX);
	assert_int_equal(next(dispatch, 900).wake, INT64_MAX);
	end(&dispatch, 0);
}

static void rest_of_a_message_comes_later(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);

	(void)state;
	assert_int_equal(dispatch_fresh(dispatch, 1, 1, ordinary, &thing), ERR_OK);
	dispatch_again(dispatch, 1, 1);
	assert_int_equal(next(dispatch, 10).action, DISPATCH_START);
	assert_int_equal(next(dispatch, 10).action, DISPATCH_NOTHING);
	dispatch_finish(dispatch, 1, 1, DISPATCH_WORKED, 0, INT64_MAX);
	assert_int_equal(next(dispatch, 10).action, DISPATCH_LOAD);
	dispatch_loaded(dispatch, 1, INT64_MAX);
	end(&dispatch, 0);
}

static void adopted_ones_are_under_way(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);

	(void)state;
	dispatch_destination(dispatch, 1, 0, 0, 0);
	assert_true(dispatch_adopt(dispatch, 1, 9, &thing));
	assert_false(dispatch_adopt(dispatch, 1, 9, &thing));
	assert_int_equal(next(dispatch, 0).action, DISPATCH_LOAD);
	assert_false(dispatch_add(dispatch, 1, 9, ordinary, &thing));
	dispatch_loaded(dispatch, 1, INT64_MAX);
	assert_ptr_equal(dispatch_find(dispatch, 1, 9), &thing);
	dispatch_finish(dispatch, 1, 9, DISPATCH_UNKNOWN, 0, 0);
	assert_null(dispatch_find(dispatch, 1, 9));
	assert_int_equal(next(dispatch, 0).action, DISPATCH_LOAD);
	end(&dispatch, 0);
}

static void turns_are_taken(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);
	int started[4] = {0};

	(void)state;
	for (uint64_t key = 1; key <= 20; key++)
		assert_int_equal(dispatch_fresh(dispatch, 1, key, ordinary, &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 2, 100, ordinary, &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 3, 101, ordinary, &thing), ERR_OK);
	for (int i = 0; i < 3; i++)
		started[next(dispatch, 0).destination]++;
	assert_int_equal(started[1], 1);
	assert_int_equal(started[2], 1);
	assert_int_equal(started[3], 1);
	end(&dispatch, 22);
}

static struct dispatch_rank rank(int priority, int64_t arrived)
{
	return (struct dispatch_rank){.since = arrived - priority * 1000, .priority = priority};
}

static uint64_t start_next(struct dispatch *dispatch)
{
	struct dispatch_next n = next(dispatch, 0);

	assert_int_equal(n.action, DISPATCH_START);
	return n.key;
}

/* RFC 6710: the urgent first; but what came long before is not overtaken. */
static void urgent_goes_first_at_a_destination(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);

	(void)state;
	assert_int_equal(dispatch_fresh(dispatch, 1, 1, rank(-4, 0), &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 1, 2, rank(0, 1), &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 1, 3, rank(0, 2), &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 1, 4, rank(9, 3), &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 1, 5, rank(3, 4), &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 1, 6, rank(9, 20000), &thing), ERR_OK);
	assert_int_equal(start_next(dispatch), 4);
	assert_int_equal(start_next(dispatch), 5);
	assert_int_equal(start_next(dispatch), 2);
	assert_int_equal(start_next(dispatch), 3);
	dispatch_finish(dispatch, 1, 2, DISPATCH_WORKED, 0, INT64_MAX);
	dispatch_finish(dispatch, 1, 3, DISPATCH_WORKED, 0, INT64_MAX);
	assert_int_equal(start_next(dispatch), 1); /* it has waited long enough */
	assert_int_equal(start_next(dispatch), 6);
	end(&dispatch, 4);
}

/* Over destinations: urgent before ordinary before patient, and one turn in eight for who waits. */
static void urgent_goes_first_over_destinations(void **state)
{
	static const struct dispatch_options wide = {
		.window = 400, .first_window = 100, .ready_max = 1000};
	struct dispatch *dispatch = dispatch_new(&wide);
	unsigned starts[4] = {0}, first_patient = 0, first_ordinary = 0;

	(void)state;
	for (uint64_t key = 1; key <= 60; key++) {
		assert_int_equal(dispatch_fresh(dispatch, 1, key, rank(-1, 0), &thing), ERR_OK);
		assert_int_equal(dispatch_fresh(dispatch, 2, key, rank(0, 0), &thing), ERR_OK);
		assert_int_equal(dispatch_fresh(dispatch, 3, key, rank(1, 0), &thing), ERR_OK);
	}
	for (unsigned i = 1; i <= 64; i++) {
		struct dispatch_next n = next(dispatch, 0);

		assert_int_equal(n.action, DISPATCH_START);
		starts[n.destination]++;
		if (n.destination == 1 && first_patient == 0)
			first_patient = i;
		if (n.destination == 2 && first_ordinary == 0)
			first_ordinary = i;
	}
	assert_in_range(starts[3], 46, 52);
	assert_in_range(starts[2], 6, 9);
	assert_in_range(starts[1], 6, 9);
	assert_in_range(first_patient, DISPATCH_TURNS, DISPATCH_TURNS + 1);
	assert_in_range(first_ordinary, DISPATCH_TURNS, DISPATCH_TURNS + 1);
	end(&dispatch, 180);
}

static void what_is_seized_is_not_started(void **state)
{
	struct dispatch *dispatch = dispatch_new(&options);
	struct dispatch_next n;

	(void)state;
	assert_int_equal(dispatch_fresh(dispatch, 1, 1, ordinary, &thing), ERR_OK);
	assert_int_equal(dispatch_fresh(dispatch, 1, 2, ordinary, &thing), ERR_OK);
	assert_int_equal(start_next(dispatch), 1);
	assert_false(dispatch_seize(dispatch, 1, 1, &thing)); /* under way */
	assert_true(dispatch_seize(dispatch, 1, 2, &thing));
	n = next(dispatch, 0);
	assert_int_equal(n.action, DISPATCH_DROP);
	assert_int_equal(n.key, 2);
	assert_int_equal(next(dispatch, 0).action, DISPATCH_NOTHING);
	/* A read of before does not bring it back. */
	assert_false(dispatch_add(dispatch, 1, 2, ordinary, &thing));
	assert_int_equal(dispatch_totals(dispatch).under_way, 1);
	dispatch_finish(dispatch, 1, 2, DISPATCH_UNKNOWN, 0, INT64_MAX);
	assert_int_equal(dispatch_totals(dispatch).under_way, 1);
	/* One that waits behind a probe does not end the probe. */
	dispatch_finish(dispatch, 1, 1, DISPATCH_DOWN, 50, 50);
	dispatch_wake(dispatch, 1, 0);
	assert_int_equal(next(dispatch, 0).action, DISPATCH_LOAD);
	assert_true(dispatch_add(dispatch, 1, 3, ordinary, &thing));
	dispatch_loaded(dispatch, 1, INT64_MAX);
	assert_int_equal(start_next(dispatch), 3);
	assert_true(dispatch_seize(dispatch, 1, 4, &thing));
	dispatch_finish(dispatch, 1, 4, DISPATCH_UNKNOWN, 0, INT64_MAX);
	dispatch_finish(dispatch, 1, 3, DISPATCH_DOWN, 90, 90);
	assert_int_equal(dispatch_failures(dispatch, 1), 2);
	end(&dispatch, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_opens_with_success),
		cmocka_unit_test(never_more_than_a_quarter),
		cmocka_unit_test(m9_one_probe_while_down),
		cmocka_unit_test(a_load_brings_back_nothing_old),
		cmocka_unit_test(news_during_a_load_are_kept),
		cmocka_unit_test(rest_of_a_message_comes_later),
		cmocka_unit_test(adopted_ones_are_under_way),
		cmocka_unit_test(turns_are_taken),
		cmocka_unit_test(urgent_goes_first_at_a_destination),
		cmocka_unit_test(urgent_goes_first_over_destinations),
		cmocka_unit_test(what_is_seized_is_not_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
