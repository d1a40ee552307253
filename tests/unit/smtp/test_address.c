/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of addresses, against a table: what is taken, how it is printed, why it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "smtp/address.h"

#include "addresses.h"

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void check_printed(const struct smtp_address *address, const char *expected, bool utf8)
{
	struct smtp_address again;
	char text[sizeof(address->text)];

	assert_string_equal(address->text, expected);
	assert_int_equal(address->len, strlen(expected));
	assert_int_equal(smtp_mailbox_parse(smtp_address_text(address), utf8, &again),
			 SMTP_ADDRESS_OK);
	assert_string_equal(again.text, expected);
	assert_int_equal(again.domain_at, address->domain_at);
	snprintf(text, sizeof(text), "%.*s@%.*s", SLICE_ARG(smtp_address_local(address)),
		 SLICE_ARG(smtp_address_domain(address)));
	assert_string_equal(text, expected);
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		struct smtp_address address = {.len = 4711};
		enum smtp_address_error error =
			smtp_mailbox_parse(slice_str(cases[i].text), cases[i].utf8, &address);

		if (error != cases[i].error)
			print_message("case: %s\n", cases[i].text);
		assert_int_equal(error, cases[i].error);
		if (error == SMTP_ADDRESS_OK)
			check_printed(&address,
				      cases[i].printed != NULL ? cases[i].printed : cases[i].text,
				      cases[i].utf8);
		else
			assert_int_equal(address.len, 4711); /* untouched */
	}
}

/* The same table between angle brackets, with something behind them. */
static void table_as_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		struct smtp_address address;
		struct slice rest;
		char text[1024];
		enum smtp_address_error error;

		snprintf(text, sizeof(text), "<%s> SIZE=1", cases[i].text);
		error = smtp_path_parse(slice_str(text), cases[i].utf8, true, true, &address,
					&rest);
		if (strchr(cases[i].text, '>') != NULL || cases[i].text[0] == '@' ||
		    cases[i].text[0] == '\0')
			continue;
		if (strcasecmp(cases[i].text, "postmaster") == 0) {
			assert_int_equal(error, SMTP_ADDRESS_OK);
			continue;
		}
		if (cases[i].error == SMTP_ADDRESS_OK && error == SMTP_ADDRESS_TOO_LONG) {
			assert_true(strlen(cases[i].text) + 2 > SMTP_PATH_MAX);
			continue;
		}
		assert_int_equal(error, cases[i].error);
		if (error == SMTP_ADDRESS_OK)
			assert_true(slice_is(rest, " SIZE=1"));
	}
}

static enum smtp_address_error path(const char *text, bool null_ok, bool postmaster_ok,
				    struct smtp_address *address)
{
	struct slice rest;

	return smtp_path_parse(slice_str(text), false, null_ok, postmaster_ok, address, &rest);
}

