/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace field (RFC 5321 4.4, RFC 3848). What others chose goes into it only through a filter
 * and with a bound: a HELO name must not end the field, open a comment or start another header
 * (threats E3).
 */
#include "message/submission.h"

#include <string.h>

#include "base/utf8.h"

enum {
	TRACE_CLIENT_MAX = 64,
	TRACE_NAME_MAX = 255,
	TRACE_TEXT_MAX = 128,
	TRACE_ADDRESS_MAX = 400,
};

/* UTF-8 that neither steers a terminal nor hides. */
static bool is_tame(struct slice text)
{
	uint32_t code;
	size_t len;

	while (text.len > 0) {
		len = utf8_next(text, &code);
		if (len == 0 || (len > 1 && utf8_is_unsafe(code)))
			return false;
		text = slice_skip(text, len);
	}
	return true;
}

/*
 * Appends at most max bytes of text, those that are neither alphanumeric nor in more as '?'. wide:
 * beyond ASCII, too, if all of it is UTF-8 without tricks.
 */
static void put_filtered(struct buf *out, struct slice text, size_t max, const char *more,
			 bool wide, enum err *err)
{
	char clean[TRACE_ADDRESS_MAX];
	size_t len = text.len < max ? text.len : max;

	if (*err != ERR_OK)
		return;
	if (len > sizeof(clean))
		len = sizeof(clean);
	wide = wide && len == text.len && is_tame(text);
	for (size_t i = 0; i < len; i++) {
		char c = text.ptr[i];
		bool good = ascii_is_alnum(c) || (c != '\0' && strchr(more, c) != NULL) ||
			    (wide && (unsigned char)c >= 0x80);

		clean[i] = good ? c : '?';
	}
	*err = buf_append(out, clean, len);
}

static void put(struct buf *out, const char *text, enum err *err)
{
	if (*err == ERR_OK)
		*err = buf_append_str(out, text);
}

/* An address literal keeps its brackets; anything else has none to keep. */
static void put_helo(struct slice helo, struct buf *out, enum err *err)
{
	struct slice inner = slice_skip(slice_head(helo, helo.len - 1), 1);
	bool literal = helo.len > 2 && helo.len <= TRACE_NAME_MAX && helo.ptr[0] == '[' &&
		       helo.ptr[helo.len - 1] == ']' && !slice_has_byte(inner, '[') &&
		       !slice_has_byte(inner, ']');

	put_filtered(out, helo, TRACE_NAME_MAX, literal ? ".-_:[]" : ".-_", false, err);
}

/* From-domain of RFC 5321 4.4, with TCP-info; who logged in, as a comment. */
static void put_from(const struct trace *trace, struct buf *out, enum err *err)
{
	put(out, "Received: from ", err);
	if (trace->helo.len > 0)
		put_helo(trace->helo, out, err);
	else
		put(out, trace->login ? "authenticated-user" : "unknown", err);
	if (trace->client.len > 0) {
		put(out, " (", err);
		if (trace->client_name.len > 0) {
			put_filtered(out, trace->client_name, TRACE_NAME_MAX, ".-_", false, err);
			put(out, " ", err);
		}
		put(out, slice_has_byte(trace->client, ':') ? "[IPv6:" : "[", err);
		put_filtered(out, trace->client, TRACE_CLIENT_MAX, ".:", false, err);
		put(out, "])", err);
	}
	if (trace->account.len > 0) {
		put(out, " (account ", err);
		put_filtered(out, trace->account, TRACE_NAME_MAX, ".-_@+=/~*:", trace->utf8, err);
		if (trace->key.len > 0) {
			put(out, ", key ", err);
			put_filtered(out, trace->key, TRACE_NAME_MAX, ".-_", false, err);
		}
		put(out, ")", err);
	}
}

/* Printed as it is in its envelope, or not at all: an address cut or changed is another one. */
static bool names_recipient(const struct trace *trace)
{
	return trace->recipient.len > 0 && trace->recipient.len <= TRACE_ADDRESS_MAX &&
	       (utf8_is_ascii(trace->recipient) || trace->utf8);
}

enum err received_print(const struct trace *trace, struct buf *out)
{
	size_t before = buf_len(out);
	char date[40];
	enum err err = ERR_OK;

	message_date(trace->wall, date);
	put_from(trace, out, &err);
	put(out, "\r\n\tby ", &err);
	put_filtered(out, slice_str(trace->hostname), TRACE_NAME_MAX, ".-_", false, &err);
	put(out, " with ", &err);
	put_filtered(out, trace->protocol, TRACE_TEXT_MAX, "", false, &err);
	put(out, " id ", &err);
	put_filtered(out, trace->id, TRACE_TEXT_MAX, ".-_", false, &err);
	if (trace->tls.len > 0) {
		put(out, "\r\n\t(", &err);
		put_filtered(out, trace->tls, TRACE_TEXT_MAX, " .-_,:/", false, &err);
		put(out, ")", &err);
	}
	if (names_recipient(trace)) {
		put(out, "\r\n\tfor <", &err);
		put_filtered(out, trace->recipient, TRACE_ADDRESS_MAX,
			     "!#$%&'*+-/=?^_`{|}~.@\"\\[]: ", trace->utf8, &err);
		put(out, ">", &err);
	}
	put(out, ";\r\n\t", &err);
	put(out, date, &err);
	put(out, "\r\n", &err);
	if (err != ERR_OK)
		buf_truncate(out, before);
	return err;
}
