/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the server machine, shared by its files:
 *
 *	server.c           life, states, events, answers
 *	server_reply.c     what is said, and how refusals count
 *	server_commands.c  the table of commands, dispatch, and the commands without a subject
 *	server_hello.c     EHLO and HELO, and what is offered
 *	server_mail.c      MAIL and RCPT
 *	server_params.c    their parameters
 *	server_auth.c      AUTH
 *	server_data.c      DATA and the body
 *	server_bdat.c      BDAT: the body in chunks
 *	framer.c           where a line and a message end
 */
#ifndef POSTERN_SMTP_SERVER_PRIVATE_H
#define POSTERN_SMTP_SERVER_PRIVATE_H

#include "smtp/framer.h"
#include "smtp/server.h"

enum {
	SMTP_MECHANISM_MAX = 20,      /* RFC 4422 3.1 */
	SMTP_OUTPUT_STOP = 64 * 1024, /* unsent output at which no more commands are done */
	SMTP_OUTPUT_FULL = 16 * 1024, /* unsent output at which nothing more is read */
	SMTP_OUTPUT_MAX = 256 * 1024, /* above STOP by more than one command can add */
	SMTP_ANSWER_MAX = 512,        /* a reply line with CRLF; RFC 5321 4.5.3.1.5 */
	SMTP_REFUSED_TEXT_MAX = 512,  /* of a refused line, what the event shows */
};

enum server_state {
	SERVER_NEW,       /* no greeting yet */
	SERVER_COMMAND,   /* a command line comes next */
	SERVER_AUTH_LINE, /* a line of an AUTH exchange comes next */
	SERVER_BODY,
	SERVER_CHUNK, /* of BDAT: to be taken, or to be thrown away */
	SERVER_CLOSED,
};

/* Events that wait to be taken; taken in this order. */
enum {
	PENDING_REFUSED = 1 << 0,
	PENDING_AUTH_CANCEL = 1 << 1,
	PENDING_RESET = 1 << 2,
	PENDING_HELO = 1 << 3,
	PENDING_BODY_DROP = 1 << 4,
	PENDING_QUESTION = 1 << 5,
	PENDING_CLOSE = 1 << 6,
};

/* From MAIL to the final reply. */
struct smtp_transaction {
	struct smtp_mail mail;
	struct smtp_rcpt rcpt; /* the one that is asked about */
	bool accepted;         /* MAIL was answered with 250 */
	bool chunked;          /* its first chunk was agreed to */
	uint32_t recipients;   /* accepted */
	uint64_t size;         /* of the body so far */
	bool repaired;         /* a bare CR or LF became CR LF */
	const char *drop;      /* the reply with which the body will be refused; NULL: none */
	bool drop_closes;
};

struct smtp_server {
	struct smtp_server_options options;
	struct smtp_framer framer;
	struct buf out;
	struct buf token; /* what a line of AUTH decodes to, or the domain of ETRN; wiped */
	struct smtp_transaction *transaction; /* NULL: none */
	char *helo;                           /* NULL before EHLO and HELO */
	enum server_state state;
	enum smtp_server_event_type question; /* asked, not answered; 0: none */
	unsigned pending;
	bool tls;
	bool esmtp;
	bool authenticated;
	bool first_line;   /* no whole line came yet */
	bool mail_refused; /* what was pipelined behind a refused MAIL is no further error */
	bool token_given;  /* question AUTH: there was an initial response */
	bool secret_lent;  /* what the framer lends is part of an AUTH exchange */
	bool chunk_last;   /* BDAT: the chunk under way is the last one */
	bool chunk_failed; /* further chunks of the message are refused with chunk_refusal */
	bool chunk_told;   /* the caller gave chunk_refusal */
	unsigned char long_lines;
	char mechanism[SMTP_MECHANISM_MAX + 1];
	uint32_t errors;
	uint32_t commands;   /* before login, where that is required */
	struct slice text;   /* of PENDING_REFUSED, PENDING_QUESTION; lent by the framer */
	const char *refusal; /* of PENDING_REFUSED */
	const char *hint;    /* of PENDING_REFUSED; constant */
	char *refusal_text;  /* what refusal points to, if that is no constant */
	char too_large[128]; /* what a message that turned out too large is told */
	char *chunk_refusal; /* BDAT: the reply at the end of the chunk; NULL: none */
	int64_t wall;        /* ms since 1970; 0: never told */
	char *close_reason;  /* of PENDING_CLOSE */
};

/* ---- server.c */
/* The one place where the state changes. */
void server_enter(struct smtp_server *server, enum server_state state);
/* Asks the caller; text: lent by the framer, or empty. */
void server_ask(struct smtp_server *server, enum smtp_server_event_type question,
		struct slice text);
void server_drop_transaction(struct smtp_server *server);
void server_end(struct smtp_server *server, const char *reason);

