/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sender can ask for in MAIL and RCPT: DSN, FUTURERELEASE, DELIVERBY, MT-PRIORITY,
 * REQUIRETLS, SMTPUTF8; who may, what it becomes, and what is refused (D2, D4, D7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "peer.h"

struct line {
	const char *line;
	const char *start;
};

static void check(const char *before, const struct line *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct peer peer;
		const char *said;

		peer_open_logged_in(&peer, PEER_ALL);
		peer_send(&peer, slice_str(before));
		peer_said(&peer);
		peer_send(&peer, slice_str(cases[i].line));
		peer_send(&peer, SLICE_LIT("\r\n"));
		said = peer_said(&peer);
		if (strncmp(said, cases[i].start, strlen(cases[i].start)) != 0) {
			print_message("line: %s\n", cases[i].line);
			assert_string_equal(said, cases[i].start);
		}
		peer_close(&peer);
	}
}

#define CHECK(before, cases) check(before, cases, sizeof(cases) / sizeof((cases)[0]))
#define FROM                 "MAIL FROM:<a@b> "
#define TO                   "RCPT TO:<a@b> "

static void d2_parameters_of_mail(void **state)
{
	static const struct line cases[] = {
		{FROM "RET=FULL", "250 2.1.0"},
		{FROM "ret=hdrs", "250 2.1.0"},
		{FROM "RET", "501 5.5.4"},
		{FROM "RET=", "501 5.5.4"},
		{FROM "RET=ALL", "501 5.5.4"},
		{FROM "RET=FULL RET=FULL", "501 5.5.4 A parameter is given twice"},
		{FROM "SMTPUTF8", "250 2.1.0"},
		{FROM "SMTPUTF8=", "501 5.5.4"},
		{FROM "SMTPUTF8=1", "501 5.5.4"},
		{FROM "SMTPUTF8 SMTPUTF8", "501 5.5.4"},
		{FROM "REQUIRETLS", "250 2.1.0"},
		{FROM "REQUIRETLS=1", "501 5.5.4"},
		{FROM "MT-PRIORITY=0", "250 2.1.0"},
		{FROM "MT-PRIORITY=9", "250 2.1.0"},
		{FROM "MT-PRIORITY=-9", "250 2.1.0"},
		{FROM "MT-PRIORITY=10", "501 5.5.4"},
		{FROM "MT-PRIORITY=-10", "501 5.5.4"},
		{FROM "MT-PRIORITY=-0", "501 5.5.4"},
		{FROM "MT-PRIORITY=+1", "501 5.5.4"},
		{FROM "MT-PRIORITY=01", "501 5.5.4"},
		{FROM "MT-PRIORITY=", "501 5.5.4"},
		{FROM "MT-PRIORITY", "501 5.5.4"},
		{FROM "BY=120;R", "250 2.1.0"},
		{FROM "BY=+120;RT", "250 2.1.0"},
		{FROM "BY=-120;N", "250 2.1.0"},
		{FROM "BY=0;nt", "250 2.1.0"},
		{FROM "BY=999999999;N", "250 2.1.0"},
		{FROM "BY=9999999999;N", "501 5.5.4"},
		{FROM "BY=0;R", "501 5.5.4 With"},
		{FROM "BY=-1;R", "501 5.5.4 With"},
		{FROM "BY=120", "501 5.5.4"},
		{FROM "BY=;R", "501 5.5.4"},
		{FROM "BY=-;N", "501 5.5.4"},
		{FROM "BY=120;", "501 5.5.4"},
		{FROM "BY=120;T", "501 5.5.4"},
		{FROM "BY=120;RR", "501 5.5.4"},
		{FROM "BY=120;RTT", "501 5.5.4"},
		{FROM "BY=1e2;R", "501 5.5.4"},
		{FROM "HOLDFOR=1", "250 2.1.0"},
		{FROM "HOLDFOR=86400", "250 2.1.0"},
		{FROM "HOLDFOR=86401", "501 5.5.4 A message is not held"},
		{FROM "HOLDFOR=4294967297", "501 5.5.4"},
		{FROM "HOLDFOR=0", "501 5.5.4"},
		{FROM "HOLDFOR=01", "501 5.5.4"},
		{FROM "HOLDFOR=-1", "501 5.5.4"},
		{FROM "HOLDFOR", "501 5.5.4"},
		{FROM "HOLDUNTIL=2026-01-01T12:00:00Z", "250 2.1.0"},
		{FROM "HOLDUNTIL=2026-01-02T00:00:00Z", "250 2.1.0"},
		{FROM "HOLDUNTIL=2026-01-02T00:00:01Z", "501 5.5.4 A message is not held"},
		{FROM "HOLDUNTIL=2026-01-02T01:00:00+01:00", "250 2.1.0"},
		{FROM "HOLDUNTIL=2026-01-01T23:00:01-01:00", "501 5.5.4 A message"},
		{FROM "HOLDUNTIL=2026-01-01t12:00:00.25z", "250 2.1.0"},
		{FROM "HOLDUNTIL=2024-02-29T12:00:00Z", "250 2.1.0"},
		{FROM "HOLDUNTIL=2025-02-29T12:00:00Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-13-01T12:00:00Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-00-01T12:00:00Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-01-32T12:00:00Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-01-01T24:00:00Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-01-01T12:60:00Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-01-01T12:00:00", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-01-01T12:00:00.Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-01-01T12:00:00+1:00", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-01-01T12:00:00ZZ", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=2026-1-1T12:00:00Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=1969-12-31T23:59:59Z", "501 5.5.4 A parameter"},
		{FROM "HOLDUNTIL=", "501 5.5.4 A parameter"},
		{FROM "HOLDFOR=10 HOLDUNTIL=2026-01-01T12:00:00Z", "501 5.5.4 Give either"},
		{FROM "HOLDUNTIL=2026-01-01T12:00:00Z HOLDFOR=10", "501 5.5.4 Give either"},
		/* All that go together, and one more. */
		{FROM "SIZE=1 BODY=8BITMIME AUTH=<> SMTPUTF8 RET=HDRS ENVID=x HOLDFOR=5 BY=9;N "
		      "MT-PRIORITY=3 REQUIRETLS",
		 "250 2.1.0"},
		{FROM "SIZE=1 BODY=8BITMIME AUTH=<> SMTPUTF8 RET=HDRS ENVID=x HOLDFOR=5 BY=9;N "
		      "MT-PRIORITY=3 REQUIRETLS X=1",
		 "501 5.5.4 Too many"},
		{FROM "NOTIFY=NEVER", "555 5.5.4"},
		{FROM "BODY=BINARYMIME", "501 5.5.4"},
	};

	(void)state;
	CHECK("", cases);
}

static void d4_envid(void **state)
{
	static const struct line cases[] = {
		{FROM "ENVID=QQ314159", "250 2.1.0"},
		{FROM "ENVID=a+2Bb+3Dc", "250 2.1.0"},
		{FROM "ENVID=a+20b", "250 2.1.0"},
		{FROM "ENVID=", "501 5.5.4"},
		{FROM "ENVID=a+0Ab", "501 5.5.4"},
		{FROM "ENVID=a+0D", "501 5.5.4"},
		{FROM "ENVID=+00", "501 5.5.4"},
		{FROM "ENVID=+7F", "501 5.5.4"},
		{FROM "ENVID=+80", "501 5.5.4"},
		{FROM "ENVID=+GZ", "501 5.5.4"},
		{FROM "ENVID=+2b", "501 5.5.4"},
		{FROM "ENVID=+", "501 5.5.4"},
		{FROM "ENVID=+2", "501 5.5.4"},
		{FROM "ENVID=a=b", "501 5.5.4"},
		{FROM "ENVID=\xc3\xa9", "501 5.5.4"},
		{FROM "ENVID=0123456789012345678901234567890123456789012345678901234567890123456789"
		      "012345678901234567890123456789",
		 "250 2.1.0"},
		{FROM "ENVID=0123456789012345678901234567890123456789012345678901234567890123456789"
		      "0123456789012345678901234567890",
		 "501 5.5.4"},
	};

	(void)state;
	CHECK("", cases);
}

static void d4_notify_and_orcpt(void **state)
{
	static const struct line cases[] = {
		{TO "NOTIFY=NEVER", "250 2.1.5"},
		{TO "NOTIFY=success,Failure,DELAY", "250 2.1.5"},
		{TO "NOTIFY=NEVER,SUCCESS", "501 5.5.4"},
		{TO "NOTIFY=SUCCESS,NEVER", "501 5.5.4"},
		{TO "NOTIFY=SUCCESS,SUCCESS", "501 5.5.4"},
		{TO "NOTIFY=", "501 5.5.4"},
		{TO "NOTIFY", "501 5.5.4"},
		{TO "NOTIFY=,", "501 5.5.4"},
		{TO "NOTIFY=DELAY,", "501 5.5.4"},
		{TO "NOTIFY=,DELAY", "501 5.5.4"},
		{TO "NOTIFY=ALWAYS", "501 5.5.4"},
		{TO "NOTIFY=DELAY NOTIFY=DELAY", "501 5.5.4"},
		{TO "ORCPT=rfc822;bob@example.com", "250 2.1.5"},
		{TO "ORCPT=RFC822;a+2Bb@example.com NOTIFY=SUCCESS", "250 2.1.5"},
		{TO "ORCPT=x400;c+3DUS", "250 2.1.5"},
		{TO "ORCPT=rfc822;a+0Ab", "501 5.5.4"},
		{TO "ORCPT=rfc822;a+0D+0Ab", "501 5.5.4"},
		{TO "ORCPT=rfc822;+00", "501 5.5.4"},
		{TO "ORCPT=rfc822;+GZ", "501 5.5.4"},
		{TO "ORCPT=rfc822;", "501 5.5.4"},
		{TO "ORCPT=rfc822", "501 5.5.4"},
		{TO "ORCPT=;a@b", "501 5.5.4"},
		{TO "ORCPT=rf c;a@b", "501 5.5.4"},
		{TO "ORCPT=rfc822\xc3\xa9;a@b", "501 5.5.4"},
		{TO "ORCPT=rfc822;\xc3\xa9@b", "501 5.5.4"},
		{TO "ORCPT=utf-8;a@b", "250 2.1.5"},
		{TO "ORCPT=utf-8;\\x{E9}@b", "250 2.1.5"},
		{TO "ORCPT=utf-8;\\x{5C}+2B@b", "250 2.1.5"},
		{TO "ORCPT=utf-8;\\x{1F600}@b", "250 2.1.5"},
		{TO "ORCPT=utf-8;+5Cx{E9}@b", "250 2.1.5"},
		{TO "ORCPT=utf-8;\\x{A}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{0A}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{00000A}", "501 5.5.4"},
		{TO "ORCPT=utf-8;+5Cx{0A}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{7F}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{85}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{202E}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{D800}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{110000}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{1F60000}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{}", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{E9", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\x{+45", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\", "501 5.5.4"},
		{TO "ORCPT=utf-8;\\u", "501 5.5.4"},
		{TO "ORCPT=utf-8;\xc3\xa9@b", "501 5.5.4"}, /* without SMTPUTF8 */
	};
	static const struct line utf8[] = {
		{TO "ORCPT=utf-8;\xc3\xa9@b", "250 2.1.5"},
		{TO "ORCPT=rfc822;\xc3\xa9@b", "501 5.5.4"},
		{TO "ORCPT=utf-8;\xc3@b", "501 5.5.4"},
		{TO "ORCPT=utf-8;\xe2\x80\xae@b", "501 5.5.4"},
		{TO "ORCPT=utf-8;\xc0\x8a@b", "501 5.5.4"},
	};

	(void)state;
	CHECK("MAIL FROM:<a@b>\r\n", cases);
	CHECK("MAIL FROM:<a@b> SMTPUTF8\r\n", utf8);
}

/* 500 bytes and not one more. */
static void d4_orcpt_length(void **state)
{
	for (size_t len = 499; len <= 502; len++) {
		char line[600] = "RCPT TO:<a@b> ORCPT=rfc822;";
		size_t start = strlen("RCPT TO:<a@b> ORCPT=");
		struct peer peer;

		(void)state;
		memset(line + strlen(line), 'x', len - strlen("rfc822;"));
		memcpy(line + start + len, "\r\n", 3);
		peer_open_logged_in(&peer, PEER_ALL);
		peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\n"));
		peer_said(&peer);
		peer_send(&peer, slice_str(line));
		assert_true(slice_starts(buf_data(&peer.said), len <= 500 ? "250 " : "501 5.5.4 "));
		peer_close(&peer);
	}
}

static void d7_only_with_smtputf8(void **state)
{
	static const struct line mails[] = {
		{"MAIL FROM:<\xc3\xa9@b> SMTPUTF8", "250 2.1.0"},
		{"MAIL FROM:<\xc3\xa9@b> smtputf8", "250 2.1.0"},
		{"MAIL FROM:<a@\xc3\xa9.example> SMTPUTF8", "250 2.1.0"},
		{"MAIL FROM:<\xc3\xa9@b>", "553 5.6.7"},
		{"MAIL FROM:<a@\xc3\xa9.example>", "553 5.6.7"},
		{"MAIL FROM:<\"\xc3\xa9 SMTPUTF8\"@b>", "553 5.6.7"},
		{"MAIL FROM:<\"\xc3\xa9 SMTPUTF8 \"@b> SIZE=1", "553 5.6.7"},
		{"MAIL FROM:<\xc3@b> SMTPUTF8", "501 5.1.7"},
		{"MAIL FROM:<a\xef\xbc\xa0victim.example@b> SMTPUTF8", "250 2.1.0"},
		{"MAIL FROM:<a@b\xef\xbc\xa0victim.example> SMTPUTF8", "501 5.1.7"},
		{"MAIL FROM:<a\xef\xbc\xa0victim.example> SMTPUTF8", "501 5.1.7"},
	};
	static const struct line rcpts[] = {
		{"RCPT TO:<\xc3\xa9@b>", "553 5.6.7"},
		{"RCPT TO:<a@\xc3\xa9.example>", "553 5.6.7"},
		{"RCPT TO:<a@xn--9ca.example>", "250 2.1.5"},
		{"RCPT TO:<\xc3\xa9@b> SMTPUTF8", "553 5.6.7"},
	};
	static const struct line wide[] = {
		{"RCPT TO:<\xc3\xa9@b>", "250 2.1.5"},
		{"RCPT TO:<a@\xc3\xa9.example>", "250 2.1.5"},
		{"RCPT TO:<user\xef\xbc\xa0victim.example@ours.example>", "250 2.1.5"},
		{"RCPT TO:<a@b> SMTPUTF8", "555 5.5.4"},
	};

	(void)state;
	CHECK("", mails);
	CHECK("MAIL FROM:<a@b>\r\n", rcpts);
	CHECK("MAIL FROM:<a@b> SMTPUTF8\r\n", wide);
}

static void what_the_caller_sees(void **state)
{
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	peer_open_logged_in(&peer, PEER_ALL);
	smtp_server_feed(peer.server,
			 SLICE_LIT("MAIL FROM:<\xc3\xa9@B\xc3\x9c"
				   "cher.example> SMTPUTF8 RET=HDRS ENVID=q+2B1 "
				   "HOLDUNTIL=2026-01-01T01:00:00+00:30 BY=-30;NT MT-PRIORITY=-4 "
				   "REQUIRETLS AUTH=e+3Dmc2@example.com\r\n"
				   "RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_MAIL);
	assert_string_equal(event.mail->sender.text, "\xc3\xa9@xn--bcher-kva.example");
	assert_true(event.mail->sender.utf8 && event.mail->terms.utf8);
	assert_true(event.mail->terms.require_tls);
	assert_int_equal(event.mail->terms.ret, SMTP_RET_HDRS);
	assert_true(slice_is(event.mail->terms.envid, "q+2B1"));
	assert_true(slice_is(event.mail->terms.auth, "e+3Dmc2@example.com"));
	assert_int_equal(event.mail->hold_for, 0);
	assert_int_equal(event.mail->hold_until, PEER_NOW + 1800 * 1000);
	assert_int_equal(event.mail->terms.by, SMTP_BY_NOTIFY);
	assert_true(event.mail->terms.by_trace);
	assert_int_equal(event.mail->by_seconds, -30);
	assert_true(event.mail->terms.has_priority);
	assert_int_equal(event.mail->terms.priority, -4);
	smtp_server_answer(peer.server, 250, "2.1.0", "OK");
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_RCPT);
	assert_int_equal(event.rcpt->terms.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	assert_true(slice_is(event.rcpt->terms.orcpt, "rfc822;x+2By@z"));
	assert_int_equal(event.mail->terms.envid.len, 0); /* was lent with the line of MAIL */
	peer_close(&peer);
}

/* Strangers: DSN, SMTPUTF8 and CHUNKING; what makes our queue work for them they cannot ask. */
static void strangers(void **state)
{
	static const char *const refused[] = {"HOLDFOR=5", "HOLDUNTIL=2026-01-01T12:00:00Z",
					      "BY=9;N", "MT-PRIORITY=1", "REQUIRETLS"};
	struct slice said;
	struct peer peer;

	(void)state;
	peer_open(&peer, PEER_ALL);
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT("EHLO client\r\n"));
	assert_string_equal(peer_said(&peer),
			    "250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n"
			    "250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n"
			    "250-LIMITS RCPTMAX=5\r\n250 ENHANCEDSTATUSCODES\r\n");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b> "));
		peer_send(&peer, slice_str(refused[i]));
		peer_send(&peer, SLICE_LIT("\r\n"));
		assert_true(slice_starts(buf_data(&peer.said), "555 5.5.4 "));
		buf_clear(&peer.said);
	}
	peer_send(&peer, SLICE_LIT("ETRN example.org\r\n"));
	assert_true(slice_starts(buf_data(&peer.said), "530 5.7.0 "));
	peer_close(&peer);
	/* Where everybody must log in, all is announced before. */
	peer_open(&peer, PEER_ALL | PEER_TLS | PEER_REQUIRED);
	peer_said(&peer);
	peer_send(&peer, SLICE_LIT("EHLO client\r\n"));
	said = buf_data(&peer.said);
	assert_true(
		slice_search(said, SLICE_LIT("250-FUTURERELEASE 86400 2026-01-02T00:00:00Z\r\n")) <
		said.len);
	assert_true(slice_search(said, SLICE_LIT("250-DELIVERBY\r\n250-MT-PRIORITY\r\n"
						 "250-REQUIRETLS\r\n250-ETRN\r\n")) < said.len);
	peer_close(&peer);
}

/* Nothing is known whose extension the caller does not have. */
static void not_offered(void **state)
{
	static const char *const refused[] = {"SMTPUTF8", "RET=FULL",      "ENVID=x",   "HOLDFOR=5",
					      "BY=9;N",   "MT-PRIORITY=1", "REQUIRETLS"};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct peer peer;

		peer_open_logged_in(&peer, 0);
		peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b> "));
		peer_send(&peer, slice_str(refused[i]));
		peer_send(&peer, SLICE_LIT("\r\n"));
		assert_true(slice_starts(buf_data(&peer.said), "555 5.5.4 "));
		peer_close(&peer);
	}
}

/* ETRN: one domain, as it is kept; nothing else (D14). */
static void d14_etrn(void **state)
{
	static const struct line cases[] = {
		{"ETRN Example.ORG", "253 2.0.0"},
		{"etrn xn--9ca.example", "253 2.0.0"},
		{"ETRN", "501 5.5.4"},
		{"ETRN a b", "501 5.5.4"},
		{"ETRN @example.org", "458 4.5.4"},
		{"ETRN #queue", "458 4.5.4"},
		{"ETRN x';DROP TABLE", "501 5.5.4"},
		{"ETRN [127.0.0.1]", "501 5.5.4"},
		{"ETRN \xc3\xa9.example", "501 5.5.4"},
	};
	struct peer peer;

	(void)state;
	CHECK("", cases);
	peer_open_logged_in(&peer, PEER_ALL);
	peer_send(&peer, SLICE_LIT("ETRN Example.ORG\r\n"));
	assert_true(slice_is(buf_data(&peer.log), "etrn example.org\n"));
	peer_close(&peer);
	peer_open_logged_in(&peer, 0);
	peer_send(&peer, SLICE_LIT("ETRN example.org\r\n"));
	assert_true(slice_starts(buf_data(&peer.said), "502 5.5.1 "));
	peer_close(&peer);
}

static void qualify_check(const char *line, const char *expected)
{
	struct peer peer;

	peer_open_logged_in(&peer, PEER_ALL);
	peer.options.qualify = "example.org";
	smtp_server_set_options(peer.server, &peer.options);
	if (line[0] == 'R') {
		peer_send(&peer, SLICE_LIT("MAIL FROM:<a@b>\r\n"));
		buf_clear(&peer.log);
		buf_clear(&peer.said);
	}
	peer_send(&peer, slice_str(line));
	peer_send(&peer, SLICE_LIT("\r\n"));
	if (expected[0] >= '4' && expected[0] <= '5') {
		assert_true(slice_starts(buf_data(&peer.said), expected));
	} else {
		if (!slice_is(buf_data(&peer.log), expected))
			print_message("%s: %.*s", line, SLICE_ARG(buf_data(&peer.log)));
		assert_true(slice_is(buf_data(&peer.log), expected));
	}
	peer_close(&peer);
}

/* Completed as text before the one grammar reads it: what is no address does not become one. */
static void d1_completed_before_it_is_parsed(void **state)
{
	(void)state;
	qualify_check("MAIL FROM:<root>", "mail root@example.org\n");
	qualify_check("MAIL FROM:<root> SIZE=5", "mail root@example.org\n");
	qualify_check("RCPT TO:<root>", "rcpt root@example.org\n");
	qualify_check("RCPT TO:<\"a b\">", "rcpt \"a b\"@example.org\n");
	qualify_check("RCPT TO:<\"a@b\">", "rcpt \"a@b\"@example.org\n");
	qualify_check("RCPT TO:<postmaster>", "rcpt postmaster\n");
	qualify_check("MAIL FROM:<postmaster>", "mail postmaster@example.org\n");
	qualify_check("MAIL FROM:<>", "mail \n");
	qualify_check("MAIL FROM:<a@b>", "mail a@b\n");
	qualify_check("RCPT TO:<>", "501 5.1.3");
	qualify_check("RCPT TO:<;id;>", "501 5.1.3");
	qualify_check("RCPT TO:<|id>", "rcpt |id@example.org\n"); /* an atom like any other */
	qualify_check("RCPT TO:<|id@>", "501 5.1.3");
	qualify_check("RCPT TO:<$(id)>", "501 5.1.3");
	qualify_check("RCPT TO:<a.>", "501 5.1.3");
	qualify_check("RCPT TO:<a b>", "501 5.1.3");
	qualify_check("RCPT TO:<@a:b>", "553 5.1.3");
	qualify_check("RCPT TO:<\"a>", "501 5.1.3");
	qualify_check("RCPT TO:<a>x", "501 5.5.4");
	qualify_check("RCPT TO:<\xc3\xa9>", "553 5.6.7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d2_parameters_of_mail),
		cmocka_unit_test(d4_envid),
		cmocka_unit_test(d4_notify_and_orcpt),
		cmocka_unit_test(d4_orcpt_length),
		cmocka_unit_test(d7_only_with_smtputf8),
		cmocka_unit_test(what_the_caller_sees),
		cmocka_unit_test(strangers),
		cmocka_unit_test(not_offered),
		cmocka_unit_test(d14_etrn),
		cmocka_unit_test(d1_completed_before_it_is_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
