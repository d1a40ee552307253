/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to the client, and how refusals count: who errs too often is sent away, so that a
 * session is no place to try things without end.
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/server_private.h"

void server_say(struct smtp_server *server, const char *line)
{
	if (buf_len(&server->out) + strlen(line) + 2 > SMTP_OUTPUT_MAX) {
		server_end(server, "unsent output");
		return;
	}
	buf_append_str(&server->out, line);
	buf_append_str(&server->out, "\r\n");
}

void server_form_words(unsigned code, const char *status, const char *text,
		       char line[SMTP_ANSWER_MAX])
{
	struct buf out;

	buf_init(&out, SMTP_ANSWER_MAX - sizeof("\r\n"));
	buf_printf(&out, "%u%s%.11s ", code, status != NULL ? " " : "",
		   status != NULL ? status : "");
	buf_append_slice(&out, slice_head(slice_str(text), buf_room(&out)));
	slice_copy(buf_data(&out), line, SMTP_ANSWER_MAX);
	buf_release(&out);
	for (char *c = line; *c != '\0'; c++)
		if (!ascii_is_print(*c))
			*c = '?';
}

void server_say_plainly(struct smtp_server *server, unsigned code, const char *status,
			const char *text)
{
	char line[SMTP_ANSWER_MAX];

	server_form_words(code, status, text, line);
	server_say(server, line);
}

void server_hint(struct smtp_server *server, const char *hint)
{
	server->hint = hint;
}

void server_refuse_mildly(struct smtp_server *server, const char *line, struct slice text)
{
	server_say(server, line);
	server->pending |= PENDING_REFUSED;
	server->refusal = line;
	server->text = slice_head(text, SMTP_REFUSED_TEXT_MAX);
}

void server_refuse_and_end(struct smtp_server *server, const char *line, struct slice text,
			   const char *reason)
{
	server_refuse_mildly(server, line, text);
	server_end(server, reason);
}

void server_refuse(struct smtp_server *server, const char *line, struct slice text)
{
	if (server->options.errors != 0 && server->errors >= server->options.errors) {
		server_refuse_and_end(server, "421 4.7.0 Too many errors", text, "too many errors");
		return;
	}
	server->errors++;
	server_refuse_mildly(server, line, text);
}

bool server_spoke_early(struct smtp_server *server)
{
	if (smtp_framer_rest(&server->framer).len == 0)
		return false;
	server_hint(server, "the client does not wait for a reply that it has to wait for");
	server_refuse_and_end(server, "554 5.5.0 You spoke before it was your turn", SLICE_LIT(""),
			      "unauthorised pipelining");
	return true;
}

/* Who is logged in is not cut off for recipients that do not exist. */
static bool too_many_refusals(struct smtp_server *server, bool counts)
{
	return counts && !server_knows(server) && server->options.errors != 0 &&
	       ++server->errors > server->options.errors;
}

void server_say_words(struct smtp_server *server, unsigned code, const char *status,
		      const char *text)
{
	if (too_many_refusals(server, code >= 500)) {
		code = 421;
		status = "4.7.0";
		text = "Too many errors";
	}
	server_say_plainly(server, code, status, text);
	if (code == 421)
		server_end(server, text);
}

void server_say_refusal(struct smtp_server *server, const char *reply)
{
	if (too_many_refusals(server, reply[0] == '5')) {
		server_say_plainly(server, 421, "4.7.0", "Too many errors");
		server_end(server, "too many errors");
	} else {
		server_say(server, reply);
	}
}
