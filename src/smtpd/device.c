/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include "accept.h"
#include "auth_link.h"
#include "config/config.h"
#include "events.h"
#include "ipc/message.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "transaction.h"

bool device_is(const struct session *session)
{
	const struct config *config = session->smtpd->config;

	return config_device_find(config, slice_str(session->front->listener),
				  slice_str(session->client)) < config->device_count;
}

void device_forget(struct session *session)
{
	if (session->login != NULL && session->login->device)
		events_forget_login(session);
}

static void refuse(struct session *session, const struct smtp_mail *mail, unsigned code,
		   const char *status, const char *text, const char *reason)
{
	events_refuse(session, &(struct refusal){.code = code,
						 .status = status,
						 .text = text,
						 .reason = reason,
						 .sender = smtp_address_text(&mail->sender)});
}

void device_mail(struct session *session, const struct smtp_mail *mail)
{
	struct smtpd *smtpd = session->smtpd;

	/* auth was started anew: a device can be asked about again, and need not be sent away. */
	if (session->login != NULL && session->login->lost && !session->login->revoked)
		device_forget(session);
	if (session->login != NULL || smtpd->stopping || !device_is(session)) {
		transaction_mail(session, mail);
	} else if (auth_link_device(smtpd->auth, session)) {
		session->device_mail = mail;
	} else {
		refuse(session, mail, 451, "4.3.0", "Not ready for mail yet; try again in a moment",
		       "the auth process is not there");
	}
}

/* What waits for the answer; NULL: nothing. *open_out: the machine still asks. */
static const struct smtp_mail *take(struct session *session, bool *open_out)
{
	const struct smtp_mail *mail = session->device_mail;

	session->device_mail = NULL;
	*open_out = mail != NULL && session->state == SESSION_OPEN &&
		    smtp_server_phase(session->server) == SMTP_PHASE_ANSWER;
	return mail;
}

bool device_ok(struct session *session, const struct msg_auth_ok *msg)
{
	bool open;
	const struct smtp_mail *mail = take(session, &open);

	if (!open)
		return false;
	auth_link_log_in(session, msg);
	transaction_mail(session, mail);
	session_resume(session);
	return true;
}

bool device_refused(struct session *session, const struct msg_auth_fail *msg)
{
	char status[17], text[513], reason[513];
	bool open;
	const struct smtp_mail *mail = take(session, &open);

	if (!open || slice_copy(msg->status, status, sizeof(status)) != ERR_OK ||
	    slice_copy(msg->text, text, sizeof(text)) != ERR_OK ||
	    slice_copy(msg->reason, reason, sizeof(reason)) != ERR_OK)
		return mail != NULL;
	refuse(session, mail, msg->code >= 400 && msg->code <= 599 ? msg->code : 451, status, text,
	       reason);
	session_resume(session);
	return true;
}

void device_unanswered(struct session *session)
{
	bool open;
	const struct smtp_mail *mail = take(session, &open);

	if (!open)
		return;
	refuse(session, mail, 451, "4.3.0", "Not ready for mail yet; try again in a moment",
	       "the auth process ended");
	session_resume(session);
}
