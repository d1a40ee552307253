/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "message/header.h"
#include "message/submission.h"

struct fixture {
	struct submission submission;
	struct buf out;
	struct submission_report report;
	enum submission_verdict verdict;
};

static bool only_alice(void *arg, struct slice address)
{
	(void)arg;
	return slice_is(address, "alice@example.org");
}

static bool anybody(void *arg, struct slice address)
{
	(void)arg;
	return address.len > 0;
}

static int setup(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){
		.submission =
			{
				.trace = {.hostname = "mail.example.org",
					  .login = true,
					  .account = SLICE_LIT("alice"),
					  .protocol = SLICE_LIT("ESMTPSA"),
					  .tls = SLICE_LIT(
						  "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"),
					  .id = SLICE_LIT("5f3-0k7d2m9xq4r8t1w6y3z5"),
					  .recipient = SLICE_LIT("bob@example.net"),
					  .wall = 1795387748000},
				.fix = true,
				.from_address = SLICE_LIT("alice@example.org"),
				.message_id = 1,
				.message_id_more = 2,
				.hops_max = 50,
				.domain = "example.org",
				.may_send_as = only_alice,
			},
	};
	buf_init(&fixture.out, 1 << 20);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	buf_release(&fixture->out);
	return 0;
}

#define RECEIVED                                                                                   \
	"Received: from authenticated-user (account alice)\r\n\tby mail.example.org with ESMTPSA " \
	"id "                                                                                      \
	"5f3-0k7d2m9xq4r8t1w6y3z5\r\n\t(TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"           \
	"\tfor <bob@example.net>;\r\n\tSun, 22 Nov 2026 22:49:08 +0000\r\n"

static void apply(struct fixture *fixture, struct slice header)
{
	buf_clear(&fixture->out);
	assert_int_equal(submission_apply(&fixture->submission, header, &fixture->out,
					  &fixture->verdict, &fixture->report),
			 ERR_OK);
}

static void expect(struct fixture *fixture, const char *header, const char *want)
{
	apply(fixture, slice_str(header));
	assert_int_equal(fixture->verdict, SUBMISSION_OK);
	assert_int_equal(buf_len(&fixture->out), strlen(want));
	assert_memory_equal(buf_data(&fixture->out).ptr, want, strlen(want));
}

static void expect_refused(struct fixture *fixture, const char *header, enum submission_verdict why)
{
	apply(fixture, slice_str(header));
	if (fixture->verdict != why)
		fail_msg("verdict %d instead of %d: %s", fixture->verdict, why, header);
	assert_int_equal(buf_len(&fixture->out), 0);
	assert_string_not_equal(fixture->report.detail, "");
}

static void expect_set(field_set set, const char *want)
{
	char text[256];

	assert_string_equal(field_set_print(set, text, sizeof(text)), want);
}

static void whole_header_stays(void **state)
{
	struct fixture *fixture = *state;
	const char *header = "FROM: Alice <alice@example.org>\r\ndate: yesterday\r\n"
			     "Message-Id:\r\n <x@y>\r\nX-Odd  :   \r\n  folded  \r\n\r\n";
	char want[1024];

	snprintf(want, sizeof(want), "%s%s", RECEIVED, header);
	expect(fixture, header, want);
	assert_int_equal(fixture->report.added, 0);
	assert_int_equal(fixture->report.removed, 0);
	assert_string_equal(fixture->report.message_id, "<x@y>");
}

static void missing_is_added(void **state)
{
	struct fixture *fixture = *state;

	expect(fixture, "Subject: x\r\n\r\n",
	       RECEIVED "Subject: x\r\nDate: Sun, 22 Nov 2026 22:49:08 +0000\r\n"
			"From: <alice@example.org>\r\nMessage-ID: <1.2@mail.example.org>\r\n\r\n");
	expect_set(fixture->report.added, "date,message-id,from");
	assert_string_equal(fixture->report.message_id, "<1.2@mail.example.org>");
	/* A message without a body has no empty line to put them before. */
	expect(fixture, "From: alice@example.org\r\nDate: x\r\n",
	       RECEIVED
	       "From: alice@example.org\r\nDate: x\r\nMessage-ID: <1.2@mail.example.org>\r\n");
}

