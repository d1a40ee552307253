/* SPDX-License-Identifier: Apache-2.0 */
/* BDAT (RFC 3030): sizes, what is taken of a chunk whatever happens, failures that stay (F1-F4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

#include "peer.h"

#define ENVELOPE "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
#define EVIL     "MAIL FROM:<evil@x.example>\r\nRCPT TO:<evil@y.example>\r\nRSET\r\nQUIT\r\n"

static void open_stranger(struct peer *peer)
{
	peer_open(peer, PEER_ALL);
	peer_send(peer, SLICE_LIT("EHLO client\r\n"));
	buf_clear(&peer->log);
	buf_clear(&peer->said);
}

static void open_user(struct peer *peer)
{
	peer_open_logged_in(peer, PEER_ALL);
}

static void said(struct peer *peer, const char *expected)
{
	assert_string_equal(peer_said(peer), expected);
}

/* Replies that start like this, one per line. */
static void starts(struct peer *peer, const char *expected)
{
	struct slice text = slice_str(peer_said(peer)), rest = slice_str(expected), line, start;

	while (slice_split(&rest, '\n', &start)) {
		assert_true(slice_split(&text, '\n', &line));
		if (!slice_equal(slice_head(line, start.len), start))
			print_message("expected %.*s, got %.*s\n", SLICE_ARG(start),
				      SLICE_ARG(line));
		assert_true(slice_equal(slice_head(line, start.len), start));
	}
	assert_int_equal(text.len, 0);
}

static bool logged(struct peer *peer, const char *text)
{
	struct slice log = buf_data(&peer->log);

	return slice_search(log, slice_str(text)) < log.len;
}

/* BDAT with the size of text. */
static void chunk(struct peer *peer, const char *text, bool last)
{
	char line[64];

	snprintf(line, sizeof(line), "BDAT %zu%s\r\n", strlen(text), last ? " LAST" : "");
	peer_send(peer, slice_str(line));
	peer_send(peer, slice_str(text));
}

static void one_message(void **state)
{
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	peer_said(&peer);
	chunk(&peer, "Subject: x\r\n\r\n", false);
	said(&peer, "250 2.0.0 The chunk is taken\r\n");
	chunk(&peer, ".\r\n..\r\nno line end", true);
	said(&peer, "250 2.0.0 Accepted\r\n");
	assert_int_equal(peer.accepted, 1);
	assert_false(peer.repaired);
	/* Dots are nothing special, and the last line is left as it came. */
	assert_true(logged(&peer, "message Subject: x\\r\\n\\r\\n.\\r\\n..\\r\\nno line end\n"));
	/* The next one may go by DATA. */
	peer_send(&peer, SLICE_LIT(ENVELOPE "DATA\r\n"));
	peer_send(&peer, SLICE_LIT("hello\r\n.\r\n"));
	assert_int_equal(peer.accepted, 2);
	peer_close(&peer);
}

/* A body that holds an end of data and commands is one message. */
static void a6_end_of_data_in_a_chunk(void **state)
{
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	chunk(&peer, "x\r\n.\r\nMAIL FROM:<x@y>\r\n", true);
	assert_int_equal(peer.accepted, 1);
	assert_true(logged(&peer, "message x\\r\\n.\\r\\nMAIL FROM:<x@y>\\r\\n\n"));
	assert_false(logged(&peer, "mail x@y"));
	peer_close(&peer);
}

/* Everything in one group: legal behind chunks (RFC 3030 4.2). */
static void a7_pipelined_chunks(void **state)
{
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer_send(&peer,
		  SLICE_LIT(ENVELOPE "BDAT 4\r\nab\r\nBDAT 0\r\nBDAT 4 LAST\r\ncd\r\n" ENVELOPE
				     "BDAT 0 LAST\r\nNOOP\r\n"));
	starts(&peer, "250 2.1.0\n250 2.1.5\n250 2.0.0 The\n250 2.0.0 The\n250 2.0.0 Acc\n"
		      "250 2.1.0\n250 2.1.5\n250 2.0.0 Acc\n250 2.0.0 OK");
	assert_int_equal(peer.accepted, 2);
	assert_true(logged(&peer, "message ab\\r\\ncd\\r\\n\n"));
	peer_close(&peer);
}

