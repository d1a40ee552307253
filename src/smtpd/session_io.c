/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a session: what comes goes to its machine, what that says goes out. */
#include "session_internal.h"

#include <string.h>

#include "conduct.h"
#include "os/loop.h"
#include "os/os.h"
#include "session.h"
#include "sessions.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "tls/tls.h"

enum {
	READS_AT_ONCE = 8,  /* of up to SMTP_INPUT_MAX bytes, then others have their turn */
	LIKELY_MORE = 4096, /* bytes of one read */
	OUTPUT_LARGE = 16 * 1024,
};

/* What all sessions read into; nothing stays in it. */
static char scratch[SMTP_INPUT_MAX];

/* A client that waits for us, or reads no replies, is not read from: that bounds what it costs. */
bool session_may_read(const struct session *session)
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

void session_update_watch(struct session *session, bool woken_in_vain)
{
	int events = 0;

	if (session->state == SESSION_HANDSHAKE || session->state == SESSION_FIRST)
		events = stream_wants(session->stream);
	else if (session_may_read(session))
		events = WATCH_READ;
	if (session->write_blocked)
		events |= WATCH_WRITE;
	if (events == 0 && !woken_in_vain && session->armed == WATCH_READ && !session->eof)
		return;
	watch_for(session, events);
}

void session_read(struct session *session)
{
	struct sessions *sessions = session->smtpd->sessions;
	unsigned reads = 0;
	size_t most = 0;
	size_t room;
	size_t len;
	enum err err = ERR_OK;

	while (session_may_read(session) && reads++ < READS_AT_ONCE) {
		room = smtp_server_room(session->server);
		err = stream_read(session->stream, scratch,
				  room < sizeof(scratch) ? room : sizeof(scratch), &len);
		if (err != ERR_OK)
			break;
		most = len > most ? len : most;
		if (session_is_tls_hello(session, scratch, len))
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
	session_update_watch(session, false);
}

void session_socket_ready(void *arg, int events)
{
	struct session *session = arg;

	sessions_touch(session->smtpd->sessions, session);
	if (session->state == SESSION_FIRST) {
		session_expect_tls(session);
		return;
	}
	if (session->state == SESSION_HANDSHAKE) {
		session_handshake(session);
		return;
	}
	if ((events & WATCH_WRITE) != 0 && session->write_blocked)
		sessions_mark(session->smtpd->sessions, session);
	if ((events & WATCH_READ) == 0)
		return;
	if (session_may_read(session))
		session_read(session);
	else
		session_update_watch(session, true);
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

void session_drain(struct session *session)
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
		session_update_watch(session, false);
		return;
	}
	if (session->state == SESSION_CLOSING) {
		if (session->server != NULL)
			session_drain(session);
		session_end(session);
	} else if (session->state == SESSION_TLS_NEXT) {
		session_begin_tls(session);
	} else if (session->eof && !session_waits_for_us(session)) {
		session_end(session);
	} else if (session->state == SESSION_OPEN && session_may_read(session) &&
		   stream_pending(session->stream)) {
		session_read(session);
	} else {
		session_update_watch(session, false);
	}
}

void session_shrink(struct session *session)
{
	stream_idle(session->stream);
	if (session->server != NULL && buf_len(smtp_server_output(session->server)) == 0)
		buf_release(smtp_server_output(session->server));
}
