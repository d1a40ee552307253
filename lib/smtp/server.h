/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SMTP server's side of a session, without I/O (RFC 5321, 6409, 4954, 3207, 2920, 1870, 6152,
 * 2034, and what enum smtp_extension names). Bytes go in (feed), events come out (next), verdicts
 *go in (answer), bytes to send come out (output). The same bytes give the same events however they
 *are cut.
 *
 *	smtp_server_feed(server, bytes);
 *	while (smtp_server_next(server, &event)) { ... answer what asks for an answer ... }
 *	send buf_data(smtp_server_output(server))
 *
 * An event that asks for an answer stops the machine until the answer came, now or much later;
 * what the client sent meanwhile waits. One automaton decides where a line and where a message
 * ends: only CR LF . CR LF ends DATA, only the last octet of the last chunk ends BDAT.
 *
 * An idle machine holds no buffer; release the output too (buf_release) once it was sent.
 *
 * The machine knows the protocol and its order; who may relay what, and who a client is, it
 * asks. Three things with three lives: struct smtp_server (a session), its transaction (from
 * MAIL to the final reply or RSET), a recipient.
 */
#ifndef POSTERN_SMTP_SERVER_H
#define POSTERN_SMTP_SERVER_H

#include "base/buf.h"
#include "smtp/address.h"
#include "smtp/terms.h"

struct smtp_server;

enum smtp_auth_need { SMTP_AUTH_OFF, SMTP_AUTH_OPTIONAL, SMTP_AUTH_REQUIRED };

struct smtp_server_options {
	const char *hostname;   /* greeting and EHLO; must outlive the machine */
	const char *mechanisms; /* "PLAIN LOGIN" to offer once TLS is on; "" none; must outlive */
	enum smtp_auth_need auth;
	bool starttls;            /* STARTTLS can be done */
	bool tls;                 /* TLS is on from the start (implicit) */
	bool auth_in_clear;       /* AUTH also without TLS: the administrator named this client */
	bool bare_newline_repair; /* LF to CRLF for those who are logged in, else refuse (A2) */
	bool long_lines_refuse;   /* lines over 998 octets (RFC 5322 2.1.1), else over 64 KiB */
	bool admitted;            /* the administrator lets this client send without AUTH */
	bool auth_equals;         /* also announce "AUTH=", which some old clients look for */
	uint64_t message_size;    /* bytes; announced by SIZE; may change after login */
	uint64_t size_offered;    /* what SIZE announces instead; 0: message_size */
	uint32_t recipients;      /* per transaction; announced by LIMITS */
	uint32_t errors;          /* refusals per session, then 421 4.7.0 and the end */
	uint32_t hold_max;        /* FUTURERELEASE: seconds that a message may be held back */
	unsigned extensions;      /* enum smtp_extension: what may be announced and used */
	/*
	 * The domain of addresses that have none, "<root>" (a submission server's duty where it is
	 * configured: RFC 6409 8.1); NULL: they are refused. Must outlive the machine.
	 */
	const char *qualify;
};

/*
 * What a caller that can honour it lets the machine offer. PIPELINING, SIZE, 8BITMIME and
 * ENHANCEDSTATUSCODES are always there.
 */
enum smtp_extension {
	SMTP_EXT_CHUNKING = 1 << 0,   /* RFC 3030, without BINARYMIME */
	SMTP_EXT_UTF8 = 1 << 1,       /* RFC 6531 */
	SMTP_EXT_DSN = 1 << 2,        /* RFC 3461 */
	SMTP_EXT_LIMITS = 1 << 3,     /* RFC 9422: RCPTMAX */
	SMTP_EXT_REQUIRETLS = 1 << 4, /* RFC 8689; inside TLS only */
	/* For those who are logged in; announced before where everybody must log in: */
	SMTP_EXT_FUTURERELEASE = 1 << 5, /* RFC 4865; needs hold_max and smtp_server_set_time */
	SMTP_EXT_DELIVERBY = 1 << 6,     /* RFC 2852 */
	SMTP_EXT_PRIORITY = 1 << 7,      /* RFC 6710 */
	SMTP_EXT_ETRN = 1 << 8,          /* RFC 1985 */
	SMTP_EXT_ALL = (1 << 9) - 1,
};

enum smtp_server_event_type {
	/* No answer is asked for: */
	SMTP_SERVER_HELO = 1, /* text: the name given; esmtp says which verb */
	SMTP_SERVER_RESET,    /* the transaction is gone (RSET, EHLO, STARTTLS, the end): drop it */
	SMTP_SERVER_BODY, /* text: bytes of the message, dots unstuffed, line ends kept or made CRLF
			   */
	/*
	 * This message will be refused when its end comes: forget it. Then REFUSED says how (reply
	 * says how it looks now), and RESET or CLOSE follows.
	 */
	SMTP_SERVER_BODY_DROP,
	/*
	 * The machine refused something by itself: reply; text is the line, for the log, or ""
	 * where it could hold a secret; hint says in words what the client did wrong, or "".
	 */
	SMTP_SERVER_REFUSED,
	SMTP_SERVER_AUTH_CANCEL, /* "*", or the exchange was given up: forget it */
	SMTP_SERVER_CLOSE, /* send the output, then close; reason says why, for the log; "" QUIT */
	/* An answer is asked for: */
	/* Send the output (it has the 220), handshake, then smtp_server_tls_done; or refuse at
	   once. */
	SMTP_SERVER_STARTTLS = 32,
	SMTP_SERVER_AUTH,       /* mechanism (upper case), text: initial response if has_text */
	SMTP_SERVER_AUTH_TOKEN, /* text: the client's next token, decoded */
	SMTP_SERVER_MAIL,       /* mail; answer 250 or a refusal */
	SMTP_SERVER_RCPT,       /* rcpt; answer 250 or a refusal */
	/* DATA, or the first BDAT of a message: answer smtp_server_answer_data or a refusal */
	SMTP_SERVER_DATA,
	SMTP_SERVER_BODY_END, /* the final dot, or the last chunk: answer the final reply */
	SMTP_SERVER_VRFY,     /* text; most answer 252 */
	SMTP_SERVER_ETRN,     /* text: a domain in its canonical form; RFC 1985 5.3 has the codes */
};

