/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "message/mailbox.h"

/* The one mailbox of a value. */
static enum err read_as(struct slice value, bool utf8, struct mailbox *mailbox_out)
{
	struct mailbox_list list = {.rest = value, .utf8 = utf8};
	struct mailbox first, more;
	enum err err = mailbox_next(&list, &first);

	if (err == ERR_OK && mailbox_next(&list, &more) != ERR_EOF)
		err = ERR_SYNTAX;
	if (err == ERR_OK)
		*mailbox_out = first;
	return err;
}

static enum err read_one(struct slice value, char address_out[512])
{
	struct mailbox mailbox;
	enum err err = read_as(value, false, &mailbox);

	return err != ERR_OK ? err
			     : slice_copy(smtp_address_text(&mailbox.address), address_out, 512);
}

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
	{"(a) (b\r\n (c)) \"A\" (d) . B <alice@example.org> (e)", "alice@example.org"},
	{" <alice@example.org>(", NULL},
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
	{" alice\\@evil.test@example.org", NULL},
	{" \"alice@example.org\"@evil.test@example.org", NULL},
	{" \"alice\"bob@example.org", NULL},
	{" alice.\"bob\"@example.org", NULL},
	{" <\"alice\" @example.org>", NULL},
	{" <alice@example.org\r\n (x)>", NULL},
	{" <alice\r\n @example.org>", NULL},
	{" ,alice@example.org", NULL},
	{" alice@example.org,", NULL},
	{" alice@example.org,,alice@example.org", NULL},
	{" =?utf-8?q?alice=40example.org?= <bob@evil.test>", "bob@evil.test"},
	{" =?utf-8?q?=3Calice=40example.org=3E?=", NULL},
	{" alice@=?utf-8?q?example?=.org", NULL},
	{" alice@b\xc3\xbc"
	 "cher.example>",
	 NULL},
	{" \xc3\xa4lice@example.org", NULL}, /* without SMTPUTF8 */
	{" \"\xc3\xa4\"@example.org", NULL},
};

static void e2_one_mailbox(void **state)
{
	char address[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum err err = read_one(slice_str(cases[i].value), address);

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
		assert_int_equal(read_one(slice_str(cases[i].value), once), ERR_OK);
		assert_int_equal(read_one(slice_str(once), twice), ERR_OK);
		assert_string_equal(once, twice);
	}
}

static void e2_no_byte_slips_in(void **state)
{
	char text[64];
	char address[512];

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		int len = snprintf(text, sizeof(text), "alice@exam%cple.org", byte);

		if (read_one(slice_of(text, (size_t)len), address) != ERR_OK)
			continue;
		assert_true(ascii_is_alnum((char)byte) || byte == '-' || byte == '.');
	}
}

static void e4_deep_nesting_is_linear(void **state)
{
	static char text[400000];
	char address[512];
	size_t half = sizeof(text) / 2 - 64;

	(void)state;
	memset(text, '(', half);
	memset(text + half, ')', half);
	memcpy(text + half * 2, " a@b.test", 9);
	assert_int_equal(read_one(slice_of(text, half * 2 + 9), address), ERR_OK);
	assert_string_equal(address, "a@b.test");
	assert_int_equal(read_one(slice_of(text, half * 2 - 1), address), ERR_SYNTAX);
}

static void too_long(void **state)
{
	char text[700];
	char address[512] = "untouched";

	(void)state;
	memset(text, 'a', sizeof(text));
	text[600] = '@';
	assert_int_equal(read_one(slice_of(text, sizeof(text)), address), ERR_SYNTAX);
	assert_string_equal(address, "untouched");
}

/* An encoded word in an address is plain characters and stays them, whatever it says (D6). */
static void d6_encoded_words_are_not_decoded(void **state)
{
	static const char word[] = "=?utf-8?q?a=40evil.test=3e?=@example.org";
	struct mailbox mailbox;

	(void)state;
	assert_int_equal(read_as(slice_str(word), false, &mailbox), ERR_OK);
	assert_true(slice_is(smtp_address_domain(&mailbox.address), "example.org"));
	assert_true(slice_is(smtp_address_text(&mailbox.address), word));
	assert_int_equal(read_as(SLICE_LIT("=?utf-8?q?a?= b@example.org"), false, &mailbox),
			 ERR_SYNTAX);
}

