/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard of what leaves. It shares no code with the framer that took the message in: it looks
 * for line ends from the LF side, line by line, and whatever the queue holds, a body with a CR
 * or LF alone or a NUL is never ended with a dot. A body with bytes above 127 is not given to a
 * server that cannot take them (RFC 6152 3).
 */
#include "smtp/client_private.h"

enum { PART_MAX = CLIENT_OUTPUT_MAX / 2 };

static enum err stop(struct smtp_client *client, const char *status, struct slice text,
		     const char *reason)
{
	struct smtp_reply reply = {.code = 554, .text = text};

	slice_copy(slice_str(status), reply.status, sizeof(reply.status));
	client_fail(client, &reply, reason);
	return ERR_SYNTAX;
}

static enum err stop_bare(struct smtp_client *client)
{
	return stop(client, "5.6.0", SLICE_LIT("The message has a CR or LF alone, or a NUL"),
		    "the message must not be sent");
}

static bool has_wide(struct slice part)
{
	unsigned char any = 0;

	for (size_t i = 0; i < part.len; i++)
		any |= (unsigned char)part.ptr[i];
	return any >= 0x80;
}

/*
 * Checks the line, or part of one, at the start of text: *len_out is its length without a CR at
 * the very end of text, *ends_out whether its CR LF is there.
 */
static enum err check_line(struct slice text, size_t *len_out, bool *ends_out)
{
	size_t lf = slice_find(text, '\n');
	struct slice line = slice_head(text, lf);
	size_t cr = slice_find(line, '\r');
	bool ends = lf < text.len;

	if (slice_has_byte(line, '\0'))
		return ERR_SYNTAX;
	if (ends ? line.len == 0 || cr != line.len - 1 : cr < line.len && cr != line.len - 1)
		return ERR_SYNTAX;
	*len_out = ends ? lf + 1 : cr;
	*ends_out = ends;
	return ERR_OK;
}

/* The CR that was held back must be followed by LF. */
static enum err release_cr(struct smtp_client *client, struct slice *part)
{
	if (!client->transaction.held_cr)
		return ERR_OK;
	if (part->ptr[0] != '\n')
		return ERR_SYNTAX;
	buf_append_str(&client->out, "\r\n");
	*part = slice_skip(*part, 1);
	client->transaction.held_cr = false;
	client->transaction.at_line_start = true;
	return ERR_OK;
}

enum err smtp_client_body(struct smtp_client *client, struct slice part)
{
	struct client_transaction *transaction = &client->transaction;
	struct buf *out = &client->out;
	size_t at = 0, from = 0;

	if (client->step != CLIENT_BODY)
		return ERR_BUSY;
	if (part.len > PART_MAX)
		return ERR_RANGE;
	/* At worst every third byte is a dot that is doubled. */
	if (buf_room(out) < part.len + part.len / 3 + 4)
		return ERR_FULL;
	if (part.len == 0)
		return ERR_OK;
	if (!client->eight_bit && has_wide(part))
		return stop(client, "5.6.3", SLICE_LIT("The next server takes no 8-bit messages"),
			    "the message must not be sent");
	if (release_cr(client, &part) != ERR_OK)
		return stop_bare(client);
	while (at < part.len) {
		size_t len;

		if (transaction->at_line_start && part.ptr[at] == '.') {
			buf_append_slice(out, slice_head(slice_skip(part, from), at - from));
			buf_append_byte(out, '.');
			from = at;
		}
		if (check_line(slice_skip(part, at), &len, &transaction->at_line_start) != ERR_OK)
			return stop_bare(client);
		at += len;
		if (!transaction->at_line_start)
			break;
	}
	transaction->held_cr = at < part.len;
	buf_append_slice(out, slice_head(slice_skip(part, from), at - from));
	return ERR_OK;
}

enum err smtp_client_body_end(struct smtp_client *client)
{
	if (client->step != CLIENT_BODY)
		return ERR_BUSY;
	if (client->transaction.held_cr)
		return stop_bare(client);
	if (buf_room(&client->out) < sizeof("\r\n.\r\n"))
		return ERR_FULL;
	if (!client->transaction.at_line_start)
		buf_append_str(&client->out, "\r\n");
	buf_append_str(&client->out, ".\r\n");
	client_enter(client, CLIENT_FINAL);
	return ERR_OK;
}