/* ---- server_reply.c */
/* Appends a whole reply; line without CRLF. */
void server_say(struct smtp_server *server, const char *line);
/* A reply in the caller's words, made harmless and cut to one line's length. */
void server_form_words(unsigned code, const char *status, const char *text,
		       char line[SMTP_ANSWER_MAX]);
/* Says such words, and nothing follows from it. */
void server_say_plainly(struct smtp_server *server, unsigned code, const char *status,
			const char *text);
/* Says the caller's verdict in the caller's words; a refusal counts, 421 ends the session. */
void server_say_words(struct smtp_server *server, unsigned code, const char *status,
		      const char *text);
/* The same for words that are a whole reply already. */
void server_say_refusal(struct smtp_server *server, const char *reply);
/* What the next refusal tells the administrator; "" and NULL: nothing. */
void server_hint(struct smtp_server *server, const char *hint);
/* Says a refusal, counts it, tells the caller; text: what was refused, for the log. */
void server_refuse(struct smtp_server *server, const char *line, struct slice text);
/* The same, but no fault of the client that would count. */
void server_refuse_mildly(struct smtp_server *server, const char *line, struct slice text);
/* The same, and the session ends. */
void server_refuse_and_end(struct smtp_server *server, const char *line, struct slice text,
			   const char *reason);
/* Input where there may be none yet: refuses and ends the session if there is some. */
bool server_spoke_early(struct smtp_server *server);

/* ---- server_commands.c */
/* Takes one line; false: more input is needed. */
bool server_command(struct smtp_server *server);
/* A line that was too long has ended, or does not end. */
void server_long_line(struct smtp_server *server, enum smtp_frame frame, const char *refusal);

/* RSET, and what EHLO and STARTTLS do to a transaction. */
void server_reset(struct smtp_server *server);

/* ---- server_hello.c */
void server_cmd_ehlo(struct smtp_server *server, struct slice args, struct slice line);
void server_cmd_helo(struct smtp_server *server, struct slice args, struct slice line);
/* Whether this client may use the extension now: one of enum smtp_extension. */
bool server_has(const struct smtp_server *server, unsigned extension);

/* Has it logged in, or is it let in without? */
bool server_knows(const struct smtp_server *server);

/* ---- server_mail.c */
void server_cmd_mail(struct smtp_server *server, struct slice args, struct slice line);
void server_cmd_rcpt(struct smtp_server *server, struct slice args, struct slice line);

/* ---- server_params.c */
/*
 * Reads the parameters behind a path: of RCPT if rcpt is not NULL, else of MAIL. NULL, or the
 * refusal; then *mail and *rcpt hold anything.
 */
const char *server_take_params(struct smtp_server *server, struct slice rest,
			       struct smtp_mail *mail, struct smtp_rcpt *rcpt);
/* The refusal of a message that turned out too large; stays until the limit is another one. */
const char *server_too_large(struct smtp_server *server);

/* ---- server_auth.c */
void server_cmd_auth(struct smtp_server *server, struct slice args, struct slice line);
bool server_auth_line(struct smtp_server *server);
bool server_offers_auth(const struct smtp_server *server);
/* The exchange is over, however it ended. */
void server_auth_forget(struct smtp_server *server);

/* ---- server_data.c */
void server_cmd_data(struct smtp_server *server, struct slice args, struct slice line);
/* Goes on with the body; true: *event_out is set or something is pending. */
bool server_body(struct smtp_server *server, struct smtp_server_event *event_out);
/* The next byte begins the text of a message. */
void server_start_text(struct smtp_server *server);
/* What the framer found in it; false: that was no part of it, but an end, or nothing. */
bool server_body_frame(struct smtp_server *server, enum smtp_frame frame, struct slice text,
		       struct smtp_server_event *event_out);
/* A CR or LF alone in it. */
void server_body_bare(struct smtp_server *server, struct smtp_server_event *event_out);
/* The message will be refused with this when it ends; closes: and the session with it. */
void server_drop_body(struct smtp_server *server, const char *reply, bool closes);
const char *server_drop_hint(const char *reply);
/* The end of a message that is refused. */
void server_end_dropped(struct smtp_server *server);

/* ---- server_bdat.c */
/* error: why there can be no message now; NULL: there can. */
void server_bdat(struct smtp_server *server, struct slice args, const char *error,
		 struct slice line);
/* Goes on with a chunk, as server_body. */
bool server_chunk(struct smtp_server *server, struct smtp_server_event *event_out);
/* The caller's answers to the first chunk. */
void server_bdat_agreed(struct smtp_server *server);
void server_bdat_refused(struct smtp_server *server, const char *reply);
/* The message under way has failed for good: this is also said to its further chunks. */
void server_bdat_fail(struct smtp_server *server, const char *reply);
/* There is no message in chunks any more, nor the memory of one that failed. */
void server_bdat_forget(struct smtp_server *server);

#endif
