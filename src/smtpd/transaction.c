/* SPDX-License-Identifier: Apache-2.0 */
#include "transaction.h"

#include <stdio.h>
#include <string.h>

#include "accept.h"
#include "auth_link.h"
#include "base/mem.h"
#include "body.h"
#include "config/config.h"
#include "count.h"
#include "events.h"
#include "os/log.h"
#include "os/os.h"
#include "policy/rights.h"
#include "queue_link.h"
#include "sender.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"

static void free_transaction(struct transaction *transaction)
{
	ipc_list_release(&transaction->recipients);
	header_gather_release(&transaction->gather);
	buf_release(&transaction->head);
	buf_release(&transaction->chunk);
	mem_free(transaction->account);
	mem_free(transaction->key);
	mem_free(transaction->sender);
	mem_free(transaction->foreign_sender);
	mem_free((char *)(uintptr_t)transaction->terms.envid.ptr);
	mem_free((char *)(uintptr_t)transaction->terms.auth.ptr);
	mem_free(transaction->first_recipient);
	mem_free(transaction->verdict);
	mem_free(transaction->accepted);
	mem_free(transaction);
}

void transaction_free(struct transaction **transaction)
{
	if (*transaction == NULL)
		return;
	if ((*transaction)->session != NULL) {
		(*transaction)->session->transaction = NULL;
		if ((*transaction)->state < TRANSACTION_SENT)
			count_back((*transaction)->session->smtpd, *transaction);
	}
	free_transaction(*transaction);
	*transaction = NULL;
}

void transaction_drop(struct session *session)
{
	struct transaction *transaction = session->transaction;

	if (transaction == NULL)
		return;
	session->transaction = NULL;
	transaction->session = NULL;
	if (transaction->state == TRANSACTION_SENT || transaction->state == TRANSACTION_HELD)
		return; /* queue_link.c knows it, and the answer is for the log */
	if (transaction->state != TRANSACTION_ENVELOPE && transaction->verdict == NULL)
		events_log_refusal(session,
				   &(struct refusal){
					   .code = 0,
					   .text = "(no reply)",
					   .reason = "the connection ended inside the message",
					   .sender = slice_str(transaction->sender),
				   });
	queue_link_abort(session->smtpd->queue, transaction);
	count_back(session->smtpd, transaction);
	free_transaction(transaction);
}

/* Who is not logged in: is there a standing grant for mail to our own domains. */
static bool stranger_may_mail(struct session *session, struct slice sender)
{
	struct smtpd *smtpd = session->smtpd;

	/* Without accept_for nobody may, but that is for RCPT to say. */
	if (smtpd->config->accept_for.count == 0 || auth_link_standing_grant(smtpd->auth) != 0)
		return true;
	events_refuse(session,
		      &(struct refusal){.code = 451,
					.status = "4.3.0",
					.text = "Not ready for mail yet; try again in a moment",
					.reason = "no standing grant from auth",
					.sender = sender});
	return false;
}

static struct slice own_copy(struct slice text)
{
	return slice_of(mem_strndup(text.ptr, text.len), text.len);
}

/* What MAIL asked for, with times made absolute. */
static void take_terms(struct transaction *transaction, const struct smtp_mail *mail)
{
	struct smtp_mail_terms *terms = &transaction->terms;
	int64_t now = os_wall_ms();

	*terms = mail->terms;
	terms->envid = own_copy(mail->terms.envid);
	terms->auth = own_copy(sender_auth(transaction->session, mail->terms.auth));
	transaction->release_at = mail->hold_until;
	if (mail->hold_for != 0)
		transaction->release_at = now + (int64_t)mail->hold_for * 1000;
	if (terms->by != SMTP_BY_NONE)
		transaction->deliver_by = now + mail->by_seconds * 1000;
	transaction->flags |= (mail->body_8bit ? IPC_MAIL_8BIT : 0u) |
			      (terms->utf8 ? IPC_MAIL_UTF8 : 0u) |
			      (terms->require_tls ? IPC_MAIL_REQUIRETLS : 0u);
}

