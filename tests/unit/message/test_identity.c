/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a message says it is from: each form in which two programs have been known to see two
 * senders, under each of the three policies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "message/submission.h"

#define REST "Date: x\r\nMessage-ID: <x@y>\r\n\r\n"

/* alice has two addresses, one with sub-addresses, and a domain. */
static bool alices(void *arg, struct slice address)
{
	(void)arg;
	return slice_is_nocase(address, "alice@example.org") ||
	       slice_is_nocase(address, "alice+lists@example.org") ||
	       slice_is_nocase(address, "sales@example.org") ||
	       (address.len > 12 &&
		slice_is_nocase(slice_skip(address, address.len - 12), "@lab.example"));
}

struct outcome {
	enum submission_verdict verdict;
	struct submission_report report;
	char out[4096]; /* without Received */
};

static struct outcome apply(const char *fields, enum submission_policy policy, bool utf8)
{
	struct submission submission = {
		.trace = {.hostname = "mail.example.org", .login = true, .utf8 = utf8},
		.fix = true,
		.policy = policy,
		.from_address = SLICE_LIT("alice@example.org"),
		.hops_max = 50,
		.may_send_as = alices,
	};
	struct outcome outcome = {.out = ""};
	struct slice out;
	char header[2048];
	struct buf buf;

	snprintf(header, sizeof(header), "%s" REST, fields);
	buf_init(&buf, 65536);
	assert_int_equal(submission_apply(&submission, slice_str(header), &buf, &outcome.verdict,
					  &outcome.report),
			 ERR_OK);
	out = buf_data(&buf);
	assert_int_equal(out.len > 0, outcome.verdict == SUBMISSION_OK);
	if (out.len > 0) {
		out = slice_skip(out, slice_search(out, SLICE_LIT("+0000\r\n")) + 7);
		assert_int_equal(slice_copy(out, outcome.out, sizeof(outcome.out)), ERR_OK);
	}
	buf_release(&buf);
	return outcome;
}

static const char *const fine[] = {
	"From: alice@example.org\r\n",
	"From: ALICE@EXAMPLE.ORG\r\n",
	"From: Alice <alice+lists@example.org>\r\n",
	"From: anything@lab.example\r\n",
	"From: Alice <alice@example.org>\r\nSender: sales@example.org\r\n",
	"From: alice@example.org, Sales <sales@example.org>\r\nSender: alice@example.org\r\n",
	"From: alice@example.org\r\nResent-From: alice@example.org, x@lab.example\r\n"
	"Resent-Sender: alice@example.org\r\nResent-From: sales@example.org\r\n",
	"From: \"bob@evil.test\" <alice@example.org>\r\n",
	"From: \xc3\x84lice <alice@example.org>\r\n",
	"From: alice@example.org\r\nX-From: bob@evil.test\r\nReply-To: bob@evil.test\r\n",
};

static void e1_what_is_theirs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		for (int policy = SUBMISSION_REJECT; policy <= SUBMISSION_LOG; policy++) {
			struct outcome outcome = apply(fine[i], policy, false);

			if (outcome.verdict != SUBMISSION_OK || outcome.report.mismatch != 0)
				fail_msg("%s: %s", fine[i], outcome.report.detail);
			assert_memory_equal(outcome.out, fine[i], strlen(fine[i]));
			assert_string_equal(outcome.out + strlen(fine[i]), REST);
		}
	}
}

