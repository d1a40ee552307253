/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "message/report.h"
#include "message/report_private.h"

static struct report_recipient recipients[600];

static struct report example(void)
{
	recipients[0] = (struct report_recipient){
		.address = SLICE_LIT("bob@example.net"),
		.orcpt = SLICE_LIT("rfc822;bob@example.com"),
		.status = SLICE_LIT("5.1.1"),
		.text = SLICE_LIT("No such user here\nAsk your postmaster"),
		.host = SLICE_LIT("mx.example.net"),
		.code = 550,
	};
	return (struct report){
		.hostname = "mail.example.org",
		.id = SLICE_LIT("5f3-0k7d2m9xq4r8t1w6y3z5"),
		.to = SLICE_LIT("alice@example.org"),
		.arrived = 1795387748000,
		.wall = 1795391348000,
		.random = {7, 9},
		.recipients = recipients,
		.recipient_count = 1,
		.message = SLICE_LIT("From: alice@example.org\r\nSubject: hi\r\n\r\n"),
	};
}

static bool contains(const struct buf *out, const char *text)
{
	return slice_search(buf_data(out), slice_str(text)) < buf_len(out);
}

/* How often a line of its own starts with text. */
static size_t lines_that_start(const struct buf *out, const char *text)
{
	struct slice rest = buf_data(out);
	struct slice line;
	size_t count = 0;

	while (slice_split(&rest, '\n', &line))
		count += slice_starts(line, text);
	return count;
}

static void print(const struct report *report, struct buf *out)
{
	struct slice rest;
	struct slice line;

	buf_init(out, 1 << 20);
	assert_int_equal(report_print(report, out), ERR_OK);
	/* Whatever it was given: 7-bit, CR LF, short lines, no control. */
	rest = buf_data(out);
	while (slice_split(&rest, '\n', &line)) {
		assert_true(line.len > 0 && line.ptr[line.len - 1] == '\r');
		assert_true(line.len <= 999);
		for (size_t i = 0; i + 1 < line.len; i++)
			assert_true(ascii_is_print(line.ptr[i]) || line.ptr[i] == '\t');
	}
}

static void ordinary(void **state)
{
	struct report report = example();
	struct buf out;

	(void)state;
	report.envid = SLICE_LIT("env-1");
	print(&report, &out);
	assert_true(slice_starts(
		buf_data(&out), "From: Mail Delivery System <MAILER-DAEMON@mail.example.org>\r\n"));
	assert_true(contains(&out, "To: <alice@example.org>\r\n"));
	assert_true(contains(&out, "Content-Type: multipart/report; report-type=delivery-status;"));
	assert_true(contains(&out, "Auto-Submitted: auto-replied\r\n"));
	assert_true(contains(&out, "\r\n    mx.example.net said:\r\n    No such user here\r\n    "
				   "Ask your postmaster\r\n"));
	assert_true(contains(
		&out, "Reporting-MTA: dns; mail.example.org\r\nOriginal-Envelope-Id: env-1\r\n"
		      "Arrival-Date: Sun, 22 Nov 2026 22:49:08 +0000\r\n\r\n"));
	assert_true(contains(
		&out,
		"Original-Recipient: rfc822;bob@example.com\r\n"
		"Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\n"
		"Status: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\n"
		"Diagnostic-Code: smtp; 550\r\n No such user here\r\n Ask your postmaster\r\n"));
	assert_true(contains(&out, "From: alice@example.org\r\nSubject: hi\r\n\r\n--=_"));
	buf_release(&out);
}

/* The remote server and the old header try to end parts and start fields (threats H2). */
static void h2_injection(void **state)
{
	struct report report = example();
	struct buf out;
	static const char words[] =
		"x\r\nFinal-Recipient: rfc822; victim@example.com\r\n\r\n--=_\r\n"
		"\x1b[2J \xff\xfe \0 tail\n\nSubject: evil";

	(void)state;
	recipients[0].text = slice_of(words, sizeof(words) - 1);
	recipients[0].orcpt = SLICE_LIT("rfc822;a\r\nStatus: 2.0.0");
	recipients[0].status = SLICE_LIT("5.1.1\r\nX: y");
	recipients[0].host = SLICE_LIT("h\r\nAction: delivered");
	recipients[0].address = SLICE_LIT("b@c\r\nAction: delivered");
	report.envid = SLICE_LIT("e\r\nSubject: evil");
	report.to = SLICE_LIT("a@b>\r\nBcc: victim@example.com");
	report.message = SLICE_LIT(
		"Message-ID: <x>\r\r\n--=_\nSubject: a\0b\xc3\r\nLast: 1\r\n\r\nBODY\r\n");
	print(&report, &out);
	assert_int_equal(lines_that_start(&out, "Final-Recipient:"), 1);
	assert_int_equal(lines_that_start(&out, "Action:"), 1);
	assert_int_equal(lines_that_start(&out, "Status:"), 1);
	assert_int_equal(lines_that_start(&out, "Bcc:"), 0);
	assert_int_equal(lines_that_start(&out, "Diagnostic-Code:"), 1);
	assert_int_equal(lines_that_start(&out, "Subject:"), 2); /* ours, and the quoted one */
	assert_true(contains(&out, "Status: 5.0.0\r\n"));
	assert_false(contains(&out, "BODY"));
	assert_int_equal(lines_that_start(&out, "--=_\r"), 1);
	buf_release(&out);
}

