/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "message/submission.h"

static const struct {
	const char *value, *address; /* address NULL: must be refused */
} cases[] = {
	{" alice@example.org", "alice@example.org"},
	{" Alice <alice@example.org>", "alice@example.org"},
	{" Alice <alice@EXAMPLE.org>", "alice@example.org"},
	{" <alice@example.org>", "alice@example.org"},
	{"alice@example.org (Alice (the first))", "alice@example.org"},
	{" (x) alice@example.org", "alice@example.org"},
	{" \"Liddell, Alice\" <alice@example.org>", "alice@example.org"},
	{" \"bob@evil.test\" <alice@example.org>", "alice@example.org"},
	{" \"a \\\" <bob@evil.test>\" <alice@example.org>", "alice@example.org"},
	{" John Q. Public\r\n <john@example.org>", "john@example.org"},
	{"\r\n Alice\r\n\t<alice@example.org>", "alice@example.org"},
	{" =?utf-8?q?M=C3=BCller?= <m@example.org>", "m@example.org"},
	{" M\xc3\xbcller <m@example.org>", "m@example.org"},
	{" \"M\xc3\xbcller\" <m@example.org>", "m@example.org"},
	{" \"alice\"@example.org", "alice@example.org"},
	{" \"a b\"@example.org", "\"a b\"@example.org"},
	{" \"a\\b\"@example.org", "ab@example.org"},
	{" \"a\\@b\"@example.org", "\"a@b\"@example.org"},
	{" alice@[192.0.2.1]", "alice@[192.0.2.1]"},
	{" =?utf-8?q?a=40evil.test=3e?=@example.org", "=?utf-8?q?a=40evil.test=3e?=@example.org"},
	/* What other programs read differently (threats E2). */
	{"", NULL},
	{" ", NULL},
	{" alice", NULL},
	{" alice@", NULL},
	{" @example.org", NULL},
	{" alice@example.org, bob@evil.test", NULL},
	{" alice@example.org bob@evil.test", NULL},
	{" alice@example.org <bob@evil.test>", NULL},
	{" <alice@example.org> bob@evil.test", NULL},
	{" <alice@example.org><bob@evil.test>", NULL},
	{" <alice@example.org>, <bob@evil.test>", NULL},
	{" <@evil.test:alice@example.org>", NULL},
	{" <@evil.test,@b.test:alice@example.org>", NULL},
	{" friends: alice@example.org;", NULL},
	{" undisclosed-recipients:;", NULL},
	{" <alice@example.org", NULL},
	{" alice@example.org>", NULL},
	{" <<alice@example.org>>", NULL},
	{" <alice@example.org@evil.test>", NULL},
	{" alice(x)@example.org", NULL},
	{" alice@(x)example.org", NULL},
	{" alice@example.org (x", NULL},
	{" alice@example.org )", NULL},
	{" alice@example.org;", NULL},
	{" alice @example.org", NULL},
	{" al ice@example.org", NULL},
	{" .alice@example.org", NULL},
	{" alice.@example.org", NULL},
	{" al..ice@example.org", NULL},
	{" alice@example..org", NULL},
	{" alice@example.org.", NULL},
	{" alice@-example.org", NULL},
	{" alice@example-.org", NULL},
	{" \"alice@example.org", NULL},
	{" \"alice\\", NULL},
	{" alice@[192.0.2.1", NULL},
	{" alice@[192.0.2.1]x", NULL},
	{" \xff <alice@example.org>", NULL},
	{" \xc3<alice@example.org>", NULL},
	{" \"a\\\xc3\xbc\" <alice@example.org>", NULL},
	{" alice\xef\xbc\xa0"
	 "evil.test@example.org",
	 NULL},
	{" Alice\x01 <alice@example.org>", NULL},
	{" \"Alice\x1b[2J\" <alice@example.org>", NULL},
};

static void one_mailbox(void **state)
{
	char address[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum err err = message_from_address(slice_str(cases[i].value), address);

		if (err != (cases[i].address != NULL ? ERR_OK : ERR_SYNTAX))
			fail_msg("%s: %s", cases[i].value, err == ERR_OK ? address : err_name(err));
		if (err == ERR_OK)
			assert_string_equal(address, cases[i].address);
	}
}

/* Every accepted address is read again as itself. */
static void canonical(void **state)
{
	char once[512];
	char twice[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].address == NULL)
			continue;
		assert_int_equal(message_from_address(slice_str(cases[i].value), once), ERR_OK);
		assert_int_equal(message_from_address(slice_str(once), twice), ERR_OK);
		assert_string_equal(once, twice);
	}
}

static void no_byte_slips_in(void **state)
{
	char text[64];
	char address[512];

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		int len = snprintf(text, sizeof(text), "alice@exam%cple.org", byte);

		if (message_from_address(slice_of(text, (size_t)len), address) != ERR_OK)
			continue;
		assert_true(ascii_is_alnum((char)byte) || byte == '-' || byte == '.' ||
			    byte == '_');
	}
}

static void deep_nesting_is_linear(void **state)
{
	static char text[400000];
	char address[512];
	size_t half = sizeof(text) / 2 - 64;

	(void)state;
	memset(text, '(', half);
	memset(text + half, ')', half);
	memcpy(text + half * 2, " a@b.test", 9);
	assert_int_equal(message_from_address(slice_of(text, half * 2 + 9), address), ERR_OK);
	assert_string_equal(address, "a@b.test");
	assert_int_equal(message_from_address(slice_of(text, half * 2 - 1), address), ERR_SYNTAX);
}

static void too_long(void **state)
{
	char text[700];
	char address[512] = "untouched";

	(void)state;
	memset(text, 'a', sizeof(text));
	text[600] = '@';
	assert_int_equal(message_from_address(slice_of(text, sizeof(text)), address), ERR_SYNTAX);
	assert_string_equal(address, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_mailbox),      cmocka_unit_test(canonical),
		cmocka_unit_test(no_byte_slips_in), cmocka_unit_test(deep_nesting_is_linear),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
