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

static int setup(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){
		.submission =
			{
				.trace = {.hostname = "mail.example.org",
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
	"Received: from authenticated-user\r\n\tby mail.example.org with ESMTPSA id "              \
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

static void whole_header_stays(void **state)
{
	struct fixture *fixture = *state;
	const char *header = "FROM: Alice <alice@example.org>\r\ndate: yesterday\r\n"
			     "Message-Id:\r\n <x@y>\r\nX-Odd  :   \r\n  folded  \r\n\r\n";
	char want[1024];

	snprintf(want, sizeof(want), "%s%s", RECEIVED, header);
	expect(fixture, header, want);
	assert_false(fixture->report.added_date || fixture->report.added_from ||
		     fixture->report.added_message_id || fixture->report.removed_bcc);
	assert_string_equal(fixture->report.message_id, "<x@y>");
}

static void missing_is_added(void **state)
{
	struct fixture *fixture = *state;

	expect(fixture, "Subject: x\r\n\r\n",
	       RECEIVED "Subject: x\r\nDate: Sun, 22 Nov 2026 22:49:08 +0000\r\n"
			"From: <alice@example.org>\r\nMessage-ID: <1.2@mail.example.org>\r\n\r\n");
	assert_true(fixture->report.added_date && fixture->report.added_from &&
		    fixture->report.added_message_id);
	assert_string_equal(fixture->report.message_id, "<1.2@mail.example.org>");
	/* A message without a body has no empty line to put them before. */
	expect(fixture, "From: alice@example.org\r\nDate: x\r\n",
	       RECEIVED
	       "From: alice@example.org\r\nDate: x\r\nMessage-ID: <1.2@mail.example.org>\r\n");
}

static void blind_copies_go(void **state)
{
	struct fixture *fixture = *state;

	expect(fixture,
	       "Bcc: secret@example.net,\r\n\tmore@example.net\r\nFrom: alice@example.org\r\n"
	       "bCC:a@b\r\nDate: x\r\nResent-Bcc: c@d\r\nMessage-ID: <x@y>\r\nX-Bcc: stays\r\n\r\n",
	       RECEIVED
	       "From: alice@example.org\r\nDate: x\r\nMessage-ID: <x@y>\r\nX-Bcc: stays\r\n\r\n");
	assert_true(fixture->report.removed_bcc);
}

static void forged_results_go(void **state)
{
	struct fixture *fixture = *state;

	expect(fixture,
	       "Authentication-Results: Mail.Example.ORG; dkim=pass\r\n"
	       "Authentication-Results:\r\n mail.example.org\r\n ;spf=pass\r\n"
	       "Authentication-Results: mail.example.org.evil.test; dkim=pass\r\n"
	       "From: alice@example.org\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n",
	       RECEIVED "Authentication-Results: mail.example.org.evil.test; dkim=pass\r\n"
			"From: alice@example.org\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n");
}

static void identities_are_checked(void **state)
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
		       SUBMISSION_FROM_SYNTAX);
	expect_refused(fixture, "From:\r\n\r\n", SUBMISSION_FROM_SYNTAX);
	expect_refused(fixture, "From : alice@example.org\r\n\r\n", SUBMISSION_HEADER_SYNTAX);
	expect_refused(fixture, "Bcc\t: x@y\r\n\r\n", SUBMISSION_HEADER_SYNTAX);
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

	fixture->submission.fix = false;
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

/* A HELO name must not become a header, a comment or a line of its own (E3). */
static void trace_is_filtered(void **state)
{
	struct fixture *fixture = *state;
	struct trace *trace = &fixture->submission.trace;
	char helo[2000];
	struct slice rest;
	struct header_field field;

	memset(helo, 'x', sizeof(helo));
	memcpy(helo, "a\r\nFrom: evil)\\;<\xc3\xbc(", 20);
	trace->helo = slice_of(helo, sizeof(helo));
	trace->client = SLICE_LIT("1.2.3.4])\r\nX: y");
	trace->account = trace->id = trace->protocol = trace->tls = trace->recipient =
		SLICE_LIT("a\r\n)b\r\n\r\nFrom: x>\xff");
	assert_int_equal(received_print(trace, &fixture->out), ERR_OK);
	rest = buf_data(&fixture->out);
	assert_int_equal(header_next(&rest, &field), ERR_OK);
	assert_true(slice_is(field.name, "Received"));
	assert_int_equal(rest.len, 0);
	assert_true(slice_starts(field.value, " from a??From:?evil??"));
	assert_true(field.whole.len < 1600);
	for (size_t i = 0; i < field.value.len; i++)
		assert_true(ascii_is_print(field.value.ptr[i]) ||
			    slice_has_byte(SLICE_LIT("\r\n\t"), field.value.ptr[i]));
}

static void loops_and_floods(void **state)
{
	struct fixture *fixture = *state;
	struct buf header;

	buf_init(&header, 1 << 20);
	for (int i = 0; i < 50; i++)
		buf_append_str(&header, "received: x\r\n");
	apply(fixture, buf_data(&header));
	assert_int_equal(fixture->verdict, SUBMISSION_OK);
	buf_append_str(&header, "Received: x\r\n");
	apply(fixture, buf_data(&header));
	assert_int_equal(fixture->verdict, SUBMISSION_LOOP);
	buf_clear(&header);
	for (int i = 0; i < HEADER_FIELDS_MAX; i++)
		buf_append_str(&header, "__proto__: x\r\n");
	apply(fixture, buf_data(&header));
	assert_int_equal(fixture->verdict, SUBMISSION_OK);
	buf_append_str(&header, "x: x\r\n");
	apply(fixture, buf_data(&header));
	assert_int_equal(fixture->verdict, SUBMISSION_TOO_MANY_FIELDS);
	buf_release(&header);
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
		TEST(whole_header_stays),     TEST(missing_is_added),
		TEST(blind_copies_go),        TEST(forged_results_go),
		TEST(identities_are_checked), TEST(without_login_received_only),
		TEST(trace_is_filtered),      TEST(loops_and_floods),
		TEST(full_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
