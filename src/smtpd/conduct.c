/* SPDX-License-Identifier: Apache-2.0 */
#include "conduct.h"

#include "auth_link.h"
#include "config/config.h"
#include "os/loop.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "transaction.h"

enum { SLOW_ANSWER = 1000 /* ms */ };

/*
 * The machine still asks, and what it asks about stays as it is until it is answered; unless the
 * session was closed meanwhile, and with it the machine.
 */
static void answer_held(void *arg)
{
	struct session *session = arg;
	const struct smtp_rcpt *rcpt = session->held;

	session->held = NULL;
	if (session->state != SESSION_OPEN ||
	    smtp_server_phase(session->server) != SMTP_PHASE_ANSWER)
		return;
	transaction_rcpt(session, rcpt);
	session_resume(session);
}

void conduct_rcpt(struct session *session, const struct smtp_rcpt *rcpt)
{
	uint32_t limit = session->smtpd->config->limits.bad_recipients;

	if (limit == 0 || session->bad_recipients < limit) {
		transaction_rcpt(session, rcpt);
		return;
	}
	auth_link_struck(session->smtpd->auth, IPC_LIMIT_BAD_RECIPIENTS);
	session->held = rcpt;
	if (session->slow == NULL)
		session->slow = timer_new(session->smtpd->loop, answer_held, session);
	timer_set(session->slow, SLOW_ANSWER);
}

void conduct_refused(struct session *session, struct slice text, struct slice reply)
{
	struct auth_link *auth = session->smtpd->auth;

	/* Too many recipients, or none for now, is not the recipient's fault. */
	if (slice_starts_nocase(text, "RCPT TO:") && slice_starts(reply, "5"))
		session->bad_recipients++;
	if (slice_starts(reply, "552 5.3.4"))
		auth_link_struck(auth, IPC_LIMIT_MESSAGE_SIZE);
	else if (slice_starts(reply, "452 4.5.3"))
		auth_link_struck(auth, IPC_LIMIT_RECIPIENTS);
	else if (slice_starts(reply, SMTP_LINE_TOO_LONG))
		auth_link_struck(auth, IPC_LIMIT_LONG_LINES);
	else if (slice_starts(reply, SMTP_HELD_TOO_LONG))
		auth_link_struck(auth, IPC_LIMIT_FUTURE_RELEASE);
}

bool conduct_bytes(struct session *session, size_t len)
{
	const struct config_limits *limits = &session->smtpd->config->limits;

	if (smtp_server_phase(session->server) != SMTP_PHASE_BODY ||
	    pace_take(&session->pace, loop_now(session->smtpd->loop), len, limits->min_rate))
		return true;
	auth_link_struck(session->smtpd->auth, IPC_LIMIT_MIN_RATE);
	return false;
}

void conduct_turn(struct session *session, bool client)
{
	int64_t now = loop_now(session->smtpd->loop);

	if (client)
		pace_wait(&session->pace, now);
	else if (session->transaction == NULL)
		session->pace = (struct pace){0};
	else
		pace_stop(&session->pace, now);
}

void conduct_release(struct session *session)
{
	timer_free(&session->slow);
}
