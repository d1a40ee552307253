/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client machine against scripted servers. A script is a list of turns: what the server says,
 * what the client must send because of it, and what it must report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/client.h"

struct session {
	struct smtp_client *client;
	struct buf sent;
	struct buf log;
};

static void note(struct session *session, const struct smtp_client_event *event)
{
	static const char *const names[] = {
		[SMTP_CLIENT_STARTTLS] = "starttls",   [SMTP_CLIENT_AUTH] = "auth",
		[SMTP_CLIENT_CHALLENGE] = "challenge", [SMTP_CLIENT_READY] = "ready",
		[SMTP_CLIENT_RECIPIENT] = "rcpt",      [SMTP_CLIENT_BODY_WANTED] = "body",
		[SMTP_CLIENT_SENT] = "sent",           [SMTP_CLIENT_REFUSED] = "refused",
		[SMTP_CLIENT_FAILED] = "failed",
	};
	struct buf *log = &session->log;

	buf_append_str(log, names[event->type]);
	if (event->type == SMTP_CLIENT_RECIPIENT)
		buf_printf(log, " %u", event->index);
	if (event->text.len != 0)
		buf_printf(log, " %.*s", SLICE_ARG(event->text));
	if (event->reply.code != 0)
		buf_printf(log, " %u", event->reply.code);
	if (event->reply.status[0] != '\0')
		buf_printf(log, " %s", event->reply.status);
	if (event->final)
		buf_append_str(log, " final");
	if (event->type == SMTP_CLIENT_FAILED) {
		assert_non_null(event->reason);
		buf_printf(log, " phase %d%s", event->phase, event->certain ? "" : " uncertain");
	}
	buf_append_str(log, "; ");
}

static void run(struct session *session)
{
	struct smtp_client_event event;
	struct buf *out = smtp_client_output(session->client);

	while (smtp_client_next(session->client, &event))
		note(session, &event);
	buf_append_slice(&session->sent, buf_data(out));
	buf_release(out);
}

/* Compares and empties. */
static void expect(struct buf *buf, const char *expected)
{
	buf_append_byte(buf, '\0');
	assert_string_equal(buf_data(buf).ptr, expected);
	buf_clear(buf);
}

static void turn(struct session *session, const char *said, const char *sent, const char *log)
{
	smtp_client_feed(session->client, slice_str(said));
	run(session);
	expect(&session->sent, sent);
	expect(&session->log, log);
}

static void start(struct session *session, const struct smtp_client_options *options)
{
	struct smtp_client_options with_name = *options;

	with_name.hostname = "us.example";
	session->client = smtp_client_new(&with_name);
	buf_init(&session->sent, 1 << 20);
	buf_init(&session->log, 1 << 20);
	run(session);
	expect(&session->sent, "");
}

static void stop(struct session *session)
{
	smtp_client_free(&session->client);
	buf_release(&session->sent);
	buf_release(&session->log);
}

/* Up to READY; offers: keyword lines, each ended by CR LF, the last one with "250 ". */
static void start_ready(struct session *session, const char *ehlo_reply)
{
	start(session, &(struct smtp_client_options){.lmtp = false});
	turn(session, "220 hello\r\n", "EHLO us.example\r\n", "");
	turn(session, ehlo_reply, "", "ready; ");
}

#define ALL_OFFERS "250-them\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n"

static const struct smtp_client_recipient one_recipient[] = {{.address = {"c@d.example", 11}}};
static const struct smtp_client_recipient three_recipients[] = {
	{.address = {"a@d.example", 11}},
	{.address = {"b@d.example", 11}},
	{.address = {"c@d.example", 11}},
};
static const struct smtp_client_envelope one = {
	.sender = {"s@us.example", 12},
	.recipients = one_recipient,
	.recipient_count = 1,
	.size = 42,
	.body_8bit = true,
};
static const struct smtp_client_envelope three = {
	.sender = {"", 0},
	.recipients = three_recipients,
	.recipient_count = 3,
};

