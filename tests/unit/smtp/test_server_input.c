/* SPDX-License-Identifier: Apache-2.0 */
/* Lines, groups and strangers: A2 and A3 in commands, A7, A8, A9, and the same for any cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

#include "peer.h"

static void starts(struct peer *peer, const char *start)
{
	const char *said = peer_said(peer);

	if (strncmp(said, start, strlen(start)) != 0)
		assert_string_equal(said, start);
}

static void open_greeted(struct peer *peer, unsigned flags)
{
	peer_open(peer, flags);
	peer_send(peer, SLICE_LIT("EHLO client\r\n"));
	buf_clear(&peer->said);
	buf_clear(&peer->log);
}

/* A control in a command makes it none, and nothing of the line is done. */
static void a3_controls_in_commands(void **state)
{
	(void)state;
	for (int c = 0; c < 0x20; c++) {
		char line[] = "MAIL FROM:<a?b@c.example>\r\nNOOP\r\n";
		struct peer peer;

		if (c == '\t')
			continue;
		*strchr(line, '?') = (char)c;
		open_greeted(&peer, 0);
		peer_send(&peer, slice_of(line, sizeof(line) - 1));
		starts(&peer, "500 5.5.2 Control character in a command\r\n250 2.0.0 OK\r\n");
		peer_close(&peer);
	}
}

/* A line ends at CR LF and nowhere else. */
static void a2_bare_ends_in_commands(void **state)
{
	static const char *const lines[] = {"NOOP\nMAIL FROM:<a@b>\r\n",
					    "NOOP\rMAIL FROM:<a@b>\r\n",
					    "NOOP\n\r\n",
					    "NOOP\r\r\n",
					    "\nNOOP\r\n",
					    "\rNOOP\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct peer peer;

		open_greeted(&peer, 0);
		peer_send(&peer, slice_str(lines[i]));
		starts(&peer, "500 5.5.2 Control character in a command\r\n");
		assert_true(slice_is(buf_data(&peer.log), "refused \n"));
		peer_close(&peer);
	}
}

/* A8: who is no mail client is sent away by the first byte that tells. */
static void a8_strangers(void **state)
{
	static const struct {
		const char *bytes;
		const char *start;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "421 4.7.0 "},
		{"POST / HTTP/1.1\r\n", "421 4.7.0 "},
		{"PUT / HTTP/1.1\r\n", "421 4.7.0 "},
		{"CONNECT x:25 HTTP/1.1\r\n", "421 4.7.0 "},
		{"OPTIONS * HTTP/1.1\r\n", "421 4.7.0 "},
		{"\x16\x03\x01\x02\x01", "421 4.7.0 "},
		{"\x80", "421 4.7.0 "},
		{"\xff\xfb\x01", "421 4.7.0 "},
		{"E\xc3\xa9", "421 4.7.0 "},
		{"SSH-2.0-x\r\n", "421 4.7.0 "},
		{"G", "421 4.7.0 "},
		{"XYZZY\r\n", "421 4.7.0 "},
		{"EHLOX", "421 4.7.0 "},
		{" EHLO x\r\n", "421 4.7.0 "},
		{"\r\n", "421 4.7.0 "},
		{"\n", "421 4.7.0 "},
		{"EHL\r\n", "421 4.7.0 "},
		{"EHLO x\n", "500 5.5.2 Lines end with CR LF"},
		{"EHLO\n", "500 5.5.2 Lines end with CR LF"},
		{"NOOP\nGET / HTTP/1.1\r\n", "500 5.5.2 Lines end with CR LF"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice bytes = slice_str(cases[i].bytes);

		for (size_t cut = 0; cut <= bytes.len; cut++) {
			struct peer peer;

			peer_open(&peer, PEER_TLS);
			peer_said(&peer);
			peer_send(&peer, slice_head(bytes, cut));
			peer_send(&peer, slice_skip(bytes, cut));
			assert_int_equal(buf_len(&peer.said),
					 strcspn(buf_data(&peer.said).ptr, "\n") + 1);
			starts(&peer, cases[i].start);
			assert_true(peer.closed);
			peer_close(&peer);
		}
	}
}