static void f1_sizes_that_are_none(void **state)
{
	static const char *const bad[] = {
		"BDAT",          "BDAT x",       "BDAT -1",         "BDAT +1",
		"BDAT 0x10",     "BDAT 1e3",     "BDAT 10 LAST x",  "BDAT 10 FIRST",
		"BDAT LAST",     "BDAT LAST 10", "BDAT 10,LAST",    "BDAT 10LAST",
		"BDAT 10\tLAST", "BDAT 1.0",     "BDAT 1 0",        "BDAT 18446744073709551616",
		"BDAT \xb2",     "BDAT 10 LAS",  "BDAT 10 LASTING", "BDAT 99999999999999999999999",
	};

	(void)state;
	for (int envelope = 0; envelope < 2; envelope++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct peer peer;

			open_user(&peer);
			if (envelope)
				peer_send(&peer, SLICE_LIT(ENVELOPE));
			peer_said(&peer);
			peer_send(&peer, slice_str(bad[i]));
			peer_send(&peer, SLICE_LIT("\r\n" EVIL));
			starts(&peer, "501 5.5.4 ");
			assert_true(peer.closed);
			assert_false(logged(&peer, "evil"));
			peer_close(&peer);
		}
	}
}

static void f1_sizes_that_are_some(void **state)
{
	static const char *const good[] = {"BDAT 2 LAST", "bdat 2 last", "BDAT 02 LAST",
					   "BDAT 0000000000000000002 LAST", "BDAT  2  LAST "};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct peer peer;

		open_user(&peer);
		peer_send(&peer, SLICE_LIT(ENVELOPE));
		peer_said(&peer);
		peer_send(&peer, slice_str(good[i]));
		peer_send(&peer, SLICE_LIT("\r\nxyNOOP\r\n"));
		starts(&peer, "250 2.0.0 Acc\n250 2.0.0 OK");
		peer_close(&peer);
	}
}

/* The largest sizes that can be read overflow nothing. */
static void f1_huge_sizes(void **state)
{
	static const char *const sizes[] = {"9223372036854775807", "9223372036854775808",
					    "9999999999999999999", "4294967296"};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct peer peer;

		open_user(&peer);
		peer_send(&peer, SLICE_LIT(ENVELOPE));
		chunk(&peer, "abc", false);
		peer_said(&peer);
		peer_send(&peer, SLICE_LIT("BDAT "));
		peer_send(&peer, slice_str(sizes[i]));
		peer_send(&peer, SLICE_LIT("\r\n" EVIL));
		said(&peer, "");
		assert_int_equal(peer.dropped, 1);
		assert_false(logged(&peer, "evil"));
		assert_int_equal(smtp_server_phase(peer.server), SMTP_PHASE_BODY);
		peer_close(&peer);
	}
}

/* Whatever fails, the octets of the chunk are gone and never commands. */
static void f2_exactly_the_chunk_is_taken(void **state)
{
	static const struct {
		const char *before;
		const char *reply;
		bool stranger;
	} cases[] = {
		{"", "503 5.5.1 ", false},
		{"MAIL FROM:<a@b.example>\r\n", "554 5.5.1 ", false},
		{"MAIL FROM:<a@b.example>\r\nRCPT TO:<no@d.example>\r\n", "554 5.5.1 ", false},
		{"MAIL FROM:<a@b>x\r\n", "503 5.5.1 ", false},
		{ENVELOPE "RSET\r\n", "503 5.5.1 ", false},
		{ENVELOPE "EHLO again\r\n", "503 5.5.1 ", false},
		{"HELO old\r\n", "503 5.5.1 ", false},
		{"MAIL FROM:<a@b.example>\r\n", "554 5.5.1 ", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int last = 0; last < 2; last++) {
			struct slice rest = slice_str(cases[i].before), line;
			struct peer peer;

			if (cases[i].stranger)
				open_stranger(&peer);
			else
				open_user(&peer);
			while (slice_split(&rest, '\n', &line))
				peer_send(&peer, slice_of(line.ptr, line.len + 1));
			peer_said(&peer);
			chunk(&peer, EVIL, last);
			peer_send(&peer, SLICE_LIT("NOOP\r\n"));
			rest = slice_str(peer_said(&peer));
			assert_true(slice_starts(rest, cases[i].reply));
			assert_true(slice_search(rest, SLICE_LIT("250 2.0.0 OK\r\n")) < rest.len);
			assert_false(logged(&peer, "evil"));
			assert_int_equal(peer.accepted, 0);
			assert_false(peer.closed);
			peer_close(&peer);
		}
	}
}

