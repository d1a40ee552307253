/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/base32.h"
#include "base/base64.h"
#include "base/hash.h"
#include "base/msgid.h"
#include "base/secret.h"
#include "base/utf8.h"

static void slice_number_bounds(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(slice_number(SLICE_LIT("0"), 10, &value), ERR_OK);
	assert_int_equal(value, 0);
	assert_int_equal(slice_number(SLICE_LIT("11"), 10, &value), ERR_RANGE);
	assert_int_equal(slice_number(SLICE_LIT(""), 10, &value), ERR_SYNTAX);
	assert_int_equal(slice_number(SLICE_LIT("+1"), 10, &value), ERR_SYNTAX);
	assert_int_equal(slice_number(SLICE_LIT("1 "), 10, &value), ERR_SYNTAX);
	assert_int_equal(slice_number(SLICE_LIT("18446744073709551616"), UINT64_MAX, &value), ERR_SYNTAX);
	assert_int_equal(value, 0); /* untouched by failures */
}

static void slice_split_parts(void **state)
{
	struct slice rest = SLICE_LIT("a,,bc"), part;

	(void)state;
	assert_true(slice_split(&rest, ',', &part));
	assert_true(slice_is(part, "a"));
	assert_true(slice_split(&rest, ',', &part));
	assert_true(slice_is(part, ""));
	assert_true(slice_split(&rest, ',', &part));
	assert_true(slice_is(part, "bc"));
	assert_false(slice_split(&rest, ',', &part));
}

static void slice_line_ends(void **state)
{
	(void)state;
	assert_true(slice_is(slice_line(SLICE_LIT("one\ntwo\n")), "one"));
	assert_true(slice_is(slice_line(SLICE_LIT("one\r\ntwo")), "one"));
	assert_true(slice_is(slice_line(SLICE_LIT("o\rne")), "o\rne"));
	assert_true(slice_is(slice_line(SLICE_LIT("\r")), ""));
	assert_true(slice_is(slice_line(SLICE_LIT("\none")), ""));
	assert_true(slice_is(slice_line(SLICE_LIT("")), ""));
}

static void buf_is_bounded(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 600);
	for (int i = 0; i < 60; i++)
		assert_int_equal(buf_append_str(&buf, "0123456789"), ERR_OK);
	assert_int_equal(buf_append_byte(&buf, 'x'), ERR_FULL);
	buf_consume(&buf, 595);
	assert_true(slice_is(buf_data(&buf), "56789"));
	assert_int_equal(buf_printf(&buf, "-%d", 42), ERR_OK);
	assert_true(slice_is(buf_data(&buf), "56789-42"));
	buf_release(&buf);
}

static void arena_is_bounded(void **state)
{
	struct arena arena;
	struct slice copy;
	void *mem;

	(void)state;
	arena_init(&arena, 4096);
	assert_int_equal(arena_copy(&arena, SLICE_LIT("mail"), &copy), ERR_OK);
	assert_int_equal(arena_alloc(&arena, 4000, &mem), ERR_OK);
	assert_int_equal(arena_alloc(&arena, 4000, &mem), ERR_FULL);
	assert_string_equal(copy.ptr, "mail");
	arena_release(&arena);
}

static void base64_every_length(void **state)
{
	unsigned char data[100];
	struct buf text, back;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 37 + 200);
	for (size_t len = 0; len <= sizeof(data); len++) {
		buf_init(&text, 1000);
		buf_init(&back, 1000);
		assert_int_equal(base64_encode(slice_of(data, len), &text), ERR_OK);
		assert_int_equal(base64_decode(buf_data(&text), &back), ERR_OK);
		assert_true(slice_equal(buf_data(&back), slice_of(data, len)));
		buf_release(&text);
		buf_release(&back);
	}
}

