/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a report that programs read: message/delivery-status (RFC 3464 2, RFC 6533 4). */
#include <stdio.h>

#include "base/utf8.h"
#include "message/report_private.h"
#include "message/submission.h"

enum { VALUE_MAX = 600 }; /* ORCPT has at most 500 bytes of xtext (RFC 3461 4.2) */

static void put_field(struct report_writer *writer, const char *name, struct slice value)
{
	report_put(writer, name);
	report_put(writer, ": ");
	report_put_clean(writer, value, REPORT_LINE_MAX - 40);
	report_put(writer, "\r\n");
}

static int hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\x{E9}" of utf-8-addr-xtext (RFC 6533 3) at the start of text; 0 if it does not stand there. */
static size_t embedded(struct slice text, char utf8_out[4], size_t *len_out)
{
	uint32_t code = 0;
	size_t at = 3, len = 0;

	if (!slice_starts(text, "\\x{"))
		return 0;
	for (; at < text.len && at < 9 && hex_value(text.ptr[at]) >= 0; at++)
		code = code << 4 | (uint32_t)hex_value(text.ptr[at]);
	if (at == 3 || at == text.len || text.ptr[at] != '}' || code < 0x20 || code > 0x10ffff)
		return 0;
	if (code < 0x80) {
		utf8_out[len++] = (char)code;
	} else if (code < 0x800) {
		utf8_out[len++] = (char)(0xc0 | code >> 6);
	} else if (code < 0x10000) {
		utf8_out[len++] = (char)(0xe0 | code >> 12);
		utf8_out[len++] = (char)(0x80 | (code >> 6 & 0x3f));
	} else {
		utf8_out[len++] = (char)(0xf0 | code >> 18);
		utf8_out[len++] = (char)(0x80 | (code >> 12 & 0x3f));
		utf8_out[len++] = (char)(0x80 | (code >> 6 & 0x3f));
	}
	if (code >= 0x80)
		utf8_out[len++] = (char)(0x80 | (code & 0x3f));
	*len_out = len;
	return at + 1;
}

/*
 * xtext as the person wrote it (RFC 3461 4), in wide forms with the characters of RFC 6533 3. What
 * comes out is still anybody's bytes.
 */
static struct slice decode(struct slice text, bool wide, char out[VALUE_MAX])
{
	size_t used = 0;

	while (text.len != 0 && used + 4 < VALUE_MAX) {
		size_t step = 1, len = 1;
		int high = text.len > 2 ? hex_value(text.ptr[1]) : -1;
		int low = text.len > 2 ? hex_value(text.ptr[2]) : -1;

		if (text.ptr[0] == '+' && high >= 0 && low >= 0) {
			out[used] = (char)(high << 4 | low);
			step = 3;
		} else if (!wide || (step = embedded(text, out + used, &len)) == 0) {
			out[used] = text.ptr[0];
			step = 1;
		}
		used += len;
		text = slice_skip(text, step);
	}
	return slice_of(out, used);
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

/* The class must fit the action (RFC 3464 2.3.4). */
static struct slice status_of(const struct report_recipient *recipient)
{
	struct slice status = recipient->status;
	bool valid = status_valid(status);

