/* SPDX-License-Identifier: Apache-2.0 */
/* How long a session may take: one timer that looks at the deadline, which mostly only moves back.
 */
#include "session_internal.h"

#include "auth_link.h"
#include "config/config.h"
#include "os/loop.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"

enum { ANSWER_TIME = 10 * 60000 /* ms that auth and queue have for an answer */ };

bool session_waits_for_us(const struct session *session)
{
	return session->stalled ||
	       (session->server != NULL && smtp_server_phase(session->server) == SMTP_PHASE_ANSWER);
}

void session_set_deadline(struct session *session, uint64_t in_ms)
{
	int64_t now = loop_now(session->smtpd->loop);

	session->deadline = now + (int64_t)in_ms;
	if (session->login_by != 0 && session->login == NULL && session->state != SESSION_CLOSING &&
	    session->login_by < session->deadline)
		session->deadline = session->login_by;
	/* The timer that runs looks at the deadline itself; most deadlines only move back. */
	if (session->timer_at == 0 || session->deadline < session->timer_at) {
		session->timer_at = session->deadline;
		timer_set(session->timer,
			  session->deadline > now ? (uint64_t)(session->deadline - now) : 0);
	}
}

void session_renew_deadline(struct session *session)
{
	const struct config_timeouts *timeouts = &session->smtpd->config->timeouts;

	if (session_waits_for_us(session))
		session_set_deadline(session, ANSWER_TIME);
	else if (smtp_server_phase(session->server) == SMTP_PHASE_BODY)
		session_set_deadline(session, timeouts->data_block);
	else
		session_set_deadline(session, timeouts->command);
}

/* Which limit it was. */
static void note_time_over(const struct session *session, int64_t now)
{
	struct auth_link *auth = session->smtpd->auth;

	if (session->state == SESSION_HANDSHAKE)
		auth_link_struck(auth, IPC_LIMIT_HANDSHAKE_TIME);
	else if (session->login_by != 0 && session->login == NULL && now >= session->login_by)
		auth_link_struck(auth, IPC_LIMIT_LOGIN_TIME);
	else if (session->state == SESSION_OPEN)
		auth_link_struck(auth, IPC_LIMIT_TIMEOUTS);
}

/* For the log. */
static const char *what_was_awaited(const struct session *session)
{
	if (session_waits_for_us(session))
		return "auth or queue gave no answer in time";
	if (smtp_server_phase(session->server) == SMTP_PHASE_BODY)
		return "nothing came of the message for timeouts.data_block";
	return "the client sent no command for timeouts.command";
}

void session_time_over(void *arg)
{
	struct session *session = arg;
	int64_t now = loop_now(session->smtpd->loop);

	session->timer_at = 0;
	if (session->deadline > now) {
		session->timer_at = session->deadline;
		timer_set(session->timer, (uint64_t)(session->deadline - now));
		return;
	}
	if (session->state == SESSION_FIRST) {
		session_was_silent(session);
		return;
	}
	note_time_over(session, now);
	if (session->state == SESSION_HANDSHAKE)
		session_log_no_tls(session, "the TLS handshake took too long");
	/* Whoever does not take our last words has had them. */
	if (session->state != SESSION_OPEN || session->write_blocked) {
		session_end(session);
		return;
	}
	if (session->login_by != 0 && session->login == NULL && now >= session->login_by)
		session_turn_away(session, 421, "4.4.2", "No login within the time; closing",
				  "the client did not log in within timeouts.login");
	else
		session_turn_away(session, 421, "4.4.2", "Timeout; closing",
				  what_was_awaited(session));
}
