/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <stdio.h>
#include <string.h>

#include "accept.h"
#include "auth_link.h"
#include "base/base32.h"
#include "base/mem.h"
#include "conduct.h"
#include "events.h"
#include "first.h"
#include "ipc/message.h"
#include "names_link.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "queue_link.h"
#include "refusals.h"
#include "sessions.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "tls/tls.h"
#include "transaction.h"

enum {
	READS_AT_ONCE = 8,        /* of up to SMTP_INPUT_MAX bytes, then others have their turn */
	ANSWER_TIME = 10 * 60000, /* ms that auth and queue have for an answer */
	LIKELY_MORE = 4096,       /* bytes of one read */
	OUTPUT_LARGE = 16 * 1024,
	CLOSING_TIME = 5000, /* ms for the last reply to leave */
	/*
	 * ms for the first byte where TLS is to begin at once. A client that was set to STARTTLS
	 * waits for our greeting, as we do for its hello, until its user gives up.
	 */
	SILENCE_TIME = 10000,
};

/* What all sessions read into; nothing stays in it. */
static char scratch[SMTP_INPUT_MAX];

static bool waits_for_us(const struct session *session)
{
	return session->stalled ||
	       (session->server != NULL && smtp_server_phase(session->server) == SMTP_PHASE_ANSWER);
}

/* A client that waits for us, or reads no replies, is not read from: that bounds what it costs. */
static bool may_read(const struct session *session)
{
	return session->state == SESSION_OPEN && !session->eof && !session->stalled &&
	       !session->write_blocked && smtp_server_phase(session->server) != SMTP_PHASE_ANSWER &&
	       smtp_server_room(session->server) > 0;
}

static void watch_for(struct session *session, int events)
{
	if (session->armed == events)
		return;
	session->armed = (uint8_t)events;
	watch_set(session->watch, events);
}

/* Asks for more at once, for less only when it was woken in vain: that saves system calls. */
static void update_watch(struct session *session, bool woken_in_vain)
{
	int events = 0;

	if (session->state == SESSION_HANDSHAKE || session->state == SESSION_FIRST)
		events = stream_wants(session->stream);
	else if (may_read(session))
		events = WATCH_READ;
	if (session->write_blocked)
		events |= WATCH_WRITE;
	if (events == 0 && !woken_in_vain && session->armed == WATCH_READ && !session->eof)
		return;
	watch_for(session, events);
}

static void set_deadline(struct session *session, uint64_t in_ms)
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

static void renew_deadline(struct session *session)
{
	const struct config_timeouts *timeouts = &session->smtpd->config->timeouts;

	if (waits_for_us(session))
		set_deadline(session, ANSWER_TIME);
	else if (smtp_server_phase(session->server) == SMTP_PHASE_BODY)
		set_deadline(session, timeouts->data_block);
	else
		set_deadline(session, timeouts->command);
}

static void log_no_tls(const struct session *session, const char *reason)
{
	if (!refusals_logged(session->smtpd->refusals, session->client))
		return;
	log_event(LOG_INFO, "connect-refused", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("listener", session->front->listener),
		  LOG_TEXT("client", session->client),
		  LOG_TEXT_IF("client_name", session->client_name), LOG_TEXT("reason", reason));
}

static void log_end(struct session *session, const char *reason)
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
		set_deadline(session, CLOSING_TIME);
		return;
	}
	smtp_server_close(session->server, code, status, text);
	session_resume(session);
}

static void drain(struct session *session);

/* Where TLS was to begin and did not: ends the session, if words are of use with some. */
static void end_in_clear(struct session *session, bool words, const char *reason)
{
	static const char reply[] =
		"421 4.7.0 This port expects TLS at once; use port 587 for STARTTLS\r\n";
	size_t sent;

	log_end(session, reason);
	/* A new connection has room for a line; without, it goes without. */
	if (words && stream_write(session->stream, reply, sizeof(reply) - 1, &sent) == ERR_OK)
		drain(session);
	session_end(session);
}

void session_turn_away(struct session *session, unsigned code, const char *status, const char *text,
		       const char *reason)
{
	if (session->state == SESSION_CLOSING)
		return;
	queue_link_unstall(session->smtpd->queue, session);
	log_end(session, reason);
	session_close(session, code, status, text);
}

void session_end_revoked(struct session *session)
{
	if (session->login != NULL && session->login->revoked && session->transaction == NULL &&
	    session->state == SESSION_OPEN)
		session_turn_away(session, 421, "4.3.0", "Please log in again",
				  "the login is no longer valid");
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
	if (waits_for_us(session))
		return "auth or queue gave no answer in time";
	if (smtp_server_phase(session->server) == SMTP_PHASE_BODY)
		return "nothing came of the message for timeouts.data_block";
	return "the client sent no command for timeouts.command";
}