/* All strings of one to four bytes over a telling alphabet; canonical or refused. */
static void c2_base64_is_canonical(void **state)
{
	static const char alphabet[] = "AQgw9+/= \r-";
	size_t count = sizeof(alphabet) - 1;

	(void)state;
	for (size_t n = 0; n < count * count * count * count; n++) {
		char text[4] = {alphabet[n % count], alphabet[n / count % count],
				alphabet[n / count / count % count], alphabet[n / count / count / count]};

		for (size_t len = 1; len <= 4; len++) {
			struct buf out, again;

			buf_init(&out, 100);
			buf_init(&again, 100);
			if (base64_decode(slice_of(text, len), &out) == ERR_OK) {
				struct slice shown;

				base64_encode(buf_data(&out), &again);
				shown = buf_data(&again);
				assert_true(shown.len >= len);
				assert_memory_equal(shown.ptr, text, len);
			}
			buf_release(&out);
			buf_release(&again);
		}
	}
}

static void base64_refuses(void **state)
{
	static const char *const bad[] = {"A", "AB=C", "QQ==QQ==", "QR==", "QUI=Q", "====", "Q Q=", "QQ=\n"};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(base64_decode(slice_str(bad[i]), &out), ERR_SYNTAX);
		assert_int_equal(buf_len(&out), 0);
	}
	assert_int_equal(base64_decode(SLICE_LIT("QQ"), &out), ERR_OK); /* padding left out */
	buf_release(&out);
}

static void msgid_round_trip(void **state)
{
	struct msgid id = {.key = UINT64_MAX, .random = "\xff\x01\x02 abc\x80xyz"}, back;
	char text[MSGID_TEXT_MAX + 1];

	(void)state;
	msgid_print(&id, text);
	assert_true(strlen(text) <= MSGID_TEXT_MAX);
	assert_int_equal(msgid_read(slice_str(text), &back), ERR_OK);
	assert_true(msgid_equal(&id, &back));
	text[strlen(text) - 1] = '\0';
	assert_int_equal(msgid_read(slice_str(text), &back), ERR_SYNTAX);
	assert_int_not_equal(msgid_read(SLICE_LIT(""), &back), ERR_OK);
	assert_int_equal(msgid_read(SLICE_LIT("zzzzzzzzzzzzzz-00000000000000000000"), &back), ERR_RANGE);
}

static void utf8_strict(void **state)
{
	static const char *const bad[] = {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
					  "\x80", "\xc3", "\xf8\x88\x80\x80\x80"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_valid(slice_str(bad[i])));
	assert_true(utf8_valid(SLICE_LIT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
	assert_true(utf8_is_unsafe(0x202e));
	assert_false(utf8_is_unsafe(0xe9));
}

/* The reference vector of SipHash-2-4: key 00..0f, input 00..0e. */
static void siphash_vector(void **state)
{
	unsigned char key[16], input[15];

	(void)state;
	for (size_t i = 0; i < 16; i++)
		key[i] = (unsigned char)i;
	for (size_t i = 0; i < 15; i++)
		input[i] = (unsigned char)i;
	hash_set_key(key);
	assert_true(hash_bytes(input, 15) == 0xa129ca6149be45e5u);
}

static void secret_compare(void **state)
{
	struct secret secret = {0};

	(void)state;
	secret_set(&secret, SLICE_LIT("hunter2"));
	assert_true(secret_equal(secret_value(&secret), SLICE_LIT("hunter2")));
	assert_false(secret_equal(secret_value(&secret), SLICE_LIT("hunter3")));
	assert_false(secret_equal(secret_value(&secret), SLICE_LIT("hunter")));
	secret_clear(&secret);
	assert_int_equal(secret.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slice_number_bounds),
		cmocka_unit_test(slice_split_parts),
		cmocka_unit_test(slice_line_ends),
		cmocka_unit_test(buf_is_bounded),
		cmocka_unit_test(arena_is_bounded),
		cmocka_unit_test(base64_every_length),
		cmocka_unit_test(c2_base64_is_canonical),
		cmocka_unit_test(base64_refuses),
		cmocka_unit_test(msgid_round_trip),
		cmocka_unit_test(utf8_strict),
		cmocka_unit_test(siphash_vector),
		cmocka_unit_test(secret_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