static void e7_blind_copies_go(void **state)
{
	struct fixture *fixture = *state;

	expect(fixture,
	       "Bcc: secret@example.net,\r\n\tmore@example.net\r\nFrom: alice@example.org\r\n"
	       "bCC:a@b\r\nDate: x\r\nResent-Bcc: c@d\r\nMessage-ID: <x@y>\r\nX-Bcc: stays\r\n\r\n",
	       RECEIVED
	       "From: alice@example.org\r\nDate: x\r\nMessage-ID: <x@y>\r\nX-Bcc: stays\r\n\r\n");
	expect_set(fixture->report.removed, "bcc,resent-bcc");
}

static const struct {
	const char *value;
	bool goes;
} results[] = {
	{" Mail.Example.ORG; dkim=pass", true},
	{"\r\n mail.example.org\r\n ;spf=pass", true},
	{" mail.example.org 1; dkim=pass", true},
	{" mail.example.org/1; dkim=pass", true},
	{"(c) (d (e)) mail.example.org(f); dkim=pass", true},
	{" (a \\) b)\r\n\tmail.example.org; none", true},
	{" \"mail.example.org\"; dkim=pass", true},
	{" \"mail\\.example.org\" (x) 1; dkim=pass", true},
	{" \"mail.example\r\n .org\"; dkim=pass", false}, /* a blank stays: another name */
	{"mail.example.org.; dkim=pass", true},
	{" mail.example.org", true},
	{" example.org; dkim=pass", true}, /* the domain of the accounts */
	{" mail.example.org.evil.test; dkim=pass", false},
	{" xmail.example.org; dkim=pass", false},
	{" other.example.net; dkim=pass header.i=@mail.example.org", false},
	{" other.example.net (mail.example.org); spf=fail", false},
	/* Not to be understood: nobody behind us need try. */
	{" (mail.example.org; dkim=pass", true},
	{" \"mail.example.org; dkim=pass", true},
	{" ; dkim=pass", true},
	{"", true},
	{" \xc3\xa4; dkim=pass", true},
};

static void e6_forged_results_go(void **state)
{
	struct fixture *fixture = *state;
	char header[512], want[1024];

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		snprintf(header, sizeof(header),
			 "%s:%s\r\nFrom: alice@example.org\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n",
			 i % 2 ? "Authentication-Results" : "authentication-RESULTS ",
			 results[i].value);
		snprintf(want, sizeof(want), "%s%s", RECEIVED,
			 results[i].goes ? strstr(header, "From:") : header);
		expect(fixture, header, want);
		expect_set(fixture->report.removed,
			   results[i].goes ? "authentication-results" : "");
	}
	/* Others' are kept, and none of a message that came without a login is touched. */
	fixture->submission.fix = false;
	snprintf(header, sizeof(header), "Authentication-Results:%s\r\n\r\n", results[0].value);
	snprintf(want, sizeof(want), "%s%s", RECEIVED, header);
	expect(fixture, header, want);
}

/* The line before it would be ours: a stranger writes nothing into our Received field. */
static void e2_no_blank_before_the_first_field(void **state)
{
	struct fixture *fixture = *state;

	expect_refused(fixture, " by mx.example\r\nFrom: a@b.example\r\n\r\n",
		       SUBMISSION_HEADER_SYNTAX);
	fixture->submission.fix = false;
	expect_refused(fixture, " by mx.example\r\nFrom: a@b.example\r\n\r\n",
		       SUBMISSION_HEADER_SYNTAX);
	expect_refused(fixture, "\tby mx.example\r\n\r\n", SUBMISSION_HEADER_SYNTAX);
}

