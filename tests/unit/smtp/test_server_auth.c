/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH as devices do it, and as they must not (C2, C4; the wire quirks of printers and old mail
 * programs). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base64.h"

#include "peer.h"

static void open_tls(struct peer *peer)
{
	peer_open(peer, PEER_TLS | PEER_REQUIRED);
	peer_send(peer, SLICE_LIT("EHLO client\r\n"));
	buf_clear(&peer->said);
	buf_clear(&peer->log);
}

/* Exchanges of one line each way; "" as the client's line ends the list. */
struct turn {
	const char *line;
	const char *answer;
};

#define OK     "235 2.7.0 Authentication successful\r\n"
#define WRONG  "535 5.7.8 Wrong user name or password\r\n"
#define USER   "334 VXNlcm5hbWU6\r\n"
#define PASS   "334 UGFzc3dvcmQ6\r\n"
#define NO_B64 "501 5.5.2 This is not base64\r\n"

static const struct turn exchanges[][6] = {
	{{"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", OK}},
	{{"AUTH PLAIN AGFsaWNlAHdyb25n\r\n", WRONG}, {"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", OK}},
	{{"AUTH PLAIN\r\n", "334 \r\n"}, {"AGFsaWNlAHJpZ2h0\r\n", OK}},
	{{"auth plain AGFsaWNlAHJpZ2h0\r\n", OK}},
	{{"Auth Login\r\n", USER}, {"YWxpY2U=\r\n", PASS}, {"cmlnaHQ=\r\n", OK}},
	{{"AUTH LOGIN YWxpY2U=\r\n", PASS}, {"cmlnaHQ=\r\n", OK}}, /* user name inline */
	{{"AUTH LOGIN YWxpY2U\r\n", PASS}, {"cmlnaHQ\r\n", OK}},   /* padding left out */
	{{"AUTH LOGIN =\r\n", PASS}, {"cmlnaHQ=\r\n", OK}},        /* empty inline name */
	{{"AUTH LOGIN\r\n", USER}, {"=\r\n", PASS}, {"=\r\n", WRONG}},
	{{"AUTH LOGIN\r\n", USER}, {"\r\n", PASS}, {"\r\n", WRONG}},
	{{"AUTH LOGIN \r\n", USER}, {"YWxpY2U=  \r\n", PASS}, {"cmlnaHQ= \t\r\n", OK}},
	{{"AUTH LOGIN\r\n", USER}, {"YWxpY2U=\n", PASS}, {"cmlnaHQ=\n", OK}}, /* LF alone */
	{{"AUTH  PLAIN   AGFsaWNlAHJpZ2h0 \r\n", OK}},
	{{"AUTH LOGIN\r\n", USER},
	 {"*\r\n", "501 5.7.0 Authentication cancelled\r\n"},
	 {"NOOP\r\n", "250 2.0.0 OK\r\n"}},
	{{"AUTH LOGIN\r\n", USER},
	 {"YWxpY2U=\r\n", PASS},
	 {"*\r\n", "501 5.7.0 Authentication cancelled\r\n"},
	 {"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", OK}},
	{{"AUTH PLAIN ====\r\n", NO_B64}, {"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", OK}},
	{{"AUTH PLAIN AGFs aWNl\r\n", NO_B64}},
	{{"AUTH PLAIN AGFsaWNlAHJpZ2h1=\r\n", NO_B64}},
	{{"AUTH PLAIN QR==\r\n", NO_B64}}, /* stray bits */
	{{"AUTH PLAIN -_-_\r\n", NO_B64}}, /* another alphabet */
	{{"AUTH PLAIN *\r\n", NO_B64}},
	{{"AUTH LOGIN\r\n", USER}, {"alice\r\n", NO_B64}, {"NOOP\r\n", "250 2.0.0 OK\r\n"}},
	{{"AUTH LOGIN\r\n", USER}, {"QUIT\r\n", PASS}}, /* base64, whatever it looks like */
	{{"AUTH LOGIN\r\n", USER}, {"YWxp\x01Y2U=\r\n", NO_B64}},
	{{"AUTH\r\n", "501 5.5.4 AUTH needs a mechanism\r\n"}},
	{{"AUTH NTLM\r\n", "504 5.5.4 This mechanism is not offered\r\n"}},
	{{"AUTH ANONYMOUS YQ==\r\n", "504 5.5.4 This mechanism is not offered\r\n"}},
	{{"AUTH PLAIN\tAGFsaWNlAHJpZ2h0\r\n", "504 5.5.4 This mechanism is not offered\r\n"}},
	{{"AUTH PLA AGFsaWNlAHJpZ2h0\r\n", "504 5.5.4 This mechanism is not offered\r\n"}},
	{{"AUTH=PLAIN AGFsaWNlAHJpZ2h0\r\n", "500 5.5.1 Command unknown\r\n"}},
	{{"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", OK},
	 {"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", "503 5.5.1 You are logged in already\r\n"}},
	{{"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", OK},
	 {"RSET\r\n", "250 2.0.0 OK\r\n"},
	 {"MAIL FROM:<a@b>\r\n", "250 2.1.0 Sender OK\r\n"},
	 {"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n", "503 5.5.1 You are logged in already\r\n"}},
};

