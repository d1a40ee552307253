/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers (D14): what each form says, in every cut, and that not a byte too many is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4  "\xcb\x00\x71\x09\xc0\x00\x02\x01\x30\x39\x02\x4b"
#define V6                                                                                         \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"     \
	"\x30\x39\x02\x4b"
#define CASE(bytes, err, client, why)                                                              \
	{                                                                                          \
		bytes, sizeof(bytes) - 1, err, client, why                                         \
	}

static const struct {
	const char *bytes;
	size_t len;
	enum err err;
	const char *client;
	const char *why; /* part of it */
} cases[] = {
	/* Version 1. */
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345 587\r\n", ERR_OK, "203.0.113.9", ""),
	CASE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ERR_OK,
	     "255.255.255.255", ""),
	CASE("PROXY TCP6 2001:DB8:0::9 2001:db8::1 12345 587\r\n", ERR_OK, "2001:db8::9", ""),
	CASE("PROXY TCP6 ::ffff:203.0.113.9 ::1 1 0\r\n", ERR_OK, "::ffff:203.0.113.9", ""),
	CASE("PROXY UNKNOWN\r\n", ERR_OK, "", ""),
	CASE("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ERR_OK, "", ""),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345 587\n", ERR_SYNTAX, "", "CRLF"),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345 587", ERR_AGAIN, "", ""),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345 587\r", ERR_AGAIN, "", ""),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345 587 9\r\n", ERR_SYNTAX, "", "port"),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345\r\n", ERR_SYNTAX, "", "two ports"),
	CASE("PROXY TCP4  203.0.113.9 192.0.2.1 12345 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345 587 \r\n", ERR_SYNTAX, "", "port"),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 12345 70000\r\n", ERR_SYNTAX, "", "port"),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 0123 587\r\n", ERR_SYNTAX, "", "port"),
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 -1 587\r\n", ERR_SYNTAX, "", "port"),
	CASE("PROXY TCP4 203.0.113.09 192.0.2.1 1 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY TCP4 203.0.113 192.0.2.1 1 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY TCP4 0x7f.1 192.0.2.1 1 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY TCP4 2001:db8::9 192.0.2.1 1 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY TCP6 203.0.113.9 ::1 1 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY TCP6 fe80::1%eth0 ::1 1 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY TCP4 203.0.113.9\0x 192.0.2.1 1 587\r\n", ERR_SYNTAX, "", "address"),
	CASE("PROXY UDP4 203.0.113.9 192.0.2.1 1 587\r\n", ERR_SYNTAX, "", "TCP4, TCP6"),
	CASE("PROXY tcp4 203.0.113.9 192.0.2.1 1 587\r\n", ERR_SYNTAX, "", "TCP4, TCP6"),
	CASE("PROXY UNKNOWNX\r\n", ERR_SYNTAX, "", "TCP4, TCP6"),
	CASE("PROXY \r\n", ERR_SYNTAX, "", "TCP4, TCP6"),
	CASE("PROXY\r\n", ERR_SYNTAX, "", "expected"),
	CASE("proxy TCP4 203.0.113.9 192.0.2.1 12345 587\r\n", ERR_SYNTAX, "", "expected"),
	CASE("EHLO client.example\r\n", ERR_SYNTAX, "", "expected"),
	CASE("\x16\x03\x01\x02", ERR_SYNTAX, "", "expected"),
	CASE("", ERR_AGAIN, "", ""),
	/* Version 2. */
	CASE(SIG "\x21\x11\0\x0c" V4, ERR_OK, "203.0.113.9", ""),
	CASE(SIG "\x21\x21\0\x24" V6, ERR_OK, "2001:db8::1", ""),
	CASE(SIG "\x20\0\0\0", ERR_OK, "", ""),
	CASE(SIG "\x20\x11\0\x0c" V4, ERR_OK, "", ""), /* LOCAL: the block is not looked at */
	CASE(SIG "\x21\0\0\x03\xff\xff\xff", ERR_OK, "", ""), /* UNSPEC likewise */
	CASE(SIG "\x21\x11\0\x10" V4 "\x04\0\x01x", ERR_OK, "203.0.113.9", ""),
	CASE(SIG "\x21\x11\0\x0f" V4 "\x04\0\0", ERR_OK, "203.0.113.9", ""),
	CASE(SIG "\x21\x11\0\x17" V4 "\x04\0\0\xee\0\x02yy\x04\0\0", ERR_OK, "203.0.113.9", ""),
	CASE(SIG "\x21\x11\0\x0d" V4 "\x04", ERR_SYNTAX, "", "cut short"),
	CASE(SIG "\x21\x11\0\x0e" V4 "\x04\0", ERR_SYNTAX, "", "cut short"),
	CASE(SIG "\x21\x11\0\x0f" V4 "\x04\0\x01", ERR_SYNTAX, "", "longer than the header"),
	CASE(SIG "\x21\x11\0\x10" V4 "\x20\xff\xffx", ERR_SYNTAX, "", "longer than the header"),
	CASE(SIG "\x21\x11\0\x10" V4 "\x20\0\x01", ERR_AGAIN, "203.0.113.9", ""),
	CASE(SIG "\x21\x11\0\x0b" V4, ERR_SYNTAX, "", "no room"),
	CASE(SIG "\x21\x21\0\x0c" V4, ERR_SYNTAX, "", "no room"),
	CASE(SIG "\x21\x31\0\x0c" V4, ERR_SYNTAX, "", "no room"),
	CASE(SIG "\x21\x12\0\x0c" V4, ERR_SYNTAX, "", "no stream"),
	CASE(SIG "\x21\x41\0\x0c" V4, ERR_SYNTAX, "", "no stream"),
	CASE(SIG "\x22\x11\0\x0c" V4, ERR_SYNTAX, "", "command"),
	CASE(SIG "\x11\x11\0\x0c" V4, ERR_SYNTAX, "", "version"),
	CASE(SIG "\x21\x11\x40\x01" V4, ERR_SYNTAX, "", "16 KiB"),
	CASE(SIG "\x21\x11\xff\xff" V4, ERR_SYNTAX, "", "16 KiB"),
	CASE(SIG "\x21\x11\0", ERR_AGAIN, "", ""),
	CASE("\r\n\r\nEHLO x\r\n", ERR_SYNTAX, "", "expected"),
	CASE("\r\n\r\n\0\r\nQUIT\r\n", ERR_SYNTAX, "", "expected"),
};