static void e1_e2_identities_are_checked(void **state)
{
	struct fixture *fixture = *state;

	expect_refused(fixture, "From: bob@example.org\r\n\r\n", SUBMISSION_FROM_DENIED);
	assert_string_equal(fixture->report.detail, "bob@example.org");
	expect_refused(fixture, "From: alice@example.org\r\nSender: bob@example.org\r\n\r\n",
		       SUBMISSION_FROM_DENIED);
	expect_refused(fixture, "From: alice@example.org\r\nResent-From: bob@example.org\r\n\r\n",
		       SUBMISSION_FROM_DENIED);
	expect_refused(fixture, "Resent-Sender: bob@example.org\r\n\r\n", SUBMISSION_FROM_DENIED);
	expect_refused(fixture, "From: alice@example.org\r\nFrom: bob@example.org\r\n\r\n",
		       SUBMISSION_FROM_SYNTAX);
	expect_refused(fixture, "From: alice@example.org\r\nfrom: alice@example.org\r\n\r\n",
		       SUBMISSION_FROM_SYNTAX);
	expect_refused(fixture, "From: alice@example.org, bob@example.org\r\n\r\n",
		       SUBMISSION_FROM_DENIED);
	expect_refused(fixture, "From:\r\n\r\n", SUBMISSION_FROM_SYNTAX);
	expect_refused(fixture, "From : alice@example.org\r\n\r\n", SUBMISSION_FROM_SYNTAX);
	expect_refused(fixture, "Sender\t: alice@example.org\r\n\r\n", SUBMISSION_FROM_SYNTAX);
	expect_refused(fixture, " From: alice@example.org\r\n\r\n", SUBMISSION_HEADER_SYNTAX);
	expect_refused(fixture, "From\r\n : alice@example.org\r\n\r\n", SUBMISSION_HEADER_SYNTAX);
	expect_refused(fixture, "From: alice@example.org\r\nFrom\rx: b\r\n\r\n",
		       SUBMISSION_HEADER_SYNTAX);
	expect_refused(fixture, "Hello, this has no header\r\n", SUBMISSION_HEADER_SYNTAX);
}

static void without_login_received_only(void **state)
{
	struct fixture *fixture = *state;
	struct trace *trace = &fixture->submission.trace;

	fixture->submission.fix = trace->login = false;
	trace->account = SLICE_LIT("");
	trace->helo = SLICE_LIT("mx.example.com");
	trace->client = SLICE_LIT("2001:db8::1");
	trace->protocol = SLICE_LIT("ESMTP");
	trace->tls = trace->recipient = SLICE_LIT("");
	expect(fixture, "From: bob@evil.test, x\r\nBcc: y\r\nno field\r\nFrom: z\r\n\r\n",
	       "Received: from mx.example.com ([IPv6:2001:db8::1])\r\n\tby mail.example.org with "
	       "ESMTP id 5f3-0k7d2m9xq4r8t1w6y3z5;\r\n\tSun, 22 Nov 2026 22:49:08 +0000\r\n"
	       "From: bob@evil.test, x\r\nBcc: y\r\nno field\r\nFrom: z\r\n\r\n");
}

/* One valid Received field, whatever stands in it; its value. */
static struct slice received(struct fixture *fixture)
{
	struct slice rest;
	struct header_field field;
	size_t depth = 0;

	buf_clear(&fixture->out);
	assert_int_equal(received_print(&fixture->submission.trace, &fixture->out), ERR_OK);
	rest = buf_data(&fixture->out);
	assert_int_equal(header_next(&rest, &field), ERR_OK);
	assert_true(slice_is(field.name, "Received"));
	assert_int_equal(rest.len, 0);
	for (size_t i = 0, line = 0; i < field.whole.len; i++) {
		char c = field.whole.ptr[i];

		depth += c == '(' ? 1 : 0;
		assert_false(c == ')' && depth == 0);
		depth -= c == ')' ? 1 : 0;
		line = c == '\n' ? 0 : line + 1;
		assert_true(line <= 998); /* RFC 5322 2.1.1 */
		assert_true(ascii_is_print(c) || slice_has_byte(SLICE_LIT("\r\n\t"), c));
	}
	assert_int_equal(depth, 0);
	return field.value;
}