static void say(struct session *session, const struct smtp_client_envelope *envelope,
		const char *sent)
{
	assert_int_equal(smtp_client_send(session->client, envelope), ERR_OK);
	run(session);
	expect(&session->sent, sent);
}

static void body(struct session *session, const char *text, const char *sent)
{
	assert_int_equal(smtp_client_body(session->client, slice_str(text)), ERR_OK);
	assert_int_equal(smtp_client_body_end(session->client), ERR_OK);
	run(session);
	expect(&session->sent, sent);
}

static void pipelined(void **state)
{
	struct session session;

	(void)state;
	start_ready(&session, ALL_OFFERS);
	assert_true(smtp_client_offers(session.client, "size"));
	assert_false(smtp_client_offers(session.client, "SMTPUTF8"));
	for (int i = 0; i < 3; i++) {
		say(&session, &one,
		    "MAIL FROM:<s@us.example> SIZE=42 BODY=8BITMIME\r\n"
		    "RCPT TO:<c@d.example>\r\nDATA\r\n");
		assert_false(smtp_client_idle(session.client));
		assert_int_equal(smtp_client_send(session.client, &one), ERR_BUSY);
		turn(&session, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n", "",
		     "rcpt 0 250 2.1.5; body; ");
		body(&session, "Subject: x\r\n\r\n.\r\n..\r\nend",
		     "Subject: x\r\n\r\n..\r\n...\r\nend\r\n.\r\n");
		assert_int_equal(smtp_client_phase(session.client), SMTP_CLIENT_FINAL);
		turn(&session, "250 2.0.0 queued as 1\r\n", "", "sent 250 2.0.0; ready; ");
		assert_true(smtp_client_idle(session.client));
	}
	smtp_client_quit(session.client);
	turn(&session, "221 bye\r\n", "QUIT\r\n", "");
	assert_int_equal(smtp_client_phase(session.client), SMTP_CLIENT_DEAD);
	stop(&session);
}

static void one_by_one(void **state)
{
	struct session session;

	(void)state;
	start_ready(&session, "250 them\r\n");
	say(&session, &three, "MAIL FROM:<>\r\n");
	turn(&session, "250 ok\r\n", "RCPT TO:<a@d.example>\r\n", "");
	turn(&session, "250 ok\r\n", "RCPT TO:<b@d.example>\r\n", "rcpt 0 250; ");
	turn(&session, "550 5.1.1 no\r\n", "RCPT TO:<c@d.example>\r\n", "rcpt 1 550 5.1.1 final; ");
	turn(&session, "450 later\r\n", "DATA\r\n", "rcpt 2 450 final; ");
	turn(&session, "354 go\r\n", "", "body; ");
	body(&session, "x\r\n", "x\r\n.\r\n");
	turn(&session, "451 4.3.0 disk\r\n", "", "sent 451 4.3.0; ready; ");
	stop(&session);
}

static void helo_fallback(void **state)
{
	struct session session;

	(void)state;
	start(&session, &(struct smtp_client_options){.lmtp = false});
	turn(&session, "220-hello\r\n220 there\r\n", "EHLO us.example\r\n", "");
	turn(&session, "500 what?\r\n", "HELO us.example\r\n", "");
	turn(&session, "250 them\r\n", "", "ready; ");
	say(&session, &one, "MAIL FROM:<s@us.example>\r\n");
	stop(&session);
}

