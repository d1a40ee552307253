/* SPDX-License-Identifier: Apache-2.0 */
#include "etrn.h"

#include <stdio.h>

#include "auth_link.h"
#include "events.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "queue_link.h"
#include "session.h"
#include "sessions.h"
#include "smtp/server.h"
#include "smtpd.h"

static void refuse_etrn(struct session *session)
{
	session->etrn_pending = false;
	events_refuse(session, &(struct refusal){.code = 458,
						 .status = "4.3.0",
						 .text = "The queue cannot be asked just now",
						 .reason = "ETRN"});
	session_resume(session);
}

void etrn_ask(struct session *session, struct slice domain)
{
	struct channel *channel = queue_link_channel(session->smtpd->queue);
	const struct msg_etrn msg = {.session = session->id, .domain = domain};

	if (session->login == NULL || session->login->lost) {
		smtp_server_answer(session->server, 421, "4.3.0", "Please log in again");
		return;
	}
	log_event(LOG_INFO, "etrn", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("client", session->client), LOG_TEXT("account", session->login->account),
		  LOG_SLICE("domain", domain));
	if (channel == NULL || channel_send(channel, IPC_ETRN, &msg) != ERR_OK)
		refuse_etrn(session);
	else
		session->etrn_pending = true;
}

/* RFC 1985 5.3. */
void etrn_done(struct smtpd *smtpd, const struct msg_etrn_done *msg)
{
	struct session *session = sessions_find(smtpd->sessions, msg->session);
	char text[64];

	if (session == NULL || !session->etrn_pending)
		return;
	if (msg->code < 250 || msg->code > 253) {
		refuse_etrn(session);
		return;
	}
	session->etrn_pending = false;
	snprintf(text, sizeof(text), "%u recipients are tried now", (unsigned)msg->recipients);
	if (msg->code == 250)
		smtp_server_answer(session->server, 250, "2.0.0",
				   "Its mail is being tried: this was asked for less than a minute "
				   "ago");
	else if (msg->recipients == 0)
		smtp_server_answer(session->server, 251, "2.0.0", "No mail waits to be tried");
	else
		smtp_server_answer(session->server, 253, "2.0.0", text);
	session_resume(session);
}

static void forget_etrn(struct session *session, void *arg)
{
	(void)arg;
	if (session->etrn_pending)
		refuse_etrn(session);
}

void etrn_forget_all(struct smtpd *smtpd)
{
	sessions_each(smtpd->sessions, forget_etrn, NULL);
}
