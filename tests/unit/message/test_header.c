/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "message/header.h"

/* Gathers text cut into parts of the given size; returns where the body starts. */
static size_t gather_all(struct header_gather *gather, struct slice text, size_t part)
{
	size_t at = 0;

	header_gather_init(gather);
	while (at < text.len && !gather->complete) {
		struct slice piece = slice_head(slice_skip(text, at), part);
		struct slice rest;

		assert_int_equal(header_gather_feed(gather, piece, &rest), ERR_OK);
		at += piece.len - rest.len;
	}
	return at;
}

static void gather_any_split(void **state)
{
	static const struct {
		const char *text;
		size_t body_at;
		bool complete;
	} cases[] = {
		{"Subject: x\r\n\r\nbody\r\n", 14, true},
		{"\r\nbody\r\n", 2, true},
		{"Subject: x\r\n", 12, false},
		{"Subject: x\r\n\n\r\nbody", 19, false},
		{"A: b\r\r\n\r\nbody", 9, true},
		{"A: b\n\nbody\r\n\r\nrest", 14, true},
		{"A: b\r\n\r\r\n\r\nx", 11, true},
		{"", 0, false},
	};
	struct header_gather gather;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice text = slice_str(cases[i].text);

		for (size_t part = 1; part <= text.len + 1; part++) {
			assert_int_equal(gather_all(&gather, text, part), cases[i].body_at);
			assert_int_equal(gather.complete, cases[i].complete);
			assert_true(slice_equal(buf_data(&gather.bytes),
						slice_head(text, cases[i].body_at)));
			header_gather_release(&gather);
		}
	}
}

static void gather_is_bounded(void **state)
{
	struct header_gather gather;
	struct slice rest;
	char line[1024];
	enum err err = ERR_OK;
	size_t fed = 0;

	(void)state;
	memset(line, 'a', sizeof(line));
	header_gather_init(&gather);
	while (err == ERR_OK && fed <= HEADER_SIZE_MAX + sizeof(line)) {
		err = header_gather_feed(&gather, slice_of(line, sizeof(line)), &rest);
		fed += sizeof(line);
	}
	assert_int_equal(err, ERR_FULL);
	assert_int_equal(buf_len(&gather.bytes), HEADER_SIZE_MAX);
	header_gather_release(&gather);
}

static void fields_in_order(void **state)
{
	struct slice rest = SLICE_LIT(
		"From: a@b\r\nSubject:one\r\n\ttwo\r\n three\r\nX:\r\nOdd \t: :x\r\n\r\n");
	struct header_field field;

	(void)state;
	assert_int_equal(header_next(&rest, &field), ERR_OK);
	assert_true(slice_is(field.name, "From"));
	assert_true(slice_is(field.value, " a@b"));
	assert_true(slice_is(field.whole, "From: a@b\r\n"));
	assert_int_equal(header_next(&rest, &field), ERR_OK);
	assert_true(slice_is(field.value, "one\r\n\ttwo\r\n three"));
	assert_int_equal(header_next(&rest, &field), ERR_OK);
	assert_true(slice_is(field.name, "X"));
	assert_true(slice_is(field.value, ""));
	assert_false(field.odd);
	assert_int_equal(header_next(&rest, &field), ERR_OK);
	assert_true(slice_is(field.name, "Odd"));
	assert_true(slice_is(field.value, " :x"));
	assert_true(field.odd);
	assert_int_equal(header_next(&rest, &field), ERR_EOF);
	assert_true(slice_is(rest, "\r\n"));
}

static void not_fields(void **state)
{
	static const struct slice bad[] = {
		{" From: a@b\r\n", 12},
		{"\tFrom: a@b\r\n", 12},
		{"From a: a@b\r\n", 13},
		{"From  a", 7},
		{" : a", 4},
		{"From\r\n : a@b\r\n", 14},
		{"From\r\n", 6},
		{": a\r\n", 5},
		{"From: a\rb\r\n", 11},
		{"From: a\nb\r\n", 11},
		{"From: a\0b\r\n", 11},
		{"From: a", 7},
		{"From: a\r", 8},
		{"Fr\xc3\xb6m: a\r\n", 10},
		{"From: a\r\n b\rc\r\n", 14},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice rest = bad[i];
		struct header_field field;

		if (header_next(&rest, &field) != ERR_SYNTAX)
			fail_msg("case %zu is taken for a field", i);
		assert_int_equal(rest.len, bad[i].len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gather_any_split),
		cmocka_unit_test(gather_is_bounded),
		cmocka_unit_test(fields_in_order),
		cmocka_unit_test(not_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
