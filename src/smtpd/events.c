/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <stdio.h>

#include "accept.h"
#include "auth_link.h"
#include "conduct.h"
#include "device.h"
#include "etrn.h"
#include "os/log.h"
#include "refusals.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "transaction.h"

static const char *account_of(const struct session *session)
{
	return session->login != NULL ? session->login->account : "";
}

static const char *key_of(const struct session *session)
{
	return session->login != NULL ? session->login->key : "";
}

void events_log_refusal(const struct session *session, const struct refusal *refusal)
{
	char reply[640];

	if (!refusals_logged(session->smtpd->refusals, session->client))
		return;
	snprintf(reply, sizeof(reply), "%u%s%s %s", refusal->code,
		 refusal->status != NULL ? " " : "", refusal->status != NULL ? refusal->status : "",
		 refusal->text);
	log_event(LOG_INFO, "refused", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("listener", session->front->listener),
		  LOG_TEXT("client", session->client),
		  LOG_TEXT_IF("client_name", session->client_name),
		  LOG_TEXT_IF("account", account_of(session)), LOG_TEXT_IF("key", key_of(session)),
		  LOG_SLICE_IF("sender", refusal->sender),
		  LOG_SLICE_IF("recipient", refusal->recipient), LOG_TEXT("reply", reply),
		  LOG_TEXT_IF("reason", refusal->reason));
}

void events_refuse(struct session *session, const struct refusal *refusal)
{
	char reply[64];

	events_log_refusal(session, refusal);
	snprintf(reply, sizeof(reply), "%u %s %s", refusal->code,
		 refusal->status != NULL ? refusal->status : "", refusal->text);
	conduct_refused(session, refusal->recipient.len > 0 ? SLICE_LIT("RCPT TO:") : SLICE_LIT(""),
			slice_str(reply));
	smtp_server_answer(session->server, refusal->code, refusal->status, refusal->text);
}

/*
 * The machine refused by itself. The client's line is logged only where it cannot be a password
 * that was sent as a command (threats C17).
 */
static void machine_refused(const struct session *session, const struct smtp_server_event *event)
{
	bool harmless = slice_starts_nocase(event->text, "MAIL FROM:") ||
			slice_starts_nocase(event->text, "RCPT TO:");
	const struct transaction *transaction = session->transaction;

	if (!refusals_logged(session->smtpd->refusals, session->client))
		return;
	log_event(LOG_INFO, "refused", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("listener", session->front->listener),
		  LOG_TEXT("client", session->client),
		  LOG_TEXT_IF("client_name", session->client_name),
		  LOG_TEXT_IF("account", account_of(session)), LOG_TEXT_IF("key", key_of(session)),
		  LOG_TEXT_IF("sender", transaction != NULL ? transaction->sender : ""),
		  LOG_SLICE_IF("line", harmless ? event->text : SLICE_LIT("")),
		  LOG_SLICE("reply", event->reply), LOG_TEXT_IF("reason", event->hint));
}

static void closed(struct session *session, const char *reason)
{
	session->state = SESSION_CLOSING;
	if (reason != NULL && slice_is_nocase(slice_str(reason), "too many errors"))
		auth_link_struck(session->smtpd->auth, IPC_LIMIT_ERRORS);
	if (reason == NULL || reason[0] == '\0' || session->end_logged ||
	    !refusals_logged(session->smtpd->refusals, session->client))
		return;
	log_event(LOG_INFO, "refused", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("listener", session->front->listener),
		  LOG_TEXT("client", session->client),
		  LOG_TEXT_IF("client_name", session->client_name),
		  LOG_TEXT_IF("account", account_of(session)), LOG_TEXT_IF("key", key_of(session)),
		  LOG_TEXT("reason", reason));
}

void events_forget_login(struct session *session)
{
	if (session->login == NULL)
		return;
	auth_link_grant_end(session->smtpd->auth, session->login->grant);
	login_free(&session->login);
}

static void cancel_auth(struct session *session)
{
	if (!session->auth_pending)
		return;
	session->auth_pending = false;
	auth_link_cancel(session->smtpd->auth, session);
}

void events_handle(struct session *session, const struct smtp_server_event *event)
{
	switch (event->type) {
	case SMTP_SERVER_HELO:
		break; /* taken from the machine when it is needed */
	case SMTP_SERVER_RESET:
		transaction_drop(session);
		break;
	case SMTP_SERVER_BODY:
		transaction_body(session, event->text);
		break;
	case SMTP_SERVER_BODY_DROP:
		transaction_body_refused(session);
		break;
	case SMTP_SERVER_REFUSED:
		machine_refused(session, event);
		conduct_refused(session, event->text, event->reply);
		break;
	case SMTP_SERVER_AUTH_CANCEL:
		cancel_auth(session);
		break;
	case SMTP_SERVER_CLOSE:
		cancel_auth(session);
		closed(session, event->reason);
		break;
	case SMTP_SERVER_STARTTLS:
		session->state = SESSION_TLS_NEXT;
		break;
	case SMTP_SERVER_AUTH:
		device_forget(session);
		auth_link_start(session->smtpd->auth, session, event);
		break;
	case SMTP_SERVER_AUTH_TOKEN:
		auth_link_token(session->smtpd->auth, session, event->text);
		break;
	case SMTP_SERVER_MAIL:
		device_mail(session, event->mail);
		break;
	case SMTP_SERVER_RCPT:
		conduct_rcpt(session, event->rcpt);
		break;
	case SMTP_SERVER_DATA:
		transaction_data(session);
		break;
	case SMTP_SERVER_BODY_END:
		transaction_end(session, event->repaired);
		break;
	case SMTP_SERVER_VRFY:
		smtp_server_answer(session->server, 252, "2.1.5",
				   "Send some mail, and it will be tried");
		break;
	case SMTP_SERVER_ETRN:
		etrn_ask(session, event->text);
		break;
	}
}