static void all_refused(void **state)
{
	struct session session;

	(void)state;
	start_ready(&session, ALL_OFFERS);
	say(&session, &three,
	    "MAIL FROM:<>\r\nRCPT TO:<a@d.example>\r\nRCPT TO:<b@d.example>\r\n"
	    "RCPT TO:<c@d.example>\r\nDATA\r\n");
	turn(&session, "550 5.7.1 not you\r\n", "", "refused 550 5.7.1; ");
	assert_false(smtp_client_idle(session.client));
	turn(&session, "503 a\r\n503 b\r\n503 c\r\n503 d\r\n", "", "ready; ");
	say(&session, &one,
	    "MAIL FROM:<s@us.example> SIZE=42 BODY=8BITMIME\r\n"
	    "RCPT TO:<c@d.example>\r\nDATA\r\n");
	turn(&session, "250 ok\r\n550 5.1.1 no\r\n554 none\r\n", "RSET\r\n",
	     "rcpt 0 550 5.1.1 final; refused 554; ");
	turn(&session, "250 ok\r\n", "", "ready; ");
	/* DATA is taken although nobody will get it: ended with a lone dot. */
	say(&session, &one,
	    "MAIL FROM:<s@us.example> SIZE=42 BODY=8BITMIME\r\n"
	    "RCPT TO:<c@d.example>\r\nDATA\r\n");
	turn(&session, "250 ok\r\n550 5.1.1 no\r\n354 go\r\n", ".\r\n", "rcpt 0 550 5.1.1 final; ");
	turn(&session, "554 none\r\n", "", "refused 554; ready; ");
	say(&session, &one,
	    "MAIL FROM:<s@us.example> SIZE=42 BODY=8BITMIME\r\n"
	    "RCPT TO:<c@d.example>\r\nDATA\r\n");
	turn(&session, "250 ok\r\n250 ok\r\n452 4.3.1 full\r\n", "RSET\r\n",
	     "rcpt 0 250; refused 452 4.3.1; ");
	turn(&session, "250 ok\r\n", "", "ready; ");
	stop(&session);
}

static void lmtp(void **state)
{
	struct session session;

	(void)state;
	start(&session, &(struct smtp_client_options){.lmtp = true});
	turn(&session, "220 hello\r\n", "LHLO us.example\r\n", "");
	turn(&session, "250-them\r\n250 PIPELINING\r\n", "", "ready; ");
	say(&session, &three,
	    "MAIL FROM:<>\r\nRCPT TO:<a@d.example>\r\nRCPT TO:<b@d.example>\r\n"
	    "RCPT TO:<c@d.example>\r\nDATA\r\n");
	turn(&session, "250 ok\r\n250 a\r\n550 5.1.1 b\r\n250 c\r\n354 go\r\n", "",
	     "rcpt 0 250; rcpt 1 550 5.1.1 final; rcpt 2 250; body; ");
	body(&session, "x\r\n", "x\r\n.\r\n");
	turn(&session, "250 2.0.0 a\r\n", "", "rcpt 0 250 2.0.0 final; ");
	turn(&session, "452 4.2.2 c is full\r\n", "",
	     "rcpt 2 452 4.2.2 final; sent 452 4.2.2; ready; ");
	/* The end in the middle of the final replies: the rest is not known. */
	say(&session, &three,
	    "MAIL FROM:<>\r\nRCPT TO:<a@d.example>\r\nRCPT TO:<b@d.example>\r\n"
	    "RCPT TO:<c@d.example>\r\nDATA\r\n");
	turn(&session, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n", "",
	     "rcpt 0 250; rcpt 1 250; rcpt 2 250; body; ");
	body(&session, "x\r\n", "x\r\n.\r\n");
	turn(&session, "250 a\r\n", "", "rcpt 0 250 final; ");
	smtp_client_eof(session.client);
	turn(&session, "", "", "failed phase 9 uncertain; ");
	stop(&session);
}

