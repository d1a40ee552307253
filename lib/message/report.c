/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report in three parts (RFC 6522, 3464, 6533): words for people, fields for programs, the
 * header of the message or all of it. All that others chose (addresses, the remote server's words,
 * the old header) passes a filter and a bound, so that it can end no field, no part and no line
 * (threats H2). The result is 7-bit, with no line over 998 bytes, but for what report_form tells:
 * only the mailbox that the report goes to decides whether it needs SMTPUTF8. To one in ASCII UTF-8
 * goes as quoted-printable, which the types of RFC 6532 and 6533 allow, and addresses of the fields
 * in their form for ASCII.
 */
#include "message/report.h"

#include <stdio.h>

#include "base/base32.h"
#include "base/utf8.h"
#include "message/report_private.h"
#include "message/submission.h"

/* What the report says to people, by what is in it. */
enum tone { TONE_FAILED, TONE_DELAYED, TONE_RELAYED, TONE_DELIVERED, TONE_MIXED };

static const struct {
	const char *subject, *words;
} tones[] = {
	[TONE_FAILED] = {"Your message could not be delivered",
			 "Your message could not be delivered to the following recipients, and\r\n"
			 "it will not be tried again."},
	[TONE_DELAYED] = {"Your message is delayed",
			  "Your message has not been delivered to the following recipients yet.\r\n"
			  "It is still being tried: there is nothing that you need do."},
	[TONE_RELAYED] =
		{"Your message was passed on",
		 "You asked to be told of the delivery of your message. It was handed to\r\n"
		 "the mail servers of the following recipients, which do not report what\r\n"
		 "becomes of it: this is the last you hear from here."},
	[TONE_DELIVERED] =
		{"Your message was delivered",
		 "You asked to be told of the delivery of your message. It lies in the\r\n"
		 "mailboxes of the following recipients."},
	[TONE_MIXED] = {"What became of your message",
			"Of the following recipients of your message there is news."},
};

void report_put(struct report_writer *writer, const char *text)
{
	if (writer->err == ERR_OK)
		writer->err = buf_append_str(writer->out, text);
}

static void put_ascii(struct report_writer *writer, struct slice text)
{
	char clean[REPORT_LINE_MAX];
	size_t len = text.len < sizeof(clean) ? text.len : sizeof(clean);

	for (size_t i = 0; i < len; i++)
		clean[i] = ascii_is_print(text.ptr[i]) ? text.ptr[i] : '?';
	if (writer->err == ERR_OK)
		writer->err = buf_append(writer->out, clean, len);
}

void report_put_clean(struct report_writer *writer, struct slice text, size_t max)
{
	char clean[REPORT_LINE_MAX];
	size_t used = 0;

	text = slice_head(text, max < sizeof(clean) ? max : sizeof(clean));
	if (!writer->wide) {
		put_ascii(writer, text);
		return;
	}
	while (text.len != 0) {
		uint32_t code;
		size_t len = utf8_next(text, &code);

		if (len == 0 || utf8_is_unsafe(code)) {
			clean[used++] = '?';
			len = len != 0 ? len : 1;
		} else {
			for (size_t i = 0; i < len; i++)
				clean[used++] = text.ptr[i];
		}
		text = slice_skip(text, len);
	}
	if (writer->err == ERR_OK)
		writer->err = buf_append(writer->out, clean, used);
}

/* Bytes of the remote server's words that one recipient may have. */
static size_t words_share(const struct report *report)
{
	size_t share =
		REPORT_WORDS_ALL / (report->recipient_count > 0 ? report->recipient_count : 1);

	if (share > REPORT_WORDS_LINES * REPORT_WORDS_LINE)
		share = REPORT_WORDS_LINES * REPORT_WORDS_LINE;
	return share > REPORT_WORDS_LEAST ? share : REPORT_WORDS_LEAST;
}

void report_put_words(struct report_writer *writer, struct slice text, const char *indent)
{
	size_t left = words_share(writer->report);
	struct slice line;
	unsigned lines = 0;

	while (lines++ < REPORT_WORDS_LINES && left > 0 && slice_split(&text, '\n', &line)) {
		line = slice_head(slice_trim(line), REPORT_WORDS_LINE);
		line = slice_head(line, left);
		left -= line.len;
		while (line.len > 0) {
			struct slice piece = slice_head(line, REPORT_FOLD);
			size_t blank = slice_find_last(piece, ' ');

			if (line.len > piece.len && blank < piece.len && blank > 0)
				piece = slice_head(piece, blank);
			report_put(writer, indent);
			put_ascii(writer, piece);
			report_put(writer, "\r\n");
			line = slice_trim(slice_skip(line, piece.len));
		}
	}
}

