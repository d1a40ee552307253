/* SPDX-License-Identifier: Apache-2.0 */
/* MAIL and RCPT: paths, parameters, bounds (D2, D3, D8 to D12, D16), and how a session ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "peer.h"

static const struct {
	const char *line;
	const char *start;
} mails[] = {
	{"MAIL FROM:<a@b>", "250 2.1.0"},
	{"MAIL FROM:<>", "250 2.1.0"},
	{"mail from:<a@b>", "250 2.1.0"},
	{"MAIL FROM: <a@b>", "250 2.1.0"},
	{"MAIL FROM:<a@b> ", "250 2.1.0"},
	{"MAIL  FROM:<a@b>", "250 2.1.0"},
	{"MAIL FROM:<a@b>  SIZE=1  BODY=7BIT", "250 2.1.0"},
	{"MAIL FROM:  <a@b>", "501 5.1.7"},
	{"MAIL FROM:\t<a@b>", "501 5.1.7"},
	{"MAIL FROM :<a@b>", "501 5.5.4"},
	{"MAIL FROM<a@b>", "501 5.5.4"},
	{"MAIL <a@b>", "501 5.5.4"},
	{"MAIL TO:<a@b>", "501 5.5.4"},
	{"MAIL", "501 5.5.4"},
	{"MAIL FROM:", "501 5.1.7"},
	{"MAIL FROM:a@b", "501 5.1.7"},
	{"MAIL FROM:<a@b", "501 5.1.7"},
	{"MAIL FROM:a@b>", "501 5.1.7"},
	{"MAIL FROM:<a>", "501 5.1.7"},
	{"MAIL FROM:<postmaster>", "501 5.1.7"},
	{"MAIL FROM:<a@b>x", "501 5.5.4"},
	{"MAIL FROM:<a@b>>", "501 5.5.4"},
	{"MAIL FROM:<a@b> x y", "555 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=0", "250 2.1.0"},
	{"MAIL FROM:<a@b> size=0000000000000000001", "250 2.1.0"},
	{"MAIL FROM:<a@b> SIZE=10485760", "250 2.1.0"},
	{"MAIL FROM:<a@b> SIZE=10485761", "552 5.3.4"},
	{"MAIL FROM:<a@b> SIZE=2147483648", "552 5.3.4"},
	{"MAIL FROM:<a@b> SIZE=4294967296", "552 5.3.4"},
	{"MAIL FROM:<a@b> SIZE=9223372036854775808", "552 5.3.4"},
	{"MAIL FROM:<a@b> SIZE=18446744073709551615", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=18446744073709551616", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=18446744073709551617", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=00000000000000000001", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=-1", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=+1", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=1e9", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=0x10", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=1=2", "501 5.5.4"},
	{"MAIL FROM:<a@b> =1", "501 5.5.4"},
	{"MAIL FROM:<a@b> =\"", "501 5.5.4"},
	{"MAIL FROM:<a@b> =", "501 5.5.4"},
	{"MAIL FROM:<a@b> -X=1", "501 5.5.4"},
	{"MAIL FROM:<a@b> S\xc3\xa9=1", "501 5.5.4"},
	{"MAIL FROM:<a@b> X-FOO=1", "555 5.5.4"},
	{"MAIL FROM:<a@b> SMTPUTF8", "555 5.5.4"},
	{"MAIL FROM:<a@b> RET=FULL", "555 5.5.4"},
	{"MAIL FROM:<a@b> BODY=8BITMIME", "250 2.1.0"},
	{"MAIL FROM:<a@b> BODY=8bitmime", "250 2.1.0"},
	{"MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4"},
	{"MAIL FROM:<a@b> BODY=", "501 5.5.4"},
	{"MAIL FROM:<a@b> BODY", "501 5.5.4"},
	{"MAIL FROM:<a@b> BODY=7BIT BODY=7BIT", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=<>", "250 2.1.0"},
	{"MAIL FROM:<a@b> AUTH=e+3Dmc2@example.com", "250 2.1.0"},
	{"MAIL FROM:<a@b> AUTH=", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=+0A", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=+00", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=+GZ", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=+3d", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=a+", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=a+4", "501 5.5.4"},
	{"MAIL FROM:<a@b> AUTH=a=b", "501 5.5.4"},
	{"MAIL FROM:<a@b> SIZE=1 BODY=7BIT AUTH=<> SIZE=1", "501 5.5.4"},
	{"MAIL FROM:<@a,@b:u@c>", "553 5.1.3"},
	{"MAIL FROM:<\xc3\xa9@b>", "553 5.6.7"},
	{"MAIL FROM:<a@[1.2.3]>", "501 5.1.7"},
	{"MAIL FROM:<a@b@c>", "501 5.1.7"},
};

static const struct {
	const char *line;
	const char *start;
} rcpts[] = {
	{"RCPT TO:<a@b>", "250 2.1.5"},
	{"RCPT TO: <a@b>", "250 2.1.5"},
	{"rcpt to:<a@b>", "250 2.1.5"},
	{"RCPT TO:<postmaster>", "250 2.1.5"},
	{"RCPT TO:<POSTMASTER>", "250 2.1.5"},
	{"RCPT TO:<\"a b\"@c>", "250 2.1.5"},
	{"RCPT TO:<a%b@c>", "250 2.1.5"},
	{"RCPT TO:<a!b@c>", "250 2.1.5"},
	{"RCPT TO:<a@[127.0.0.1]>", "250 2.1.5"},
	{"RCPT TO:<a@[IPv6:::1]>", "250 2.1.5"},
	{"RCPT TO:<>", "501 5.1.3"},
	{"RCPT TO:", "501 5.1.3"},
	{"RCPT", "501 5.5.4"},
	{"RCPT FROM:<a@b>", "501 5.5.4"},
	{"RCPT TO:<a>", "501 5.1.3"},
	{"RCPT TO:a@b", "501 5.1.3"},
	{"RCPT TO:<a@b@c>", "501 5.1.3"},
	{"RCPT TO:<a b@c>", "501 5.1.3"},
	{"RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4"},
	{"RCPT TO:<a@b> SIZE=1", "555 5.5.4"},
	{"RCPT TO:<a@b> =", "501 5.5.4"},
	{"RCPT TO:<a@b>,<c@d>", "501 5.5.4"},
	{"RCPT TO:<@a:u@c>", "553 5.1.3"},
	{"RCPT TO:<u@\xc3\xa9>", "553 5.6.7"},
	{"RCPT TO:<a@[IPv6:fe80::1%eth0]>", "501 5.1.3"},
	{"RCPT TO:<a@[0x7f.1]>", "501 5.1.3"},
	{"RCPT TO:<;id;>", "501 5.1.3"},
	{"RCPT TO:<|id@>", "501 5.1.3"},
	{"RCPT TO:<$(id)@x>", "501 5.1.3"},
};

static void check(const char *before, const char *line, const char *start)
{
	struct peer peer;
	const char *said;

	peer_open_logged_in(&peer, 0);
	peer_send(&peer, slice_str(before));
	peer_said(&peer);
	peer_send(&peer, slice_str(line));
	peer_send(&peer, SLICE_LIT("\r\n"));
	said = peer_said(&peer);
	if (strncmp(said, start, strlen(start)) != 0) {
		print_message("line: %s\n", line);
		assert_string_equal(said, start);
	}
	peer_close(&peer);
}

static void d2_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++)
		check("", mails[i].line, mails[i].start);
	for (size_t i = 0; i < sizeof(rcpts) / sizeof(rcpts[0]); i++)
		check("MAIL FROM:<a@b>\r\n", rcpts[i].line, rcpts[i].start);
}

static void what_the_caller_sees(void **state)
{
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	peer_open_logged_in(&peer, 0);
	smtp_server_feed(peer.server,
			 SLICE_LIT("MAIL FROM:<A@B.Example> AUTH=<> BODY=8BITMIME SIZE=7\r\n"
				   "RCPT TO:<\"C\"@D.Example>\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_MAIL);
	assert_string_equal(event.mail->sender.text, "A@b.example");
	assert_int_equal(event.mail->size, 7);
	assert_true(event.mail->body_8bit && event.mail->terms.auth.len != 0);
	assert_false(smtp_server_next(peer.server, &event)); /* until it is answered */
	assert_int_equal(smtp_server_phase(peer.server), SMTP_PHASE_ANSWER);
	smtp_server_answer(peer.server, 250, "2.1.0", "OK");
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_RCPT);
	assert_string_equal(event.rcpt->address.text, "C@d.example");
	assert_string_equal(event.mail->sender.text, "A@b.example");
	smtp_server_answer(peer.server, 550, NULL, "No \r\nway\x80");
	assert_int_equal(smtp_server_phase(peer.server), SMTP_PHASE_MAIL);
	assert_true(slice_is(buf_data(smtp_server_output(peer.server)),
			     "250 2.1.0 OK\r\n550 No ??way?\r\n"));
	peer_close(&peer);
}

