/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace field (RFC 5321 4.4, RFC 3848). What others chose goes into it only through a filter
 * and with a bound: a HELO name must not end the field, open a comment or start another header
 * (threats E3).
 */
#include "message/submission.h"

#include <string.h>

enum {
	TRACE_NAME_MAX = 255,
	TRACE_TEXT_MAX = 128,
	TRACE_ADDRESS_MAX = 400,
};

/* Appends at most max bytes of text, those that are neither alphanumeric nor in more as '?'. */
static void put_filtered(struct buf *out, struct slice text, size_t max, const char *more,
			 enum err *err)
{
	char clean[TRACE_ADDRESS_MAX];
	size_t len = text.len < max ? text.len : max;

	if (*err != ERR_OK)
		return;
	if (len > sizeof(clean))
		len = sizeof(clean);
	for (size_t i = 0; i < len; i++) {
		char c = text.ptr[i];
		bool good = ascii_is_alnum(c) || (c != '\0' && strchr(more, c) != NULL);

		clean[i] = good ? c : '?';
	}
	*err = buf_append(out, clean, len);
}

static void put(struct buf *out, const char *text, enum err *err)
{
	if (*err == ERR_OK)
		*err = buf_append_str(out, text);
}

static void put_from(const struct trace *trace, struct buf *out, enum err *err)
{
	put(out, "Received: from ", err);
	if (trace->helo.len > 0)
		put_filtered(out, trace->helo, TRACE_NAME_MAX, ".-_:[]", err);
	else
		put(out, trace->account.len > 0 ? "authenticated-user" : "unknown", err);
	if (trace->client.len > 0) {
		put(out, slice_has_byte(trace->client, ':') ? " ([IPv6:" : " ([", err);
		put_filtered(out, trace->client, TRACE_NAME_MAX, ".:%", err);
		put(out, "])", err);
	}
}

enum err received_print(const struct trace *trace, struct buf *out)
{
	size_t before = buf_len(out);
	char date[40];
	enum err err = ERR_OK;

	message_date(trace->wall, date);
	put_from(trace, out, &err);
	put(out, "\r\n\tby ", &err);
	put_filtered(out, slice_str(trace->hostname), TRACE_NAME_MAX, ".-_", &err);
	put(out, " with ", &err);
	put_filtered(out, trace->protocol, TRACE_TEXT_MAX, "", &err);
	put(out, " id ", &err);
	put_filtered(out, trace->id, TRACE_TEXT_MAX, ".-_", &err);
	if (trace->tls.len > 0) {
		put(out, "\r\n\t(", &err);
		put_filtered(out, trace->tls, TRACE_TEXT_MAX, " .-_,:/", &err);
		put(out, ")", &err);
	}
	if (trace->recipient.len > 0) {
		put(out, "\r\n\tfor <", &err);
		put_filtered(out, trace->recipient, TRACE_ADDRESS_MAX,
			     "!#$%&'*+-/=?^_`{|}~.@\"\\[]: ", &err);
		put(out, ">", &err);
	}
	put(out, ";\r\n\t", &err);
	put(out, date, &err);
	put(out, "\r\n", &err);
	if (err != ERR_OK)
		buf_truncate(out, before);
	return err;
}