static void all_exchanges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		struct peer peer;
		bool ok = false;

		open_tls(&peer);
		for (size_t t = 0; t < 6 && exchanges[i][t].line != NULL; t++) {
			peer_send(&peer, slice_str(exchanges[i][t].line));
			assert_string_equal(peer_said(&peer), exchanges[i][t].answer);
			ok |= strcmp(exchanges[i][t].answer, OK) == 0;
		}
		assert_int_equal(smtp_server_authenticated(peer.server), ok);
		peer_close(&peer);
	}
}

/* What the caller gets, and that an empty token is not the same as none. */
static void tokens(void **state)
{
	static const struct {
		const char *line;
		const char *log;
	} cases[] = {
		{"AUTH PLAIN\r\n", "auth PLAIN\nno token\n"},
		{"AUTH PLAIN =\r\n", "auth PLAIN\ntoken \n"},
		{"AUTH plain AGEAYg==\r\n", "auth PLAIN\ntoken \\x00a\\x00b\n"},
		{"AUTH LOGIN YQpi\r\n", "auth LOGIN\ntoken a\\nb\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer peer;

		open_tls(&peer);
		peer_send(&peer, slice_str(cases[i].line));
		assert_true(slice_is(buf_data(&peer.log), cases[i].log));
		peer_close(&peer);
	}
}

/* Every exchange that was begun and not judged is given up exactly once. */
static void i2_cancelled(void **state)
{
	static const char *const ends[] = {"*\r\n", "!\r\n", "YQ==\r\nNOOP\r\n", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct slice log;
		struct peer peer;

		open_tls(&peer);
		peer_send(&peer, SLICE_LIT("AUTH LOGIN\r\n"));
		buf_clear(&peer.log);
		if (ends[i] != NULL) {
			peer_send(&peer, slice_str(ends[i]));
		} else {
			smtp_server_close(peer.server, 421, "4.4.2", "Time is up");
			peer_run(&peer);
		}
		log = buf_data(&peer.log);
		assert_int_not_equal(slice_search(log, SLICE_LIT("cancel\n")), log.len);
		peer_close(&peer);
	}
}

/* The bound of a line, and that an overlong one ends the exchange. */
static void long_lines(void **state)
{
	char line[SMTP_AUTH_LINE_MAX + 4];
	struct peer peer;

	(void)state;
	memset(line, 'Q', sizeof(line));
	memcpy(line + SMTP_AUTH_LINE_MAX - 4, "\r\n", 2);
	open_tls(&peer);
	peer_send(&peer, SLICE_LIT("AUTH LOGIN\r\n"));
	peer_said(&peer);
	peer_send(&peer, slice_of(line, SMTP_AUTH_LINE_MAX - 2));
	assert_string_equal(peer_said(&peer), PASS);
	memcpy(line + SMTP_AUTH_LINE_MAX - 4, "QQQQQ\r\n", 7);
	peer_send(&peer, slice_of(line, SMTP_AUTH_LINE_MAX + 3));
	assert_string_equal(peer_said(&peer), "500 5.5.6 Line too long\r\n");
	peer_send(&peer, SLICE_LIT("NOOP\r\n"));
	assert_string_equal(peer_said(&peer), "250 2.0.0 OK\r\n");
	peer_close(&peer);
}

/* C2: every string of up to three of these bytes; the base library's verdict is ours. */
static void strings(void **state)
{
	static const char bytes[] = "AQgw9+/=* \t-";
	enum { COUNT = sizeof(bytes) - 1 };

	(void)state;
	for (int n = 0; n < COUNT * COUNT * COUNT; n++) {
		char line[] = "AUTH LOGIN ???\r\n";
		struct slice token = slice_of(line + 11, 3);
		struct buf out;
		struct peer peer;
		bool good;

		line[11] = bytes[n % COUNT];
		line[12] = bytes[n / COUNT % COUNT];
		line[13] = bytes[n / COUNT / COUNT];
		token = slice_trim(token);
		buf_init(&out, 100);
		good = token.len == 0 || slice_is(token, "=") ||
		       base64_decode(token, &out) == ERR_OK;
		open_tls(&peer);
		peer_send(&peer, slice_str(line));
		assert_int_equal(slice_starts(buf_data(&peer.said), "334 "), good);
		assert_int_equal(slice_starts(buf_data(&peer.said), "501 5.5.2 "), !good);
		buf_release(&out);
		peer_close(&peer);
	}
}

/* Nothing of an exchange is in an event that could be logged. */
static void nothing_shown(void **state)
{
	static const char *const lines[] = {
		"AUTH PLAIN c2VjcmV0!\r\n",     "AUTH NTLM c2VjcmV0\r\n", "AUTH c2VjcmV0\r\n",
		"auth  c2VjcmV0  c2VjcmV0\r\n", "c2VjcmV0\r\n",           "AUTH c2VjcmV0\x01\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct slice log;
		struct peer peer;

		open_tls(&peer);
		peer_send(&peer, slice_str(lines[i]));
		log = buf_data(&peer.log);
		assert_true(slice_starts(log, "refused"));
		assert_int_equal(slice_search(log, SLICE_LIT("c2Vj")), log.len);
		peer_close(&peer);
	}
}

/* Where the auth process is away, AUTH is neither offered nor done. */
static void no_mechanism_now(void **state)
{
	struct peer peer;

	(void)state;
	open_tls(&peer);
	peer.options.mechanisms = "";
	smtp_server_set_options(peer.server, &peer.options);
	peer_send(&peer, SLICE_LIT("EHLO client\r\n"));
	assert_null(strstr(peer_said(&peer), "AUTH"));
	peer_send(&peer, SLICE_LIT("AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n"));
	assert_string_equal(peer_said(&peer), "454 4.7.0 Logging in is not possible just now\r\n");
	peer_close(&peer);
}

/* An answer that comes after the session ended, or unasked, changes nothing. */
static void late_answers(void **state)
{
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	open_tls(&peer);
	smtp_server_auth_ok(peer.server);
	assert_false(smtp_server_authenticated(peer.server));
	smtp_server_feed(peer.server, SLICE_LIT("AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_AUTH);
	smtp_server_answer(peer.server, 250, NULL, "no");
	assert_int_equal(smtp_server_phase(peer.server), SMTP_PHASE_ANSWER);
	smtp_server_close(peer.server, 421, "4.3.2", "Going down");
	smtp_server_auth_ok(peer.server);
	assert_false(smtp_server_authenticated(peer.server));
	peer_run(&peer);
	assert_string_equal(peer_said(&peer), "421 4.3.2 Going down\r\n");
	assert_true(slice_is(buf_data(&peer.log), "cancel\nclose Going down\n"));
	smtp_server_answer(peer.server, 250, NULL, "no");
	smtp_server_auth_fail(peer.server, 535, NULL, "no");
	smtp_server_auth_challenge(peer.server, SLICE_LIT("x"));
	smtp_server_answer_data(peer.server);
	smtp_server_tls_done(peer.server);
	smtp_server_close(peer.server, 421, NULL, "again");
	peer_run(&peer);
	assert_string_equal(peer_said(&peer), "");
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_exchanges),    cmocka_unit_test(tokens),
		cmocka_unit_test(i2_cancelled),     cmocka_unit_test(long_lines),
		cmocka_unit_test(strings),          cmocka_unit_test(nothing_shown),
		cmocka_unit_test(no_mechanism_now), cmocka_unit_test(late_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