/* ---- the form ---------------------------------------------------------------------------- */
/* With its last CRLF; without the empty line. */
static struct slice header_of(const struct report *report)
{
	size_t end = slice_search(report->message, SLICE_LIT("\r\n\r\n"));

	if (end < report->message.len)
		return slice_head(report->message, end + 2);
	return report->message;
}

static bool any_failed(const struct report *report)
{
	for (size_t i = 0; i < report->recipient_count; i++) {
		if (report->recipients[i].action == REPORT_FAILED)
			return true;
	}
	return false;
}

static bool wide_header(const struct report *report)
{
	return report->utf8 && !utf8_is_ascii(slice_head(header_of(report), REPORT_HEADER_MAX));
}

static bool wide_address(const struct report *report)
{
	for (size_t i = 0; i < report->recipient_count; i++) {
		if (!utf8_is_ascii(report->recipients[i].address))
			return true;
	}
	return false;
}

/* The server that it goes through takes no 8-bit text (RFC 3463 3.7), so most likely not here
 * either. */
static bool wants_seven_bit(const struct report *report)
{
	for (size_t i = 0; i < report->recipient_count; i++)
		if (slice_is(report->recipients[i].status, "5.6.3"))
			return true;
	return false;
}

struct report_form report_form(const struct report *report)
{
	struct report_form form = {.utf8 = !utf8_is_ascii(report->to)};
	bool quoted = !form.utf8 && wide_header(report);
	size_t len = quoted ? report_quoted_len(report->message) : report->message.len;
	bool wide = !quoted && !utf8_is_ascii(report->message);

	/* RET is about failures only (RFC 3461 4.3). */
	form.full = report->full && report->whole && len <= REPORT_FULL_MAX && any_failed(report) &&
		    !(wide && wants_seven_bit(report));
	form.eight_bit = form.utf8 || (form.full && wide);
	return form;
}

static enum tone tone_of(const struct report *report)
{
	enum tone tone = TONE_MIXED;

	for (size_t i = 0; i < report->recipient_count; i++) {
		enum tone one = (enum tone)report->recipients[i].action;

		if (i != 0 && one != tone)
			return TONE_MIXED;
		tone = one;
	}
	return tone;
}

