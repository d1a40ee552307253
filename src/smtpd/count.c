/* SPDX-License-Identifier: Apache-2.0 */
#include "count.h"

#include "auth_link.h"
#include "base/slice.h"
#include "events.h"
#include "session.h"
#include "sessions.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "transaction.h"

static void refuse(struct session *session, const struct smtp_rcpt *rcpt, unsigned code,
		   const char *status, const char *text, const char *reason)
{
	const struct transaction *transaction = session->transaction;

	events_refuse(session, &(struct refusal){.code = code,
						 .status = status,
						 .text = text,
						 .reason = reason,
						 .sender = slice_str(transaction->sender),
						 .recipient = smtp_address_text(&rcpt->address)});
}

static void refuse_for_now(struct session *session, const struct smtp_rcpt *rcpt)
{
	refuse(session, rcpt, 451, "4.3.0",
	       "Your sending limits cannot be looked up right now; try again in a moment",
	       "the auth process is not there");
}

void count_rcpt(struct session *session, const struct smtp_rcpt *rcpt)
{
	struct transaction *transaction = session->transaction;

	if (!auth_link_count(session->smtpd->auth, session->id, transaction->grant,
			     transaction->recipients.count, smtp_address_text(&rcpt->address))) {
		refuse_for_now(session, rcpt);
		return;
	}
	/* The machine asks until it is answered; what it asks about stays as it is. */
	session->held = rcpt;
	session->counting = true;
}

/* What it waits for; NULL: the session was closed meanwhile, and the machine asks no more. */
static const struct smtp_rcpt *take_held(struct session *session)
{
	const struct smtp_rcpt *rcpt = session->held;

	session->held = NULL;
	session->counting = false;
	return session->state == SESSION_OPEN && session->transaction != NULL &&
			       smtp_server_phase(session->server) == SMTP_PHASE_ANSWER
		       ? rcpt
		       : NULL;
}

void count_answered(struct smtpd *smtpd, const struct msg_counted *msg)
{
	struct session *session = sessions_find(smtpd->sessions, msg->session);
	const struct smtp_rcpt *rcpt = NULL;
	char status[17], text[513], reason[129];

	if (session != NULL && session->counting)
		rcpt = take_held(session);
	if (rcpt == NULL || session->transaction->grant != msg->grant) {
		if (msg->code == 0)
			auth_link_uncount(smtpd->auth, msg->grant, 1);
		return;
	}
	if (msg->code == 0) {
		session->transaction->counted++;
		transaction_add_rcpt(session, rcpt);
	} else if (slice_copy(msg->status, status, sizeof(status)) == ERR_OK &&
		   slice_copy(msg->text, text, sizeof(text)) == ERR_OK &&
		   slice_copy(msg->reason, reason, sizeof(reason)) == ERR_OK) {
		refuse(session, rcpt, msg->code >= 400 && msg->code <= 599 ? msg->code : 451,
		       status, text, reason);
	}
	session_resume(session);
}

void count_fail(struct session *session)
{
	const struct smtp_rcpt *rcpt;

	if (!session->counting)
		return;
	rcpt = take_held(session);
	if (rcpt == NULL)
		return;
	refuse_for_now(session, rcpt);
	session_resume(session);
}

void count_back(struct smtpd *smtpd, const struct transaction *transaction)
{
	if (transaction->counted > 0)
		auth_link_uncount(smtpd->auth, transaction->grant, transaction->counted);
}