static void time_over(void *arg)
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
		end_in_clear(session, true,
			     "the client is silent on a port with implicit TLS: it should use "
			     "STARTTLS on port 587, or TLS from the start (\"SSL/TLS\")");
		return;
	}
	note_time_over(session, now);
	if (session->state == SESSION_HANDSHAKE)
		log_no_tls(session, "the TLS handshake took too long");
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

	if (!stream_is_tls(session->stream))
		return 0;
	if (stream_binding(session->stream, TLS_BINDING_EXPORTER, binding) == 0 &&
	    stream_binding(session->stream, TLS_BINDING_UNIQUE, binding) == 0)
		return IPC_TRAIT_TLS;
	return IPC_TRAIT_TLS | IPC_TRAIT_BINDING;
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

static void begin_smtp(struct session *session)
{
	struct smtp_server_options options;

	session_options(session, &options);
	session->server = smtp_server_new(&options);
	session->state = SESSION_OPEN;
	smtp_server_greet(session->server);
	set_deadline(session, session->smtpd->config->timeouts.command);
	session_resume(session);
}

static void read_some(struct session *session);

static void handshake(struct session *session)
{
	char why[TLS_WHY_MAX];
	enum err err = stream_handshake(session->stream, why);

	if (err == ERR_AGAIN) {
		update_watch(session, true);
		return;
	}
	if (err != ERR_OK) {
		log_no_tls(session, why);
		session_end(session);
		return;
	}
	if (session->server == NULL) {
		begin_smtp(session);
	} else {
		struct smtp_server_options options;

		session->state = SESSION_OPEN;
		events_forget_login(session);
		session_options(session, &options); /* no account's message size any more */
		smtp_server_set_options(session->server, &options);
		smtp_server_tls_done(session->server);
		renew_deadline(session);
	}
	/* What came right behind the handshake may be in OpenSSL's hands already. */
	read_some(session);
}

/* Takes the stream to TLS; false: the session is gone. */
static void begin_tls(struct session *session)
{
	struct tls_context *context = acceptor_tls(session->smtpd->acceptor);

	session->state = SESSION_HANDSHAKE;
	session->greeted = true;
	set_deadline(session, session->smtpd->config->timeouts.handshake);
	if (context == NULL || stream_start_tls(session->stream, context, NULL) != ERR_OK ||
	    stream_allow(session->stream, front_tls_oldest(session->front, session->client)) !=
		    ERR_OK) {
		log_end(session, "TLS could not be started");
		session_end(session);
		return;
	}
	handshake(session);
}

/* Waits for the first byte where TLS begins at once, and looks at it. */
static void expect_tls(struct session *session)
{
	char bytes[16];
	size_t len;
	enum err err = stream_peek(session->stream, bytes, sizeof(bytes), &len);
	enum first first;

	if (err == ERR_AGAIN) {
		update_watch(session, true);
		return;
	}
	if (err != ERR_OK) { /* it only looked whether somebody is here */
		session_end(session);
		return;
	}
	first = first_judge(slice_of(bytes, len));
	if (first == FIRST_TLS)
		begin_tls(session);
	else
		end_in_clear(session, first == FIRST_SMTP, first_reason(first));
}

/* A client that was set to "SSL/TLS" on a port that begins in clear: say so. */
static bool is_tls_hello(struct session *session, const char *bytes, size_t len)
{
	if (session->greeted)
		return false;
	session->greeted = true;
	if (first_judge(slice_of(bytes, len)) != FIRST_TLS)
		return false;
	log_end(session,
		"the client speaks TLS at once on a port that begins in clear: it should use "
		"STARTTLS, or a port with implicit TLS (465)");
	session_close(session, 421, "4.7.0", "This port begins in clear; use STARTTLS");
	return true;
}

static void read_some(struct session *session)
{
	struct sessions *sessions = session->smtpd->sessions;
	unsigned reads = 0;
	size_t most = 0;
	size_t room;
	size_t len;
	enum err err = ERR_OK;

	while (may_read(session) && reads++ < READS_AT_ONCE) {
		room = smtp_server_room(session->server);
		err = stream_read(session->stream, scratch,
				  room < sizeof(scratch) ? room : sizeof(scratch), &len);
		if (err != ERR_OK)
			break;
		most = len > most ? len : most;
		if (is_tls_hello(session, scratch, len))
			break;
		if (!conduct_bytes(session, len)) {
			session_turn_away(session, 421, "4.4.2", "Too slow; closing",
					  "the message came slower than limits.min_rate");
			break;
		}
		smtp_server_set_time(session->server, os_wall_ms());
		smtp_server_feed(session->server, slice_of(scratch, len));
		session_pump(session);
		/* Behind a command there is seldom more, and if there is, the socket says so. */
		if (len < LIKELY_MORE && !stream_pending(session->stream))
			break;
	}
	if (err == ERR_EOF)
		session->eof = true; /* what it is still owed is sent first */
	else if (err != ERR_OK && err != ERR_AGAIN) {
		session_end(session);
		return;
	}
	if (session->login == NULL)
		explicit_bzero(scratch, most); /* there may have been a password in it */
	if (session->eof || stream_pending(session->stream) ||
	    buf_len(smtp_server_output(session->server)) > 0)
		sessions_mark(sessions, session);
	update_watch(session, false);
}