void transaction_mail(struct session *session, const struct smtp_mail *mail)
{
	struct slice sender = smtp_address_text(&mail->sender);
	struct smtpd *smtpd = session->smtpd;
	struct transaction *transaction;
	struct queue_refusal no;
	bool foreign = false;

	if (smtpd->stopping) {
		smtp_server_answer(session->server, 421, "4.3.2", "Shutting down; try again later");
		return;
	}
	if (session->login != NULL ? !sender_take(session, &sender, &foreign)
				   : !stranger_may_mail(session, sender))
		return;
	if (!queue_link_takes(smtpd->queue, mail->size, &no)) {
		events_refuse(session, &(struct refusal){.code = no.code,
							 .status = no.status,
							 .text = no.text,
							 .sender = sender});
		return;
	}
	transaction_drop(session);
	transaction = mem_alloc(sizeof(*transaction));
	transaction->session = session;
	transaction->sender = mem_strndup(sender.ptr, sender.len);
	if (foreign)
		transaction->foreign_sender =
			mem_strndup(smtp_address_text(&mail->sender).ptr, mail->sender.len);
	transaction->account = mem_strdup(session->login != NULL ? session->login->account : "");
	transaction->key = mem_strdup(session->login != NULL ? session->login->key : "");
	transaction->grant = session->login != NULL ? session->login->grant
						    : auth_link_standing_grant(smtpd->auth);
	transaction->flags = session->login != NULL ? IPC_MAIL_LOGIN : 0u;
	take_terms(transaction, mail);
	transaction->size_hint = mail->size;
	ipc_list_begin(&transaction->recipients, IPC_FRAME_MAX - 2 * IPC_CHUNK);
	header_gather_init(&transaction->gather);
	buf_init(&transaction->chunk, IPC_CHUNK);
	session->transaction = transaction;
	smtp_server_answer(session->server, 250, "2.1.0", "Sender ok");
}

/* NULL: the recipient is fine. */
static const struct refusal *why_not(const struct session *session,
				     const struct transaction *transaction,
				     const struct smtp_address *address)
{
	static const struct refusal null_sender = {
		.code = 452,
		.status = "4.5.3",
		.text = "Mail with an empty sender address is taken for one recipient at a time"};
	static const struct refusal no_domain = {
		.code = 550,
		.status = "5.1.1",
		.text = "There is no local mailbox of this name here"};
	static const struct refusal relaying = {
		.code = 550, .status = "5.7.1", .text = "Relaying denied"};
	static const struct refusal elsewhere = {
		.code = 550,
		.status = "5.7.1",
		.text = "This device may not send to this recipient",
		.reason = "to of its device section"};
	static const struct refusal literal = {
		.code = 550,
		.status = "5.7.1",
		.text = "Mail to an address in numbers is not relayed; use the name of the domain"};
	const struct strings *ours = &session->smtpd->config->accept_for;
	struct slice domain = smtp_address_domain(address);

	if (session->login == NULL) {
		size_t i = 0;

		while (i < ours->count && !rights_match_domain(slice_str(ours->items[i]), domain))
			i++;
		if (i == ours->count || rights_asks_routing(smtp_address_text(address)))
			return &relaying;
	}
	if (session->login != NULL &&
	    !login_may_send_to(session->login, smtp_address_text(address)))
		return &elsewhere;
	if (domain.len == 0)
		return &no_domain;
	if (address->literal)
		return &literal;
	if (transaction->sender[0] == '\0' && transaction->recipients.count > 0)
		return &null_sender;
	return NULL;
}

void transaction_rcpt(struct session *session, const struct smtp_rcpt *rcpt)
{
	struct transaction *transaction = session->transaction;
	const struct refusal *why;
	struct refusal refusal;

	if (transaction == NULL) {
		/* Its transaction went while the machine had one: as good as never begun. */
		smtp_server_answer(session->server, 503, "5.5.1", "Send MAIL first");
		return;
	}
	why = why_not(session, transaction, &rcpt->address);
	if (why != NULL) {
		refusal = *why;
		refusal.sender = slice_str(transaction->sender);
		refusal.recipient = smtp_address_text(&rcpt->address);
		events_refuse(session, &refusal);
	} else if (session->login != NULL) {
		count_rcpt(session, rcpt);
	} else {
		transaction_add_rcpt(session, rcpt);
	}
}