/* Later in the session another protocol's verb ends it too; another unknown one does not. */
static void a8_strangers_later(void **state)
{
	struct peer peer;

	(void)state;
	open_greeted(&peer, 0);
	peer_send(&peer, SLICE_LIT("XYZZY\r\n"));
	starts(&peer, "500 5.5.1 ");
	peer_send(&peer, SLICE_LIT("POST / HTTP/1.1\r\nNOOP\r\n"));
	starts(&peer, "421 4.7.0 ");
	assert_true(peer.closed);
	peer_close(&peer);
}

/* Any printable name; what is not is replaced, for the log and for Received. */
static void odd_names(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, 0);
	peer_send(&peer, SLICE_LIT("EHLO M\xc3\xbcller PC (x)\r\n"));
	assert_true(slice_is(buf_data(&peer.log), "ehlo M??ller PC (x)\n"));
	assert_true(slice_is(smtp_server_helo(peer.server), "M??ller PC (x)"));
	peer_close(&peer);
}

/* A7: what must be last in its group is. */
static void a7_groups(void **state)
{
	static const struct {
		const char *before;
		const char *group;
		const char *start;
	} cases[] = {
		{"", "EHLO x\r\nMAIL FROM:<a@b>\r\n", "554 5.5.0 "},
		{"", "NOOP\r\nNOOP\r\n", "554 5.5.0 "},
		{"", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "554 5.5.0 "},
		{"", "EHLO x\r\n\r\n", "554 5.5.0 "},
		{"HELO x\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "554 5.5.0 "},
		{"EHLO x\r\n", "AUTH PLAIN AGEAcmlnaHQ=\r\nMAIL FROM:<a@b>\r\n", "554 5.5.0 "},
		{"EHLO x\r\n", "AUTH PLAIN\r\nAGEAcmlnaHQ=\r\n", "554 5.5.0 "},
		{"EHLO x\r\n", "AUTH LOGIN\r\nYQ==\r\ncmlnaHQ=\r\n", "554 5.5.0 "},
		{"EHLO x\r\nAUTH LOGIN\r\n", "YQ==\r\ncmlnaHQ=\r\n", "554 5.5.0 "},
		{"EHLO x\r\nAUTH LOGIN\r\n", "*\r\nNOOP\r\n", "554 5.5.0 "},
		{"EHLO x\r\n", "BDAT 5 LAST\r\nQUIT\r", "502 5.5.1 "}, /* a chunk, no command */
		{"EHLO x\r\n", "EHLO y\r\nNOOP\r\n", "554 5.5.0 "},
		{"EHLO x\r\n", "DATA\r\nSubject: x\r\n", "554 5.5.0 "},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "DATA\r\nx", "554 5.5.0 "},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\n", "DATA\r\nx", "554 5.5.0 "},
		/* These may be followed: */
		{"EHLO x\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", "250 2.1.0 "},
		{"EHLO x\r\n", "NOOP\r\nRSET\r\nVRFY a\r\nHELP\r\n", "250 2.0.0 "},
		{"EHLO x\r\n", "QUIT\r\nNOOP\r\n", "221 2.0.0 "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice rest = slice_str(cases[i].before), line;
		bool early = slice_starts(slice_str(cases[i].start), "554");
		struct peer peer;

		peer_open(&peer, PEER_TLS);
		while (slice_split(&rest, '\n', &line))
			peer_send(&peer, slice_of(line.ptr, line.len + 1));
		peer_said(&peer);
		peer_send(&peer, slice_str(cases[i].group));
		starts(&peer, cases[i].start);
		assert_true(peer.closed || !early);
		assert_false(early && smtp_server_authenticated(peer.server));
		peer_close(&peer);
	}
}

/* B1, B2: nothing said in clear lives on. */
static void b3_starttls(void **state)
{
	static const char *const behind[] = {"NOOP\r\n", "EHLO evil\r\n", "x", "\n",
					     "MAIL FROM:<evil@x>\r\n"};
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		struct buf text;

		buf_init(&text, 100);
		buf_append_str(&text, "STARTTLS\r\n");
		buf_append_str(&text, behind[i]);
		open_greeted(&peer, PEER_STARTTLS);
		peer_send(&peer, buf_data(&text));
		starts(&peer, "554 5.5.0 ");
		assert_true(peer.closed);
		assert_false(smtp_server_tls(peer.server));
		buf_release(&text);
		peer_close(&peer);
	}
	open_greeted(&peer, PEER_STARTTLS);
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\n"));
	peer_said(&peer);
	buf_clear(&peer.log);
	smtp_server_feed(peer.server, SLICE_LIT("STARTTLS\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_RESET);
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_STARTTLS);
	assert_int_equal(smtp_server_room(peer.server), 0);
	assert_int_equal(smtp_server_phase(peer.server), SMTP_PHASE_HANDSHAKE);
	assert_false(smtp_server_next(peer.server, &event));
	smtp_server_tls_done(peer.server);
	assert_true(smtp_server_tls(peer.server));
	assert_int_equal(smtp_server_helo(peer.server).len, 0);
	peer_run(&peer);
	starts(&peer, "220 2.0.0 ");
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\n"));
	starts(&peer, "503 5.5.1 ");
	peer_send(&peer, SLICE_LIT("EHLO x\r\n"));
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT("STARTTLS\r\n"));
	starts(&peer, "503 5.5.1 ");
	peer_close(&peer);
}