static void socket_ready(void *arg, int events)
{
	struct session *session = arg;

	sessions_touch(session->smtpd->sessions, session);
	if (session->state == SESSION_FIRST) {
		expect_tls(session);
		return;
	}
	if (session->state == SESSION_HANDSHAKE) {
		handshake(session);
		return;
	}
	if ((events & WATCH_WRITE) != 0 && session->write_blocked)
		sessions_mark(session->smtpd->sessions, session);
	if ((events & WATCH_READ) == 0)
		return;
	if (may_read(session))
		read_some(session);
	else
		update_watch(session, true);
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
		renew_deadline(session);
	session_end_revoked(session);
	conduct_turn(session,
		     may_read(session) && smtp_server_phase(session->server) == SMTP_PHASE_BODY);
	if (session->state == SESSION_CLOSING)
		set_deadline(session, CLOSING_TIME);
	if (buf_len(smtp_server_output(session->server)) > 0 || session->state != SESSION_OPEN)
		sessions_mark(session->smtpd->sessions, session);
}

void session_resume(struct session *session)
{
	session_pump(session);
	sessions_mark(session->smtpd->sessions, session);
}

/* false: the session is gone. */
static bool send_output(struct session *session)
{
	struct buf *out = smtp_server_output(session->server);
	size_t sent;
	size_t had;
	enum err err;

	session->write_blocked = false;
	had = buf_len(out);
	while (buf_len(out) > 0) {
		struct slice data = buf_data(out);

		err = stream_write(session->stream, data.ptr, data.len, &sent);
		if (err == ERR_AGAIN) {
			session->write_blocked = true;
			return true;
		}
		if (err != ERR_OK) {
			session_end(session);
			return false;
		}
		buf_consume(out, sent);
	}
	/* A machine with much unsent output does no more commands until it is sent. */
	if (had >= OUTPUT_LARGE)
		session_pump(session);
	return true;
}

/* What the client sent and we never read would turn our close into a reset, which can cost the
 * client our last words. */
static void drain(struct session *session)
{
	size_t len;

	for (unsigned i = 0; i < READS_AT_ONCE; i++) {
		if (stream_read(session->stream, scratch, sizeof(scratch), &len) != ERR_OK)
			break;
	}
	explicit_bzero(scratch, sizeof(scratch));
}

static bool has_output(const struct session *session)
{
	return session->server != NULL && session->state != SESSION_HANDSHAKE &&
	       buf_len(smtp_server_output(session->server)) > 0;
}

void session_flush(struct session *session)
{
	if (session->server != NULL && session->state != SESSION_HANDSHAKE && !send_output(session))
		return;
	/* What the machine has said since is sent in the next round: before TLS begins or all ends.
	 */
	if (session->write_blocked || has_output(session)) {
		update_watch(session, false);
		return;
	}
	if (session->state == SESSION_CLOSING) {
		if (session->server != NULL)
			drain(session);
		session_end(session);
	} else if (session->state == SESSION_TLS_NEXT) {
		begin_tls(session);
	} else if (session->eof && !waits_for_us(session)) {
		session_end(session);
	} else if (session->state == SESSION_OPEN && may_read(session) &&
		   stream_pending(session->stream)) {
		read_some(session);
	} else {
		update_watch(session, false);
	}
}

void session_shrink(struct session *session)
{
	stream_idle(session->stream);
	if (session->server != NULL && buf_len(smtp_server_output(session->server)) == 0)
		buf_release(smtp_server_output(session->server));
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
	session->watch = watch_new(smtpd->loop, fd, socket_ready, session);
	session->timer = timer_new(smtpd->loop, time_over, session);
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
	if (session->front->auth == AUTH_MODE_REQUIRED)
		session->login_by = loop_now(session->smtpd->loop) + (int64_t)timeouts->login;
	if (session->front->tls != TLS_MODE_IMPLICIT) {
		begin_smtp(session);
		return;
	}
	session->state = SESSION_FIRST;
	set_deadline(session, timeouts->handshake < SILENCE_TIME ? timeouts->handshake
								 : (uint64_t)SILENCE_TIME);
	expect_tls(session);
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