void transaction_add_rcpt(struct session *session, const struct smtp_rcpt *rcpt)
{
	struct transaction *transaction = session->transaction;
	struct slice address = smtp_address_text(&rcpt->address);
	struct rec_recipient record = {.n = transaction->recipients.count,
				       .address = address,
				       .notify = rcpt->terms.notify,
				       .orcpt = rcpt->terms.orcpt};

	if (ipc_list_add(&transaction->recipients, IPC_REC_recipient, &record) != ERR_OK) {
		events_refuse(session, &(struct refusal){.code = 452,
							 .status = "4.5.3",
							 .text = "Too many recipients",
							 .sender = slice_str(transaction->sender),
							 .recipient = address});
		return;
	}
	if (transaction->first_recipient == NULL)
		transaction->first_recipient = mem_strndup(address.ptr, address.len);
	smtp_server_answer(session->server, 250, "2.1.5", "Recipient ok");
}

void transaction_data(struct session *session)
{
	struct transaction *transaction = session->transaction;
	struct queue_link *queue = session->smtpd->queue;
	struct queue_refusal no;

	if (transaction == NULL || transaction->recipients.count == 0) {
		smtp_server_answer(session->server, 503, "5.5.1", "Send MAIL and RCPT first");
		return;
	}
	if (!queue_link_takes(queue, transaction->size_hint, &no)) {
		events_refuse(session, &(struct refusal){.code = no.code,
							 .status = no.status,
							 .text = no.text,
							 .sender = slice_str(transaction->sender)});
		return;
	}
	if (queue_link_name(queue, transaction) != ERR_OK) {
		events_refuse(session,
			      &(struct refusal){.code = 451,
						.status = "4.3.0",
						.text = "The queue is busy; try again in a moment",
						.reason = "queue has given no more keys",
						.sender = slice_str(transaction->sender)});
		return;
	}
	transaction->state = TRANSACTION_BODY;
	body_begin(transaction);
	smtp_server_answer_data(session->server);
}

/* After the final reply. */
static void over(struct transaction *transaction)
{
	struct session *session = transaction->session;

	transaction_free(&transaction);
	if (session->smtpd->stopping)
		session_close(session, 421, "4.3.2", "Shutting down; try again later");
}

/* "envelope,from" */
static void rewritten_print(const struct transaction *transaction, char *text, size_t size)
{
	const struct accepted *accepted = transaction->accepted;
	bool envelope = accepted->replaced && transaction->foreign_sender != NULL;
	char fields[128];

	field_set_print(accepted->rewritten, fields, sizeof(fields));
	snprintf(text, size, "%s%s%s", envelope ? "envelope" : "",
		 envelope && fields[0] != '\0' ? "," : "", fields);
}

static void log_accepted(const struct transaction *transaction)
{
	const struct accepted *accepted = transaction->accepted;
	const struct session *session = transaction->session;
	char added[128], removed[128], qualified[128], rewritten[160];
	char id[MSGID_TEXT_MAX + 1];
	bool one = transaction->recipients.count == 1;

	msgid_print(&transaction->id, id);
	rewritten_print(transaction, rewritten, sizeof(rewritten));
	log_event(LOG_INFO, "accepted", LOG_TEXT("id", id), LOG_TEXT("session", accepted->log_id),
		  LOG_TEXT_IF("listener", session != NULL ? session->front->listener : ""),
		  LOG_TEXT("client", accepted->client),
		  LOG_TEXT_IF("client_name", accepted->client_name),
		  LOG_TEXT_IF("account", transaction->account),
		  LOG_TEXT_IF("key", transaction->key), LOG_TEXT("sender", transaction->sender),
		  LOG_TEXT_IF("recipient", one ? transaction->first_recipient : ""),
		  LOG_NUMBER("recipients", transaction->recipients.count),
		  LOG_NUMBER("size", transaction->size),
		  LOG_TEXT_IF("message-id", accepted->message_id),
		  LOG_TEXT_IF("added", field_set_print(accepted->added, added, sizeof(added))),
		  LOG_TEXT_IF("removed",
			      field_set_print(accepted->removed, removed, sizeof(removed))),
		  LOG_TEXT_IF("rewritten", rewritten),
		  LOG_TEXT_IF("qualified",
			      field_set_print(accepted->qualified, qualified, sizeof(qualified))),
		  LOG_TEXT_IF("repaired", accepted->repaired ? "line-ends" : ""),
		  LOG_TEXT_IF("tls", accepted->tls),
		  LOG_TEXT_IF("note", session == NULL ? "the client left before the reply" : ""));
}

