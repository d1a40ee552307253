/* SPDX-License-Identifier: Apache-2.0 */
/* What servers say, the hostile ones too (J1): each text in every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/reply.h"

static const struct {
	const char *bytes;
	enum err err;
	unsigned code;
	const char *status;
	const char *text;
} cases[] = {
	{"250 OK\r\n", ERR_OK, 250, "", "OK"},
	{"250 OK\n", ERR_OK, 250, "", "OK"},
	{"250\r\n", ERR_OK, 250, "", ""},
	{"250 \r\n", ERR_OK, 250, "", ""},
	{"250 2.1.0 Sender OK\r\n", ERR_OK, 250, "2.1.0", "Sender OK"},
	{"250-a\r\n250-b\r\n250 c\r\n", ERR_OK, 250, "", "a\nb\nc"},
	{"250-a\n250 b\n", ERR_OK, 250, "", "a\nb"},
	{"250-\r\n250\r\n", ERR_OK, 250, "", "\n"},
	{"550-5.1.1 No\r\n550 5.1.1 such user\r\n", ERR_OK, 550, "5.1.1", "No\nsuch user"},
	{"550-No\r\n550 5.1.1 such user\r\n", ERR_OK, 550, "5.1.1", "No\nsuch user"},
	{"550 5.7.2\r\n", ERR_OK, 550, "5.7.2", ""},
	{"550 5.7.2 \r\n", ERR_OK, 550, "5.7.2", ""},
	{"550 5.7.\r\n", ERR_OK, 550, "", "5.7."},
	{"550 5.7\r\n", ERR_OK, 550, "", "5.7"},
	{"550 5\r\n", ERR_OK, 550, "", "5"},
	{"550 5.7.2x\r\n", ERR_OK, 550, "", "5.7.2x"},
	{"550 4.7.2 x\r\n", ERR_OK, 550, "", "4.7.2 x"},
	{"550 5.1234.2 x\r\n", ERR_OK, 550, "", "5.1234.2 x"},
	{"550 5.123.999 x\r\n", ERR_OK, 550, "5.123.999", "x"},
	{"550 55.1.1 x\r\n", ERR_OK, 550, "", "55.1.1 x"},
	{"354 3.0.0 x\r\n", ERR_OK, 354, "", "3.0.0 x"},
	{"571 5.7.1 old\r\n", ERR_OK, 571, "5.7.1", "old"},
	{"250 a\x01\x1b[2Jb\x7f\r\n", ERR_OK, 250, "", "a??[2Jb?"},
	{"250 a\rb\r\n", ERR_OK, 250, "", "a?b"},
	{"250 a\r\r\n", ERR_OK, 250, "", "a?"},
	{"250 \xc3\xa9\r\n", ERR_OK, 250, "", "\xc3\xa9"},
	{"200 x\r\n", ERR_OK, 200, "", "x"},
	{"599 x\r\n", ERR_OK, 599, "", "x"},
	{"", ERR_AGAIN, 0, "", ""},
	{"25", ERR_AGAIN, 0, "", ""},
	{"250 OK", ERR_AGAIN, 0, "", ""},
	{"250 OK\r", ERR_AGAIN, 0, "", ""},
	{"250-OK\r\n", ERR_AGAIN, 0, "", ""},
	{"\r\n", ERR_SYNTAX, 0, "", ""},
	{"25\r\n", ERR_SYNTAX, 0, "", ""},
	{"2500 x\r\n", ERR_SYNTAX, 0, "", ""},
	{"250+x\r\n", ERR_SYNTAX, 0, "", ""},
	{"250\tx\r\n", ERR_SYNTAX, 0, "", ""},
	{"199 x\r\n", ERR_SYNTAX, 0, "", ""},
	{"600 x\r\n", ERR_SYNTAX, 0, "", ""},
	{"000 x\r\n", ERR_SYNTAX, 0, "", ""},
	{"+25 x\r\n", ERR_SYNTAX, 0, "", ""},
	{" 250 x\r\n", ERR_SYNTAX, 0, "", ""},
	{"2 0 x\r\n", ERR_SYNTAX, 0, "", ""},
	{"\xb2\x35\x30 x\r\n", ERR_SYNTAX, 0, "", ""},
	{"HTTP/1.1 400 Bad Request\r\n", ERR_SYNTAX, 0, "", ""},
	{"250-a\r\n251 b\r\n", ERR_SYNTAX, 0, "", ""},
	{"250-a\r\n550 b\r\n", ERR_SYNTAX, 0, "", ""},
	{"250-a\r\nb\r\n", ERR_SYNTAX, 0, "", ""},
};

static enum err read_cut(struct smtp_reply_reader *reader, struct slice bytes, size_t cut,
			 struct smtp_reply *reply_out)
{
	enum err err;

	assert_int_equal(smtp_reply_feed(reader, slice_head(bytes, cut)), ERR_OK);
	err = smtp_reply_next(reader, reply_out);
	if (err != ERR_AGAIN)
		return err;
	assert_int_equal(smtp_reply_feed(reader, slice_skip(bytes, cut)), ERR_OK);
	return smtp_reply_next(reader, reply_out);
}

static void table_in_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice bytes = slice_str(cases[i].bytes);

		for (size_t cut = 0; cut <= bytes.len; cut++) {
			struct smtp_reply_reader reader;
			struct smtp_reply reply;
			enum err err;

			smtp_reply_init(&reader);
			err = read_cut(&reader, bytes, cut, &reply);
			if (err != cases[i].err)
				print_message("case: %s\n", cases[i].bytes);
			assert_int_equal(err, cases[i].err);
			if (err == ERR_OK) {
				assert_int_equal(reply.code, cases[i].code);
				assert_string_equal(reply.status, cases[i].status);
				assert_true(slice_is(reply.text, cases[i].text));
			} else if (err != ERR_AGAIN) {
				/* It stays wrong, whatever comes. */
				smtp_reply_feed(&reader, SLICE_LIT("250 OK\r\n"));
				assert_int_equal(smtp_reply_next(&reader, &reply), err);
			}
			smtp_reply_release(&reader);
		}
	}
}

