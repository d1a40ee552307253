/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "message/submission.h"

static void known_dates(void **state)
{
	char text[40];

	(void)state;
	message_date(1795387748000, text);
	assert_string_equal(text, "Sun, 22 Nov 2026 22:49:08 +0000");
	message_date(0, text);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 +0000");
	message_date(951782400999, text);
	assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 +0000");
	message_date(-1000, text);
	assert_string_equal(text, "Wed, 31 Dec 1969 23:59:59 +0000");
	message_date(INT64_MAX, text);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 +0000");
	message_date(INT64_MIN, text);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 +0000");
}

/* Against the C library, over 8000 years, at odd moments; whatever zone is set. */
static void same_as_gmtime(void **state)
{
	char text[40];
	char want[40];

	(void)state;
	setenv("TZ", "Asia/Kathmandu", 1);
	tzset();
	for (int64_t second = -60000000000; second < 253400000000; second += 86399 * 37 + 11) {
		time_t when = (time_t)second;
		struct tm tm;

		gmtime_r(&when, &tm);
		if (tm.tm_year + 1900 < 1 || tm.tm_year + 1900 > 9999)
			continue;
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S +0000", &tm);
		if (tm.tm_year + 1900 < 1000)
			continue; /* strftime pads years below otherwise */
		message_date(second * 1000, text);
		assert_string_equal(text, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_dates),
		cmocka_unit_test(same_as_gmtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