/* A caller that cannot do TLS just now; what was pipelined before stays answered. */
static void starttls_refused(void **state)
{
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	open_greeted(&peer, PEER_STARTTLS);
	smtp_server_feed(peer.server, SLICE_LIT("NOOP\r\nSTARTTLS\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_STARTTLS);
	smtp_server_answer(peer.server, 454, "4.7.0", "TLS not available");
	peer_run(&peer);
	starts(&peer, "250 2.0.0 OK\r\n454 4.7.0 TLS not available\r\n");
	peer_send(&peer, SLICE_LIT("NOOP\r\n"));
	starts(&peer, "250 2.0.0 OK\r\n");
	peer_close(&peer);
	/* The output was sent between two events; the 220 is not in it yet. */
	open_greeted(&peer, PEER_STARTTLS);
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\n"));
	smtp_server_feed(peer.server, SLICE_LIT("STARTTLS\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_RESET);
	assert_int_equal(buf_len(smtp_server_output(peer.server)), 0);
	assert_true(smtp_server_next(peer.server, &event));
	buf_clear(smtp_server_output(peer.server)); /* sent; too late to refuse */
	smtp_server_answer(peer.server, 454, "4.7.0", "TLS not available");
	peer_run(&peer);
	assert_true(peer.closed);
	assert_int_equal(buf_len(smtp_server_output(peer.server)), 0);
	peer_close(&peer);
}

/* Feeds count bytes of filler in pieces. */
static void flood(struct peer *peer, size_t count)
{
	static char filler[4099];

	memset(filler, 'a', sizeof(filler));
	for (size_t sent = 0; sent < count && !peer->closed; sent += sizeof(filler))
		peer_send(peer, slice_of(filler, count - sent < sizeof(filler) ? count - sent
									       : sizeof(filler)));
}

/* A9: an overlong line is thrown away as it comes. */
static void a9_endless_lines(void **state)
{
	struct peer peer;

	(void)state;
	open_greeted(&peer, 0);
	peer_send(&peer, SLICE_LIT("NOOP "));
	flood(&peer, 100000);
	assert_int_equal(buf_len(&peer.said), 0);
	assert_int_equal(smtp_server_room(peer.server), SMTP_INPUT_MAX); /* nothing is held */
	peer_send(&peer, SLICE_LIT("\r\nNOOP\r\n"));
	starts(&peer, "500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n");
	flood(&peer, 5000);
	peer_send(&peer, SLICE_LIT("\r\nNOOP\r\n"));
	starts(&peer, "500 5.5.2 Line too long\r\n");
	assert_true(peer.closed);
	peer_close(&peer);
	open_greeted(&peer, 0);
	flood(&peer, SMTP_DISCARD_MAX + 1);
	starts(&peer, "500 5.5.2 Line too long\r\n");
	assert_true(peer.closed);
	peer_close(&peer);
	peer_open(&peer, 0); /* in the first line */
	buf_clear(&peer.said);
	peer_send(&peer, SLICE_LIT("EHLO "));
	flood(&peer, 5000);
	peer_send(&peer, SLICE_LIT("\r\n"));
	starts(&peer, "500 5.5.2 Line too long\r\n");
	peer_close(&peer);
}

/* The bound to the byte, for any cut. */
static void line_bounds(void **state)
{
	static const struct {
		const char *start;
		size_t max;
	} kinds[] = {{"NOOP ", SMTP_LINE_MAX}, {"AUTH ", SMTP_AUTH_LINE_MAX}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (size_t len = kinds[i].max - 1; len <= kinds[i].max + 1; len++) {
			for (size_t cut = kinds[i].max - 4; cut <= len; cut++) {
				char *line = mem_alloc(len);
				struct peer peer;

				memset(line, 'a', len);
				memcpy(line, kinds[i].start, 5);
				memcpy(line + len - 2, "\r\n", 2);
				open_greeted(&peer, PEER_TLS);
				peer_send(&peer, slice_of(line, cut));
				peer_send(&peer, slice_of(line + cut, len - cut));
				starts(&peer, len > kinds[i].max ? "500 5.5.2 "
					      : i == 0           ? "250 2.0.0 "
								 : "504 5.5.4 ");
				peer_close(&peer);
				mem_free(line);
			}
		}
	}
}

/* Refusals are counted; the one past the limit ends the session. */
static void too_many_errors(void **state)
{
	struct peer peer;

	(void)state;
	open_greeted(&peer, 0);
	for (int i = 0; i < 20; i++) {
		peer_send(&peer, SLICE_LIT("XYZZY\r\n"));
		starts(&peer, "500 5.5.1 ");
	}
	peer_send(&peer, SLICE_LIT("XYZZY\r\n"));
	starts(&peer, "421 4.7.0 ");
	assert_true(peer.closed);
	peer_close(&peer);
	/* Recipients that a stranger tries count; those of one who is logged in do not. */
	for (int logged_in = 0; logged_in < 2; logged_in++) {
		if (logged_in)
			peer_open_logged_in(&peer, 0);
		else
			open_greeted(&peer, 0);
		peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\n"));
		for (int i = 0; i < 21; i++)
			peer_send(&peer, SLICE_LIT("RCPT TO:<no@b>\r\n"));
		assert_int_equal(peer.closed, !logged_in);
		peer_close(&peer);
	}
	/* What was pipelined behind a refused MAIL is one error. */
	open_greeted(&peer, 0);
	peer_send(&peer, SLICE_LIT("MAIL FROM:<bad\r\n"));
	for (int i = 0; i < 100; i++)
		peer_send(&peer, SLICE_LIT("RCPT TO:<no@b>\r\n"));
	assert_false(peer.closed);
	peer_close(&peer);
}

/* Dialogues in turns; within a turn any cut must give the same. */
static const char *const dialogue[][16] = {
	{"EHLO client\r\n", "AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n",
	 "MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME\r\nRCPT TO:<c@d.example>\r\n"
	 "RCPT TO:<no@d.example>\r\nDATA\r\n",
	 "Subject: x\r\n\r\n..\r\n.a\r\n\r\nbare\nlf\rcr\r\n.\r\nNOOP\r\nVRFY x\r\nRSET\r\n",
	 "QUIT\r\n"},
	{"HELO client\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<postmaster>\r\n", "DATA\r\n", ".\r\n",
	 "QUIT\r\n"},
	{"EHLO client\r\n", "AUTH LOGIN\r\n", "YWxpY2U=\r\n", "cmlnaHQ\n",
	 "NOOP\r\nFOO\r\nMAIL\r\n"},
	{"EHLO client\r\n", "AUTH LOGIN YWxpY2U=\r\n", "*\r\n", "auth plain\r\n", "!\r\n",
	 "EXPN x\r\n"},
	{"EHLO client\r\n", "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
	 "bare\nlf\r\n.\r\nMAIL FROM:<evil@x>\r\n"},
	{"EHLO client\r\n", "MAIL FROM:<a@b.example>\r\nRCPT TO:<\"a b\"@d.example>\r\nDATA\r\n",
	 "\r\n\r\n...\r\n.\r\n", "EHLO again\r\n", "HELO again\r\n", "NO\0OP\r\n"},
};

static void play(struct peer *peer, const char *const *turns, size_t step, uint32_t *seed)
{
	for (size_t i = 0; i < 16 && turns[i] != NULL && !peer->closed; i++) {
		struct slice rest = slice_str(turns[i]);

		while (rest.len != 0) {
			size_t len = step;

			if (seed != NULL) {
				*seed = *seed * 1664525u + 1013904223u;
				len = 1 + (*seed >> 16) % step;
			}
			peer_send(peer, slice_head(rest, len));
			rest = slice_skip(rest, len);
		}
	}
}

static void same_for_any_cut(void **state)
{
	(void)state;
	for (size_t d = 0; d < sizeof(dialogue) / sizeof(dialogue[0]); d++) {
		struct peer whole;
		uint32_t seed = 1;

		peer_open(&whole, PEER_TLS);
		play(&whole, dialogue[d], 1000, NULL);
		assert_true(buf_len(&whole.said) > 100);
		for (int round = 0; round < 2000; round++) {
			struct peer cut;

			peer_open(&cut, PEER_TLS);
			if (round < 100)
				play(&cut, dialogue[d], (size_t)round + 1, NULL);
			else
				play(&cut, dialogue[d], (size_t)round % 50 + 1, &seed);
			assert_true(slice_equal(buf_data(&whole.said), buf_data(&cut.said)));
			assert_true(slice_equal(buf_data(&whole.log), buf_data(&cut.log)));
			peer_close(&cut);
		}
		peer_close(&whole);
	}
}

/* A client that does not read is not read from, and nothing grows without end. */
static void unread_replies(void **state)
{
	struct smtp_server_event event;
	struct peer peer;
	size_t fed = 0;

	(void)state;
	open_greeted(&peer, 0);
	while (smtp_server_room(peer.server) >= 6) {
		smtp_server_feed(peer.server, SLICE_LIT("HELP\r\n"));
		if (fed++ % 1000 == 0)
			while (smtp_server_next(peer.server, &event))
				;
		assert_true(fed < 100000);
	}
	while (smtp_server_next(peer.server, &event))
		;
	assert_true(buf_len(smtp_server_output(peer.server)) < 80 * 1024);
	while (buf_len(smtp_server_output(peer.server)) != 0) {
		/* The client reads all; the rest of what it sent is done now. */
		buf_clear(smtp_server_output(peer.server));
		while (smtp_server_next(peer.server, &event))
			;
	}
	assert_int_equal(smtp_server_room(peer.server), SMTP_INPUT_MAX);
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a3_controls_in_commands),
		cmocka_unit_test(a2_bare_ends_in_commands),
		cmocka_unit_test(a8_strangers),
		cmocka_unit_test(a8_strangers_later),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(a7_groups),
		cmocka_unit_test(b3_starttls),
		cmocka_unit_test(starttls_refused),
		cmocka_unit_test(a9_endless_lines),
		cmocka_unit_test(line_bounds),
		cmocka_unit_test(too_many_errors),
		cmocka_unit_test(same_for_any_cut),
		cmocka_unit_test(unread_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