/* Before login, too, and where chunks are not offered at all. */
static void f2_chunks_that_nobody_asked_for(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, PEER_TLS | PEER_REQUIRED | PEER_ALL);
	peer_send(&peer, SLICE_LIT("EHLO client\r\n"));
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT("BDAT 28 LAST\r\nMAIL FROM:<evil@x.example>\r\nNOOP\r\n"));
	starts(&peer, "530 5.7.0 \n250 2.0.0 ");
	peer_close(&peer);
	peer_open(&peer, PEER_TLS);
	peer_send(&peer, SLICE_LIT("EHLO client\r\n"));
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT("BDAT 28\r\nMAIL FROM:<evil@x.example>\r\nNOOP\r\n"));
	starts(&peer, "502 5.5.1 \n250 2.0.0 ");
	assert_false(logged(&peer, "evil"));
	peer_close(&peer);
}

static void f2_too_large(void **state)
{
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer.options.message_size = 100;
	smtp_server_set_options(peer.server, &peer.options);
	/* Declared too large at once: the caller is not even asked. */
	peer_send(&peer, SLICE_LIT(ENVELOPE "BDAT 101 LAST\r\n"));
	for (int i = 0; i < 101; i++)
		peer_send(&peer, SLICE_LIT("\n"));
	peer_send(&peer, SLICE_LIT("NOOP\r\n"));
	starts(&peer, "250 2.1.0\n250 2.1.5\n552 5.3.4 \n250 2.0.0 OK");
	assert_false(logged(&peer, "data"));
	/* With what came before. */
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	chunk(&peer, "0123456789012345678901234567890123456789012345678901234567890123", false);
	peer_said(&peer);
	chunk(&peer, EVIL, false);
	chunk(&peer, EVIL, true);
	starts(&peer, "552 5.3.4 \n552 5.3.4 ");
	assert_int_equal(peer.dropped, 1);
	assert_int_equal(peer.accepted, 0);
	assert_false(logged(&peer, "evil"));
	peer_send(&peer, SLICE_LIT(ENVELOPE "BDAT 100 LAST\r\n"));
	for (int i = 0; i < 50; i++)
		peer_send(&peer, SLICE_LIT("\r\n"));
	assert_int_equal(peer.accepted, 1);
	peer_close(&peer);
}