static void d3_too_many_recipients(void **state)
{
	struct peer peer;

	(void)state;
	peer_open_logged_in(&peer, 0);
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\n"));
	for (int i = 0; i < 5; i++)
		peer_send(&peer, SLICE_LIT("RCPT TO:<a@b>\r\nRCPT TO:<no@b>\r\n"));
	peer_said(&peer);
	for (int i = 0; i < 100000; i++) {
		peer_send(&peer, SLICE_LIT("RCPT TO:<a@b>\r\n"));
		assert_true(slice_starts(buf_data(&peer.said), "452 4.5.3 "));
		buf_clear(&peer.said);
		buf_clear(&peer.log);
	}
	peer_send(&peer, SLICE_LIT("DATA\r\n"));
	assert_true(slice_starts(buf_data(&peer.said), "354 "));
	peer_close(&peer);
}

/* Each MAIL that was agreed to ends with a verdict or a RESET. */
static void resets(void **state)
{
	static const char *const ways[] = {"RSET\r\n", "EHLO x\r\n", "HELO x\r\n", "QUIT\r\n",
					   "GET /\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct slice log;
		struct peer peer;

		peer_open_logged_in(&peer, 0);
		peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"));
		buf_clear(&peer.log);
		peer_send(&peer, slice_str(ways[i]));
		log = buf_data(&peer.log);
		assert_int_not_equal(slice_search(log, SLICE_LIT("reset\n")), log.len);
		peer_close(&peer);
	}
}