static void answer_stored(struct transaction *transaction)
{
	char text[32 + MSGID_TEXT_MAX];
	char id[MSGID_TEXT_MAX + 1];

	log_accepted(transaction);
	sender_log(transaction);
	msgid_print(&transaction->id, id);
	snprintf(text, sizeof(text), "Accepted as %s", id);
	if (transaction->session != NULL)
		smtp_server_answer(transaction->session->server, 250, "2.0.0", text);
}

/* Nobody may tell the client anything: whatever we said could turn out to be wrong. */
static void answer_nothing(struct transaction *transaction, struct slice text)
{
	struct session *session = transaction->session;
	char reason[513];

	if (slice_copy(text, reason, sizeof(reason)) != ERR_OK || reason[0] == '\0')
		snprintf(reason, sizeof(reason), "the queue cannot say whether it is stored");
	events_log_refusal(session, &(struct refusal){.code = 0,
						      .text = "(no reply)",
						      .reason = reason,
						      .sender = slice_str(transaction->sender)});
	transaction_free(&transaction);
	session_close(session, 451, "4.3.0", "");
}

static const struct {
	unsigned code;
	const char *status;
	const char *text;
} verdicts[] = {
	[IPC_NO_GRANT] = {451, "4.3.0", "Your login is no longer valid; log in and try again"},
	[IPC_BAD_SENDER] = {550, "5.7.1", "This sender address is not yours to use"},
	[IPC_BAD_RECIPIENT] = {550, "5.7.1", "Relaying denied"},
	[IPC_OVER_BUDGET] = {450, "4.7.1", "Your sending limit is reached; try again later"},
	[IPC_DISK_FULL] = {452, "4.3.1", "The disk is full; try again later"},
	[IPC_STORE_ERROR] = {451, "4.3.0", "The message could not be stored; try again later"},
	[IPC_BAD_MESSAGE] = {451, "4.3.0", "The message could not be taken; try again later"},
};

void transaction_answered(struct transaction *transaction, enum ipc_verdict verdict,
			  struct slice text)
{
	struct session *session = transaction->session;
	char reason[513];

	if (session == NULL) {
		if (verdict == IPC_STORED) {
			log_accepted(transaction);
			sender_log(transaction);
		}
		transaction_free(&transaction);
		return;
	}
	queue_link_unstall(session->smtpd->queue, session);
	if (verdict == IPC_STORED) {
		answer_stored(transaction);
		over(transaction);
	} else if (verdict == IPC_STORE_UNSURE) {
		answer_nothing(transaction, text);
		return;
	} else {
		if (verdict >= sizeof(verdicts) / sizeof(verdicts[0]) ||
		    verdicts[verdict].code == 0)
			verdict = IPC_STORE_ERROR;
		if (verdict == IPC_NO_GRANT && session->login != NULL)
			session->login->lost = true;
		if (slice_copy(text, reason, sizeof(reason)) != ERR_OK)
			reason[0] = '\0';
		transaction_spoil(transaction, verdicts[verdict].code, verdicts[verdict].status,
				  verdicts[verdict].text, reason);
		if (transaction->state != TRANSACTION_BODY)
			transaction_answer_verdict(transaction);
	}
	session_resume(session);
}

void transaction_answer_verdict(struct transaction *transaction)
{
	const struct verdict *verdict = transaction->verdict;

	smtp_server_answer(transaction->session->server, verdict->code, verdict->status,
			   verdict->text);
	over(transaction);
}