static void special_paths(void **state)
{
	struct smtp_address address;

	(void)state;
	assert_int_equal(path("<>", true, false, &address), SMTP_ADDRESS_OK);
	assert_int_equal(address.len, 0);
	assert_int_equal(smtp_address_domain(&address).len, 0);
	assert_int_equal(smtp_address_local(&address).len, 0);
	assert_int_equal(path("<>", false, true, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("<PostMaster>", false, true, &address), SMTP_ADDRESS_OK);
	assert_string_equal(address.text, "postmaster");
	assert_true(slice_is(smtp_address_local(&address), "postmaster"));
	assert_int_equal(smtp_address_domain(&address).len, 0);
	assert_int_equal(path("<postmaster>", true, false, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("<\"postmaster\">", true, true, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("<@a.example,@b.example:u@c.example>", true, true, &address),
			 SMTP_ADDRESS_SOURCE_ROUTE);
	assert_int_equal(path("<@a.example:u@c.example>", true, true, &address),
			 SMTP_ADDRESS_SOURCE_ROUTE);
	assert_int_equal(path("u@c.example", true, true, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("<u@c.example", true, true, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("<", true, true, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("", true, true, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("<<u@c.example>>", true, true, &address), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(path("<\"a>b\"@c.example>", true, true, &address), SMTP_ADDRESS_OK);
	assert_string_equal(address.text, "\"a>b\"@c.example");
}

/* Fills a text of local and domain lengths; labels of at most 63. */
static void make(char *text, size_t local, size_t domain)
{
	size_t at = 0;

	for (size_t i = 0; i < local; i++)
		text[at++] = 'a';
	text[at++] = '@';
	for (size_t i = 0; i < domain; i++)
		text[at++] = i % 64 == 63 && i + 1 < domain ? '.' : 'b';
	text[at] = '\0';
}

/* RFC 5321 4.5.3.1: at the bound and one past it. */
static void lengths(void **state)
{
	static const struct {
		size_t local, domain;
		enum smtp_address_error mailbox, path;
	} bounds[] = {
		{1, 1, SMTP_ADDRESS_OK, SMTP_ADDRESS_OK},
		{63, 20, SMTP_ADDRESS_OK, SMTP_ADDRESS_OK},
		{64, 20, SMTP_ADDRESS_OK, SMTP_ADDRESS_OK},
		{65, 20, SMTP_ADDRESS_TOO_LONG, SMTP_ADDRESS_TOO_LONG},
		{500, 20, SMTP_ADDRESS_TOO_LONG, SMTP_ADDRESS_TOO_LONG},
		{1, 63, SMTP_ADDRESS_OK, SMTP_ADDRESS_OK},
		{1, 252, SMTP_ADDRESS_OK, SMTP_ADDRESS_OK},
		{1, 253, SMTP_ADDRESS_OK, SMTP_ADDRESS_TOO_LONG},
		{1, 255, SMTP_ADDRESS_OK, SMTP_ADDRESS_TOO_LONG},
		{1, 257, SMTP_ADDRESS_TOO_LONG, SMTP_ADDRESS_TOO_LONG},
		{64, 189, SMTP_ADDRESS_OK, SMTP_ADDRESS_OK},
		{64, 190, SMTP_ADDRESS_OK, SMTP_ADDRESS_TOO_LONG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct smtp_address address;
		char text[1024] = "<";

		make(text + 1, bounds[i].local, bounds[i].domain);
		assert_int_equal(smtp_mailbox_parse(slice_str(text + 1), false, &address),
				 bounds[i].mailbox);
		strncat(text, ">", 2);
		assert_int_equal(path(text, true, true, &address), bounds[i].path);
	}
}

/* Every control, in every place of an address, quoted and not (D6). */
static void controls(void **state)
{
	static const char *const frames[] = {
		"a%cb@c.example",       "%c@c.example",    "\"a%cb\"@c.example",
		"\"a\\%cb\"@c.example", "a@c%c.example",   "a@%c",
		"a@c.example%c",        "a@[%c127.0.0.1]", "a@[IPv6:::1%c]"};

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		for (int c = 0; c < 0x20; c++) {
			struct smtp_address address;
			struct buf text;
			const char *hole = strchr(frames[i], '%');
			char byte = (char)c;

			buf_init(&text, 100);
			buf_append(&text, frames[i], (size_t)(hole - frames[i]));
			buf_append_byte(&text, byte);
			buf_append_str(&text, hole + 2);
			assert_int_not_equal(smtp_mailbox_parse(buf_data(&text), true, &address),
					     SMTP_ADDRESS_OK);
			buf_release(&text);
		}
	}
}

static void host_names(void **state)
{
	static const char *const good[] = {"a",   "a.b",          "mail.example.org",
					   "1.2", "x--y.example", "xn--nxasmq6b.example",
					   "A.B"};
	static const char *const bad[] = {"",    ".",     "a.",        ".a",  "a..b", "-a",
					  "a-",  "a-.b",  "a.-b",      "a_b", "a b",  "a\tb",
					  "a/b", "[::1]", "a\xc3\xa9", "*.a"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(smtp_is_host_name(slice_str(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(smtp_is_host_name(slice_str(bad[i])));
	assert_false(smtp_is_host_name(SLICE_LIT("a\0b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),         cmocka_unit_test(table_as_paths),
		cmocka_unit_test(special_paths), cmocka_unit_test(lengths),
		cmocka_unit_test(controls),      cmocka_unit_test(host_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