/* The caller ends the session: with a word where one may be said, without in a body. */
static void closing(void **state)
{
	static const struct {
		const char *before;
		const char *said;
	} cases[] = {
		{"", "421 4.3.2 Going down\r\n"},
		{"MAIL FROM:<a@b>\r\n", "421 4.3.2 Going down\r\n"},
		{"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", ""},
	};
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		peer_open_logged_in(&peer, 0);
		peer_send(&peer, slice_str(cases[i].before));
		peer_said(&peer);
		smtp_server_close(peer.server, 421, "4.3.2", "Going down");
		peer_run(&peer);
		assert_true(peer.closed);
		assert_string_equal(peer_said(&peer), cases[i].said);
		peer_close(&peer);
	}
	/* While the final reply is owed nothing is said: the mail may be on disk. */
	peer_open_logged_in(&peer, 0);
	peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"));
	peer_said(&peer);
	smtp_server_feed(peer.server, SLICE_LIT(".\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_BODY_END);
	smtp_server_close(peer.server, 421, "4.3.2", "Going down");
	peer_run(&peer);
	assert_true(peer.closed);
	assert_string_equal(peer_said(&peer), "");
	smtp_server_answer(peer.server, 250, "2.0.0", "Too late");
	assert_int_equal(buf_len(smtp_server_output(peer.server)), 0);
	peer_close(&peer);
}

static void greeting_refused(void **state)
{
	struct smtp_server_options options = {.hostname = "mail.example.org"};
	struct smtp_server *server = smtp_server_new(&options);
	struct smtp_server_event event;

	(void)state;
	smtp_server_greet_refusal(server, 421, "4.3.2", "Too busy");
	assert_true(slice_is(buf_data(smtp_server_output(server)), "421 4.3.2 Too busy\r\n"));
	assert_true(smtp_server_next(server, &event));
	assert_int_equal(event.type, SMTP_SERVER_CLOSE);
	assert_false(smtp_server_next(server, &event));
	smtp_server_free(&server);
	assert_null(server);
	smtp_server_free(&server);
}

/* A 421 in the caller's words ends the session, at each question. */
static void answer_421(void **state)
{
	static const char *const turns[] = {"MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n",
					    ".\r\n"};

	(void)state;
	for (size_t stop = 0; stop < 4; stop++) {
		struct smtp_server_event event;
		struct peer peer;

		peer_open_logged_in(&peer, 0);
		for (size_t i = 0; i < stop; i++)
			peer_send(&peer, slice_str(turns[i]));
		peer_said(&peer);
		smtp_server_feed(peer.server, slice_str(turns[stop]));
		assert_true(smtp_server_next(peer.server, &event));
		smtp_server_answer(peer.server, 421, "4.3.0", "Lost");
		peer_run(&peer);
		assert_true(peer.closed);
		assert_string_equal(peer_said(&peer), "421 4.3.0 Lost\r\n");
		peer_close(&peer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d2_tables),
		cmocka_unit_test(what_the_caller_sees),
		cmocka_unit_test(d3_too_many_recipients),
		cmocka_unit_test(resets),
		cmocka_unit_test(closing),
		cmocka_unit_test(greeting_refused),
		cmocka_unit_test(answer_421),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