/* A HELO name must not become a header, a comment or a line of its own. */
static void e3_trace_is_filtered(void **state)
{
	static const char *const evil[] = {
		"a\r\nFrom: evil@evil.test\r\n\r\nx",
		"a)b(c",
		"a\\",
		"a;b",
		"\xc3\xbc\xff\xfe",
		"\"a",
		"<a>",
		"((((",
		"[",
		"]",
		"a\tb  c",
		"\x7f",
	};
	struct fixture *fixture = *state;
	struct trace *trace = &fixture->submission.trace;
	struct slice *const tokens[] = {&trace->helo,    &trace->client,   &trace->client_name,
					&trace->account, &trace->id,       &trace->protocol,
					&trace->tls,     &trace->recipient};
	char text[1000];

	for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
		for (size_t fill = strlen(evil[i]); fill <= sizeof(text);
		     fill += sizeof(text) - 20) {
			memset(text, 'x', sizeof(text));
			memcpy(text, evil[i], strlen(evil[i]));
			for (size_t k = 0; k < sizeof(tokens) / sizeof(tokens[0]); k++) {
				*tokens[k] = slice_of(text, fill);
				received(fixture);
			}
			for (size_t k = 0; k < sizeof(tokens) / sizeof(tokens[0]); k++)
				*tokens[k] = SLICE_LIT("");
		}
	}
	trace->helo = SLICE_LIT("a\r\nFrom: e");
	assert_true(slice_starts(received(fixture), " from a??From??e"));
	trace->helo = SLICE_LIT("[IPv6:2001:db8::1]");
	assert_true(slice_starts(received(fixture), " from [IPv6:2001:db8::1]\r\n"));
	trace->helo = SLICE_LIT("[a][b]");
	assert_true(slice_starts(received(fixture), " from ?a??b?\r\n"));
}

static void what_received_shows(void **state)
{
	struct fixture *fixture = *state;
	struct trace *trace = &fixture->submission.trace;

	trace->helo = SLICE_LIT("laptop");
	trace->client = SLICE_LIT("192.0.2.7");
	trace->client_name = SLICE_LIT("dsl.isp.example");
	trace->account = SLICE_LIT("alice@example.org");
	assert_true(slice_starts(received(fixture), " from laptop (dsl.isp.example [192.0.2.7]) "
						    "(account alice@example.org)\r\n\tby mail."));
	trace->client_name = SLICE_LIT("");
	assert_true(slice_starts(received(fixture),
				 " from laptop ([192.0.2.7]) (account alice@example.org)\r\n"));
	trace->key = SLICE_LIT("scanner\r\n(x)");
	assert_true(slice_starts(
		received(fixture),
		" from laptop ([192.0.2.7]) (account alice@example.org, key scanner???x?)\r\n"));
	trace->client = trace->helo = trace->account = SLICE_LIT("");
	assert_true(slice_starts(received(fixture), " from authenticated-user\r\n\tby mail."));
	trace->login = false;
	assert_true(slice_starts(received(fixture), " from unknown\r\n\tby mail."));
	/* An address beyond ASCII is named only to those who can read it (RFC 6531 3.7.3). */
	trace->recipient = SLICE_LIT("\xc3\xa4@example.org");
	assert_true(slice_search(received(fixture), SLICE_LIT("for <")) == received(fixture).len);
	trace->utf8 = true;
	buf_clear(&fixture->out);
	assert_int_equal(received_print(trace, &fixture->out), ERR_OK);
	assert_true(slice_search(buf_data(&fixture->out),
				 SLICE_LIT("for <\xc3\xa4@example.org>;\r\n")) <
		    buf_len(&fixture->out));
}

