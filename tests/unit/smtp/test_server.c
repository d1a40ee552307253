/* SPDX-License-Identifier: Apache-2.0 */
/* The server machine: what each command does, and what each does where it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "peer.h"

/* Sends text and expects exactly that as the answer. */
static void exchange(struct peer *peer, const char *text, const char *answer)
{
	peer_send(peer, slice_str(text));
	assert_string_equal(peer_said(peer), answer);
}

/* Sends text and expects one reply that starts like this. */
static void reply(struct peer *peer, const char *text, const char *start)
{
	const char *said;

	peer_send(peer, slice_str(text));
	said = peer_said(peer);
	if (strncmp(said, start, strlen(start)) != 0)
		assert_string_equal(said, start);
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void logged(struct peer *peer, const char *expected)
{
	buf_append_byte(&peer->log, '\0');
	assert_string_equal(buf_data(&peer->log).ptr, expected);
	buf_clear(&peer->log);
}

static void hello_offers(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, PEER_STARTTLS);
	assert_string_equal(peer_said(&peer), "220 mail.example.org ESMTP postern\r\n");
	exchange(&peer, "EHLO client\r\n",
		 "250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n"
		 "250-8BITMIME\r\n250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n");
	logged(&peer, "ehlo client\n");
	exchange(&peer, "helo other\r\n", "250 mail.example.org\r\n");
	logged(&peer, "helo other\n");
	exchange(&peer, "STARTTLS\r\n", "220 2.0.0 Ready to start TLS\r\n");
	exchange(&peer, "EHLO client\r\n",
		 "250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n"
		 "250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 ENHANCEDSTATUSCODES\r\n");
	peer_close(&peer);
	peer_open(&peer, PEER_TLS | PEER_OFF);
	peer_said(&peer);
	exchange(&peer, "EHLO client\r\n",
		 "250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n"
		 "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	peer_close(&peer);
}

static void one_message(void **state)
{
	struct peer peer;

	(void)state;
	peer_open_logged_in(&peer, 0);
	exchange(&peer, "MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME\r\n",
		 "250 2.1.0 Sender OK\r\n");
	exchange(&peer, "RCPT TO:<c@d.example>\r\nRCPT TO:<no@d.example>\r\n",
		 "250 2.1.5 Recipient OK\r\n550 5.1.1 No such user\r\n");
	reply(&peer, "DATA\r\n", "354 ");
	exchange(&peer, "Subject: x\r\n\r\n..dot\r\n.\r\n", "250 2.0.0 Accepted\r\n");
	logged(&peer, "mail a@b.example\nrcpt c@d.example\nrcpt no@d.example\ndata\n"
		      "message Subject: x\\r\\n\\r\\n.dot\\r\\n\n");
	exchange(&peer, "QUIT\r\n", "221 2.0.0 Bye\r\n");
	logged(&peer, "close \n");
	assert_int_equal(smtp_server_phase(peer.server), SMTP_PHASE_CLOSED);
	assert_int_equal(smtp_server_room(peer.server), 0);
	peer_close(&peer);
}

/* Every command in every state in which it may not come. */
static void order(void **state)
{
	static const struct {
		const char *before;
		const char *command;
		const char *start;
	} cases[] = {
		{"", "MAIL FROM:<a@b>\r\n", "503 5.5.1"},
		{"", "RCPT TO:<a@b>\r\n", "503 5.5.1"},
		{"", "DATA\r\n", "503 5.5.1"},
		{"", "AUTH PLAIN AGEAYg==\r\n", "503 5.5.1"},
		{"", "STARTTLS\r\n", "503 5.5.1"},
		{"", "NOOP\r\n", "250 2.0.0"},
		{"", "RSET\r\n", "250 2.0.0"},
		{"", "VRFY a\r\n", "252 2.5.0"},
		{"", "EXPN a\r\n", "502 5.5.1"},
		{"", "QUIT\r\n", "221 2.0.0"},
		{"EHLO x\r\n", "RCPT TO:<a@b>\r\n", "503 5.5.1"},
		{"EHLO x\r\n", "DATA\r\n", "503 5.5.1"},
		{"EHLO x\r\n", "STARTTLS\r\n", "503 5.5.1"},
		{"EHLO x\r\n", "STARTTLS now\r\n", "501 5.5.4"},
		{"EHLO x\r\n", "RSET now\r\n", "501 5.5.4"},
		{"EHLO x\r\n", "NOOP now\r\n", "250 2.0.0"},
		{"EHLO x\r\n", "QUIT now\r\n", "221 2.0.0"},
		{"EHLO x\r\n", "EHLO\r\n", "501 5.5.4"},
		{"EHLO x\r\n", "HELO \r\n", "501 5.5.4"},
		{"EHLO x\r\n", "VRFY\r\n", "501 5.5.4"},
		{"EHLO x\r\n", "ETRN a.example\r\n", "502 5.5.1"},
		{"EHLO x\r\n", "TURN\r\n", "502 5.5.1"},
		{"EHLO x\r\n", "BDAT 5 LAST\r\nQUIT\r", "502 5.5.1"},
		{"EHLO x\r\n", "XCLIENT ADDR=127.0.0.1\r\n", "502 5.5.1"},
		{"EHLO x\r\n", "DEBUG\r\n", "502 5.5.1"},
		{"EHLO x\r\n", "\r\n", "500 5.5.1"},
		{"EHLO x\r\n", " NOOP\r\n", "500 5.5.1"},
		{"EHLO x\r\n", "NOOPX\r\n", "500 5.5.1"},
		{"EHLO x\r\n", "NOO\r\n", "500 5.5.1"},
		{"EHLO x\r\n", "AUTH\r\n", "501 5.5.4"},
		{"EHLO x\r\n", "AUTH GSSAPI\r\n", "504 5.5.4"},
		{"EHLO x\r\n", "AUTH PLAIN !\r\n", "501 5.5.2"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\n", "MAIL FROM:<a@b>\r\n", "503 5.5.1"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\n", "AUTH PLAIN AGEAYg==\r\n", "503 5.5.1"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\n", "DATA\r\n", "554 5.5.1"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@b>\r\n", "DATA\r\n", "554 5.5.1"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@b>\r\n", "DATA now\r\n", "501 5.5.4"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRSET\r\n", "RCPT TO:<a@b>\r\n", "503 5.5.1"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nEHLO x\r\n", "RCPT TO:<a@b>\r\n", "503 5.5.1"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nHELO x\r\n", "RCPT TO:<a@b>\r\n", "503 5.5.1"},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\n", "VRFY a\r\n", "252 2.5.0"},
		{"EHLO x\r\nAUTH PLAIN AGEAcmlnaHQ=\r\n", "AUTH PLAIN AGEAcmlnaHQ=\r\n",
		 "503 5.5.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice rest = slice_str(cases[i].before), line;
		struct peer peer;

		peer_open(&peer, PEER_TLS);
		while (slice_split(&rest, '\n', &line)) {
			peer_send(&peer, slice_of(line.ptr, line.len + 1));
		}
		peer_said(&peer);
		reply(&peer, cases[i].command, cases[i].start);
		peer_close(&peer);
	}
}

/* Before login, where it is required, only what leads to it (C18). */
static void login_required(void **state)
{
	static const char *const refused[] = {"MAIL FROM:<a@b>\r\n", "RCPT TO:<a@b>\r\n",
					      "DATA\r\n", "VRFY a\r\n"};
	struct peer peer;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		peer_open(&peer, PEER_TLS | PEER_REQUIRED);
		peer_send(&peer, SLICE_LIT("EHLO x\r\n"));
		peer_said(&peer);
		exchange(&peer, refused[i], "530 5.7.0 Authentication required\r\n");
		peer_close(&peer);
	}
	peer_open(&peer, PEER_TLS | PEER_REQUIRED);
	peer_said(&peer);
	for (int i = 0; i < 10; i++)
		reply(&peer, "NOOP\r\n", "250 2.0.0");
	reply(&peer, "NOOP\r\n", "421 4.7.0");
	assert_true(peer.closed);
	peer_close(&peer);
	peer_open_logged_in(&peer, PEER_REQUIRED);
	for (int i = 0; i < 20; i++)
		reply(&peer, "NOOP\r\n", "250 2.0.0");
	peer_close(&peer);
}

/* No login in clear text, and not a byte of it looked at (B7). */
static void auth_in_clear(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, PEER_STARTTLS | PEER_REQUIRED);
	peer_send(&peer, SLICE_LIT("EHLO x\r\n"));
	peer_said(&peer);
	buf_clear(&peer.log);
	reply(&peer, "AUTH PLAIN !!!not base64!!!\r\n", "538 5.7.11 ");
	logged(&peer, "refused AUTH\n");
	peer_close(&peer);
	peer_open(&peer, PEER_STARTTLS | PEER_OFF);
	peer_send(&peer, SLICE_LIT("EHLO x\r\n"));
	peer_said(&peer);
	exchange(&peer, "AUTH PLAIN AGEAYg==\r\n",
		 "503 5.7.0 Authentication is on ports 465 and 587\r\n");
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_offers),  cmocka_unit_test(one_message),
		cmocka_unit_test(order),         cmocka_unit_test(login_required),
		cmocka_unit_test(auth_in_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
