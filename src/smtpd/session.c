/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <stdio.h>
#include <string.h>

#include "accept.h"
#include "auth_link.h"
#include "base/base32.h"
#include "base/mem.h"
#include "conduct.h"
#include "device.h"
#include "events.h"
#include "ipc/message.h"
#include "names_link.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "queue_link.h"
#include "refusals.h"
#include "session_internal.h"
#include "sessions.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "tls/tls.h"
#include "transaction.h"

enum {
	CLOSING_TIME = 5000, /* ms for the last reply to leave */
	/*
	 * ms for the first byte where TLS is to begin at once. A client that was set to STARTTLS
	 * waits for our greeting, as we do for its hello, until its user gives up.
	 */
	SILENCE_TIME = 10000,
};

void session_log_end(struct session *session, const char *reason)
{
	session->end_logged = true;
	if (!refusals_logged(session->smtpd->refusals, session->client))
		return;
	log_event(LOG_INFO, "refused", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("listener", session->front->listener),
		  LOG_TEXT("client", session->client),
		  LOG_TEXT_IF("client_name", session->client_name),
		  LOG_TEXT_IF("account", session->login != NULL ? session->login->account : ""),
		  LOG_TEXT("reason", reason));
}

void session_close(struct session *session, unsigned code, const char *status, const char *text)
{
	if (session->state == SESSION_CLOSING)
		return;
	if (session->server == NULL || session->state != SESSION_OPEN) {
		session->state = SESSION_CLOSING;
		sessions_mark(session->smtpd->sessions, session);
		session_set_deadline(session, CLOSING_TIME);
		return;
	}
	smtp_server_close(session->server, code, status, text);
	session_resume(session);
}

void session_turn_away(struct session *session, unsigned code, const char *status, const char *text,
		       const char *reason)
{
	if (session->state == SESSION_CLOSING)
		return;
	queue_link_unstall(session->smtpd->queue, session);
	session_log_end(session, reason);
	session_close(session, code, status, text);
}

void session_end_revoked(struct session *session)
{
	if (session->login != NULL && session->login->revoked && session->transaction == NULL &&
	    session->state == SESSION_OPEN)
		session_turn_away(session, 421, "4.3.0", "Please log in again",
				  "the login is no longer valid");
}

/*
 * What EHLO says before login: the largest that anybody may send. Clients look at it before they
 * log in, seldom after, and do not even try a message that is larger.
 */
static uint64_t size_to_come(const struct session *session)
{
	uint64_t all = session->smtpd->config->limits.message_size;
	uint64_t largest = auth_link_message_size(session->smtpd->auth);

	if (session->login != NULL || session->front->auth == AUTH_MODE_OFF || largest <= all)
		return 0;
	return largest;
}

/* What it can be offered hangs on its TLS. */
static unsigned traits_of(const struct session *session)
{
	unsigned char binding[TLS_BINDING_MAX];
	struct tls_client_names names;
	unsigned traits = IPC_TRAIT_TLS;

	if (!stream_is_tls(session->stream))
		return 0;
	if (stream_binding(session->stream, TLS_BINDING_EXPORTER, binding) != 0 ||
	    stream_binding(session->stream, TLS_BINDING_UNIQUE, binding) != 0)
		traits |= IPC_TRAIT_BINDING;
	stream_client_names(session->stream, &names);
	if (names.valid)
		traits |= IPC_TRAIT_CERTIFICATE | (names.count > 0 ? IPC_TRAIT_NAMED : 0);
	return traits;
}

void session_options(const struct session *session, struct smtp_server_options *options_out)
{
	const struct config *config = session->smtpd->config;
	const struct front *front = session->front;
	const struct login *login = session->login;

	*options_out = (struct smtp_server_options){
		.hostname = front->hostname,
		.qualify = front->qualify,
		.mechanisms = auth_link_mechanisms(session->smtpd->auth, front->listener,
						   traits_of(session)),
		.auth = front->auth == AUTH_MODE_REQUIRED   ? SMTP_AUTH_REQUIRED
			: front->auth == AUTH_MODE_OPTIONAL ? SMTP_AUTH_OPTIONAL
							    : SMTP_AUTH_OFF,
		.starttls = front->tls == TLS_MODE_STARTTLS &&
			    acceptor_tls(session->smtpd->acceptor) != NULL,
		.tls = front->tls == TLS_MODE_IMPLICIT,
		.auth_in_clear =
			config_networks_have(&front->clear_auth_from, slice_str(session->client)),
		.bare_newline_repair = config->limits.bare_newline == BARE_NEWLINE_REPAIR,
		.long_lines_refuse = config->limits.long_lines == LONG_LINES_REFUSE,
		.admitted = device_is(session),
		.auth_equals = front->auth_equals,
		.message_size = login != NULL && login->message_size != 0
					? login->message_size
					: config->limits.message_size,
		.size_offered = size_to_come(session),
		.recipients = config->limits.recipients,
		.errors = config->limits.errors,
		.hold_max = (uint32_t)(config->limits.future_release / 1000),
		.extensions = front->etrn ? SMTP_EXT_ALL : SMTP_EXT_ALL & ~(unsigned)SMTP_EXT_ETRN,
	};
}

