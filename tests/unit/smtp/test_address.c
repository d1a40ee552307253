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
#include "base/utf8.h"
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

static void d5_table(void **state)
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
static void d5_table_as_paths(void **state)
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

static void d11_special_paths(void **state)
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
static void d12_lengths(void **state)
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
static void d6_controls(void **state)
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

/* D1: what has no domain, or half of one, is no address, whatever a shell would make of it. */
static void d1_shell_words(void **state)
{
	static const char *const bad[] = {
		";id;",      "|id@",  "$(id)@x", "`id`@",      "a@$(id)",   "a@;id;",
		"a@x;id",    "a@|id", "@",       "a@",         "@x",        "a@x|b",
		"a@x\nRCPT", "a;b@x", "a(b)@x",  "a@x y",      "a@x..y",    "a@.x",
		"a@x.",      "a@-x",  "a@x_y",   "a@x/../y",   "a@x%00.y",  "a@x@y",
		"a,b@x",     "a@b,c", "a@[x]",   "a@[1.2.3.4", "<a@b>@c.d", "a\\@b@c"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct smtp_address address;

		if (smtp_mailbox_parse(slice_str(bad[i]), true, &address) == SMTP_ADDRESS_OK)
			print_message("case: %s\n", bad[i]);
		assert_int_not_equal(smtp_mailbox_parse(slice_str(bad[i]), true, &address),
				     SMTP_ADDRESS_OK);
	}
}

/* D6: encoded words are atoms, never decoded: the domain is what stands behind the one '@'. */
static void d6_encoded_words(void **state)
{
	struct smtp_address address;

	(void)state;
	assert_int_equal(smtp_mailbox_parse(SLICE_LIT("=?utf-8?q?a=40evil.test=3e?=@ours.example"),
					    false, &address),
			 SMTP_ADDRESS_OK);
	assert_true(slice_is(smtp_address_domain(&address), "ours.example"));
	assert_string_equal(address.text, "=?utf-8?q?a=40evil.test=3e?=@ours.example");
	assert_int_not_equal(smtp_mailbox_parse(SLICE_LIT("\"a\\\r\\\nRCPT TO:<x>\"@d.example"),
						false, &address),
			     SMTP_ADDRESS_OK);
}