	switch (recipient->action) {
	case REPORT_DELAYED:
		if (recipient->cause != REPORT_SAID)
			return SLICE_LIT("4.4.7");
		return valid && status.ptr[0] == '4' ? status : SLICE_LIT("4.0.0");
	case REPORT_RELAYED:
	case REPORT_DELIVERED:
		return valid && status.ptr[0] == '2' ? status : SLICE_LIT("2.0.0");
	default:
		if (recipient->cause == REPORT_LATE)
			return SLICE_LIT("5.4.7"); /* RFC 2852 4.1.4 */
		if (valid && status.ptr[0] != '2')
			return status;
		return recipient->cause == REPORT_EXPIRED ? SLICE_LIT("4.4.7") : SLICE_LIT("5.0.0");
	}
}

static bool is_special(char c)
{
	return c == '\\' || c == '+' || c == '=' || c == ' ';
}

/*
 * A utf-8 address in the form for ASCII (utf-8-addr-xtext of RFC 6533 3); empty if that is too long
 * for a line. plain: it is as it stands in the envelope, with nothing in it embedded yet.
 */
static void embed(struct slice text, bool plain, struct buf *out)
{
	enum err err = ERR_OK;
	uint32_t code;
	size_t len;

	for (; err == ERR_OK && text.len != 0; text = slice_skip(text, len)) {
		len = utf8_next(text, &code);
		if (len == 0)
			err = ERR_SYNTAX;
		else if (len == 1 && !(plain && is_special(text.ptr[0])))
			err = buf_append_byte(out, text.ptr[0]);
		else
			err = buf_printf(out, "\\x{%X}", (unsigned)code);
	}
	if (err != ERR_OK)
		buf_clear(out);
}

/* RFC 3464 2.3.1: who was asked for, before any change of address on the way. */
static void put_original(struct report_writer *writer, struct slice orcpt)
{
	size_t semicolon = slice_find(orcpt, ';');
	struct slice type = slice_head(orcpt, semicolon), address;
	bool utf8 = slice_is_nocase(type, "utf-8");
	char decoded[VALUE_MAX];
	struct buf ascii;

	if (semicolon == orcpt.len)
		return;
	address = slice_skip(orcpt, semicolon + 1);
	buf_init(&ascii, REPORT_LINE_MAX - 100);
	if (!utf8 || writer->form.utf8) {
		address = decode(address, utf8, decoded);
	} else {
		embed(address, false, &ascii);
		address = buf_data(&ascii);
	}
	if (address.len != 0) {
		report_put(writer, "Original-Recipient: ");
		report_put_clean(writer, type, 64);
		report_put(writer, ";");
		report_put_clean(writer, address, REPORT_LINE_MAX - 100);
		report_put(writer, "\r\n");
	}
	buf_release(&ascii);
}

/* RFC 3464 2.3.2. */
static void put_final(struct report_writer *writer, struct slice address)
{
	struct buf ascii;

	report_put(writer, "Final-Recipient: ");
	report_put(writer, utf8_is_ascii(address) ? "rfc822; " : "utf-8; ");
	buf_init(&ascii, REPORT_LINE_MAX - 100);
	if (!writer->form.utf8 && !utf8_is_ascii(address)) {
		embed(address, true, &ascii);
		if (buf_len(&ascii) != 0)
			address = buf_data(&ascii);
	}
	report_put_clean(writer, address, REPORT_LINE_MAX - 100);
	report_put(writer, "\r\n");
	buf_release(&ascii);
}

static const char *action_name(enum report_action action)
{
	static const char *const names[] = {[REPORT_FAILED] = "failed",
					    [REPORT_DELAYED] = "delayed",
					    [REPORT_RELAYED] = "relayed",
					    [REPORT_DELIVERED] = "delivered"};

	return names[action];
}

static void put_diagnostic(struct report_writer *writer, const struct report_recipient *recipient)
{
	char code[16];

	if (recipient->text.len == 0)
		return;
	if (recipient->code != 0) {
		snprintf(code, sizeof(code), " %u", recipient->code % 1000);
		report_put(writer, "Diagnostic-Code: smtp;");
		report_put(writer, code);
		report_put(writer, "\r\n");
	} else {
		report_put(writer, "Diagnostic-Code: X-postern;\r\n");
	}
	report_put_words(writer, recipient->text, " ");
}

static void put_date(struct report_writer *writer, const char *name, int64_t wall)
{
	char date[40];

	message_date(wall, date);
	put_field(writer, name, slice_str(date));
}

static void put_recipient(struct report_writer *writer, const struct report_recipient *recipient)
{
	report_put(writer, "\r\n");
	put_original(writer, recipient->orcpt);
	put_final(writer, recipient->address);
	report_put(writer, "Action: ");
	report_put(writer, action_name(recipient->action));
	report_put(writer, "\r\n");
	put_field(writer, "Status", status_of(recipient));
	if (recipient->host.len > 0) {
		report_put(writer, "Remote-MTA: dns; ");
		report_put_clean(writer, recipient->host, 255);
		report_put(writer, "\r\n");
	}
	put_diagnostic(writer, recipient);
	if (recipient->action == REPORT_DELAYED && writer->report->retry_until != 0)
		put_date(writer, "Will-Retry-Until", writer->report->retry_until);
}

void report_put_fields(struct report_writer *writer)
{
	const struct report *report = writer->report;
	char decoded[VALUE_MAX];

	report_put_part(writer,
			writer->form.utf8 ? "message/global-delivery-status"
					  : "message/delivery-status",
			"Delivery report", writer->form.utf8 ? REPORT_8BIT : REPORT_7BIT);
	report_put(writer, "Reporting-MTA: dns; ");
	report_put_clean(writer, slice_str(report->hostname), 255);
	report_put(writer, "\r\n");
	if (report->envid.len > 0) /* RFC 3464 2.2.1 */
		put_field(writer, "Original-Envelope-Id", decode(report->envid, false, decoded));
	put_date(writer, "Arrival-Date", report->arrived);
	for (size_t i = 0; i < report->recipient_count; i++)
		put_recipient(writer, &report->recipients[i]);
	report_put(writer, "\r\n");
}
