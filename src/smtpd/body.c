/* SPDX-License-Identifier: Apache-2.0 */
#include "body.h"

#include <stdio.h>
#include <string.h>

#include "accept.h"
#include "auth_link.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "config/config.h"
#include "events.h"
#include "message/submission.h"
#include "os/os.h"
#include "queue_link.h"
#include "sender.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "transaction.h"

enum { HEAD_MAX = HEADER_SIZE_MAX + 8192 /* with what is added to it */ };

/* From now on what comes of the message is thrown away. */
static void spoil(struct transaction *transaction, unsigned code, const char *status,
		  const char *text)
{
	struct verdict *verdict = mem_alloc(sizeof(*verdict));

	transaction->verdict = verdict;
	verdict->code = code;
	snprintf(verdict->status, sizeof(verdict->status), "%s", status);
	snprintf(verdict->text, sizeof(verdict->text), "%s", text);
	queue_link_abort(transaction->session->smtpd->queue, transaction);
	transaction->pending = SLICE_LIT("");
	buf_release(&transaction->head);
	buf_release(&transaction->chunk);
	header_gather_release(&transaction->gather);
}

void transaction_spoil(struct transaction *transaction, unsigned code, const char *status,
		       const char *text, const char *reason)
{
	if (transaction->verdict != NULL)
		return;
	spoil(transaction, code, status, text);
	events_log_refusal(transaction->session, &(struct refusal){
							 .code = code,
							 .status = status,
							 .text = text,
							 .reason = reason,
							 .sender = slice_str(transaction->sender),
						 });
}

void transaction_body_refused(struct session *session)
{
	struct transaction *transaction = session->transaction;

	/* The machine answers by itself, and tells when it has. */
	if (transaction != NULL && transaction->verdict == NULL)
		spoil(transaction, 0, "", "");
}

void body_begin(struct transaction *transaction)
{
	struct session *session = transaction->session;
	struct accepted *accepted = mem_alloc(sizeof(*accepted));

	buf_init(&transaction->head, HEAD_MAX);
	snprintf(accepted->log_id, sizeof(accepted->log_id), "%s", session->log_id);
	snprintf(accepted->client, sizeof(accepted->client), "%s", session->client);
	snprintf(accepted->client_name, sizeof(accepted->client_name), "%s",
		 session->client_name != NULL ? session->client_name : "");
	session_tls_text(session, accepted->tls, sizeof(accepted->tls));
	transaction->accepted = accepted;
}