static void expired(void **state)
{
	struct report report = example();
	struct buf out;

	(void)state;
	recipients[0] = (struct report_recipient){.address = SLICE_LIT("bob@example.net"),
						  .cause = REPORT_EXPIRED};
	print(&report, &out);
	assert_true(contains(&out, "Status: 4.4.7\r\n"));
	assert_true(contains(&out, "was tried until the time to give up"));
	assert_int_equal(lines_that_start(&out, "Diagnostic-Code:"), 0);
	buf_release(&out);
}

static void h3_many_and_large(void **state)
{
	struct report report = example();
	static char words[65536];
	static char header[200000];
	struct buf out;

	(void)state;
	memset(words, 'w', sizeof(words));
	memset(header, 'h', sizeof(header));
	for (size_t i = 0; i + 100 <= sizeof(header); i += 100)
		memcpy(header + i, "X-Filler: 1\r\nX-Long: ", 21);
	memset(header, 'H', 5000);
	report.message = slice_of(header, sizeof(header));
	for (size_t i = 0; i < 500; i++) {
		recipients[i] = recipients[0];
		recipients[i].text = slice_of(words, sizeof(words));
	}
	print(&report, &out);
	assert_true(buf_len(&out) < 65536);
	buf_release(&out);
	report.recipient_count = 500;
	print(&report, &out);
	assert_int_equal(lines_that_start(&out, "Final-Recipient:"), 500);
	assert_true(contains(&out, "and 450 more"));
	assert_true(buf_len(&out) < 300 * 1024);
	buf_release(&out);
}

static void boundary_is_absent(void **state)
{
	struct report report = example();
	struct buf first;
	struct buf second;
	struct slice boundary;

	(void)state;
	print(&report, &first);
	boundary = slice_skip(buf_data(&first),
			      slice_search(buf_data(&first), SLICE_LIT("boundary=\"")) + 10);
	boundary = slice_head(boundary, slice_find(boundary, '"'));
	assert_true(boundary.len > 10);
	recipients[0].text = boundary; /* somebody who knows the numbers */
	print(&report, &second);
	assert_int_equal(slice_search(slice_skip(buf_data(&second), 500), SLICE_LIT("boundary=")),
			 buf_len(&second) - 500);
	assert_false(slice_search(slice_head(buf_data(&second), 500), boundary) < 500);
	buf_release(&first);
	buf_release(&second);
}

static void full_leaves_nothing(void **state)
{
	struct report report = example();
	struct buf out;

	(void)state;
	buf_init(&out, 700);
	assert_int_equal(buf_append_str(&out, "before"), ERR_OK);
	assert_int_equal(report_print(&report, &out), ERR_FULL);
	assert_true(slice_is(buf_data(&out), "before"));
	buf_release(&out);
}

/* RFC 6533: to an address in UTF-8 all of it is global; ORCPT is told in characters. */
static void utf8_is_told_in_utf8(void **state)
{
	struct report report = example();
	struct report_form form;
	struct buf out;

	(void)state;
	report.to = SLICE_LIT("\xc3\xa4nn@example.org");
	recipients[0].address = SLICE_LIT("b\xc3\xb6\x62@example.net");
	recipients[0].orcpt = SLICE_LIT("utf-8;b\\x{F6}b+2Bx@example.net");
	report.utf8 = true;
	report.message = SLICE_LIT("Subject: gr\xc3\xbc\xc3\x9f\x65 \xff\r\n\r\nbody\r\n");
	form = report_form(&report);
	assert_true(form.utf8 && form.eight_bit && !form.full);
	buf_init(&out, 1 << 20);
	assert_int_equal(report_print(&report, &out), ERR_OK);
	assert_true(contains(&out, "To: <\xc3\xa4nn@example.org>\r\n"));
	assert_true(contains(&out, "report-type=global-delivery-status;"));
	assert_true(contains(&out, "Content-Type: message/global-delivery-status\r\n"));
	assert_true(contains(&out, "Final-Recipient: utf-8; b\xc3\xb6\x62@example.net\r\n"));
	assert_true(contains(&out, "Original-Recipient: utf-8;b\xc3\xb6\x62+x@example.net\r\n"));
	assert_true(contains(&out, "Content-Type: message/global-headers\r\n"));
	assert_true(contains(&out, "Subject: gr\xc3\xbc\xc3\x9f\x65 ?\r\n"));
	buf_release(&out);
}