/* A caller that refuses the first chunk: the chunk is thrown away, then it is said. */
static void f2_refused_by_the_caller(void **state)
{
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	peer_said(&peer);
	smtp_server_feed(peer.server, SLICE_LIT("BDAT 28\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_DATA);
	smtp_server_answer(peer.server, 452, "4.3.1", "The disk is full");
	peer_run(&peer);
	said(&peer, "");
	assert_true(logged(&peer, "reset"));
	peer_send(&peer, SLICE_LIT("MAIL FROM:<evil@x.example>\r\n"));
	said(&peer, "452 4.3.1 The disk is full\r\n");
	peer_send(&peer, SLICE_LIT("BDAT 3 LAST\r\nabcNOOP\r\n"));
	said(&peer, "452 4.3.1 The disk is full\r\n250 2.0.0 OK\r\n");
	assert_false(logged(&peer, "evil"));
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	chunk(&peer, "fine", true);
	assert_int_equal(peer.accepted, 1);
	peer_close(&peer);
}

/* After a failure only RSET, EHLO or MAIL begin anew; DATA and AUTH do not. */
static void f3_failure_stays(void **state)
{
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b.example>\r\n"));
	peer_said(&peer);
	chunk(&peer, "abc", false);
	chunk(&peer, "def", false);
	peer_send(&peer, SLICE_LIT("RCPT TO:<c@d.example>\r\n"));
	peer_send(&peer, SLICE_LIT("DATA\r\n"));
	peer_send(&peer, SLICE_LIT("AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n"));
	peer_send(&peer, SLICE_LIT("NOOP\r\n"));
	chunk(&peer, "ghi", false);
	starts(&peer,
	       "554 5.5.1\n554 5.5.1\n503 5.5.1\n503 5.5.1\n503 5.5.1\n250 2.0.0\n554 5.5.1");
	peer_send(&peer, SLICE_LIT("RSET\r\n"));
	chunk(&peer, "jkl", false);
	starts(&peer, "250 2.0.0\n503 5.5.1 Send MAIL first");
	/* MAIL, without RSET. */
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b.example>\r\n"));
	chunk(&peer, "abc", false);
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	chunk(&peer, "mno", true);
	starts(&peer, "250 2.1.0\n554 5.5.1\n250 2.1.0\n250 2.1.5\n250 2.0.0 Acc");
	/* The last chunk of a message that failed ends it. */
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b.example>\r\n"));
	chunk(&peer, "abc", true);
	chunk(&peer, "abc", false);
	starts(&peer, "250 2.1.0\n554 5.5.1\n503 5.5.1 Send MAIL first");
	assert_int_equal(peer.accepted, 1);
	peer_close(&peer);
}

/* BDAT and DATA do not mix (RFC 3030 2), nor RCPT, MAIL and AUTH between chunks. */
static void f3_mixed(void **state)
{
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	chunk(&peer, "abc\r\n", false);
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT("RCPT TO:<e@f.example>\r\nMAIL FROM:<g@h.example>\r\n"));
	peer_send(&peer, SLICE_LIT("NOOP\r\n"));
	peer_send(&peer, SLICE_LIT("DATA\r\n"));
	starts(&peer, "503 5.5.1\n503 5.5.1\n250 2.0.0\n503 5.5.1 DATA cannot follow BDAT");
	assert_true(logged(&peer, "reset"));
	chunk(&peer, EVIL, true);
	starts(&peer, "503 5.5.1 DATA cannot follow BDAT");
	assert_int_equal(peer.accepted, 0);
	assert_false(logged(&peer, "evil"));
	peer_send(&peer, SLICE_LIT(ENVELOPE "DATA\r\n"));
	starts(&peer, "250 2.1.0\n250 2.1.5\n354 ");
	peer_send(&peer, SLICE_LIT("BDAT 3 LAST\r\n.\r\n"));
	assert_int_equal(peer.accepted, 1);
	assert_true(logged(&peer, "message BDAT 3 LAST\\r\\n\n"));
	peer_close(&peer);
}

/* RSET and STARTTLS between chunks forget them. */
static void f3_forgotten(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, PEER_STARTTLS | PEER_ALL);
	peer_send(&peer, SLICE_LIT("EHLO client\r\n"));
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	chunk(&peer, "abc\r\n", false);
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT("STARTTLS\r\n"));
	chunk(&peer, "def\r\n", true);
	starts(&peer, "220 2.0.0\n503 5.5.1 Send EHLO first");
	peer_send(&peer, SLICE_LIT("EHLO client\r\n"));
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT(ENVELOPE));
	chunk(&peer, "one\r\n", false);
	peer_send(&peer, SLICE_LIT("RSET\r\n" ENVELOPE));
	chunk(&peer, "two\r\n", true);
	assert_int_equal(peer.accepted, 1);
	assert_true(logged(&peer, "message two\\r\\n\n"));
	peer_close(&peer);
}