static enum err feed_in_parts(struct proxy_reader *reader, const char *bytes, size_t len,
			      size_t step, size_t *taken)
{
	enum err err = ERR_AGAIN;

	*taken = 0;
	proxy_init(reader);
	while (err == ERR_AGAIN && *taken < len) {
		size_t part = len - *taken < step ? len - *taken : step;
		size_t used = 0;

		err = proxy_feed(reader, slice_of(bytes + *taken, part), &used);
		assert_true(used >= 1 && used <= part);
		*taken += used;
	}
	return err;
}

static void d14_proxy_headers_say_who_in_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t step = 1; step <= cases[i].len + 1; step++) {
			struct proxy_reader reader;
			size_t taken;
			enum err err =
				feed_in_parts(&reader, cases[i].bytes, cases[i].len, step, &taken);

			assert_int_equal(err, cases[i].err);
			assert_string_equal(reader.client, cases[i].client);
			assert_non_null(strstr(reader.why, cases[i].why));
			assert_int_equal(err == ERR_SYNTAX, reader.why[0] != '\0');
			assert_int_equal(reader.missing, strstr(reader.why, "expected") != NULL);
		}
	}
}

static void d14_proxy_takes_nothing_behind_the_header(void **state)
{
	static const char behind[] = "EHLO client.example\r\n";
	char bytes[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = cases[i].len;

		if (cases[i].err != ERR_OK)
			continue;
		memcpy(bytes, cases[i].bytes, len);
		memcpy(bytes + len, behind, sizeof(behind));
		for (size_t step = 1; step <= sizeof(bytes); step++) {
			struct proxy_reader reader;
			size_t taken;

			assert_int_equal(
				feed_in_parts(&reader, bytes, len + sizeof(behind), step, &taken),
				ERR_OK);
			assert_int_equal(taken, len);
			assert_string_equal(reader.client, cases[i].client);
		}
	}
}

static void d14_proxy_line_has_107_bytes_at_most(void **state)
{
	static const char start[] = "PROXY UNKNOWN ";

	(void)state;
	for (size_t total = 100; total <= 120; total++) {
		char line[128];
		struct proxy_reader reader;
		size_t taken;
		enum err err;

		memset(line, 'x', sizeof(line));
		memcpy(line, start, sizeof(start) - 1);
		memcpy(line + total - 2, "\r\n", 2);
		err = feed_in_parts(&reader, line, total, total, &taken);
		assert_int_equal(err, total <= PROXY_V1_MAX ? ERR_OK : ERR_SYNTAX);
		assert_true(taken <= PROXY_V1_MAX);
	}
}

static void d14_proxy_skips_tlvs_up_to_its_bound(void **state)
{
	static char bytes[PROXY_V2_HEAD + PROXY_V2_MAX + 4];
	size_t value = PROXY_V2_MAX - 12 - 3;
	struct proxy_reader reader;
	size_t taken;

	(void)state;
	memcpy(bytes, SIG "\x21\x11\x40\0" V4, PROXY_V2_HEAD + 12);
	bytes[28] = 0x20;
	bytes[29] = (char)(value >> 8);
	bytes[30] = (char)value;
	assert_int_equal(feed_in_parts(&reader, bytes, sizeof(bytes), 1000, &taken), ERR_OK);
	assert_int_equal(taken, PROXY_V2_HEAD + PROXY_V2_MAX);
	assert_string_equal(reader.client, "203.0.113.9");
	bytes[30]++;
	assert_int_equal(feed_in_parts(&reader, bytes, sizeof(bytes), 1000, &taken), ERR_SYNTAX);
	assert_string_equal(reader.client, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(d14_proxy_headers_say_who_in_every_cut),
		cmocka_unit_test(d14_proxy_takes_nothing_behind_the_header),
		cmocka_unit_test(d14_proxy_line_has_107_bytes_at_most),
		cmocka_unit_test(d14_proxy_skips_tlvs_up_to_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