static void starttls(void **state)
{
	struct smtp_client_options options = {.tls = SMTP_CLIENT_TLS_REQUIRED};
	struct session session;

	(void)state;
	start(&session, &options);
	turn(&session, "220 hello\r\n", "EHLO us.example\r\n", "");
	turn(&session, "250-them\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "STARTTLS\r\n", "");
	turn(&session, "220 go\r\n", "", "starttls; ");
	smtp_client_tls_done(session.client);
	assert_false(
		smtp_client_offers(session.client, "AUTH")); /* what was said in clear is gone */
	turn(&session, "", "EHLO us.example\r\n", "");
	turn(&session, "250-them\r\n250 STARTTLS\r\n", "", "ready; ");
	stop(&session);

	start(&session, &options); /* not offered */
	turn(&session, "220 hello\r\n", "EHLO us.example\r\n", "");
	turn(&session, "250 them\r\n", "", "failed phase 1; ");
	stop(&session);

	start(&session, &options); /* refused */
	turn(&session, "220 hello\r\n", "EHLO us.example\r\n", "");
	turn(&session, "250-them\r\n250 STARTTLS\r\n", "STARTTLS\r\n", "");
	turn(&session, "454 4.7.0 no\r\n", "", "failed 454 4.7.0 phase 2; ");
	stop(&session);

	options.tls = SMTP_CLIENT_TLS_IF_OFFERED;
	start(&session, &options);
	turn(&session, "220 hello\r\n", "EHLO us.example\r\n", "");
	turn(&session, "250-them\r\n250 STARTTLS\r\n", "STARTTLS\r\n", "");
	turn(&session, "454 4.7.0 no\r\n", "", "ready; ");
	stop(&session);
}

/* Clear text behind the reply to STARTTLS, in one piece and in two (B4). */
static void starttls_injection(void **state)
{
	static const char *const behind[] = {"250 AUTH PLAIN\r\n", "x", "\n", "220 go\r\n"};
	struct smtp_client_options options = {.tls = SMTP_CLIENT_TLS_IF_OFFERED};

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		for (int pieces = 1; pieces <= 2; pieces++) {
			struct session session;

			start(&session, &options);
			turn(&session, "220 hello\r\n", "EHLO us.example\r\n", "");
			turn(&session, "250-them\r\n250 STARTTLS\r\n", "STARTTLS\r\n", "");
			smtp_client_feed(session.client, SLICE_LIT("220 go\r\n"));
			if (pieces == 2) {
				run(&session);
				expect(&session.log, "starttls; ");
			}
			turn(&session, behind[i], "", "failed phase 2; ");
			assert_int_equal(smtp_client_phase(session.client), SMTP_CLIENT_DEAD);
			smtp_client_tls_done(session.client); /* does not revive it */
			turn(&session, "", "", "");
			stop(&session);
		}
	}
}

static void start_auth(struct session *session, const char *ehlo_reply, const char *log)
{
	start(session, &(struct smtp_client_options){.auth = true, .tls_on = true});
	turn(session, "220 hello\r\n", "EHLO us.example\r\n", "");
	turn(session, ehlo_reply, "", log);
}

static void auth(void **state)
{
	struct session session;

	(void)state;
	start_auth(&session, "250-them\r\n250 AUTH PLAIN LOGIN\r\n", "auth PLAIN LOGIN; ");
	smtp_client_auth(session.client, "PLAIN", SLICE_LIT("\0alice\0right"), true);
	turn(&session, "", "AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", "");
	turn(&session, "235 2.7.0 ok\r\n", "", "ready; ");
	stop(&session);

	start_auth(&session, "250-them\r\n250 AUTH PLAIN LOGIN\r\n", "auth PLAIN LOGIN; ");
	smtp_client_auth(session.client, "LOGIN", SLICE_LIT(""), false);
	turn(&session, "", "AUTH LOGIN\r\n", "");
	turn(&session, "334 VXNlcm5hbWU6\r\n", "", "challenge Username:; ");
	smtp_client_auth_response(session.client, SLICE_LIT("alice"));
	turn(&session, "334 UGFzc3dvcmQ6\r\n", "YWxpY2U=\r\n", "challenge Password:; ");
	smtp_client_auth_response(session.client, SLICE_LIT(""));
	turn(&session, "", "\r\n", "");
	turn(&session, "535 5.7.8 no\r\n", "", "failed 535 5.7.8 phase 3; ");
	stop(&session);

	start_auth(&session, "250-them\r\n250 AUTH X\r\n", "auth X; ");
	smtp_client_auth(session.client, "X", SLICE_LIT(""), true);
	turn(&session, "", "AUTH X =\r\n", "");
	turn(&session, "334 \r\n", "", "challenge; ");
	smtp_client_auth_cancel(session.client);
	turn(&session, "", "*\r\n", "");
	turn(&session, "501 5.7.0 ok\r\n", "", "failed 501 5.7.0 phase 3; ");
	stop(&session);

	start_auth(&session, "250-them\r\n250 AUTH X\r\n", "auth X; ");
	smtp_client_auth_cancel(session.client);
	turn(&session, "", "", "failed phase 3; ");
	stop(&session);

	start_auth(&session, "250-them\r\n250 AUTH X\r\n", "auth X; ");
	smtp_client_auth(session.client, "X", SLICE_LIT(""), false);
	turn(&session, "", "AUTH X\r\n", "");
	turn(&session, "334 !\r\n", "", "failed phase 3; ");
	stop(&session);

	start_auth(&session, "250 them\r\n", "failed phase 1; ");
	stop(&session);
}