static void e6_loops(void **state)
{
	struct fixture *fixture = *state;
	struct buf header;

	for (int fix = 0; fix < 2; fix++) {
		fixture->submission.fix = fix;
		buf_init(&header, 1 << 20);
		for (int i = 0; i < 50; i++)
			buf_append_str(&header,
				       i % 3 ? "received: x\r\n" : "Received : x\r\n y\r\n");
		buf_append_str(&header, "X-Received: x\r\n");
		apply(fixture, buf_data(&header));
		assert_int_equal(fixture->verdict, SUBMISSION_OK);
		buf_append_str(&header, "Received: x\r\n");
		apply(fixture, buf_data(&header));
		assert_int_equal(fixture->verdict, SUBMISSION_LOOP);
		buf_release(&header);
	}
}

/* Names are compared with a fixed list: nothing is keyed by them, however they are chosen. */
static void e5_names(void **state)
{
	static const char *const names[] = {
		"__proto__", "constructor", "toString", "hasOwnProperty",
		"-",         "%s%n",        "\\",       "aaaaaaaaaaaa"};
	struct fixture *fixture = *state;
	struct buf header;

	buf_init(&header, 1 << 20);
	for (int i = 0; i < HEADER_FIELDS_MAX; i++) {
		if (i < 8 * 4)
			buf_printf(&header, "%s: x\r\n", names[i % 8]);
		else
			buf_printf(&header, "X-%d: x\r\n", i);
	}
	apply(fixture, buf_data(&header));
	assert_int_equal(fixture->verdict, SUBMISSION_OK);
	assert_true(slice_search(buf_data(&fixture->out), buf_data(&header)) <
		    buf_len(&fixture->out));
	buf_append_str(&header, "x: x\r\n");
	apply(fixture, buf_data(&header));
	assert_int_equal(fixture->verdict, SUBMISSION_TOO_MANY_FIELDS);
	for (int i = 0; i < 10000; i++)
		buf_printf(&header, "Y-%d: x\r\n", i);
	apply(fixture, buf_data(&header));
	assert_int_equal(fixture->verdict, SUBMISSION_TOO_MANY_FIELDS);
	buf_release(&header);
	expect_refused(fixture, ": x\r\n\r\n", SUBMISSION_HEADER_SYNTAX);
	expect_refused(fixture, "From: alice@example.org\r\n: x\r\n\r\n", SUBMISSION_HEADER_SYNTAX);
	assert_string_equal(field_name(field_id(SLICE_LIT("__proto__"))), "");
}

/* What is as large as a header may be, filled with one thing: refused or passed, not dwelt on. */
static void e4_floods(void **state)
{
	static const char *const fields[] = {"From", "To", "Authentication-Results", "Bcc",
					     "TLS-Required"};
	static const char *const fill[] = {"(", "a@b.test,",          "\"",  "\\",   "<", " ", ",",
					   ":", "alice@example.org,", "(\\", "\r\n "};
	struct fixture *fixture = *state;
	struct buf header;

	fixture->submission.qualify = "example.org";
	buf_release(&fixture->out);
	buf_init(&fixture->out, 8 << 20);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) * 11; i++) {
		buf_init(&header, HEADER_SIZE_MAX);
		buf_printf(&header, "%s: ", fields[i / 11]);
		while (buf_append_str(&header, fill[i % 11]) == ERR_OK)
			;
		buf_truncate(&header, buf_len(&header) - 4);
		buf_append_str(&header, "\r\n\r\n");
		apply(fixture, buf_data(&header));
		if (i / 11 == 0)
			assert_int_not_equal(fixture->verdict, SUBMISSION_OK);
		buf_release(&header);
	}
}

static void bare_addresses_get_a_domain(void **state)
{
	static const char header[] =
		"From: root (Cron Daemon)\r\nTo: root, Bob <bob@example.net>,\r\n\t\"x, y\" "
		"<ops>\r\n"
		"Cc: friends: a, b;\r\nReply-To: root\r\nResent-To: \"root\"\r\nX-To: root\r\n"
		"Date: x\r\nMessage-ID: <x@y>\r\n\r\n";
	struct fixture *fixture = *state;

	expect_refused(fixture, header, SUBMISSION_FROM_SYNTAX);
	fixture->submission.qualify = "cron.example";
	expect_refused(fixture, header, SUBMISSION_FROM_DENIED);
	assert_string_equal(fixture->report.detail, "root@cron.example");
	fixture->submission.may_send_as = anybody;
	expect(fixture, header,
	       RECEIVED
	       "From: root@cron.example (Cron Daemon)\r\n"
	       "To: root@cron.example, Bob <bob@example.net>,\r\n\t\"x, y\" "
	       "<ops@cron.example>\r\n"
	       "Cc: friends: a, b;\r\nReply-To: root@cron.example\r\nResent-To: \"root\"\r\n"
	       "X-To: root\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n");
	expect_set(fixture->report.qualified, "from,reply-to,to");
}