/* Who has an address in ASCII may be behind a server that takes nothing else. */
static void utf8_to_a_plain_mailbox(void **state)
{
	struct report report = example();
	struct report_form form;
	struct buf out;

	(void)state;
	recipients[0].address = SLICE_LIT("b\xc3\xb6+=\\@\xf0\x9f\x98\x80.example");
	report.utf8 = true;
	report.message = SLICE_LIT("Subject: gr\xc3\xbc\xc3\x9f\x65= \r\n\r\ngr\xc3\xbc\r\n");
	form = report_form(&report);
	assert_false(form.utf8 || form.eight_bit || form.full);
	print(&report, &out); /* looks for bytes above ASCII */
	assert_true(contains(&out, "report-type=delivery-status;"));
	assert_true(contains(&out, "Content-Type: message/delivery-status\r\n"));
	assert_true(contains(&out, "Final-Recipient: utf-8; "
				   "b\\x{F6}\\x{2B}\\x{3D}\\x{5C}@\\x{1F600}.example\r\n"));
	assert_true(contains(&out, "Content-Transfer-Encoding: quoted-printable\r\n"
				   "Content-Type: text/plain; charset=utf-8\r\n"));
	assert_true(contains(&out, "\r\n  <b=C3=B6+=3D\\@=F0=9F=98=80.example>\r\n"));
	assert_true(contains(&out, "Content-Transfer-Encoding: quoted-printable\r\n"
				   "Content-Type: message/global-headers\r\n\r\n"
				   "Subject: gr=C3=BC=C3=9Fe=3D=20\r\n"));
	buf_release(&out);
	report.full = report.whole = true;
	form = report_form(&report);
	assert_true(form.full && !form.utf8 && !form.eight_bit);
	print(&report, &out);
	assert_true(contains(&out, "Content-Type: message/global\r\n\r\n"
				   "Subject: gr=C3=BC=C3=9Fe=3D=20\r\n\r\ngr=C3=BC\r\n"));
	buf_release(&out);
	/* Plain addresses and header. */
	report.full = false;
	recipients[0].address = SLICE_LIT("bob@example.net");
	recipients[0].orcpt = SLICE_LIT("utf-8;b\\x{F6}b+2Bx@example.net");
	report.message = SLICE_LIT("Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9f\x65\r\n");
	form = report_form(&report);
	assert_false(form.utf8 || form.eight_bit);
	print(&report, &out);
	assert_true(contains(&out, "Original-Recipient: utf-8;b\\x{F6}b+2Bx@example.net\r\n"));
	assert_true(contains(&out, "Content-Type: text/rfc822-headers\r\n"));
	buf_release(&out);
	recipients[0].orcpt = SLICE_LIT("utf-8;b\xc3\xb6\x62@\xf0\x9f\x98\x80.example");
	print(&report, &out);
	assert_true(contains(&out, "Original-Recipient: utf-8;b\\x{F6}b@\\x{1F600}.example\r\n"));
	buf_release(&out);
}

/* Long words are broken within 76 columns, and a report stays within its bound. */
static void h3_quoted_within_bounds(void **state)
{
	static char header[40000];
	struct report report = example();
	struct slice rest, line;
	struct buf out;
	size_t used = 0, quoted = 0;

	(void)state;
	while (used + 802 < sizeof(header)) {
		memcpy(header + used, "X: ", 3);
		for (size_t i = 3; i < 799; i += 2)
			memcpy(header + used + i, "\xc3\xbc", 2);
		memcpy(header + used + 799, "\r\n", 2);
		used += 801;
	}
	report.utf8 = report.full = report.whole = true;
	report.message = slice_of(header, used);
	assert_true(used < REPORT_FULL_MAX && !report_form(&report).full);
	print(&report, &out);
	assert_true(buf_len(&out) < 64 * 1024);
	rest = buf_data(&out);
	while (slice_split(&rest, '\n', &line)) {
		if (slice_search(line, SLICE_LIT("=C3=BC=C3=BC")) == line.len)
			continue;
		assert_true(line.len <= 77);
		quoted++;
	}
	assert_true(quoted > 300);
	buf_release(&out);
}