/* A reply that answers nothing, or not in the way it can (J2). */
static void nonsense(void **state)
{
	static const struct {
		const char *after_send; /* the server's words after MAIL, RCPT, DATA */
		const char *log;
	} cases[] = {
		{"354 go\r\n", "failed 354 phase 5; "},
		{"250 ok\r\n354 go\r\n", "failed 354 phase 6; "},
		{"250 ok\r\n250 ok\r\n250 ok\r\n", "rcpt 0 250; failed 250 phase 7; "},
		{"250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n",
		 "rcpt 0 250; body; failed 250 phase 8; "},
		{"250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 big\r\n",
		 "rcpt 0 250; body; failed 552 5.3.4 phase 8; "},
		{"250 ok\r\n421 4.3.2 bye\r\n", "failed 421 4.3.2 phase 6; "},
		{"421 4.3.2 bye\r\n", "failed 421 4.3.2 phase 5; "},
		{"250-ok\r\n251 ok\r\n", "failed phase 5; "},
		{"what\r\n", "failed phase 5; "},
		{"550 no\r\n503 a\r\n354 go\r\n", "refused 550; failed 354 phase 5; "},
	};
	struct session session;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start_ready(&session, ALL_OFFERS);
		assert_int_equal(smtp_client_send(session.client, &one), ERR_OK);
		run(&session);
		buf_clear(&session.sent);
		turn(&session, cases[i].after_send, "", cases[i].log);
		assert_int_equal(smtp_client_phase(session.client), SMTP_CLIENT_DEAD);
		turn(&session, "250 ok\r\n", "", "");
		assert_int_equal(smtp_client_body_end(session.client), ERR_BUSY);
		stop(&session);
	}
	start_ready(&session, ALL_OFFERS);
	turn(&session, "421 4.4.2 idle\r\n", "", "failed 421 4.4.2 phase 4; ");
	stop(&session);
	start(&session, &(struct smtp_client_options){.lmtp = false});
	turn(&session, "554 5.7.1 go away\r\n", "", "failed 554 5.7.1 phase 0; ");
	stop(&session);
}

static void ends(void **state)
{
	struct session session;

	(void)state;
	start_ready(&session, ALL_OFFERS);
	smtp_client_eof(session.client); /* while idle: nothing to report */
	turn(&session, "", "", "");
	assert_int_equal(smtp_client_phase(session.client), SMTP_CLIENT_DEAD);
	stop(&session);
	start_ready(&session, ALL_OFFERS);
	assert_int_equal(smtp_client_send(session.client, &one), ERR_OK);
	smtp_client_feed(session.client, SLICE_LIT("250 a\r\n250 b\r\n354 c\r\n"));
	run(&session);
	assert_int_equal(smtp_client_body(session.client, SLICE_LIT("x")), ERR_OK);
	assert_int_equal(smtp_client_body_end(session.client), ERR_OK);
	smtp_client_feed(session.client, SLICE_LIT("250 ok\r\n"));
	smtp_client_eof(session.client); /* the reply that came before it counts */
	buf_clear(&session.log);
	run(&session);
	expect(&session.log, "sent 250; ready; ");
	stop(&session);
	start_ready(&session, ALL_OFFERS);
	assert_int_equal(smtp_client_send(session.client, &one), ERR_OK);
	smtp_client_feed(session.client, SLICE_LIT("250 a\r\n250 b\r\n354 c\r\n"));
	run(&session);
	assert_int_equal(smtp_client_body_end(session.client), ERR_OK);
	smtp_client_feed(session.client, SLICE_LIT("421 4.3.2 going\r\n"));
	buf_clear(&session.log);
	run(&session);
	expect(&session.log, "sent 421 4.3.2; failed 421 4.3.2 phase 4; ");
	stop(&session);
}

