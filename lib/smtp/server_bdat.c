/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BDAT size [LAST] (RFC 3030): a message in chunks of announced length. Whatever is wrong, exactly
 * that many octets are taken before the reply, so that no part of a message is ever read as a
 * command; a size that cannot be read ends the session, for nobody knows where commands go on.
 *
 * A failure drops the transaction and stays: further chunks are thrown away and answered the same,
 * until the last one, RSET, EHLO or the next MAIL. BINARYMIME is not offered, so a CR, LF or NUL
 * alone is what it is in DATA.
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/server_private.h"

void server_bdat_forget(struct smtp_server *server)
{
	MEM_FREE(server->chunk_refusal);
	server->chunk_failed = false;
	server->chunk_told = false;
}

/* The message has failed for good with this reply. told: the caller knows, it said so. */
static void fail(struct smtp_server *server, const char *reply, bool told)
{
	server_bdat_forget(server);
	server->chunk_refusal = mem_strdup(reply);
	server->chunk_failed = server->transaction != NULL;
	server->chunk_told = told;
	server_drop_transaction(server);
}

/* "size" or "size LAST". */
static bool parse(struct slice args, uint64_t *size_out, bool *last_out)
{
	size_t end = slice_find(args, ' ');
	struct slice word = slice_trim(slice_skip(args, end));

	*last_out = slice_is_nocase(word, "LAST");
	return (word.len == 0 || *last_out) &&
	       slice_number(slice_head(args, end), UINT64_MAX, size_out) == ERR_OK;
}

/* Why this chunk cannot be taken now; NULL: it can. */
static const char *why_not(struct smtp_server *server, uint64_t size)
{
	const struct smtp_transaction *transaction = server->transaction;
	uint64_t limit = server->options.message_size;

	if (transaction->recipients == 0)
		return "554 5.5.1 No valid recipients";
	if (limit != 0 && (size > limit || transaction->size > limit - size))
		return server_too_large(server);
	return NULL;
}

void server_bdat(struct smtp_server *server, struct slice args, const char *error,
		 struct slice line)
{
	uint64_t size;

	if (!parse(args, &size, &server->chunk_last)) {
		server_refuse_and_end(server, "501 5.5.4 Write BDAT size [LAST]", line,
				      "BDAT without a readable size: where the next command is "
				      "cannot be known");
		return;
	}
	smtp_framer_start_chunk(&server->framer, size);
	server_enter(server, SERVER_CHUNK);
	if (server->chunk_failed)
		return;
	if (error == NULL)
		error = why_not(server, size);
	if (error != NULL && server->transaction != NULL && server->transaction->chunked)
		server_drop_body(server, error, false);
	else if (error != NULL)
		fail(server, error, false);
	else if (!server->transaction->chunked)
		server_ask(server, SMTP_SERVER_DATA, SLICE_LIT(""));
}

void server_bdat_fail(struct smtp_server *server, const char *reply)
{
	fail(server, reply, false);
}

void server_bdat_agreed(struct smtp_server *server)
{
	server->transaction->chunked = true;
	server_start_text(server);
}

void server_bdat_refused(struct smtp_server *server, const char *reply)
{
	fail(server, reply, true);
}

/* The whole chunk is gone, and it was to be refused. */
static void refuse_chunk(struct smtp_server *server)
{
	/* The event shows the reply, and the next command may forget it. */
	server->refusal_text = mem_strdup(server->chunk_refusal);
	if (server->chunk_told)
		server_say_refusal(server, server->refusal_text);
	else if (server->mail_refused)
		server_refuse_mildly(server, server->refusal_text, SLICE_LIT("BDAT"));
	else
		server_refuse(server, server->refusal_text, SLICE_LIT("BDAT"));
	/* Once told is enough for the caller's own words; the next chunk's are the machine's. */
	server->chunk_told = false;
	if (server->chunk_last || !server->chunk_failed)
		server_bdat_forget(server);
}

static void end_chunk(struct smtp_server *server)
{
	struct smtp_transaction *transaction = server->transaction;

	if (server->chunk_refusal == NULL && transaction->drop != NULL) {
		if (transaction->drop_closes) {
			server_end_dropped(server);
			return;
		}
		server_hint(server, server_drop_hint(transaction->drop));
		fail(server, transaction->drop, false);
	}
	if (server->chunk_refusal != NULL) {
		server_enter(server, SERVER_COMMAND);
		refuse_chunk(server);
	} else if (server->chunk_last) {
		server_ask(server, SMTP_SERVER_BODY_END, SLICE_LIT(""));
	} else {
		server_enter(server, SERVER_COMMAND);
		server_say(server, "250 2.0.0 The chunk is taken");
	}
}

bool server_chunk(struct smtp_server *server, struct smtp_server_event *event_out)
{
	while (event_out->type == 0 && server->pending == 0) {
		bool wanted = server->chunk_refusal == NULL && server->transaction->drop == NULL;
		struct slice text = SLICE_LIT("");
		enum smtp_frame frame = wanted ? smtp_framer_chunk(&server->framer, &text)
					       : smtp_framer_skip_chunk(&server->framer);

		if (server_body_frame(server, frame, text, event_out))
			continue;
		if (frame != SMTP_FRAME_END)
			return false;
		if (wanted && server->chunk_last && smtp_framer_end_chunks(&server->framer)) {
			server_body_bare(server, event_out);
			continue;
		}
		end_chunk(server);
		return true;
	}
	return true;
}
