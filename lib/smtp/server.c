/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a session: states, events out, answers in.
 *
 * Invariants: at most one question is open, and while one is, no input is used. What an event
 * shows stays until the next call of feed or next. After PENDING_CLOSE was taken nothing happens
 * any more; late answers are ignored. An idle session holds no buffer.
 */
#include "smtp/server.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "smtp/server_private.h"

#define TLS_READY "220 2.0.0 Ready to start TLS"

struct smtp_server *smtp_server_new(const struct smtp_server_options *options)
{
	struct smtp_server *server = mem_alloc(sizeof(*server));

	server->options = *options;
	server->tls = options->tls;
	server->first_line = true;
	smtp_framer_init(&server->framer);
	buf_init(&server->out, SMTP_OUTPUT_MAX);
	buf_init(&server->token, SMTP_AUTH_LINE_MAX);
	return server;
}

void smtp_server_free(struct smtp_server **server)
{
	if (*server == NULL)
		return;
	smtp_framer_wipe(&(*server)->framer);
	buf_wipe(&(*server)->token);
	buf_release(&(*server)->out);
	mem_free((*server)->transaction);
	mem_free((*server)->helo);
	mem_free((*server)->close_reason);
	mem_free((*server)->refusal_text);
	mem_free((*server)->chunk_refusal);
	MEM_FREE(*server);
}

void server_enter(struct smtp_server *server, enum server_state state)
{
	if (server->state == SERVER_CLOSED)
		return;
	server->state = state;
	if (state == SERVER_BODY)
		server_start_text(server);
}

void server_drop_transaction(struct smtp_server *server)
{
	if (server->transaction == NULL)
		return;
	/* The caller knows of it only if it was asked. */
	if (server->transaction->accepted || server->question == SMTP_SERVER_MAIL)
		server->pending |= PENDING_RESET;
	/* Its text is the transaction's. */
	server->pending &= ~(unsigned)PENDING_BODY_DROP;
	MEM_FREE(server->transaction);
}

void server_end(struct smtp_server *server, const char *reason)
{
	bool in_auth = server->state == SERVER_AUTH_LINE || server->question == SMTP_SERVER_AUTH ||
		       server->question == SMTP_SERVER_AUTH_TOKEN;

	if (server->state == SERVER_CLOSED)
		return;
	if (in_auth)
		server->pending |= PENDING_AUTH_CANCEL;
	server_auth_forget(server);
	server_drop_transaction(server);
	server_bdat_forget(server);
	server->question = 0;
	server->pending &= ~(unsigned)PENDING_QUESTION;
	server->pending |= PENDING_CLOSE;
	server->close_reason = mem_strdup(reason);
	server_enter(server, SERVER_CLOSED);
}

void server_ask(struct smtp_server *server, enum smtp_server_event_type question, struct slice text)
{
	server->question = question;
	server->text = text;
	server->pending |= PENDING_QUESTION;
}

void smtp_server_greet(struct smtp_server *server)
{
	if (server->state != SERVER_NEW)
		return;
	buf_printf(&server->out, "220 %s ESMTP postern\r\n", server->options.hostname);
	server_enter(server, SERVER_COMMAND);
}

void smtp_server_greet_refusal(struct smtp_server *server, unsigned code, const char *status,
			       const char *text)
{
	if (server->state != SERVER_NEW)
		return;
	server_say_plainly(server, code, status, text);
	server_end(server, "refused at the greeting");
}

size_t smtp_server_room(const struct smtp_server *server)
{
	if (server->state == SERVER_CLOSED || server->question == SMTP_SERVER_STARTTLS ||
	    buf_len(&server->out) > SMTP_OUTPUT_FULL)
		return 0;
	return smtp_framer_room(&server->framer);
}

static void settle(struct smtp_server *server)
{
	MEM_FREE(server->refusal_text);
	server->hint = NULL;
	smtp_framer_settle(&server->framer, server->secret_lent);
	server->secret_lent = false;
	server->text = SLICE_LIT("");
}

void smtp_server_feed(struct smtp_server *server, struct slice bytes)
{
	assert(bytes.len <= smtp_server_room(server));
	if (bytes.len == 0)
		return;
	settle(server);
	smtp_framer_feed(&server->framer, bytes);
}