void session_begin(struct session *session)
{
	struct smtp_server_options options;

	session_options(session, &options);
	session->server = smtp_server_new(&options);
	session->state = SESSION_OPEN;
	smtp_server_greet(session->server);
	session_set_deadline(session, session->smtpd->config->timeouts.command);
	session_resume(session);
}

void session_pump(struct session *session)
{
	struct smtp_server_event event;
	bool any = false;

	if (session->pumping)
		return;
	session->pumping = true;
	while (session->state == SESSION_OPEN && !session->stalled &&
	       smtp_server_next(session->server, &event)) {
		any = true;
		events_handle(session, &event);
	}
	session->pumping = false;
	/* A message that is refused gives no events until its end, and is read to it all the same.
	 */
	if (session->state == SESSION_OPEN &&
	    (any || smtp_server_phase(session->server) == SMTP_PHASE_BODY))
		session_renew_deadline(session);
	session_end_revoked(session);
	conduct_turn(session, session_may_read(session) &&
				      smtp_server_phase(session->server) == SMTP_PHASE_BODY);
	if (session->state == SESSION_CLOSING)
		session_set_deadline(session, CLOSING_TIME);
	if (buf_len(smtp_server_output(session->server)) > 0 || session->state != SESSION_OPEN)
		sessions_mark(session->smtpd->sessions, session);
}

void session_resume(struct session *session)
{
	session_pump(session);
	sessions_mark(session->smtpd->sessions, session);
}

struct session *session_new(struct smtpd *smtpd, uint64_t id, int fd, const char *client,
			    struct front *front)
{
	struct session *session = mem_alloc(sizeof(*session));
	char digits[BASE32_U64_MAX + 1];

	net_no_delay(fd);
	session->smtpd = smtpd;
	session->id = id;
	session->front = front_hold(front);
	session->stream = stream_new(fd);
	session->watch = watch_new(smtpd->loop, fd, session_socket_ready, session);
	session->timer = timer_new(smtpd->loop, session_time_over, session);
	session->began = loop_now(smtpd->loop);
	snprintf(session->client, sizeof(session->client), "%s", client);
	/* The top bit set: always enough digits. */
	base32_u64(os_random_u64() | (uint64_t)1 << 63, digits);
	memcpy(session->log_id, digits + 1, SESSION_LOG_ID);
	return session;
}

void session_start(struct session *session)
{
	const struct config_timeouts *timeouts = &session->smtpd->config->timeouts;

	names_link_ask(session->smtpd->names, session);
	refusals_count(session->smtpd->refusals, session->client);
	if (session->front->auth == AUTH_MODE_REQUIRED && !device_is(session))
		session->login_by = loop_now(session->smtpd->loop) + (int64_t)timeouts->login;
	if (session->front->tls != TLS_MODE_IMPLICIT) {
		session_begin(session);
		return;
	}
	session->state = SESSION_FIRST;
	session_set_deadline(session, timeouts->handshake < SILENCE_TIME ? timeouts->handshake
									 : (uint64_t)SILENCE_TIME);
	session_expect_tls(session);
}

void session_end(struct session *session)
{
	if (session->auth_pending)
		auth_link_cancel(session->smtpd->auth, session);
	transaction_drop(session);
	conduct_release(session);
	events_forget_login(session);
	queue_link_unstall(session->smtpd->queue, session);
	smtp_server_free(&session->server);
	timer_free(&session->timer);
	watch_free(&session->watch);
	stream_free(&session->stream);
	front_drop(&session->front);
	mem_free(session->client_name);
	sessions_remove(session->smtpd->sessions, session);
	mem_free(session);
}

struct slice session_tls_text(const struct session *session, char *text, size_t size)
{
	text[0] = '\0';
	if (stream_is_tls(session->stream))
		snprintf(text, size, "%s with cipher %s", stream_version(session->stream),
			 stream_cipher(session->stream));
	return slice_str(text);
}