/* CR, LF and NUL alone, across the borders of chunks, too. */
static void f4_bare_line_ends(void **state)
{
	static const struct {
		const char *first;
		const char *second;
		const char *becomes; /* NULL: it has none, the CR LF is whole */
	} cases[] = {
		{"a\nb\r\n", "c", "a\\r\\nb\\r\\nc"},
		{"a\rb\r\n", "c", "a\\r\\nb\\r\\nc"},
		{"ab\r", "c", "ab\\r\\nc"},
		{"ab", "\nc", "ab\\r\\nc"},
		{"ab\r\n", "\nc", "ab\\r\\n\\r\\nc"},
		{"ab", "c\r", "abc\\r\\n"},
		{"ab\r\r", "\nc", "ab\\r\\n\\r\\nc"},
		{"\r", "\r", "\\r\\n\\r\\n"},
		{"\n", "\r\n.\r\n", "\\r\\n\\r\\n.\\r\\n"},
		{"ab\r", "\nc", NULL},
		{"\r", "\n", NULL},
		{"\r\n\r", "\n\r\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer peer;

		open_user(&peer);
		peer_send(&peer, SLICE_LIT(ENVELOPE));
		chunk(&peer, cases[i].first, false);
		chunk(&peer, cases[i].second, true);
		assert_int_equal(peer.accepted, 1);
		assert_int_equal(peer.repaired, cases[i].becomes != NULL);
		if (cases[i].becomes != NULL) {
			char line[100];

			snprintf(line, sizeof(line), "message %s\n", cases[i].becomes);
			assert_true(logged(&peer, line));
		}
		peer_close(&peer);
		open_stranger(&peer);
		peer_send(&peer, SLICE_LIT(ENVELOPE));
		chunk(&peer, cases[i].first, false);
		if (!peer.closed)
			chunk(&peer, cases[i].second, true);
		assert_int_equal(peer.accepted, cases[i].becomes == NULL);
		assert_int_equal(peer.closed, cases[i].becomes != NULL);
		assert_true(!peer.closed ||
			    slice_search(buf_data(&peer.said), SLICE_LIT("521 5.5.2 ")) <
				    buf_len(&peer.said));
		peer_close(&peer);
	}
}

static void f4_nul(void **state)
{
	for (int user = 0; user < 2; user++) {
		struct peer peer;

		(void)state;
		if (user)
			open_user(&peer);
		else
			open_stranger(&peer);
		peer_send(&peer, SLICE_LIT(ENVELOPE));
		peer_said(&peer);
		peer_send(&peer, SLICE_LIT("BDAT 8 LAST\r\nab\0MAIL\nQUIT\r\n"));
		starts(&peer, "521 5.5.2 ");
		assert_int_equal(peer.accepted, 0);
		assert_int_equal(peer.dropped, 1);
		assert_true(peer.closed);
		peer_close(&peer);
	}
}

/* The same events and replies however the input is cut. */
static void same_for_any_cut(void **state)
{
	static const char text[] =
		ENVELOPE "BDAT 4\r\nab\r\rBDAT 5\r\n\n.\r\ncBDAT 3 LAST\r\nd\ne" ENVELOPE
			 "BDAT 6\r\nMAIL\r\nBDAT 99999999\r\n";
	static const char failing[] =
		"MAIL FROM:<a@b>\r\nBDAT 6\r\nQUIT\r\nBDAT 2 LAST\r\n\r\n" ENVELOPE
		"BDAT 7 LAST\r\na\0b\r\nxyNOOP\r\n";
	static const struct slice all[] = {{text, sizeof(text) - 1},
					   {failing, sizeof(failing) - 1}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (int user = 0; user < 2; user++) {
			struct peer whole;

			if (user)
				open_user(&whole);
			else
				open_stranger(&whole);
			peer_send(&whole, all[i]);
			for (size_t cut = 0; cut <= all[i].len; cut++) {
				struct slice rest = all[i];
				struct peer peer;

				if (user)
					open_user(&peer);
				else
					open_stranger(&peer);
				/* At 0: byte by byte. */
				peer_send(&peer, slice_head(rest, cut));
				rest = slice_skip(rest, cut);
				for (size_t at = 0; cut == 0 && at < all[i].len; at++)
					peer_send(&peer, slice_head(slice_skip(rest, at), 1));
				if (cut != 0)
					peer_send(&peer, rest);
				assert_true(
					slice_equal(buf_data(&whole.said), buf_data(&peer.said)));
				assert_true(slice_equal(buf_data(&whole.log), buf_data(&peer.log)));
				peer_close(&peer);
			}
			peer_close(&whole);
		}
	}
}

/* Shut down in a chunk: not a word, as in DATA; between chunks it is told. */
static void closed_in_a_chunk(void **state)
{
	struct peer peer;

	(void)state;
	open_user(&peer);
	peer_send(&peer, SLICE_LIT(ENVELOPE "BDAT 10\r\nabc"));
	peer_said(&peer);
	smtp_server_close(peer.server, 421, "4.3.2", "Shutting down");
	peer_run(&peer);
	said(&peer, "");
	peer_close(&peer);
	open_user(&peer);
	peer_send(&peer, SLICE_LIT(ENVELOPE "BDAT 3\r\nabc"));
	peer_said(&peer);
	smtp_server_close(peer.server, 421, "4.3.2", "Shutting down");
	peer_run(&peer);
	said(&peer, "421 4.3.2 Shutting down\r\n");
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_message),
		cmocka_unit_test(a6_end_of_data_in_a_chunk),
		cmocka_unit_test(a7_pipelined_chunks),
		cmocka_unit_test(f1_sizes_that_are_none),
		cmocka_unit_test(f1_sizes_that_are_some),
		cmocka_unit_test(f1_huge_sizes),
		cmocka_unit_test(f2_exactly_the_chunk_is_taken),
		cmocka_unit_test(f2_chunks_that_nobody_asked_for),
		cmocka_unit_test(f2_too_large),
		cmocka_unit_test(f2_refused_by_the_caller),
		cmocka_unit_test(f3_failure_stays),
		cmocka_unit_test(f3_mixed),
		cmocka_unit_test(f3_forgotten),
		cmocka_unit_test(f4_bare_line_ends),
		cmocka_unit_test(f4_nul),
		cmocka_unit_test(same_for_any_cut),
		cmocka_unit_test(closed_in_a_chunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