/* What goes with the question that is open. */
static void fill_question(struct smtp_server *server, struct smtp_server_event *event)
{
	event->type = server->question;
	event->text = server->text;
	switch (server->question) {
	case SMTP_SERVER_STARTTLS:
		/* Not before: the caller may send between events, and may still refuse. */
		server_say(server, TLS_READY);
		break;
	case SMTP_SERVER_AUTH:
		event->mechanism = server->mechanism;
		event->text = buf_data(&server->token);
		event->has_text = server->token_given;
		break;
	case SMTP_SERVER_AUTH_TOKEN:
		event->text = buf_data(&server->token);
		event->has_text = true;
		break;
	case SMTP_SERVER_MAIL:
		event->mail = &server->transaction->mail;
		break;
	case SMTP_SERVER_RCPT:
		event->mail = &server->transaction->mail;
		event->rcpt = &server->transaction->rcpt;
		break;
	case SMTP_SERVER_BODY_END:
		event->repaired = server->transaction->repaired;
		break;
	case SMTP_SERVER_VRFY:
		event->has_text = true;
		break;
	case SMTP_SERVER_ETRN:
		event->text = buf_data(&server->token);
		event->has_text = true;
		break;
	default:
		break;
	}
}

static bool take(struct smtp_server *server, unsigned pending)
{
	bool there = (server->pending & pending) != 0;

	server->pending &= ~pending;
	return there;
}

/* The next event that waits. */
static bool take_pending(struct smtp_server *server, struct smtp_server_event *event)
{
	*event = (struct smtp_server_event){.text = SLICE_LIT("")};
	if (take(server, PENDING_REFUSED)) {
		event->type = SMTP_SERVER_REFUSED;
		event->text = server->text;
		event->reply = slice_str(server->refusal);
		event->hint = server->hint != NULL ? server->hint : "";
		server->hint = NULL;
	} else if (take(server, PENDING_AUTH_CANCEL)) {
		event->type = SMTP_SERVER_AUTH_CANCEL;
	} else if (take(server, PENDING_RESET)) {
		event->type = SMTP_SERVER_RESET;
	} else if (take(server, PENDING_HELO)) {
		event->type = SMTP_SERVER_HELO;
		event->text = smtp_server_helo(server);
		event->esmtp = server->esmtp;
	} else if (take(server, PENDING_BODY_DROP)) {
		event->type = SMTP_SERVER_BODY_DROP;
		event->reply = slice_str(server->transaction->drop);
	} else if (take(server, PENDING_QUESTION)) {
		fill_question(server, event);
	} else if (take(server, PENDING_CLOSE)) {
		event->type = SMTP_SERVER_CLOSE;
		event->reason = server->close_reason;
		server->secret_lent = false;
		smtp_framer_wipe(&server->framer);
	} else {
		return false;
	}
	return true;
}

/* Uses some input; false: there is not enough. */
static bool step(struct smtp_server *server, struct smtp_server_event *event_out)
{
	switch (server->state) {
	case SERVER_COMMAND:
		return server_command(server);
	case SERVER_AUTH_LINE:
		return server_auth_line(server);
	case SERVER_BODY:
		return server_body(server, event_out);
	case SERVER_CHUNK:
		return server_chunk(server, event_out);
	case SERVER_NEW:
	case SERVER_CLOSED:
		break;
	}
	return false;
}

bool smtp_server_next(struct smtp_server *server, struct smtp_server_event *event_out)
{
	struct smtp_server_event event = {.type = 0};

	while (event.type == 0) {
		if (take_pending(server, &event))
			break;
		if (server->question != 0 || buf_len(&server->out) > SMTP_OUTPUT_STOP)
			return false;
		settle(server);
		if (!step(server, &event)) {
			smtp_framer_shrink(&server->framer);
			return false;
		}
	}
	*event_out = event;
	return true;
}

struct buf *smtp_server_output(struct smtp_server *server)
{
	return &server->out;
}

