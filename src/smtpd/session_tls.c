/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a session begins: with TLS at once, in clear, or with the one where the other is expected,
 * which is told in words if the client can read them; and the handshake.
 */
#include "session_internal.h"

#include "accept.h"
#include "config/config.h"
#include "events.h"
#include "first.h"
#include "os/log.h"
#include "refusals.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "tls/tls.h"

void session_log_no_tls(const struct session *session, const char *reason)
{
	if (!refusals_logged(session->smtpd->refusals, session->client))
		return;
	log_event(LOG_INFO, "connect-refused", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("listener", session->front->listener),
		  LOG_TEXT("client", session->client),
		  LOG_TEXT_IF("client_name", session->client_name), LOG_TEXT("reason", reason));
}

/* Where TLS was to begin and did not: ends the session, if words are of use with some. */
static void end_in_clear(struct session *session, bool words, const char *reason)
{
	static const char reply[] =
		"421 4.7.0 This port expects TLS at once; use port 587 for STARTTLS\r\n";
	size_t sent;

	session_log_end(session, reason);
	/* A new connection has room for a line; without, it goes without. */
	if (words && stream_write(session->stream, reply, sizeof(reply) - 1, &sent) == ERR_OK)
		session_drain(session);
	session_end(session);
}

void session_handshake(struct session *session)
{
	char why[TLS_WHY_MAX];
	enum err err = stream_handshake(session->stream, why);

	if (err == ERR_AGAIN) {
		session_update_watch(session, true);
		return;
	}
	if (err != ERR_OK) {
		session_log_no_tls(session, why);
		session_end(session);
		return;
	}
	if (session->server == NULL) {
		session_begin(session);
	} else {
		struct smtp_server_options options;

		session->state = SESSION_OPEN;
		events_forget_login(session);
		session_options(session, &options); /* no account's message size any more */
		smtp_server_set_options(session->server, &options);
		smtp_server_tls_done(session->server);
		session_renew_deadline(session);
	}
	/* What came right behind the handshake may be in OpenSSL's hands already. */
	session_read(session);
}

void session_begin_tls(struct session *session)
{
	struct tls_context *context = acceptor_tls(session->smtpd->acceptor);

	session->state = SESSION_HANDSHAKE;
	session->greeted = true;
	session_set_deadline(session, session->smtpd->config->timeouts.handshake);
	if (context == NULL || stream_start_tls(session->stream, context, NULL) != ERR_OK ||
	    stream_allow(session->stream, front_tls_oldest(session->front, session->client)) !=
		    ERR_OK ||
	    (session->front->authorities != NULL &&
	     stream_ask_certificate(session->stream, session->front->authorities) != ERR_OK)) {
		session_log_end(session, "TLS could not be started");
		session_end(session);
		return;
	}
	session_handshake(session);
}

void session_expect_tls(struct session *session)
{
	char bytes[16];
	size_t len;
	enum err err = stream_peek(session->stream, bytes, sizeof(bytes), &len);
	enum first first;

	if (err == ERR_AGAIN) {
		session_update_watch(session, true);
		return;
	}
	if (err != ERR_OK) { /* it only looked whether somebody is here */
		session_end(session);
		return;
	}
	first = first_judge(slice_of(bytes, len));
	if (first == FIRST_TLS)
		session_begin_tls(session);
	else
		end_in_clear(session, first == FIRST_SMTP, first_reason(first));
}

/* A client that was set to "SSL/TLS" on a port that begins in clear: say so. */
bool session_is_tls_hello(struct session *session, const char *bytes, size_t len)
{
	if (session->greeted)
		return false;
	session->greeted = true;
	if (first_judge(slice_of(bytes, len)) != FIRST_TLS)
		return false;
	session_log_end(
		session,
		"the client speaks TLS at once on a port that begins in clear: it should use "
		"STARTTLS, or a port with implicit TLS (465)");
	session_close(session, 421, "4.7.0", "This port begins in clear; use STARTTLS");
	return true;
}

void session_was_silent(struct session *session)
{
	end_in_clear(session, true,
		     "the client is silent on a port with implicit TLS: it should use STARTTLS on "
		     "port 587, or TLS from the start (\"SSL/TLS\")");
}