/* D9: '%', '!' and a quoted '@' are characters of the local part; the domain decides. */
static void d9_percent_and_bang(void **state)
{
	static const struct {
		const char *text;
		const char *domain; /* NULL: no address */
	} relays[] = {
		{"user%victim.test@ours.example", "ours.example"},
		{"user@victim.test@ours.example", NULL},
		{"user@victim.test%ours.example", NULL},
		{"\"user@victim.test\"@ours.example", "ours.example"},
		{"\"user%victim.test\"@ours.example", "ours.example"},
		{"\"user@victim.test\"", NULL},
		{"\"user%victim.test\"", NULL},
		{"user%victim.test", NULL},
		{"victim.test!user@ours.example", "ours.example"},
		{"victim.test!user", NULL},
		{"ours.example!victim.test!user@ours.example", "ours.example"},
		{"@ours.example:user@victim.test", NULL},
		{"@ours.example,@b.test:user@victim.test", NULL},
		{"user@[192.0.2.1]", "[192.0.2.1]"},
		{"user%victim.test@[192.0.2.1]", "[192.0.2.1]"},
		{"victim.test!user@[192.0.2.1]", "[192.0.2.1]"},
		{"\"user\"@victim.test", "victim.test"},
		{"user@ours.example@", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(relays) / sizeof(relays[0]); i++) {
		struct smtp_address address;
		bool ok = smtp_mailbox_parse(slice_str(relays[i].text), false, &address) ==
			  SMTP_ADDRESS_OK;

		assert_int_equal(ok, relays[i].domain != NULL);
		if (ok)
			assert_true(slice_is(smtp_address_domain(&address), relays[i].domain));
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* D5: generated addresses: what was printed is read back as the same, and printed the same. */
static void d5_parse_of_print(void **state)
{
	static const char *const pieces[] = {
		"a",    "Z9",           ".",    "\"",   "\\",       "@", " ",
		"\\\"", "\\\\",         "%",    "!",    "\xc3\xa9", "<", ">",
		",",    "\xe7\x94\xa8", "+tag", "=?q?", "\\a",      "\t"};
	static const char *const domains[] = {"b.example",  "B.Example",         "[127.0.0.1]",
					      "[IPv6:::1]", "\xc3\xbc.example",  "xn--tda.test",
					      "a-b.c",      "[IPv6:2001:DB8::1]"};
	uint32_t seed = 5;
	unsigned good = 0;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		bool quoted = next_random(&seed) % 2 == 0;
		struct smtp_address address, again;
		struct buf text;

		buf_init(&text, 1000);
		buf_append_str(&text, quoted ? "\"" : "");
		for (uint32_t i = next_random(&seed) % 6; i > 0; i--)
			buf_append_str(&text, pieces[next_random(&seed) % 20]);
		buf_append_str(&text, quoted ? "\"@" : "@");
		buf_append_str(&text, domains[next_random(&seed) % 8]);
		if (smtp_mailbox_parse(buf_data(&text), true, &address) == SMTP_ADDRESS_OK) {
			good++;
			assert_int_equal(
				smtp_mailbox_parse(smtp_address_text(&address), true, &again),
				SMTP_ADDRESS_OK);
			assert_string_equal(again.text, address.text);
			assert_int_equal(again.domain_at, address.domain_at);
			assert_int_equal(again.utf8, address.utf8);
			assert_true(utf8_is_ascii(smtp_address_domain(&address)));
		}
		buf_release(&text);
	}
	assert_true(good > 20000);
}

/* D7: two bytes that are no UTF-8 are in no address, neither part, quoted or not. */
static void d7_all_two_byte_sequences(void **state)
{
	(void)state;
	for (unsigned first = 0x80; first <= 0xff; first++) {
		for (unsigned second = 0; second <= 0xff; second++) {
			bool valid =
				first >= 0xc2 && first <= 0xdf && second >= 0x80 && second <= 0xbf;
			char bytes[] = {(char)first, (char)second, '\0'};
			static const char *const frames[] = {"%s@b.example", "\"%s\"@b.example",
							     "a@%s.example", "x%sy@b.example"};

			if (valid)
				continue;
			for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
				const char *hole = strchr(frames[i], '%');
				struct smtp_address address;
				struct buf text;

				buf_init(&text, 100);
				buf_append(&text, frames[i], (size_t)(hole - frames[i]));
				buf_append(&text, bytes, 2);
				buf_append_str(&text, hole + 2);
				assert_int_not_equal(
					smtp_mailbox_parse(buf_data(&text), true, &address),
					SMTP_ADDRESS_OK);
				buf_release(&text);
			}
		}
	}
}

/*
 * D7: domains, as UTS-46 maps them without transition; the table follows IdnaTestV2 of Unicode in
 * kind: mapping, the four full stops, sharp s, joiners, bidi, hyphens, disallowed signs, A-labels.
 */
static void d7_domains(void **state)
{
	static const struct {
		const char *text;
		const char *becomes; /* NULL: refused */
	} domains[] = {
		{"fa\xc3\x9f.de", "xn--fa-hia.de"},
		{"fass.de", "fass.de"},
		{"B\xc3\x9c"
		 "CHER.example",
		 "xn--bcher-kva.example"},
		{"bu\xcc\x88"
		 "cher.example",
		 "xn--bcher-kva.example"}, /* not composed */
		{"\xcf\x83\xcf\x82.gr", "xn--3xab.gr"},
		{"\xe4\xb8\xad\xe5\x9b\xbd.cn", "xn--fiqs8s.cn"},
		{"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84",
		 "xn--e1afmkfd.xn--p1ai"},
		{"a\xe3\x80\x82"
		 "b.de",
		 "a.b.de"}, /* ideographic full stop */
		{"a\xef\xbc\x8e"
		 "b.de",
		 "a.b.de"}, /* full width */
		{"a\xef\xbd\xa1"
		 "b.de",
		 "a.b.de"}, /* half width */
		{"a\xef\xbc\xa0"
		 "b.de",
		 NULL}, /* full-width at sign */
		{"a\xe2\x80\xa4"
		 "b.de",
		 NULL}, /* one dot leader */
		{"\xe3\x80\x82"
		 "de",
		 NULL}, /* an empty label once it is mapped */
		{"a\xe3\x80\x82\xe3\x80\x82"
		 "de",
		 NULL},
		{"\xc3\xbc..de", NULL},
		{"\xc3\xbc.de.", NULL},
		{"\xc3\xbc_b.de", NULL}, /* mapped fine, but no host name */
		{"\xef\xbc\xbf"
		 "b.de",
		 NULL}, /* full-width underscore */
		{"\xef\xbc\x8f"
		 "b.de",
		 NULL}, /* full-width solidus */
		{"\xe2\x92\x88"
		 "com.de",
		 NULL},                    /* digit one full stop */
		{"\xe2\x84\x80.de", NULL}, /* a/c: holds a solidus */
		{"a\xe2\x80\x8d"
		 "b.de",
		 NULL}, /* joiner out of place */
		{"a\xe2\x80\xae"
		 "b.de",
		 NULL}, /* right-to-left override */
		{"a\xc2\xad"
		 "b.de",
		 "ab.de"}, /* soft hyphen is ignored */
		{"-\xc3\xbc.de", NULL},
		{"\xc3\xbc-.de", NULL},
		{"ab--\xc3\xbc.de", NULL},
		{"\xe2\x98\x83.net", NULL}, /* a snowman: not by IDNA 2008 */
		{"\xd7\x90"
		 "a.com",
		 NULL},                     /* bidi: two directions in one label */
		{"\xcc\x80.com", NULL},     /* begins with a combining mark */
		{"\xed\xa0\x80.com", NULL}, /* a surrogate */
		{"\xf4\x90\x80\x80.com", NULL},
		{"\xef\xbf\xbd.com", NULL}, /* the replacement character */
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--Bcher-KVA.Example", "xn--bcher-kva.example"},
		{"xn--n3h.net", "xn--n3h.net"}, /* registered all the same */
		{"xn--a.de", NULL},             /* a control */
		{"xn--.de", NULL},
		{"xn---.de", NULL},
		{"xn--0.com", NULL},       /* no punycode */
		{"xn--xn---epa.de", NULL}, /* an A-label in an A-label */
		{"xn--abc-.de", NULL},
		{"xn--b-2ga.example\xc3\xbc.xn--0", NULL},
		{"r3---sn-x.example", "r3---sn-x.example"},
		{"\xef\xbd\x86ull.de", "full.de"}, /* full-width letter */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		char text[SMTP_DOMAIN_MAX + 1];
		enum smtp_address_error error =
			smtp_domain_canonical(slice_str(domains[i].text), true, text);

		if ((error == SMTP_ADDRESS_OK) != (domains[i].becomes != NULL))
			print_message("case: %s\n", domains[i].text);
		assert_int_equal(error == SMTP_ADDRESS_OK, domains[i].becomes != NULL);
		if (error == SMTP_ADDRESS_OK)
			assert_string_equal(text, domains[i].becomes);
	}
}

/* D7: A-labels that decode to ASCII: '@', blank, full stop, letters, and what they hide beside. */
static void d7_a_labels_of_ascii(void **state)
{
	/* Punycode of ASCII is the text and a hyphen; none of these is a label that may be. */
	static const char *const bad[] = {"xn--@-",   "xn-- -",   "xn--.-",      "xn--a@b-",
					  "xn--a b-", "xn--a.b-", "xn--abc-",    "xn--a-",
					  "xn--ab",   "xn--a-0",  "xn--99999999"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[SMTP_DOMAIN_MAX + 1];

		if (smtp_domain_canonical(slice_str(bad[i]), true, text) == SMTP_ADDRESS_OK)
			print_message("case: %s\n", bad[i]);
		assert_int_not_equal(smtp_domain_canonical(slice_str(bad[i]), true, text),
				     SMTP_ADDRESS_OK);
	}
}

/* D7: no letter becomes another byte, whatever its low bits are (U+0140 is no '@'). */
static void d7_local_parts_are_left_alone(void **state)
{
	static const char *const locals[] = {"a\xc5\x80"
					     "b",
					     "\xef\xbc\xa0",
					     "a\xef\xbc\x8e"
					     "b",
					     "\xc3\x89",
					     "e\xcc\x81",
					     "\xc4\x8a"};

	(void)state;
	for (size_t i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
		struct smtp_address address;
		char text[100];

		snprintf(text, sizeof(text), "%s@ours.example", locals[i]);
		assert_int_equal(smtp_mailbox_parse(slice_str(text), true, &address),
				 SMTP_ADDRESS_OK);
		assert_string_equal(address.text, text);
		assert_true(slice_is(smtp_address_domain(&address), "ours.example"));
		assert_int_equal(smtp_mailbox_parse(slice_str(text), false, &address),
				 SMTP_ADDRESS_NEEDS_UTF8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d1_shell_words),
		cmocka_unit_test(d6_encoded_words),
		cmocka_unit_test(d9_percent_and_bang),
		cmocka_unit_test(d5_parse_of_print),
		cmocka_unit_test(d7_all_two_byte_sequences),
		cmocka_unit_test(d7_domains),
		cmocka_unit_test(d7_a_labels_of_ascii),
		cmocka_unit_test(d7_local_parts_are_left_alone),
		cmocka_unit_test(d5_table),
		cmocka_unit_test(d5_table_as_paths),
		cmocka_unit_test(d11_special_paths),
		cmocka_unit_test(d12_lengths),
		cmocka_unit_test(d6_controls),
		cmocka_unit_test(host_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