static void tls_required(void **state)
{
	static const struct {
		const char *fields;
		bool optional;
	} cases[] = {
		{"TLS-Required: No\r\n", true},
		{"tls-required:NO\r\n", true},
		{"TLS-Required: (x)\r\n\tno (y)\r\n", true},
		{"TLS-Required: No\r\nTLS-Required: No\r\n", true},
		{"TLS-Required: No\r\nTLS-Required: Yes\r\n", false},
		{"TLS-Required: None\r\n", false},
		{"TLS-Required: N\r\n", false},
		{"TLS-Required:\r\n", false},
		{"X-TLS-Required: No\r\n", false},
		{"", false},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) * 2; i++) {
		fixture->submission.fix = i % 2;
		apply(fixture, slice_str(cases[i / 2].fields));
		assert_int_equal(fixture->verdict, SUBMISSION_OK);
		if (fixture->report.tls_optional != cases[i / 2].optional)
			fail_msg("%s", cases[i / 2].fields);
		assert_true(slice_search(buf_data(&fixture->out), slice_str(cases[i / 2].fields)) <
			    buf_len(&fixture->out));
	}
}

/* Only CR LF CR LF ends a header; what else could hide a field refuses the message. */
static void a11_no_other_end_of_a_header(void **state)
{
	static const char *const headers[] = {
		"Subject: x\r\r\nFrom: boss@example.org\r\n\r\n",
		"Subject: x\r\n\rFrom: boss@example.org\r\n\r\n",
		"Subject: x\n\nFrom: boss@example.org\r\n\r\n",
		"Subject: x\r\r\n\r\nFrom: boss@example.org\r\n\r\n",
		"Subject: x\r\n\r\r\nFrom: boss@example.org\r\n\r\n",
		"Subject: x\rFrom: boss@example.org\r\n\r\n",
		"Subject: x\nFrom: boss@example.org\r\n\r\n",
		"Subject: x\r\n\nFrom: boss@example.org\r\n\r\n",
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct slice header = slice_str(headers[i]);
		struct header_gather gather;
		struct slice rest = SLICE_LIT("");

		header_gather_init(&gather);
		assert_int_equal(header_gather_feed(&gather, header, &rest), ERR_OK);
		apply(fixture, buf_data(&gather.bytes));
		assert_int_equal(fixture->verdict, SUBMISSION_HEADER_SYNTAX);
		header_gather_release(&gather);
	}
}

static void full_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;

	for (size_t max = 0; max < 400; max++) {
		buf_release(&fixture->out);
		buf_init(&fixture->out, max);
		if (submission_apply(&fixture->submission, SLICE_LIT("Subject: x\r\n\r\n"),
				     &fixture->out, &fixture->verdict, &fixture->report) == ERR_OK)
			return;
		assert_int_equal(buf_len(&fixture->out), 0);
	}
	fail_msg("it never fits");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(whole_header_stays),
		TEST(missing_is_added),
		TEST(e7_blind_copies_go),
		TEST(e6_forged_results_go),
		TEST(e2_no_blank_before_the_first_field),
		TEST(e1_e2_identities_are_checked),
		TEST(without_login_received_only),
		TEST(e3_trace_is_filtered),
		TEST(what_received_shows),
		TEST(e6_loops),
		TEST(e5_names),
		TEST(e4_floods),
		TEST(bare_addresses_get_a_domain),
		TEST(tls_required),
		TEST(a11_no_other_end_of_a_header),
		TEST(full_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