/* What an answer does beyond what is said. */
static void apply_answer(struct smtp_server *server, enum smtp_server_event_type question, bool yes)
{
	switch (question) {
	case SMTP_SERVER_MAIL:
		server->transaction->accepted = yes;
		server->mail_refused = !yes;
		/* They were lent with the line. */
		server->transaction->mail.terms.envid = SLICE_LIT("");
		server->transaction->mail.terms.auth = SLICE_LIT("");
		if (!yes)
			server_drop_transaction(server);
		break;
	case SMTP_SERVER_RCPT:
		if (yes)
			server->transaction->recipients++;
		break;
	case SMTP_SERVER_BODY_END:
		MEM_FREE(server->transaction);
		server_enter(server, SERVER_COMMAND);
		break;
	case SMTP_SERVER_ETRN:
		buf_wipe(&server->token);
		break;
	default:
		break;
	}
}

/* Takes the 220 off the end of the output; false: it was sent. */
static bool take_back_ready(struct smtp_server *server)
{
	struct slice ready = SLICE_LIT(TLS_READY "\r\n");
	size_t len = buf_len(&server->out);

	if (len < ready.len ||
	    !slice_equal(slice_skip(buf_data(&server->out), len - ready.len), ready))
		return false;
	buf_truncate(&server->out, len - ready.len);
	return true;
}

void smtp_server_answer(struct smtp_server *server, unsigned code, const char *status,
			const char *text)
{
	enum smtp_server_event_type question = server->question;

	if (question == 0 || question == SMTP_SERVER_AUTH || question == SMTP_SERVER_AUTH_TOKEN)
		return;
	if (question == SMTP_SERVER_STARTTLS && !take_back_ready(server)) {
		server_end(server, "STARTTLS was refused after it was agreed to");
		return;
	}
	server->question = 0;
	if (question == SMTP_SERVER_DATA && server->state == SERVER_CHUNK && code != 421) {
		char line[SMTP_ANSWER_MAX];

		server_form_words(code, status, text, line);
		server_bdat_refused(server, line);
		return;
	}
	apply_answer(server, question, code < 300);
	server_say_words(server, code, status, text);
}

void smtp_server_tls_done(struct smtp_server *server)
{
	if (server->question != SMTP_SERVER_STARTTLS)
		return;
	server->question = 0;
	server->tls = true;
	server->authenticated = false; /* in clear, where that is allowed (RFC 3207 4.2) */
	server->esmtp = false;
	MEM_FREE(server->helo);
	smtp_framer_wipe(&server->framer);
	server_enter(server, SERVER_COMMAND);
}

void smtp_server_set_time(struct smtp_server *server, int64_t wall_ms)
{
	server->wall = wall_ms;
}

void smtp_server_set_options(struct smtp_server *server, const struct smtp_server_options *options)
{
	server->options = *options;
}

void smtp_server_close(struct smtp_server *server, unsigned code, const char *status,
		       const char *text)
{
	bool silent = server->state == SERVER_BODY || server->state == SERVER_CHUNK ||
		      server->question == SMTP_SERVER_BODY_END ||
		      server->question == SMTP_SERVER_STARTTLS;

	if (server->state == SERVER_CLOSED)
		return;
	if (!silent && code != 0)
		server_say_plainly(server, code, status, text);
	server_end(server, text);
}

enum smtp_server_phase smtp_server_phase(const struct smtp_server *server)
{
	if (server->state == SERVER_CLOSED)
		return SMTP_PHASE_CLOSED;
	if (server->question == SMTP_SERVER_STARTTLS)
		return SMTP_PHASE_HANDSHAKE;
	if (server->question != 0)
		return SMTP_PHASE_ANSWER;
	if (server->state == SERVER_AUTH_LINE)
		return SMTP_PHASE_AUTH;
	if (server->state == SERVER_BODY || server->state == SERVER_CHUNK)
		return SMTP_PHASE_BODY;
	return server->transaction != NULL ? SMTP_PHASE_MAIL : SMTP_PHASE_COMMAND;
}

bool smtp_server_authenticated(const struct smtp_server *server)
{
	return server->authenticated;
}

bool smtp_server_esmtp(const struct smtp_server *server)
{
	return server->esmtp;
}

bool smtp_server_tls(const struct smtp_server *server)
{
	return server->tls;
}

struct slice smtp_server_helo(const struct smtp_server *server)
{
	return slice_str(server->helo);
}