/* The length that is reckoned with is enough for any bytes, and no line is longer than 76. */
static void h3_quoted_length_holds(void **state)
{
	static const char *const pieces[] = {"a",  "\xc3\xbc",         "\r\n", "\r", "\n", " ", "=",
					     "\t", "many plain words "};
	enum { PIECES = sizeof(pieces) / sizeof(pieces[0]), ROUNDS = 400 };
	struct buf text, out;
	uint32_t chance = 1;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct report_writer writer = {.out = &out};
		struct slice rest, line;

		buf_init(&text, 1 << 16);
		buf_init(&out, 1 << 20);
		for (unsigned i = 0; i < round; i++) {
			chance = chance * 1664525 + 1013904223;
			/* Of one kind in the first rounds, then of ever more. */
			(void)buf_append_str(
				&text,
				pieces[(round + (chance >> 16) % (1 + round / 40)) % PIECES]);
		}
		report_put_quoted(&writer, buf_data(&text));
		assert_int_equal(writer.err, ERR_OK);
		assert_true(buf_len(&out) <= report_quoted_len(buf_data(&text)));
		rest = buf_data(&out);
		while (slice_split(&rest, '\n', &line))
			assert_true(line.len <= 76 + 1); /* and CR */
		buf_release(&text);
		buf_release(&out);
	}
}

static void actions_have_their_status(void **state)
{
	struct report report = example();
	struct buf out;

	(void)state;
	for (size_t i = 1; i < 5; i++)
		recipients[i] = recipients[0];
	recipients[1].action = REPORT_DELAYED;
	recipients[2].action = REPORT_RELAYED;
	recipients[3].action = REPORT_DELIVERED;
	recipients[3].status = SLICE_LIT("2.1.5");
	recipients[4].cause = REPORT_LATE;
	report.recipient_count = 5;
	report.retry_until = report.wall;
	print(&report, &out);
	assert_true(contains(&out, "Subject: What became of your message\r\n"));
	assert_true(contains(&out, "Action: failed\r\nStatus: 5.1.1\r\n"));
	assert_true(contains(&out, "Action: delayed\r\nStatus: 4.0.0\r\n"));
	assert_true(contains(&out, "Action: relayed\r\nStatus: 2.0.0\r\n"));
	assert_true(contains(&out, "Action: delivered\r\nStatus: 2.1.5\r\n"));
	assert_true(contains(&out, "Action: failed\r\nStatus: 5.4.7\r\n"));
	assert_int_equal(lines_that_start(&out, "Will-Retry-Until:"), 1);
	buf_release(&out);
}

/* RFC 3461 4.3: whole, if it is asked for, somebody failed, and it is no burden. */
static void h3_whole_within_bounds(void **state)
{
	static char large[REPORT_FULL_MAX + 1];
	struct report report = example();

	(void)state;
	memset(large, 'x', sizeof(large));
	report.full = report.whole = true;
	assert_true(report_form(&report).full);
	recipients[0].action = REPORT_DELIVERED;
	assert_false(report_form(&report).full);
	recipients[0].action = REPORT_FAILED;
	report.whole = false;
	assert_false(report_form(&report).full);
	report.whole = true;
	report.message = slice_of(large, sizeof(large));
	assert_false(report_form(&report).full);
	report.message = slice_of(large, REPORT_FULL_MAX);
	assert_true(report_form(&report).full && !report_form(&report).eight_bit);
	large[7] = '\xfc';
	assert_true(report_form(&report).eight_bit);
	/* What could not go on for its 8-bit text would not come back with it either. */
	recipients[0].status = SLICE_LIT("5.6.3");
	assert_false(report_form(&report).full || report_form(&report).eight_bit);
	recipients[0].status = SLICE_LIT("5.1.1");
	assert_true(report_form(&report).full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary),
		cmocka_unit_test(h2_injection),
		cmocka_unit_test(expired),
		cmocka_unit_test(h3_many_and_large),
		cmocka_unit_test(boundary_is_absent),
		cmocka_unit_test(full_leaves_nothing),
		cmocka_unit_test(utf8_is_told_in_utf8),
		cmocka_unit_test(utf8_to_a_plain_mailbox),
		cmocka_unit_test(h3_quoted_within_bounds),
		cmocka_unit_test(h3_quoted_length_holds),
		cmocka_unit_test(actions_have_their_status),
		cmocka_unit_test(h3_whole_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