/* MAIL with its parameters. The slices are valid as long as the event. */
struct smtp_mail {
	struct smtp_address sender;
	uint64_t size; /* 0: not declared */
	bool body_8bit;
	struct smtp_mail_terms terms;
	/*
	 * FUTURERELEASE (RFC 4865): hold_for in seconds, hold_until in ms since 1970; 0: not asked.
	 * At most one of them is set; the caller makes terms.release_at of it.
	 */
	uint64_t hold_for;
	int64_t hold_until;
	int64_t by_seconds; /* DELIVERBY, if terms.by is set: may be negative with N (RFC 2852 4) */
};

struct smtp_rcpt {
	struct smtp_address address;
	struct smtp_rcpt_terms terms;
};

/* How refusals begin that tell of a limit of options. */
#define SMTP_HELD_TOO_LONG "501 5.5.4 A message is not held back for as long as that here"
#define SMTP_LINE_TOO_LONG "554 5.6.0 A line is longer than"

struct smtp_server_event {
	enum smtp_server_event_type type;
	struct slice text; /* valid until the next call of feed or next */
	bool has_text;
	bool esmtp;            /* HELO: it was EHLO */
	const char *mechanism; /* AUTH: valid until the next call of next */
	const struct smtp_mail *mail;
	const struct smtp_rcpt *rcpt;
	struct slice reply; /* REFUSED, BODY_DROP: what was or will be said, without CRLF */
	const char *hint;   /* REFUSED: for the log, "" if the reply says it all; a constant */
	const char *reason; /* CLOSE: valid as long as the machine */
	bool repaired;      /* BODY_END: a bare CR or LF became CR LF on the way */
};

struct smtp_server *smtp_server_new(const struct smtp_server_options *options);
void smtp_server_free(struct smtp_server **server);
/* Queues the greeting: 220, or a refusal (421, 554) after which CLOSE comes. */
void smtp_server_greet(struct smtp_server *server);
void smtp_server_greet_refusal(struct smtp_server *server, unsigned code, const char *status,
			       const char *text);

/*
 * How many bytes may be fed now; 0: read nothing from the client until next has used some, or,
 * when much output waits, until the client has taken it: ask again after sending.
 */
size_t smtp_server_room(const struct smtp_server *server);
/* The wall clock, ms since 1970, for FUTURERELEASE; the machine has none. Before feed, say. */
void smtp_server_set_time(struct smtp_server *server, int64_t wall_ms);
/* bytes.len must be at most smtp_server_room. */
void smtp_server_feed(struct smtp_server *server, struct slice bytes);
/* false: it needs more input, or an answer, or much output waits: call it again after sending. */
bool smtp_server_next(struct smtp_server *server, struct smtp_server_event *event_out);
/* Bytes to send; the caller consumes what it has sent. */
struct buf *smtp_server_output(struct smtp_server *server);

/*
 * The answer to MAIL, RCPT, BODY_END, VRFY, ETRN, a refusal of DATA or STARTTLS. status: enhanced
 * code ("2.1.0") or NULL. text: printable; anything else becomes '?'. 421 closes. An answer that
 * nobody waits for (the session ended meanwhile) is ignored; so are those below.
 */
void smtp_server_answer(struct smtp_server *server, unsigned code, const char *status,
			const char *text);
void smtp_server_answer_data(struct smtp_server *server); /* 354, or a chunk is taken */
/* AUTH: the next challenge, encoded by the machine. */
void smtp_server_auth_challenge(struct smtp_server *server, struct slice token);
void smtp_server_auth_ok(struct smtp_server *server); /* 235 2.7.0 */
void smtp_server_auth_fail(struct smtp_server *server, unsigned code, const char *status,
			   const char *text);
/* The handshake ended well: the session starts anew, no memory of what was said in clear. */
void smtp_server_tls_done(struct smtp_server *server);
/* What EHLO offers from now on (a reload; mechanisms known later). Strings must outlive. */
void smtp_server_set_options(struct smtp_server *server, const struct smtp_server_options *options);
/*
 * The caller ends the session: time-out, shutdown, grant lost. The reply is sent unless a body
 * is under way or a final reply is owed; CLOSE follows.
 */
void smtp_server_close(struct smtp_server *server, unsigned code, const char *status,
		       const char *text);

/* What the session is doing, for time-outs and shutdown. */
enum smtp_server_phase {
	SMTP_PHASE_COMMAND, /* waits for a command; idle, outside a transaction */
	SMTP_PHASE_AUTH,
	SMTP_PHASE_MAIL, /* inside a transaction, between commands */
	SMTP_PHASE_BODY,
	SMTP_PHASE_ANSWER, /* waits for us */
	SMTP_PHASE_HANDSHAKE,
	SMTP_PHASE_CLOSED,
};
enum smtp_server_phase smtp_server_phase(const struct smtp_server *server);
bool smtp_server_authenticated(const struct smtp_server *server);
bool smtp_server_esmtp(const struct smtp_server *server);
bool smtp_server_tls(const struct smtp_server *server);
/* The name given in EHLO or HELO; "" before. Valid until the next feed. */
struct slice smtp_server_helo(const struct smtp_server *server);

#endif