/* Addresses that could be read as something else never leave (J3). */
static void addresses(void **state)
{
	static const char *const bad[] = {"a b@c",      "a\r\nRSET@c", "a\n@c", "a\r@c",
					  "a>@c",       "<a@c",        "a\t@c", "a\x7f@c",
					  "\xc3\xa9@c", "\"a b\"@c",   ""};
	struct session session;

	(void)state;
	start_ready(&session, ALL_OFFERS);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct smtp_client_recipient recipients[] = {{.address = slice_str("ok@c")},
							     {.address = slice_str(bad[i])}};
		struct smtp_client_envelope envelope = {
			.recipients = recipients, .recipient_count = 2, .sender = {"s@c", 3}};

		assert_int_equal(smtp_client_send(session.client, &envelope), ERR_SYNTAX);
		envelope.recipient_count = 1;
		envelope.sender = slice_str(bad[i]);
		if (bad[i][0] != '\0')
			assert_int_equal(smtp_client_send(session.client, &envelope), ERR_SYNTAX);
		turn(&session, "", "", "");
		assert_true(smtp_client_idle(session.client));
	}
	stop(&session);
}

static void limits_of_the_peer(void **state)
{
	struct smtp_client_envelope big = one;
	struct session session;

	(void)state;
	start_ready(&session, ALL_OFFERS);
	big.size = 1000001;
	say(&session, &big, "");
	expect(&session.log, "refused 552 5.3.4; ready; ");
	stop(&session);
	start_ready(&session, "250 them\r\n"); /* no 8BITMIME */
	assert_int_equal(smtp_client_send(session.client, &one), ERR_OK);
	for (int i = 0; i < 3; i++) {
		smtp_client_feed(session.client,
				 i < 2 ? SLICE_LIT("250 ok\r\n") : SLICE_LIT("354 go\r\n"));
		run(&session);
	}
	assert_int_equal(smtp_client_body(session.client, SLICE_LIT("ascii\r\n")), ERR_OK);
	assert_int_equal(smtp_client_body(session.client, SLICE_LIT("\xc3\xa9\r\n")), ERR_SYNTAX);
	buf_clear(&session.log);
	buf_clear(&session.sent);
	run(&session);
	expect(&session.log, "failed 554 5.6.3 phase 8; ");
	expect(&session.sent, "");
	stop(&session);
}

/* Takes a session to the body and gives it text in two parts; what was sent is in session->sent. */
static enum err give(struct session *session, struct slice text, size_t cut)
{
	enum err err;

	start_ready(session, ALL_OFFERS);
	assert_int_equal(smtp_client_send(session->client, &one), ERR_OK);
	smtp_client_feed(session->client, SLICE_LIT("250 a\r\n250 b\r\n354 c\r\n"));
	run(session);
	buf_clear(&session->sent);
	buf_clear(&session->log);
	err = smtp_client_body(session->client, slice_head(text, cut));
	if (err == ERR_OK)
		err = smtp_client_body(session->client, slice_skip(text, cut));
	if (err == ERR_OK)
		err = smtp_client_body_end(session->client);
	run(session);
	return err;
}

