/* SPDX-License-Identifier: Apache-2.0 */
/* An administrator is told each thing once, and again only after a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "policy/alerts.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE, REMIND = 24 * HOUR };
#define START INT64_C(1700000000000)

static struct alerts *alerts;

static int set_up(void **state)
{
	(void)state;
	alerts = alerts_new(REMIND);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	alerts_free(&alerts);
	return 0;
}

static const struct alert *raise_it(const char *kind, const char *subject, bool lasts, int64_t now)
{
	const struct alert_news news = {
		slice_str(kind), slice_str(subject), SLICE_LIT("words"), SLICE_LIT("{}"), 7, lasts};

	return alerts_raise(alerts, &news, now);
}

static const struct alert *end_it(const char *kind, const char *subject)
{
	return alerts_end(alerts, slice_str(kind), slice_str(subject));
}

static void once_and_again_after_a_day(void **state)
{
	const struct alert *alert = raise_it("damaged", "17", false, START);

	(void)state;
	assert_non_null(alert);
	assert_string_equal(alert->kind, "damaged");
	assert_string_equal(alert->subject, "17");
	assert_string_equal(alert->text, "words");
	assert_true(slice_is(alert->evidence, "{}"));
	assert_null(raise_it("damaged", "17", false, START + 1));
	assert_null(raise_it("damaged", "17", false, START + REMIND - 1));
	/* Neither another subject nor another kind is the same. */
	assert_non_null(raise_it("damaged", "18", false, START + 1));
	assert_non_null(raise_it("store", "17", false, START + 1));
	alert = raise_it("damaged", "17", false, START + REMIND);
	assert_non_null(alert);
	assert_int_equal(alert->times, 2);
	assert_int_equal(alert->since, START);
	/* Nothing by itself, as it does not last. */
	assert_int_equal(alerts_next(alerts), 0);
}

static void what_lasts_is_told_again_until_it_is_over(void **state)
{
	const struct alert *alert;

	(void)state;
	assert_non_null(raise_it("backend-down", "campus", true, START));
	assert_int_equal(alerts_next(alerts), START + REMIND);
	assert_null(alerts_due(alerts, START + REMIND - 1));
	alert = alerts_due(alerts, START + REMIND);
	assert_non_null(alert);
	assert_string_equal(alert->subject, "campus");
	assert_null(alerts_due(alerts, START + REMIND));
	assert_int_equal(alerts_next(alerts), START + 2 * REMIND);
	alert = end_it("backend-down", "campus");
	assert_non_null(alert);
	assert_true(alert->over);
	assert_null(end_it("backend-down", "campus"));
	assert_null(end_it("backend-down", "other"));
	assert_int_equal(alerts_next(alerts), 0);
}

static void what_comes_and_goes_is_not_told_each_time(void **state)
{
	int told = 0, ended = 0;

	(void)state;
	for (int64_t now = START; now < START + HOUR; now += MINUTE) {
		told += raise_it("backend-down", "campus", true, now) != NULL;
		ended += end_it("backend-down", "campus") != NULL;
	}
	assert_int_equal(told, 4);
	assert_int_equal(ended, 4);
	/* It stays down now: that is told when it may be. */
	assert_null(raise_it("backend-down", "campus", true, START + HOUR - MINUTE));
	assert_int_equal(alerts_next(alerts), START + 45 * MINUTE + ALERT_AGAIN);
	assert_non_null(alerts_due(alerts, START + HOUR));
}

static void a_telling_that_failed_is_tried_again(void **state)
{
	int64_t now = START;

	(void)state;
	assert_non_null(raise_it("damaged", "17", false, now));
	for (int i = 0; i < ALERT_RETRIES; i++) {
		alerts_result(alerts, "damaged", "17", false, now);
		assert_int_equal(alerts_next(alerts), now + ((int64_t)ALERT_RETRY << i));
		now = alerts_next(alerts);
		assert_non_null(alerts_due(alerts, now));
	}
	alerts_result(alerts, "damaged", "17", false, now);
	assert_int_equal(alerts_next(alerts), 0);

	assert_non_null(raise_it("store", "", false, now));
	alerts_result(alerts, "store", "", false, now);
	assert_non_null(alerts_due(alerts, now + ALERT_RETRY));
	alerts_result(alerts, "store", "", true, now + ALERT_RETRY);
	assert_int_equal(alerts_next(alerts), 0);
}

static void who_is_gone_leaves_nothing_that_lasts(void **state)
{
	(void)state;
	assert_non_null(raise_it("backend-down", "campus", true, START));
	alerts_disown(alerts, 8);
	assert_int_equal(alerts_next(alerts), START + REMIND);
	alerts_disown(alerts, 7);
	assert_int_equal(alerts_next(alerts), 0);
	/* The next one that knows finds it known. */
	assert_null(raise_it("backend-down", "campus", true, START + MINUTE));
	assert_int_equal(alerts_next(alerts), START + REMIND);
}

struct seen {
	size_t count;
	char first[ALERT_SUBJECT_MAX + 1];
};

static void see(void *arg, const struct alert *alert)
{
	struct seen *seen = arg;

	if (seen->count++ == 0)
		(void)snprintf(seen->first, sizeof(seen->first), "%s", alert->subject);
}

static void no_more_than_fit(void **state)
{
	struct seen seen = {0};
	char subject[32];

	(void)state;
	assert_non_null(raise_it("backend-down", "lasting", true, START));
	for (int i = 0; i < 3 * ALERTS_MAX; i++) {
		(void)snprintf(subject, sizeof(subject), "m%d", i);
		assert_non_null(raise_it("damaged", subject, false, START + i));
	}
	alerts_each(alerts, START + MINUTE, see, &seen);
	assert_int_equal(seen.count, ALERTS_MAX);
	assert_string_equal(seen.first, "lasting");
	/* What is long ago is no longer shown, what lasts is. */
	seen.count = 0;
	alerts_each(alerts, START + 2 * (int64_t)REMIND, see, &seen);
	assert_int_equal(seen.count, 1);
}

static void another_time_to_remind(void **state)
{
	(void)state;
	assert_non_null(raise_it("backend-down", "campus", true, START));
	alerts_set_remind(alerts, HOUR);
	assert_int_equal(alerts_next(alerts), START + HOUR);
	assert_non_null(raise_it("backend-down", "campus", true, START + HOUR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(once_and_again_after_a_day, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_lasts_is_told_again_until_it_is_over, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_comes_and_goes_is_not_told_each_time, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_telling_that_failed_is_tried_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_is_gone_leaves_nothing_that_lasts, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(no_more_than_fit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_time_to_remind, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