/* RFC 3848; with SMTPUTF8 RFC 6531 4.3. */
static const char *protocol_of(const struct session *session, bool utf8)
{
	static const char *const plain[] = {"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"};
	static const char *const wide[] = {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"};
	unsigned how = (session->login != NULL && !session->login->device ? 1u : 0u) |
		       (smtp_server_tls(session->server) ? 2u : 0u);

	if (!smtp_server_esmtp(session->server))
		return "SMTP";
	return utf8 ? wide[how] : plain[how];
}

/* An account's mail does not tell where the account's owner is, if nobody wants it to. */
static void fill_trace(const struct transaction *transaction, const char *id, struct trace *trace)
{
	const struct session *session = transaction->session;
	enum received_shows shows = session->smtpd->config->submission.received;
	bool login = session->login != NULL;
	bool device = login && session->login->device;
	bool client = !login || shows == RECEIVED_FULL;

	*trace = (struct trace){
		.hostname = session->front->hostname,
		.helo = client   ? smtp_server_helo(session->server)
			: device ? SLICE_LIT("device")
				 : SLICE_LIT(""),
		.client = client ? slice_str(session->client) : SLICE_LIT(""),
		.client_name = slice_str(transaction->accepted->client_name),
		.account =
			shows != RECEIVED_MINIMAL ? slice_str(transaction->account) : SLICE_LIT(""),
		.key = shows != RECEIVED_MINIMAL ? slice_str(transaction->key) : SLICE_LIT(""),
		.protocol = slice_str(protocol_of(session, transaction->terms.utf8)),
		.tls = slice_str(transaction->accepted->tls),
		.id = slice_str(id),
		.recipient = transaction->recipients.count == 1
				     ? slice_str(transaction->first_recipient)
				     : SLICE_LIT(""),
		.wall = os_wall_ms(),
		.login = login,
		.utf8 = transaction->terms.utf8,
	};
}

static bool may_send_as(void *arg, struct slice address)
{
	return login_may_send_as(arg, address);
}

static void note_report(struct transaction *transaction, const struct submission_report *report)
{
	struct accepted *accepted = transaction->accepted;

	accepted->added = report->added;
	accepted->removed = report->removed;
	accepted->rewritten = report->rewritten;
	accepted->qualified = report->qualified;
	accepted->mismatch = report->mismatch;
	snprintf(accepted->used, sizeof(accepted->used), "%s", report->used);
	snprintf(accepted->message_id, sizeof(accepted->message_id), "%s", report->message_id);
	/* RFC 8689 4.1: REQUIRETLS has the last word. */
	if (report->tls_optional && !transaction->terms.require_tls)
		transaction->flags |= IPC_MAIL_TLS_OPTIONAL;
}

static void refuse_header(struct transaction *transaction, enum submission_verdict verdict,
			  const struct submission_report *report)
{
	char reason[64];
	char text[480];

	switch (verdict) {
	case SUBMISSION_LOOP:
		auth_link_struck(transaction->session->smtpd->auth, IPC_LIMIT_HOPS);
		transaction_spoil(transaction, 554, "5.4.6", "Too many hops: this is a mail loop",
				  "");
		break;
	case SUBMISSION_TOO_MANY_FIELDS:
		transaction_spoil(transaction, 552, "5.3.4", "The header has too many fields", "");
		break;
	case SUBMISSION_FROM_DENIED:
		sender_explain(transaction->session, slice_str(report->detail), text, sizeof(text));
		snprintf(reason, sizeof(reason), "header %s", field_name(report->field));
		transaction_spoil(transaction, 550, "5.7.1", text, reason);
		break;
	default:
		snprintf(text, sizeof(text), "The header cannot be accepted: %.400s",
			 report->detail);
		transaction_spoil(transaction, 550, "5.6.0", text, "");
		break;
	}
}

static void fill_submission(const struct session *session, struct submission *submission)
{
	const struct config *config = session->smtpd->config;

	*submission = (struct submission){
		.fix = session->login != NULL,
		.policy = sender_policy(config),
		.qualify = config->submission.qualify,
		.domain = config_domain(config),
		.from_address = SLICE_LIT(""),
		.hops_max = config->limits.hops,
		.may_send_as = may_send_as,
		.arg = session->login,
	};
	if (session->login != NULL) {
		submission->from_address = slice_str(session->login->address);
		submission->message_id = os_random_u64();
		submission->message_id_more = os_random_u64();
	}
}

/* The header is here, whole: fixes it up, or spoils the message. */
static void header_done(struct transaction *transaction)
{
	struct session *session = transaction->session;
	struct submission_report report;
	enum submission_verdict verdict;
	char id[MSGID_TEXT_MAX + 1];
	struct submission submission;

	fill_submission(session, &submission);
	transaction->accepted->replaced = submission.policy == SUBMISSION_REWRITE;
	msgid_print(&transaction->id, id);
	fill_trace(transaction, id, &submission.trace);
	if (submission_apply(&submission, buf_data(&transaction->gather.bytes), &transaction->head,
			     &verdict, &report) != ERR_OK) {
		transaction_spoil(transaction, 552, "5.3.4", "The header is too large", "");
		return;
	}
	header_gather_release(&transaction->gather);
	transaction->gather.complete = true;
	if (verdict == SUBMISSION_OK)
		note_report(transaction, &report);
	else
		refuse_header(transaction, verdict, &report);
}

/* Takes bytes into the chunk and full chunks to queue; ERR_FULL: no credit. */
static enum err take(struct transaction *transaction, struct slice bytes, size_t *taken_out)
{
	struct queue_link *queue = transaction->session->smtpd->queue;
	struct buf *chunk = &transaction->chunk;
	size_t taken = 0;
	enum err err = ERR_OK;

	/* The next hop is to know, also if the client did not say so (RFC 6152 3). */
	if ((transaction->flags & IPC_MAIL_8BIT) == 0 && !utf8_is_ascii(bytes))
		transaction->flags |= IPC_MAIL_8BIT;
	while (taken < bytes.len) {
		struct slice part;

		if (buf_room(chunk) == 0) {
			err = queue_link_chunk(queue, transaction);
			if (err != ERR_OK)
				break;
		}
		part = slice_head(slice_skip(bytes, taken), buf_room(chunk));
		(void)buf_append_slice(chunk, part);
		taken += part.len;
	}
	transaction->size += taken;
	*taken_out = taken;
	return err;
}

/* Moves on what is here; ERR_FULL: the session is to stall. */
static enum err move_on(struct transaction *transaction)
{
	size_t taken;
	enum err err = ERR_OK;

	if (buf_len(&transaction->head) > 0) {
		err = take(transaction, buf_data(&transaction->head), &taken);
		buf_consume(&transaction->head, taken);
		if (err == ERR_OK)
			buf_release(&transaction->head);
	}
	if (err == ERR_OK && transaction->pending.len > 0) {
		err = take(transaction, transaction->pending, &taken);
		transaction->pending = slice_skip(transaction->pending, taken);
	}
	return err;
}

static void queue_is_gone(struct transaction *transaction)
{
	transaction_spoil(transaction, 451, "4.3.0", "The queue was started anew; send it again",
			  "the queue process ended");
}

void transaction_body(struct session *session, struct slice text)
{
	struct transaction *transaction = session->transaction;
	enum err err;

	if (transaction == NULL || transaction->verdict != NULL)
		return;
	if (!transaction->gather.complete) {
		if (header_gather_feed(&transaction->gather, text, &text) != ERR_OK) {
			transaction_spoil(transaction, 552, "5.3.4", "The header is too large", "");
			return;
		}
		if (!transaction->gather.complete)
			return;
		header_done(transaction);
		if (transaction->verdict != NULL)
			return;
	}
	transaction->pending = text;
	err = move_on(transaction);
	if (err == ERR_FULL)
		queue_link_stall(session->smtpd->queue, session);
	else if (err != ERR_OK)
		queue_is_gone(transaction);
}

/* The final dot was seen: gives queue the rest, once there is credit. */
static void finish(struct transaction *transaction)
{
	struct session *session = transaction->session;
	enum err err;

	if (transaction->verdict == NULL) {
		err = move_on(transaction);
		if (err == ERR_OK)
			err = queue_link_end(session->smtpd->queue, transaction);
		if (err == ERR_OK) {
			transaction->state = TRANSACTION_SENT;
			buf_release(&transaction->chunk);
			return;
		}
		if (err == ERR_FULL) {
			queue_link_stall(session->smtpd->queue, session);
			return;
		}
		queue_is_gone(transaction);
	}
	transaction_answer_verdict(transaction);
}

void transaction_end(struct session *session, bool repaired)
{
	struct transaction *transaction = session->transaction;

	if (transaction == NULL) {
		smtp_server_answer(session->server, 451, "4.3.0",
				   "The message was lost; send it again");
		return;
	}
	transaction->state = TRANSACTION_DOT;
	transaction->accepted->repaired = repaired;
	if (transaction->verdict == NULL && !transaction->gather.complete) {
		header_gather_end(&transaction->gather);
		header_done(transaction);
	}
	finish(transaction);
}

void transaction_go_on(struct session *session)
{
	struct transaction *transaction = session->transaction;
	enum err err;

	if (transaction == NULL)
		return;
	if (transaction->state == TRANSACTION_DOT) {
		finish(transaction);
	} else if (transaction->verdict == NULL) {
		err = move_on(transaction);
		if (err == ERR_FULL)
			queue_link_stall(session->smtpd->queue, session);
		else if (err != ERR_OK)
			queue_is_gone(transaction);
	}
	if (!session->stalled)
		session_resume(session);
}
