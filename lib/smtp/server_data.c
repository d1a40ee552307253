/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DATA and the body (RFC 5321 4.1.1.4, 4.5.2). What will be refused is read to its end all the
 * same, so that no part of it can be taken for commands; where its end cannot be trusted (a bare
 * CR or LF, a NUL), the session ends with it.
 */
#include "smtp/server_private.h"

void server_cmd_data(struct smtp_server *server, struct slice args, struct slice line)
{
	static const char *const mixed = "503 5.5.1 DATA cannot follow BDAT; send RSET";

	(void)args;
	if (server->transaction->chunked) {
		/* RFC 3030 2: the client must begin anew. */
		server_bdat_fail(server, mixed);
		server_refuse(server, mixed, line);
	} else if (server->transaction->recipients == 0) {
		server_refuse_mildly(server, "554 5.5.1 No valid recipients", line);
	} else {
		server_ask(server, SMTP_SERVER_DATA, SLICE_LIT(""));
	}
}

void server_start_text(struct smtp_server *server)
{
	smtp_framer_start_body(&server->framer, server->options.long_lines_refuse
							? SMTP_TEXT_LINE_STRICT
							: SMTP_TEXT_LINE_MAX);
}

void smtp_server_answer_data(struct smtp_server *server)
{
	if (server->question != SMTP_SERVER_DATA)
		return;
	if (server->state == SERVER_CHUNK) {
		server->question = 0;
		server_bdat_agreed(server);
		return;
	}
	if (server_spoke_early(server))
		return;
	server->question = 0;
	server_say(server, "354 End the message with a dot alone on a line");
	server_enter(server, SERVER_BODY);
}

void server_drop_body(struct smtp_server *server, const char *reply, bool closes)
{
	struct smtp_transaction *transaction = server->transaction;

	if (transaction->drop == NULL) {
		transaction->drop = reply;
		server->pending |= PENDING_BODY_DROP;
	}
	/* A worse fault may come after a milder one. */
	if (closes && !transaction->drop_closes) {
		transaction->drop = reply;
		transaction->drop_closes = true;
	}
}

/* What is shown ends at the same byte however the input was cut. */
static void body_text(struct smtp_server *server, struct slice text,
		      struct smtp_server_event *event_out)
{
	struct smtp_transaction *transaction = server->transaction;
	uint64_t limit = server->options.message_size;
	uint64_t room = limit > transaction->size ? limit - transaction->size : 0;

	if (transaction->drop != NULL)
		return;
	if (limit != 0 && text.len > room) {
		text = slice_head(text, room);
		server_drop_body(server, server_too_large(server), false);
	} else if (server->framer.long_text_line) {
		server_drop_body(server,
				 server->framer.line_max == SMTP_TEXT_LINE_STRICT
					 ? SMTP_LINE_TOO_LONG " 998 octets"
					 : SMTP_LINE_TOO_LONG " 64 KiB",
				 false);
	}
	transaction->size += text.len;
	if (text.len != 0)
		*event_out = (struct smtp_server_event){.type = SMTP_SERVER_BODY, .text = text};
}

/* A CR or LF alone: made a line end for those whom we know, if so set. */
void server_body_bare(struct smtp_server *server, struct smtp_server_event *event_out)
{
	if (!server_knows(server) || !server->options.bare_newline_repair) {
		server_drop_body(server, "521 5.5.2 A line of the message does not end with CR LF",
				 true);
		return;
	}
	server->transaction->repaired = true;
	body_text(server, SLICE_LIT("\r\n"), event_out);
}

/* What is wrong with the message, in words for the log. */
const char *server_drop_hint(const char *reply)
{
	struct slice code = slice_head(slice_str(reply), 3);

	if (slice_is(code, "521"))
		return "lines of the message end with LF or CR alone, or it holds a NUL: only "
		       "those "
		       "who are logged in have line ends repaired (limits.bare_newline)";
	if (slice_is(code, "552"))
		return "limits.message_size is the most that is taken";
	return "the setting limits.long_lines rules this";
}

bool server_body_frame(struct smtp_server *server, enum smtp_frame frame, struct slice text,
		       struct smtp_server_event *event_out)
{
	switch (frame) {
	case SMTP_FRAME_TEXT:
		body_text(server, text, event_out);
		return true;
	case SMTP_FRAME_BARE:
		server_body_bare(server, event_out);
		return true;
	case SMTP_FRAME_NUL:
		server_drop_body(server, "521 5.5.2 The message holds a NUL", true);
		return true;
	default:
		return false;
	}
}

void server_end_dropped(struct smtp_server *server)
{
	const char *reply = server->transaction->drop;

	server_hint(server, server_drop_hint(reply));
	if (server->transaction->drop_closes) {
		server_refuse_and_end(server, reply, SLICE_LIT(""),
				      "bare CR, LF or NUL in a message");
		return;
	}
	server_drop_transaction(server);
	server_enter(server, SERVER_COMMAND);
	server_refuse(server, reply, SLICE_LIT(""));
}

bool server_body(struct smtp_server *server, struct smtp_server_event *event_out)
{
	struct slice text;

	while (event_out->type == 0 && server->pending == 0) {
		enum smtp_frame frame = smtp_framer_body(&server->framer, &text);

		if (server_body_frame(server, frame, text, event_out))
			continue;
		if (frame != SMTP_FRAME_END)
			return false;
		if (server->transaction->drop != NULL)
			server_end_dropped(server);
		else
			server_ask(server, SMTP_SERVER_BODY_END, SLICE_LIT(""));
		return true;
	}
	return true;
}
