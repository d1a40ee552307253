/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: its bytes, its time, its end. What the bytes mean is events.c's; the message
 * under way is struct transaction, which exists only between MAIL and the final reply. An idle
 * session is this struct, a machine, a timer, a watch and what OpenSSL needs; no buffers.
 *
 *	FIRST --> HANDSHAKE --> OPEN <--> TLS_NEXT --> HANDSHAKE      (STARTTLS)
 *	any --> CLOSING --> gone                            (when the last reply is sent)
 *
 * A session is ended (session_end) only from its own socket's and timer's callbacks and from
 * session_flush, never while its machine is asked: all else marks it CLOSING.
 */
#ifndef POSTERN_SMTPD_SESSION_H
#define POSTERN_SMTPD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "policy/pace.h"

struct front;
struct login;
struct smtp_mail;
struct smtp_rcpt;
struct smtp_server;
struct smtp_server_options;
struct smtpd;
struct stream;
struct timer;
struct transaction;
struct watch;

enum { SESSION_CLIENT_MAX = 64, SESSION_LOG_ID = 8, SESSION_MECHANISM_MAX = 20 /* RFC 4422 3.1 */ };

/* FIRST: with implicit TLS, until the first byte came. */
enum session_state {
	SESSION_FIRST,
	SESSION_HANDSHAKE,
	SESSION_OPEN,
	SESSION_TLS_NEXT,
	SESSION_CLOSING
};

struct session {
	uint64_t id;
	struct smtpd *smtpd;
	struct front *front;
	struct stream *stream;
	struct watch *watch;
	struct timer *timer;
	struct smtp_server *server;      /* NULL before an implicit handshake is done */
	struct login *login;             /* NULL: not logged in */
	struct transaction *transaction; /* NULL: none */
	char *client_name;               /* NULL: not known yet; "unknown": it has none */
	/* Lists of sessions.c: those active lately, those with something to send. */
	struct session *prev, *next, *mark_prev, *mark_next;
	/* Those that wait for credit, by queue_link.c. */
	struct session *stall_prev, *stall_next;
	int64_t began;    /* when the connection was let in */
	int64_t active;   /* when bytes last came */
	int64_t deadline; /* loop_now after which it is over */
	int64_t timer_at; /* when the timer fires; 0: not set */
	int64_t login_by; /* 0: need not log in */
	/* Of conduct.c. */
	struct pace pace;
	struct timer *slow;           /* runs while a recipient is held; NULL: never needed */
	const struct smtp_rcpt *held; /* whose answer comes late: conduct.c, count.c */
	const struct smtp_mail *device_mail; /* waits for what auth says of it: device.c */
	uint32_t bad_recipients;
	uint32_t mark_round;
	char client[SESSION_CLIENT_MAX];
	char log_id[SESSION_LOG_ID + 1];
	char mechanism[SESSION_MECHANISM_MAX + 1]; /* of the last AUTH, for the log */
	uint8_t state;                             /* enum session_state */
	uint8_t armed;                             /* what the watch asks for */
	bool marked : 1, recent : 1;               /* in which lists */
	bool stalled : 1;                          /* no credit for the next part of the body */
	bool auth_pending : 1;  /* auth owes an answer, or the client its next token */
	bool write_blocked : 1; /* the socket takes no more for now */
	bool counting : 1;      /* auth owes an answer about a recipient */
	bool etrn_pending : 1;  /* queue owes an answer to ETRN */
	bool eof : 1;           /* the client sends no more */
	bool greeted : 1;       /* the first bytes of the client were looked at */
	bool end_logged : 1;    /* why it ends is in the log */
	bool pumping : 1;       /* its machine is being asked: callees need not */
};

struct session *session_new(struct smtpd *smtpd, uint64_t id, int fd, const char *client,
			    struct front *front);
void session_start(struct session *session);
/* Closes at once, forgets everything. */
void session_end(struct session *session);
/* Sends what there is to send, then does what waited for that. */
void session_flush(struct session *session);
/* Idle: gives buffers back. */
void session_shrink(struct session *session);

/* What EHLO offers and what bounds the session; from the configuration in force. */
void session_options(const struct session *session, struct smtp_server_options *options_out);
/* Asks the machine for its events until it needs something. */
void session_pump(struct session *session);
/* After an answer that came later than its event. */
void session_resume(struct session *session);
/* A reply, if one may be given now, then the end. */
void session_close(struct session *session, unsigned code, const char *status, const char *text);
/* The same, for a limit: reason is for the log. */
void session_turn_away(struct session *session, unsigned code, const char *status, const char *text,
		       const char *reason);
/* Ends it if its login was taken back and no message is under way. */
void session_end_revoked(struct session *session);
/* "TLSv1.3 with cipher ...", or "". */
struct slice session_tls_text(const struct session *session, char *text, size_t size);

#endif