/* The plainest reading of what may leave and how. false: it may not. */
static bool model(const char *text, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		bool start = i == 0 || text[i - 1] == '\n';

		if (text[i] == '\0' || (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) ||
		    (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n')))
			return false;
		if (start && text[i] == '.')
			buf_append_byte(out, '.');
		buf_append_byte(out, text[i]);
	}
	if (len != 0 && text[len - 1] != '\n')
		buf_append_str(out, "\r\n");
	buf_append_str(out, ".\r\n");
	return true;
}

/* Every text over {CR, LF, dot, NUL, a} up to length 5 in every cut: sent as the model says or not
 * at all. */
static void guard_exhaustive(void **state)
{
	static const char alphabet[] = {'\r', '\n', '.', '\0', 'a'};

	(void)state;
	for (size_t len = 0, count = 1; len <= 5; len++, count *= 5) {
		for (size_t n = 0; n < count; n++) {
			char text[5];
			size_t rest = n;

			for (size_t i = 0; i < len; i++, rest /= 5)
				text[i] = alphabet[rest % 5];
			for (size_t cut = 0; cut <= len; cut++) {
				struct session session;
				struct buf expected;
				enum err err = give(&session, slice_of(text, len), cut);

				buf_init(&expected, 100);
				if (model(text, len, &expected)) {
					assert_int_equal(err, ERR_OK);
					assert_true(slice_equal(buf_data(&session.sent),
								buf_data(&expected)));
				} else {
					assert_int_equal(err, ERR_SYNTAX);
					expect(&session.log, "failed 554 5.6.0 phase 8; ");
					assert_int_equal(buf_len(&session.sent), 0);
				}
				buf_release(&expected);
				stop(&session);
			}
		}
	}
}

static void output_is_bounded(void **state)
{
	static char chunk[65536];
	struct session session;
	enum err err = ERR_OK;
	size_t taken = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(chunk); i++)
		chunk[i] = ".\r\n"[i % 3];
	chunk[sizeof(chunk) - 1] = 'x';
	start_ready(&session, ALL_OFFERS);
	assert_int_equal(smtp_client_send(session.client, &one), ERR_OK);
	smtp_client_feed(session.client, SLICE_LIT("250 a\r\n250 b\r\n354 c\r\n"));
	run(&session);
	while ((err = smtp_client_body(session.client, slice_of(chunk, 65535))) == ERR_OK)
		assert_true(++taken < 10);
	assert_int_equal(err, ERR_FULL);
	buf_clear(smtp_client_output(session.client));
	assert_int_equal(smtp_client_body(session.client, slice_of(chunk, 65535)), ERR_OK);
	stop(&session);
}

/* More recipients than the window: in portions, each reply for the right one. */
static void many_recipients(void **state)
{
	enum { COUNT = 1000 };
	static struct smtp_client_recipient recipients[COUNT];
	static char names[COUNT][16];
	struct smtp_client_envelope envelope = {
		.sender = {"s@c", 3}, .recipients = recipients, .recipient_count = COUNT};
	struct session session;
	unsigned owed = 0, told = 0;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "r%d@c", i);
		recipients[i].address = slice_str(names[i]);
	}
	start_ready(&session, ALL_OFFERS);
	assert_int_equal(smtp_client_send(session.client, &envelope), ERR_OK);
	while (told < COUNT) {
		struct smtp_client_event event;
		struct slice rest = buf_data(smtp_client_output(session.client)), line;

		while (slice_split(&rest, '\n', &line))
			owed++;
		buf_clear(smtp_client_output(session.client));
		assert_in_range(owed, 1, 102);
		smtp_client_feed(session.client, SLICE_LIT("250 ok\r\n"));
		owed--;
		while (smtp_client_next(session.client, &event)) {
			assert_int_equal(event.type, SMTP_CLIENT_RECIPIENT);
			assert_int_equal(event.index, told);
			told++;
		}
	}
	assert_int_equal(smtp_client_phase(session.client), SMTP_CLIENT_DATA);
	stop(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipelined),
		cmocka_unit_test(one_by_one),
		cmocka_unit_test(helo_fallback),
		cmocka_unit_test(all_refused),
		cmocka_unit_test(lmtp),
		cmocka_unit_test(starttls),
		cmocka_unit_test(starttls_injection),
		cmocka_unit_test(auth),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(ends),
		cmocka_unit_test(addresses),
		cmocka_unit_test(limits_of_the_peer),
		cmocka_unit_test(guard_exhaustive),
		cmocka_unit_test(output_is_bounded),
		cmocka_unit_test(many_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
