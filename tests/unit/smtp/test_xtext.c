/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/xtext.h"

static const struct {
	const char *text, *plain; /* plain NULL: ERR_SYNTAX */
} cases[] = {
	{"", ""},
	{"alice@example.org", "alice@example.org"},
	{"e+3DmC2@example.com", "e=mC2@example.com"}, /* RFC 4954 5 */
	{"a+2Bb", "a+b"},
	{"+20", " "},
	{"+C3+A4", "\xc3\xa4"},
	{"<>", "<>"},
	{"a=b", NULL},
	{"a b", NULL},
	{"+", NULL},
	{"+2", NULL},
	{"a+2", NULL},
	{"+2b", NULL},
	{"+G0", NULL},
	/* Nothing that ends a line, or a string (C16). */
	{"a+0Ab", NULL},
	{"a+0D+0Ab", NULL},
	{"a+00b", NULL},
	{"a+7Fb", NULL},
	{"a\nb", NULL},
	{"\xc3\xa4", NULL},
};

static void c16_decoded(void **state)
{
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum err err = smtp_xtext_decode(slice_str(cases[i].text), out, sizeof(out));

		if (err != (cases[i].plain != NULL ? ERR_OK : ERR_SYNTAX))
			fail_msg("%s: %s", cases[i].text, err_name(err));
		if (err == ERR_OK)
			assert_string_equal(out, cases[i].plain);
	}
}

static void c16_bounded(void **state)
{
	char text[4096];
	char out[512];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(smtp_xtext_decode(slice_of(text, sizeof(text)), out, sizeof(out)),
			 ERR_FULL);
	assert_int_equal(smtp_xtext_decode(slice_of(text, 511), out, sizeof(out)), ERR_OK);
	assert_int_equal(smtp_xtext_decode(slice_of(text, 512), out, sizeof(out)), ERR_FULL);
	assert_int_equal(smtp_xtext_decode(SLICE_LIT(""), out, 0), ERR_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c16_decoded),
		cmocka_unit_test(c16_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
