/* SPDX-License-Identifier: Apache-2.0 */
/* Dovecot's lines: what is read, what is no answer, what is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "dovecot_lines.h"

#define GREETING                                                                                   \
	"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t7\nCUID\t3\n"        \
	"COOKIE\t0123456789abcdef\nDONE\n"

/* Where it ends, fed in pieces of any size; the words of the last one are kept. */
static struct dovecot_lines last;

static enum dovecot_event read_by(const char *text, size_t len, size_t step)
{
	enum dovecot_event event = DOVECOT_MORE;

	dovecot_lines_init(&last);
	for (size_t at = 0; at < len && event != DOVECOT_BROKEN; at += step) {
		struct slice part = slice_head(slice_of(text + at, len - at), step);

		assert_int_equal(dovecot_lines_feed(&last, part), ERR_OK);
		event = dovecot_lines_next(&last);
		if (event == DOVECOT_READY)
			event = dovecot_lines_next(&last);
	}
	dovecot_lines_release(&last);
	return event;
}

static enum dovecot_event read_all(const char *text)
{
	enum dovecot_event event = read_by(text, strlen(text), 1);

	assert_int_equal(read_by(text, strlen(text), strlen(text)), event);
	return event;
}

static void test_answers(void **state)
{
	(void)state;
	assert_int_equal(read_all(GREETING), DOVECOT_MORE);
	assert_true(last.ready);
	assert_int_equal(read_all(GREETING "OK\t1\tuser=alice\n"), DOVECOT_YES);
	assert_string_equal(last.user, "alice");
	assert_int_equal(read_all(GREETING "OK\t1\tnologin\tuser=alice@example.org\tx=y\n"),
			 DOVECOT_YES);
	assert_string_equal(last.user, "alice@example.org");
	assert_int_equal(read_all(GREETING "FAIL\t1\tuser=alice\n"), DOVECOT_NO);
	assert_string_equal(last.words, "");
	assert_int_equal(read_all(GREETING "FAIL\t1\tuser=alice\treason=not today\n"), DOVECOT_NO);
	assert_string_equal(last.words, "not today");
	assert_int_equal(read_all(GREETING "FAIL\t1\tuser_disabled\n"), DOVECOT_NO);
	assert_string_equal(last.words, "user_disabled");
	assert_int_equal(read_all(GREETING "FAIL\t1\tuser=alice\ttemp\n"), DOVECOT_TEMPORARY);
	assert_int_equal(read_all(GREETING "FAIL\t1\tuser=alice\tcode=temp_fail\n"),
			 DOVECOT_TEMPORARY);
	/* What came later than this client is skipped before DONE. */
	assert_int_equal(read_all("VERSION\t1\t9\nNEW\tthing\n\nMECH\tplain\nDONE\nFAIL\t1\n"),
			 DOVECOT_NO);
}

/* What is not an answer lets nobody in, and makes nobody's password wrong. */
static void test_c6_lies(void **state)
{
	static const char *const lies[] = {
		"\n",
		"OK\t1\tuser=alice\n",
		"MECH\tPLAIN\nVERSION\t1\t2\nDONE\n",
		"VERSION\t2\t0\nMECH\tPLAIN\nDONE\n",
		"VERSION\nMECH\tPLAIN\nDONE\n",
		"VERSION\t1\t2\nDONE\n",
		"VERSION\t1\t2\nMECH\tSCRAM-SHA-256\nDONE\n",
		"220 mail.example.org ESMTP\r\n",
		GREETING "OK\n",
		GREETING "OK\t2\tuser=alice\n",
		GREETING "OK\t01x\tuser=alice\n",
		GREETING "OK\t1\n",
		GREETING "OK\t1\tuser=\n",
		GREETING "OK 1\tuser=alice\n",
		GREETING "ok\t1\tuser=alice\n",
		GREETING "FAIL\t0\tuser=alice\n",
		GREETING "CONT\t1\tVXNlcm5hbWU6\n",
		GREETING "DONE\n",
		GREETING "\n",
	};
	char large[DOVECOT_LINE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		assert_int_equal(read_all(lies[i]), DOVECOT_BROKEN);
		assert_true(last.words[0] != '\0');
	}
	assert_int_equal(read_by(GREETING "OK\t1\tuser=a\0b\n",
				 sizeof(GREETING "OK\t1\tuser=a\0b\n") - 1, 5),
			 DOVECOT_BROKEN);
	memset(large, 'V', sizeof(large));
	assert_int_equal(read_by(large, sizeof(large), 100), DOVECOT_BROKEN);
	/* Half a line is none. */
	assert_int_equal(read_all(GREETING "OK\t1\tuser=alice"), DOVECOT_MORE);
}

static void test_c1_what_is_sent(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(dovecot_greeting(77, &out), ERR_OK);
	assert_int_equal(dovecot_request("smtp", "192.0.2.1", "alice", "a\tb\nc", &out), ERR_OK);
	assert_true(slice_is(buf_data(&out),
			     "VERSION\t1\t1\nCPID\t77\n"
			     "AUTH\t1\tPLAIN\tservice=smtp\tsecured\tno-penalty\trip=192.0.2.1\t"
			     "resp=AGFsaWNlAGEJYgpj\n"));
	buf_clear(&out);
	assert_int_equal(dovecot_request("smtp", "", "a", "b", &out), ERR_OK);
	assert_true(slice_is(buf_data(&out),
			     "AUTH\t1\tPLAIN\tservice=smtp\tsecured\tno-penalty\tresp=AGEAYg==\n"));
	assert_int_equal(dovecot_request("sm\ttp", "", "a", "b", &out), ERR_SYNTAX);
	assert_int_equal(dovecot_request("smtp", "1\n", "a", "b", &out), ERR_SYNTAX);
	buf_wipe(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_c6_lies),
		cmocka_unit_test(test_c1_what_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