static const struct {
	const char *fields;
	enum submission_verdict verdict;
} foreign[] = {
	/* Somebody else's (E1). */
	{"From: bob@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@example.org.evil.test\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@evil.example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice-lists@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: x@sub.lab.example\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@[192.0.2.1]\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@example.org\r\nSender: bob@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@example.org\r\nResent-From: bob@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@example.org\r\nResent-Sender: bob@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"Sender: bob@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"Resent-From: bob@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@example.org, bob@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: bob@example.org, alice@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: \"alice@example.org\" <bob@evil.test>\r\n", SUBMISSION_FROM_DENIED},
	{"From: =?utf-8?q?alice=40example.org?= <bob@evil.test>\r\n", SUBMISSION_FROM_DENIED},
	{"From: (alice@example.org) bob@evil.test\r\n", SUBMISSION_FROM_DENIED},
	{"From: bob@evil.test (<alice@example.org>)\r\n", SUBMISSION_FROM_DENIED},
	/* Two senders for two readers (E2). */
	{"From: alice@example.org\r\nFrom: bob@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: bob@example.org\r\nFrom: alice@example.org\r\n", SUBMISSION_FROM_DENIED},
	{"From: alice@example.org\r\nFROM: alice@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"Sender: alice@example.org\r\nSender: alice@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From : alice@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From\t: bob@example.org\r\nFrom: alice@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice@example.org\r\nFrom : bob@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From:\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: \r\n \r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: Alice\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <@evil.test:alice@example.org>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <@evil.test,@b.test:alice@example.org>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: friends: alice@example.org;\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <alice@example.org><bob@evil.test>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice@example.org <bob@evil.test>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <alice@example.org> bob@evil.test\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <alice@example.org> <bob@evil.test>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: bob@evil.test alice@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <<alice@example.org>>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: <alice@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice@example.org@evil.test\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: \"alice\\\r\n @example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice(bob@evil.test)@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: al\\ice@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: =?utf-8?q?=3Calice=40example.org=3E?=\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: =?utf-8?q?alice?=@example.org <bob@evil.test>\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice@example.org,\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice@example.org;\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice@example.org \xff\r\n", SUBMISSION_FROM_SYNTAX},
	{"From: alice\xef\xbc\xa0"
	 "example.org\r\n",
	 SUBMISSION_FROM_SYNTAX},
	{"From: \x01"
	 "alice@example.org\r\n",
	 SUBMISSION_FROM_SYNTAX},
	{"Sender: alice@example.org, sales@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"Resent-Sender: alice@example.org, sales@example.org\r\n", SUBMISSION_FROM_SYNTAX},
	{"Resent-From: friends:;\r\n", SUBMISSION_FROM_SYNTAX},
	/* No header to look for a sender in; so in every policy. */
	{" From: alice@example.org\r\n", SUBMISSION_HEADER_SYNTAX},
	{"\tx\r\nFrom: alice@example.org\r\n", SUBMISSION_HEADER_SYNTAX},
	{"From\r\n : alice@example.org\r\n", SUBMISSION_HEADER_SYNTAX},
	{"From alice@example.org: x\r\n", SUBMISSION_HEADER_SYNTAX},
	{"From alice Mon Jan 1 2026\r\nFrom: alice@example.org\r\n", SUBMISSION_HEADER_SYNTAX},
	{"Fr\xc3\xb6m: alice@example.org\r\n", SUBMISSION_HEADER_SYNTAX},
	{"From\xc2\xa0: alice@example.org\r\n", SUBMISSION_HEADER_SYNTAX},
	{"From: alice@example.org\r\nFrom\rx: bob@evil.test\r\n", SUBMISSION_HEADER_SYNTAX},
	{"From: alice@example.org\nFrom: bob@evil.test\r\n", SUBMISSION_HEADER_SYNTAX},
};

static void e1_e2_reject(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct outcome outcome = apply(foreign[i].fields, SUBMISSION_REJECT, false);

		if (outcome.verdict != foreign[i].verdict)
			fail_msg("%s: %d: %s", foreign[i].fields, outcome.verdict,
				 outcome.report.detail);
		assert_string_not_equal(outcome.report.detail, "");
	}
}

/* Other than in the envelope, log lets all pass that is a header, and tells. */
static void e1_e2_log(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct outcome outcome = apply(foreign[i].fields, SUBMISSION_LOG, false);
		bool header = foreign[i].verdict != SUBMISSION_HEADER_SYNTAX;

		assert_int_equal(outcome.verdict,
				 header ? SUBMISSION_OK : SUBMISSION_HEADER_SYNTAX);
		if (!header)
			continue;
		assert_int_not_equal(outcome.report.mismatch, 0);
		assert_memory_equal(outcome.out, foreign[i].fields, strlen(foreign[i].fields));
		if (foreign[i].verdict == SUBMISSION_FROM_DENIED)
			assert_string_not_equal(outcome.report.used, "");
	}
}

/* After rewriting, no field that names a sender names another, and all of them can be read. */
static void e1_e2_rewrite(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct outcome outcome = apply(foreign[i].fields, SUBMISSION_REWRITE, false);
		bool header = foreign[i].verdict != SUBMISSION_HEADER_SYNTAX;
		struct outcome again;

		assert_int_equal(outcome.verdict,
				 header ? SUBMISSION_OK : SUBMISSION_HEADER_SYNTAX);
		if (!header)
			continue;
		assert_int_not_equal(outcome.report.mismatch, 0);
		outcome.out[strlen(outcome.out) - 2] = '\0'; /* the empty line */
		again = apply(outcome.out, SUBMISSION_REJECT, false);
		if (again.verdict != SUBMISSION_OK)
			fail_msg("%s: %s", foreign[i].fields, outcome.out);
		assert_int_equal(again.report.added, 0);
	}
}

static void rewritten(const char *fields, const char *want, const char *added)
{
	struct outcome outcome = apply(fields, SUBMISSION_REWRITE, false);
	char text[128];

	assert_int_equal(outcome.verdict, SUBMISSION_OK);
	assert_string_equal(outcome.out, want);
	assert_string_equal(field_set_print(outcome.report.added, text, sizeof(text)), added);
}