/* With SMTPUTF8 names may be anybody's, but none that Unicode's mappings make ASCII (D6, E2). */
static void d6_wide_local_parts(void **state)
{
	static const char *const traps[] = {
		" a\xef\xbc\xa0"
		"evil.test@example.org", /* full width @ */
		" a\xef\xb9\xab"
		"evil.test@example.org", /* small @ */
		" a\xef\xbc\x8c"
		"b@example.org",              /* full width comma */
		" a\xe2\x80\xae@example.org", /* right to left */
		" a\xc3@example.org",
		" a\xed\xa0\x80@example.org",
	};
	struct mailbox mailbox;

	(void)state;
	assert_int_equal(read_as(SLICE_LIT(" <\xc3\xa4@example.org>"), true, &mailbox), ERR_OK);
	assert_true(slice_is(smtp_address_text(&mailbox.address), "\xc3\xa4@example.org"));
	for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
		if (read_as(slice_str(traps[i]), true, &mailbox) != ERR_SYNTAX)
			fail_msg("%s", traps[i]);
	}
}

static void e2_lists(void **state)
{
	struct mailbox_list list = {
		.rest = SLICE_LIT(" a@x.test , (c) \"B, b\" <b@x.test>,\r\n =?q?c?= d <c@x.test>")};
	struct mailbox mailbox;

	(void)state;
	assert_int_equal(mailbox_next(&list, &mailbox), ERR_OK);
	assert_true(slice_is(mailbox.spec, "a@x.test") && slice_is(mailbox.phrase, ""));
	assert_int_equal(mailbox_next(&list, &mailbox), ERR_OK);
	assert_true(slice_is(mailbox.spec, "b@x.test") && slice_is(mailbox.phrase, "\"B, b\""));
	assert_int_equal(mailbox_next(&list, &mailbox), ERR_OK);
	assert_true(slice_is(mailbox.spec, "c@x.test") && slice_is(mailbox.phrase, "=?q?c?= d"));
	assert_int_equal(mailbox_next(&list, &mailbox), ERR_EOF);
	assert_int_equal(mailbox_next(&list, &mailbox), ERR_EOF);
}

static const struct {
	const char *value, *address; /* address NULL: must be refused */
} bare[] = {
	{" root", "root@example.org"},
	{" root (Cron Daemon)", "root@example.org"},
	{" Cron <root>", "root@example.org"},
	{" <root>", "root@example.org"},
	{" a.b+c", "a.b+c@example.org"},
	{" alice@example.net", "alice@example.net"},
	{" Cron Daemon", NULL},
	{" \"root\"", NULL},
	{" root@", NULL},
	{" .root", NULL},
	{" root:;", NULL},
	{" [192.0.2.1]", NULL},
	{" ro\xc3\xb6t", NULL},
	{" <>", NULL},
	{"", NULL},
};

static void bare_addresses_are_completed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
		struct mailbox_list list = {.rest = slice_str(bare[i].value),
					    .qualify = "example.org"};
		struct mailbox mailbox;
		enum err err = mailbox_next(&list, &mailbox);

		if (err != (bare[i].address != NULL ? ERR_OK : ERR_SYNTAX))
			fail_msg("%s: %s", bare[i].value, err_name(err));
		if (err != ERR_OK)
			continue;
		if (!slice_is(smtp_address_text(&mailbox.address), bare[i].address))
			fail_msg("%s: %s", bare[i].value, mailbox.address.text);
		assert_int_equal(mailbox.bare, !slice_has_byte(mailbox.spec, '@'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e2_one_mailbox),
		cmocka_unit_test(canonical),
		cmocka_unit_test(e2_no_byte_slips_in),
		cmocka_unit_test(e4_deep_nesting_is_linear),
		cmocka_unit_test(too_long),
		cmocka_unit_test(d6_encoded_words_are_not_decoded),
		cmocka_unit_test(d6_wide_local_parts),
		cmocka_unit_test(e2_lists),
		cmocka_unit_test(bare_addresses_are_completed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