/* ---- the top ----------------------------------------------------------------------------- */
static void put_top(struct report_writer *writer)
{
	const struct report *report = writer->report;
	struct slice hostname = slice_str(report->hostname);
	char date[40];
	char one[BASE32_U64_MAX + 1];
	char two[BASE32_U64_MAX + 1];

	message_date(report->wall, date);
	base32_u64(report->random[0], one);
	base32_u64(report->random[1], two);
	report_put(writer, "From: Mail Delivery System <MAILER-DAEMON@");
	report_put_clean(writer, hostname, 255);
	report_put(writer, ">\r\nTo: <");
	report_put_clean(writer, report->to, 512);
	report_put(writer, ">\r\nSubject: ");
	report_put(writer, tones[tone_of(report)].subject);
	report_put(writer, "\r\nDate: ");
	report_put(writer, date);
	report_put(writer, "\r\nMessage-ID: <");
	report_put(writer, one);
	report_put(writer, ".");
	report_put(writer, two);
	report_put(writer, "@");
	report_put_clean(writer, hostname, 255);
	report_put(writer, ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	if (writer->form.eight_bit)
		report_put(writer, "Content-Transfer-Encoding: 8bit\r\n");
	report_put(writer, "Content-Type: multipart/report; report-type=");
	report_put(writer, writer->form.utf8 ? "global-delivery-status" : "delivery-status");
	report_put(writer, ";\r\n\tboundary=\"");
	report_put(writer, writer->boundary);
	report_put(writer, "\"\r\n\r\n");
}

void report_put_part(struct report_writer *writer, const char *type, const char *description,
		     enum report_encoding encoding)
{
	report_put(writer, "--");
	report_put(writer, writer->boundary);
	report_put(writer, "\r\nContent-Description: ");
	report_put(writer, description);
	if (encoding == REPORT_8BIT)
		report_put(writer, "\r\nContent-Transfer-Encoding: 8bit");
	else if (encoding == REPORT_QUOTED)
		report_put(writer, "\r\nContent-Transfer-Encoding: quoted-printable");
	report_put(writer, "\r\nContent-Type: ");
	report_put(writer, type);
	report_put(writer, "\r\n\r\n");
}

/* What put prints, so that UTF-8 may be in it. */
static void put_quoted(struct report_writer *writer, void (*put)(struct report_writer *writer))
{
	struct buf plain, *out = writer->out;

	buf_init(&plain, out->max);
	writer->out = &plain;
	writer->wide = true;
	put(writer);
	writer->out = out;
	writer->wide = false;
	report_put_quoted(writer, buf_data(&plain));
	buf_release(&plain);
}

/* ---- for people -------------------------------------------------------------------------- */
static void put_person_state(struct report_writer *writer, const struct report_recipient *recipient)
{
	bool mixed = tone_of(writer->report) == TONE_MIXED;

	switch (recipient->action) {
	case REPORT_FAILED:
		if (recipient->cause == REPORT_EXPIRED)
			report_put(writer,
				   "    was tried until the time to give up. The last answer:\r\n");
		else if (recipient->cause == REPORT_LATE)
			report_put(writer, "    was not reached in the time that you gave. The last"
					   " answer:\r\n");
		else if (mixed)
			report_put(writer, "    could not be reached:\r\n");
		break;
	case REPORT_DELAYED:
		if (recipient->cause == REPORT_LATE)
			report_put(writer, "    was not reached in the time that you gave; it is"
					   " still tried.\r\n");
		else if (mixed)
			report_put(writer, "    has to wait; it is still tried.\r\n");
		if (recipient->text.len > 0)
			report_put(writer, "    The last answer:\r\n");
		break;
	case REPORT_RELAYED:
		if (mixed)
			report_put(writer, "    was passed on, to a server without reports.\r\n");
		break;
	case REPORT_DELIVERED:
		if (mixed)
			report_put(writer, "    has the message.\r\n");
		break;
	}
}

static void put_person_recipient(struct report_writer *writer,
				 const struct report_recipient *recipient)
{
	report_put(writer, "  <");
	report_put_clean(writer, recipient->address, 512);
	report_put(writer, ">\r\n");
	put_person_state(writer, recipient);
	if (recipient->host.len > 0 && recipient->text.len > 0) {
		report_put(writer, "    ");
		report_put_clean(writer, recipient->host, 255);
		report_put(writer, " said:\r\n");
	}
	if (recipient->text.len > 0)
		report_put_words(writer, recipient->text, "    ");
	else if (recipient->action == REPORT_FAILED && recipient->cause == REPORT_SAID)
		report_put(writer, "    (no reason was given)\r\n");
	report_put(writer, "\r\n");
}

static void put_until(struct report_writer *writer)
{
	const struct report *report = writer->report;
	char date[40];

	if (tone_of(report) != TONE_DELAYED || report->retry_until == 0)
		return;
	message_date(report->retry_until, date);
	report_put(writer, " If it cannot be\r\ndelivered until ");
	report_put(writer, date);
	report_put(writer, ",\r\nyou are told");
	report_put(writer, ".");
}

static void put_person_text(struct report_writer *writer)
{
	const struct report *report = writer->report;
	size_t shown =
		report->recipient_count < REPORT_LISTED ? report->recipient_count : REPORT_LISTED;
	char more[80];

	report_put(writer, "This is the mail system at ");
	report_put_clean(writer, slice_str(report->hostname), 255);
	report_put(writer, ".\r\n\r\n");
	report_put(writer, tones[tone_of(report)].words);
	put_until(writer);
	report_put(writer, writer->form.full ? "\r\nIt is below" : "\r\nIts header is below");
	if (report->full && !writer->form.full && any_failed(report))
		report_put(writer, wants_seven_bit(report)
					   ? " (all of it would not get back to you either)"
					   : " (all of it is too much for a report)");
	report_put(writer, "; its queue ID here was\r\n");
	report_put_clean(writer, report->id, 128);
	report_put(writer, ".\r\n\r\n");
	for (size_t i = 0; i < shown; i++)
		put_person_recipient(writer, &report->recipients[i]);
	if (shown < report->recipient_count) {
		snprintf(more, sizeof(more), "  and %zu more, listed in the next part.\r\n\r\n",
			 report->recipient_count - shown);
		report_put(writer, more);
	}
}

static void put_for_people(struct report_writer *writer)
{
	bool wide = writer->form.utf8 || wide_address(writer->report);
	bool quoted = wide && !writer->form.utf8;

	report_put_part(writer, wide ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
			"Notification",
			quoted ? REPORT_QUOTED
			: wide ? REPORT_8BIT
			       : REPORT_7BIT);
	if (quoted)
		put_quoted(writer, put_person_text);
	else
		put_person_text(writer);
}

/* ---- the message ------------------------------------------------------------------------- */
/* As it came: its lines are CRLF lines since it was taken in. */
static void put_whole_text(struct report_writer *writer)
{
	struct slice message = writer->report->message;

	if (writer->err == ERR_OK)
		writer->err = buf_append_slice(writer->out, message);
	if (message.len < 2 || message.ptr[message.len - 1] != '\n')
		report_put(writer, "\r\n");
}

/* The old header, by lines: each is filtered and cut for itself. */
static void put_header_text(struct report_writer *writer)
{
	bool quoted = writer->wide && !writer->form.utf8;
	struct slice rest = slice_head(header_of(writer->report), REPORT_HEADER_MAX);
	size_t left = REPORT_HEADER_MAX, cost;
	struct slice line;

	while (slice_split(&rest, '\n', &line)) {
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		cost = (quoted ? report_quoted_len(line) : line.len) + 2;
		if (line.len == 0 || cost > left)
			break;
		left -= cost;
		report_put_clean(writer, line, REPORT_LINE_MAX);
		report_put(writer, "\r\n");
	}
}

static void put_message(struct report_writer *writer)
{
	const struct report *report = writer->report;
	struct report_form form = writer->form;
	bool quoted = !form.utf8 && wide_header(report);
	bool global = form.utf8 || quoted;

	if (form.full)
		report_put_part(writer, global ? "message/global" : "message/rfc822",
				"Undelivered message",
				quoted           ? REPORT_QUOTED
				: form.eight_bit ? REPORT_8BIT
						 : REPORT_7BIT);
	else
		report_put_part(writer, global ? "message/global-headers" : "text/rfc822-headers",
				any_failed(report) ? "Header of the undelivered message"
						   : "Header of the message",
				quoted      ? REPORT_QUOTED
				: form.utf8 ? REPORT_8BIT
					    : REPORT_7BIT);
	if (quoted)
		put_quoted(writer, form.full ? put_whole_text : put_header_text);
	else if (form.full)
		put_whole_text(writer);
	else
		put_header_text(writer);
}

static bool occurs(const struct report *report, struct slice text)
{
	if (slice_search(report->message, text) < report->message.len)
		return true;
	for (size_t i = 0; i < report->recipient_count; i++) {
		const struct report_recipient *recipient = &report->recipients[i];

		if (slice_search(recipient->text, text) < recipient->text.len ||
		    slice_search(recipient->address, text) < recipient->address.len)
			return true;
	}
	return false;
}

/* Nobody can guess it; that it occurs nowhere is checked all the same. */
static void choose_boundary(struct report_writer *writer)
{
	uint64_t one = writer->report->random[0];
	char first[BASE32_U64_MAX + 1];
	char second[BASE32_U64_MAX + 1];

	do {
		one = one * 6364136223846793005u + 1442695040888963407u;
		base32_u64(one, first);
		base32_u64(~writer->report->random[1], second);
		snprintf(writer->boundary, sizeof(writer->boundary), "=_%s-%s", first, second);
	} while (occurs(writer->report, slice_str(writer->boundary)));
}

enum err report_print(const struct report *report, struct buf *out)
{
	struct report_writer writer = {.report = report, .form = report_form(report), .out = out};
	size_t before = buf_len(out);

	writer.wide = writer.form.utf8;
	choose_boundary(&writer);
	put_top(&writer);
	put_for_people(&writer);
	report_put_fields(&writer);
	put_message(&writer);
	report_put(&writer, "\r\n--");
	report_put(&writer, writer.boundary);
	report_put(&writer, "--\r\n");
	if (writer.err != ERR_OK)
		buf_truncate(out, before);
	return writer.err;
}
