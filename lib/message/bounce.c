/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounce in three parts (RFC 6522, 3464): words for people, fields for programs, the header of
 * what failed. All that others chose (addresses, the remote server's words, the old header)
 * passes a filter and a bound, so that it can end no field, no part and no line (threats H2).
 * The result is 7-bit, with no line over 998 bytes.
 */
#include "message/bounce.h"

#include <stdio.h>

#include "base/base32.h"
#include "message/submission.h"

enum {
	BOUNCE_HEADER_MAX = 32 * 1024, /* quoted of the old header */
	BOUNCE_LINE_MAX = 900,         /* of a quoted line; RFC 5322 2.1.1 allows 998 */
	BOUNCE_WORDS_LINES = 10,       /* of the remote server's words, per recipient */
	BOUNCE_WORDS_LINE = 512,
	BOUNCE_WORDS_ALL = 24 * 1024, /* of all recipients together */
	BOUNCE_WORDS_LEAST = 80,
	BOUNCE_FOLD = 72,
	BOUNCE_LISTED = 50, /* recipients that the part for people names */
};

struct writer {
	const struct bounce *bounce;
	struct buf *out;
	enum err err;
	char boundary[48];
};

static void put(struct writer *writer, const char *text)
{
	if (writer->err == ERR_OK)
		writer->err = buf_append_str(writer->out, text);
}

/* At most max bytes of untrusted text, printable ASCII only. */
static void put_clean(struct writer *writer, struct slice text, size_t max)
{
	char clean[BOUNCE_LINE_MAX];
	size_t len = text.len < max ? text.len : max;

	if (len > sizeof(clean))
		len = sizeof(clean);
	for (size_t i = 0; i < len; i++)
		clean[i] = ascii_is_print(text.ptr[i]) ? text.ptr[i] : '?';
	if (writer->err == ERR_OK)
		writer->err = buf_append(writer->out, clean, len);
}

static void put_field(struct writer *writer, const char *name, struct slice value)
{
	put(writer, name);
	put(writer, ": ");
	put_clean(writer, value, BOUNCE_LINE_MAX - 40);
	put(writer, "\r\n");
}

/* Bytes of the remote server's words that one recipient may have. */
static size_t words_share(const struct bounce *bounce)
{
	size_t share =
		BOUNCE_WORDS_ALL / (bounce->recipient_count > 0 ? bounce->recipient_count : 1);

	if (share > BOUNCE_WORDS_LINES * BOUNCE_WORDS_LINE)
		share = BOUNCE_WORDS_LINES * BOUNCE_WORDS_LINE;
	return share > BOUNCE_WORDS_LEAST ? share : BOUNCE_WORDS_LEAST;
}

/*
 * The remote server's words on folded lines: each begins with indent, words are cut at blanks
 * where that is possible.
 */
static void put_words(struct writer *writer, struct slice text, const char *indent)
{
	size_t left = words_share(writer->bounce);
	struct slice line;
	unsigned lines = 0;

	while (lines++ < BOUNCE_WORDS_LINES && left > 0 && slice_split(&text, '\n', &line)) {
		line = slice_head(slice_trim(line), BOUNCE_WORDS_LINE);
		line = slice_head(line, left);
		left -= line.len;
		while (line.len > 0) {
			struct slice piece = slice_head(line, BOUNCE_FOLD);
			size_t blank = slice_find_last(piece, ' ');

			if (line.len > piece.len && blank < piece.len && blank > 0)
				piece = slice_head(piece, blank);
			put(writer, indent);
			put_clean(writer, piece, piece.len);
			put(writer, "\r\n");
			line = slice_trim(slice_skip(line, piece.len));
		}
	}
}

static bool status_valid(struct slice status)
{
	struct slice part;
	uint64_t number;
	unsigned parts = 0;

	while (slice_split(&status, '.', &part)) {
		if (part.len > 3 || slice_number(part, 999, &number) != ERR_OK)
			return false;
		if (parts++ == 0 && number != 2 && number != 4 && number != 5)
			return false;
	}
	return parts == 3;
}

static struct slice status_of(const struct bounce_recipient *recipient)
{
	if (status_valid(recipient->status))
		return recipient->status;
	return recipient->expired ? SLICE_LIT("4.4.7") : SLICE_LIT("5.0.0");
}

static void put_top(struct writer *writer)
{
	const struct bounce *bounce = writer->bounce;
	struct slice hostname = slice_str(bounce->hostname);
	char date[40];
	char one[BASE32_U64_MAX + 1];
	char two[BASE32_U64_MAX + 1];

	message_date(bounce->wall, date);
	base32_u64(bounce->random[0], one);
	base32_u64(bounce->random[1], two);
	put(writer, "From: Mail Delivery System <MAILER-DAEMON@");
	put_clean(writer, hostname, 255);
	put(writer, ">\r\nTo: <");
	put_clean(writer, bounce->to, 512);
	put(writer, ">\r\nSubject: Your message could not be delivered\r\nDate: ");
	put(writer, date);
	put(writer, "\r\nMessage-ID: <");
	put(writer, one);
	put(writer, ".");
	put(writer, two);
	put(writer, "@");
	put_clean(writer, hostname, 255);
	put(writer,
	    ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"");
	put(writer, writer->boundary);
	put(writer, "\"\r\n\r\n");
}

static void put_part(struct writer *writer, const char *type, const char *description)
{
	put(writer, "--");
	put(writer, writer->boundary);
	put(writer, "\r\nContent-Description: ");
	put(writer, description);
	put(writer, "\r\nContent-Type: ");
	put(writer, type);
	put(writer, "\r\n\r\n");
}

static void put_person_recipient(struct writer *writer, const struct bounce_recipient *recipient)
{
	put(writer, "  <");
	put_clean(writer, recipient->address, 512);
	put(writer, ">\r\n");
	if (recipient->expired)
		put(writer, "    was tried until the time to give up. The last answer:\r\n");
	if (recipient->host.len > 0) {
		put(writer, "    ");
		put_clean(writer, recipient->host, 255);
		put(writer, " said:\r\n");
	}
	if (recipient->text.len > 0)
		put_words(writer, recipient->text, "    ");
	else if (!recipient->expired)
		put(writer, "    (no reason was given)\r\n");
	put(writer, "\r\n");
}

static void put_for_people(struct writer *writer)
{
	const struct bounce *bounce = writer->bounce;
	size_t shown =
		bounce->recipient_count < BOUNCE_LISTED ? bounce->recipient_count : BOUNCE_LISTED;
	char more[80];

	put_part(writer, "text/plain; charset=us-ascii", "Notification");
	put(writer, "This is the mail system at ");
	put_clean(writer, slice_str(bounce->hostname), 255);
	put(writer,
	    ".\r\n\r\nYour message could not be delivered to the following recipients, and\r\n"
	    "it will not be tried again. Its header is below; its queue ID here was\r\n");
	put_clean(writer, bounce->id, 128);
	put(writer, ".\r\n\r\n");
	for (size_t i = 0; i < shown; i++)
		put_person_recipient(writer, &bounce->recipients[i]);
	if (shown < bounce->recipient_count) {
		snprintf(more, sizeof(more), "  and %zu more, listed in the next part.\r\n\r\n",
			 bounce->recipient_count - shown);
		put(writer, more);
	}
}

static void put_program_recipient(struct writer *writer, const struct bounce_recipient *recipient)
{
	char code[16];

	put(writer, "\r\n");
	if (slice_find(recipient->orcpt, ';') < recipient->orcpt.len)
		put_field(writer, "Original-Recipient", recipient->orcpt);
	put(writer, "Final-Recipient: rfc822; ");
	put_clean(writer, recipient->address, 512);
	put(writer, "\r\nAction: failed\r\n");
	put_field(writer, "Status", status_of(recipient));
	if (recipient->host.len > 0) {
		put(writer, "Remote-MTA: dns; ");
		put_clean(writer, recipient->host, 255);
		put(writer, "\r\n");
	}
	if (recipient->text.len == 0)
		return;
	if (recipient->code != 0) {
		snprintf(code, sizeof(code), " %u", recipient->code % 1000);
		put(writer, "Diagnostic-Code: smtp;");
		put(writer, code);
		put(writer, "\r\n");
	} else {
		put(writer, "Diagnostic-Code: X-postern;\r\n");
	}
	put_words(writer, recipient->text, " ");
}

static void put_for_programs(struct writer *writer)
{
	const struct bounce *bounce = writer->bounce;
	char date[40];

	put_part(writer, "message/delivery-status", "Delivery report");
	put(writer, "Reporting-MTA: dns; ");
	put_clean(writer, slice_str(bounce->hostname), 255);
	put(writer, "\r\n");
	if (bounce->envid.len > 0)
		put_field(writer, "Original-Envelope-Id", bounce->envid);
	message_date(bounce->arrived, date);
	put_field(writer, "Arrival-Date", slice_str(date));
	for (size_t i = 0; i < bounce->recipient_count; i++)
		put_program_recipient(writer, &bounce->recipients[i]);
	put(writer, "\r\n");
}

/* The old header, by lines: each is filtered and cut for itself. */
static void put_old_header(struct writer *writer)
{
	struct slice rest = slice_head(writer->bounce->header, BOUNCE_HEADER_MAX);
	struct slice line;

	put_part(writer, "text/rfc822-headers", "Header of the undelivered message");
	while (slice_split(&rest, '\n', &line)) {
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (line.len == 0)
			break;
		put_clean(writer, line, BOUNCE_LINE_MAX);
		put(writer, "\r\n");
	}
	put(writer, "\r\n--");
	put(writer, writer->boundary);
	put(writer, "--\r\n");
}

static bool occurs(const struct bounce *bounce, struct slice text)
{
	if (slice_search(bounce->header, text) < bounce->header.len)
		return true;
	for (size_t i = 0; i < bounce->recipient_count; i++) {
		const struct bounce_recipient *recipient = &bounce->recipients[i];

		if (slice_search(recipient->text, text) < recipient->text.len ||
		    slice_search(recipient->address, text) < recipient->address.len)
			return true;
	}
	return false;
}

/* Nobody can guess it; that it occurs nowhere is checked all the same. */
static void choose_boundary(struct writer *writer)
{
	uint64_t one = writer->bounce->random[0];
	char first[BASE32_U64_MAX + 1];
	char second[BASE32_U64_MAX + 1];

	do {
		one = one * 6364136223846793005u + 1442695040888963407u;
		base32_u64(one, first);
		base32_u64(~writer->bounce->random[1], second);
		snprintf(writer->boundary, sizeof(writer->boundary), "=_%s-%s", first, second);
	} while (occurs(writer->bounce, slice_str(writer->boundary)));
}

enum err bounce_print(const struct bounce *bounce, struct buf *out)
{
	struct writer writer = {.bounce = bounce, .out = out};
	size_t before = buf_len(out);

	choose_boundary(&writer);
	put_top(&writer);
	put_for_people(&writer);
	put_for_programs(&writer);
	put_old_header(&writer);
	if (writer.err != ERR_OK)
		buf_truncate(out, before);
	return writer.err;
}