static void several_in_one_read(void **state)
{
	struct smtp_reply_reader reader;
	struct smtp_reply reply;

	(void)state;
	smtp_reply_init(&reader);
	smtp_reply_feed(&reader, SLICE_LIT("250 2.1.0 a\r\n550-5.1.1 b\r\n550 c\r\n354 d\r\n2"));
	assert_int_equal(smtp_reply_next(&reader, &reply), ERR_OK);
	assert_true(reply.code == 250 && slice_is(reply.text, "a"));
	assert_int_equal(smtp_reply_next(&reader, &reply), ERR_OK);
	assert_true(reply.code == 550 && slice_is(reply.text, "b\nc"));
	assert_int_equal(smtp_reply_next(&reader, &reply), ERR_OK);
	assert_true(reply.code == 354 && slice_is(reply.text, "d"));
	assert_string_equal(reply.status, "");
	assert_int_equal(smtp_reply_next(&reader, &reply), ERR_AGAIN);
	assert_int_equal(smtp_reply_buffered(&reader), 1);
	smtp_reply_release(&reader);
}

static void nul_is_no_end(void **state)
{
	struct smtp_reply_reader reader;
	struct smtp_reply reply;

	(void)state;
	smtp_reply_init(&reader);
	smtp_reply_feed(&reader, SLICE_LIT("250 a\0b\r\n"));
	assert_int_equal(smtp_reply_next(&reader, &reply), ERR_OK);
	assert_true(slice_is(reply.text, "a?b"));
	smtp_reply_release(&reader);
}

/* Feeds one line many times, or a line without end, and returns where it stops. */
static enum err flood(const char *line, size_t times)
{
	struct smtp_reply_reader reader;
	struct smtp_reply reply;
	enum err err = ERR_AGAIN;

	smtp_reply_init(&reader);
	for (size_t i = 0; i < times && err == ERR_AGAIN; i++) {
		assert_int_equal(smtp_reply_feed(&reader, slice_str(line)), ERR_OK);
		err = smtp_reply_next(&reader, &reply);
	}
	smtp_reply_release(&reader);
	return err;
}

static void bounds(void **state)
{
	char line[SMTP_REPLY_LINE_MAX + 2];
	struct smtp_reply_reader reader;

	(void)state;
	assert_int_equal(flood("250-x\r\n", SMTP_REPLY_LINES_MAX), ERR_AGAIN);
	assert_int_equal(flood("250-x\r\n", SMTP_REPLY_LINES_MAX + 1), ERR_RANGE);
	assert_int_equal(flood("x", SMTP_REPLY_LINE_MAX - 1), ERR_AGAIN);
	assert_int_equal(flood("x", SMTP_REPLY_LINE_MAX), ERR_RANGE);
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + SMTP_REPLY_LINE_MAX - 2, "\r\n", 3);
	assert_int_equal(flood(line, 31), ERR_AGAIN);
	assert_int_equal(flood(line, 40), ERR_RANGE); /* SMTP_REPLY_MAX */
	memcpy(line + SMTP_REPLY_LINE_MAX - 2, "x\r\n", 4);
	assert_int_equal(flood(line, 1), ERR_RANGE);
	smtp_reply_init(&reader);
	for (int i = 0; i < 128; i++)
		assert_int_equal(smtp_reply_feed(&reader, slice_head(slice_str(line), 2048)),
				 ERR_OK);
	assert_int_equal(smtp_reply_feed(&reader, SLICE_LIT("x")), ERR_FULL);
	smtp_reply_release(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_in_every_cut),
		cmocka_unit_test(several_in_one_read),
		cmocka_unit_test(nul_is_no_end),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