static void rewriting_keeps_what_was(void **state)
{
	(void)state;
	rewritten("From: \"Bob (B)\"\r\n <bob@example.net>\r\nTo: x@y.test\r\n",
		  "From: \"Bob (B)\" <alice@example.org>\r\n"
		  "X-Original-From: \"Bob (B)\"\r\n <bob@example.net>\r\nTo: x@y.test\r\n"
		  "Date: x\r\nMessage-ID: <x@y>\r\n"
		  "Reply-To: \"Bob (B)\"\r\n <bob@example.net>\r\n\r\n",
		  "reply-to");
	rewritten("Reply-To: list@example.net\r\nFrom: bob@example.net, c@d.test\r\n",
		  "Reply-To: list@example.net\r\nFrom: <alice@example.org>\r\n"
		  "X-Original-From: bob@example.net, c@d.test\r\n" REST,
		  "");
	rewritten("From: root (Cron Daemon)\r\n",
		  "From: <alice@example.org>\r\nX-Original-From: root (Cron Daemon)\r\n" REST, "");
	rewritten("From: alice@example.org\r\nFrom: bob@example.net\r\nSender: bob@example.net\r\n",
		  "From: alice@example.org\r\nX-Original-From: bob@example.net\r\n"
		  "X-Original-Sender: bob@example.net\r\n" REST,
		  "");
	rewritten("From: alice@example.org, sales@example.org\r\nSender: bob@example.net\r\n",
		  "From: alice@example.org, sales@example.org\r\n"
		  "X-Original-Sender: bob@example.net\r\nDate: x\r\nMessage-ID: <x@y>\r\n"
		  "Sender: <alice@example.org>\r\n\r\n",
		  "sender");
}

/* Several authors need a Sender (RFC 5322 3.6.2), and who sends is known. */
static void several_authors(void **state)
{
	struct outcome outcome =
		apply("From: alice@example.org, sales@example.org\r\n", SUBMISSION_REJECT, false);
	char many[2000] = "From: alice@example.org";

	(void)state;
	assert_int_equal(outcome.verdict, SUBMISSION_OK);
	assert_string_equal(outcome.out,
			    "From: alice@example.org, sales@example.org\r\nDate: x\r\n"
			    "Message-ID: <x@y>\r\nSender: <alice@example.org>\r\n\r\n");
	for (size_t i = 0; i < 64; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), ",alice@example.org");
	snprintf(many + strlen(many), sizeof(many) - strlen(many), "\r\n");
	outcome = apply(many, SUBMISSION_REJECT, false);
	assert_int_equal(outcome.verdict, SUBMISSION_FROM_SYNTAX);
}

static bool counted(void *arg, struct slice address)
{
	++*(unsigned *)arg;
	return address.len != 0;
}

/* Each address is held against all rights of the account: a header asks for so many, not more. */
static void e4_look_ups_are_bounded(void **state)
{
	unsigned asked = 0;
	struct submission submission = {
		.trace = {.hostname = "mail.example.org", .login = true},
		.fix = true,
		.policy = SUBMISSION_LOG,
		.from_address = SLICE_LIT("alice@example.org"),
		.hops_max = 50,
		.may_send_as = counted,
		.arg = &asked,
	};
	struct submission_report report;
	enum submission_verdict verdict;
	struct buf header, out;

	(void)state;
	buf_init(&header, 1 << 20);
	buf_init(&out, 2 << 20);
	buf_append_str(&header, "From: alice@example.org\r\n");
	for (int i = 0; i < 400; i++) {
		buf_append_str(&header, "Resent-From: a@x.example");
		for (int j = 1; j < 64; j++)
			buf_append_str(&header, ",a@x.example");
		buf_append_str(&header, "\r\n");
	}
	buf_append_str(&header, "\r\n");
	assert_int_equal(submission_apply(&submission, buf_data(&header), &out, &verdict, &report),
			 ERR_OK);
	assert_int_equal(verdict, SUBMISSION_OK);
	assert_int_equal(asked, 256);
	assert_true(report.mismatch != 0); /* what was not looked at is not the account's */
	buf_clear(&out);
	submission.policy = SUBMISSION_REJECT;
	asked = 0;
	assert_int_equal(submission_apply(&submission, buf_data(&header), &out, &verdict, &report),
			 ERR_OK);
	assert_int_equal(verdict, SUBMISSION_FROM_SYNTAX);
	assert_int_equal(asked, 256);
	assert_true(slice_starts(slice_str(report.detail),
				 "Resent-From is one too many that says who a message is from"));
	buf_release(&header);
	buf_release(&out);
}

/* A local part beyond ASCII needs SMTPUTF8; then it is compared like any other. */
static void wide_senders(void **state)
{
	static const char field[] = "From: <\xc3\xa4@lab.example>\r\n";
	static const char other[] = "From: <\xc3\xa4@example.org>\r\n";

	(void)state;
	assert_int_equal(apply(field, SUBMISSION_REJECT, false).verdict, SUBMISSION_FROM_SYNTAX);
	assert_int_equal(apply(field, SUBMISSION_REJECT, true).verdict, SUBMISSION_OK);
	assert_int_equal(apply(other, SUBMISSION_REJECT, true).verdict, SUBMISSION_FROM_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e1_what_is_theirs),
		cmocka_unit_test(e1_e2_reject),
		cmocka_unit_test(e1_e2_log),
		cmocka_unit_test(e1_e2_rewrite),
		cmocka_unit_test(rewriting_keeps_what_was),
		cmocka_unit_test(several_authors),
		cmocka_unit_test(e4_look_ups_are_bounded),
		cmocka_unit_test(wide_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
