/* SPDX-License-Identifier: Apache-2.0 */
/* Cache-Control as servers write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "token/token.h"

static void cache_control(void **state)
{
	static const struct {
		const char *text;
		bool said;
		uint64_t seconds;
	} cases[] = {
		{"max-age=3600", true, 3600},
		{"public, max-age=19827, must-revalidate, no-transform", true, 19827},
		{"Max-Age = 60", true, 60},
		{"max-age=\"60\"", true, 60},
		{"max-age=60,max-age=30", true, 30},
		{"max-age=0", true, 0},
		{"max-age=99999999999999999999999", true, TOKEN_FRESH_MAX},
		{"max-age=4294967296", true, TOKEN_FRESH_MAX},
		{"no-store, max-age=3600", true, 0},
		{"max-age=3600, no-cache", true, 0},
		{"private=\"x, max-age=9\", max-age=70", true, 70},
		{"max-age=-1", false, 7},
		{"max-age=1e9", false, 7},
		{"max-age=", false, 7},
		{"max-age", false, 7},
		{"max-age=\"", false, 7},
		{"s-maxage=10", false, 7},
		{",,=,", false, 7},
		{"", false, 7},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t seconds = 7;

		assert_int_equal(token_fresh_for(slice_str(cases[i].text), &seconds),
				 cases[i].said);
		assert_int_equal(seconds, cases[i].seconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cache_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
