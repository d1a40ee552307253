/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the client machine, shared by its files:
 *
 *	client.c       life, steps, events; which reply is due
 *	client_open.c  greeting, EHLO, STARTTLS, AUTH
 *	client_send.c  a transaction: MAIL, RCPT, DATA, the final replies
 *	client_terms.c what stands in MAIL and RCPT, and the guard of it
 *	client_body.c  the guard of the body
 */
#ifndef POSTERN_SMTP_CLIENT_PRIVATE_H
#define POSTERN_SMTP_CLIENT_PRIVATE_H

#include "smtp/client.h"

enum {
	CLIENT_OUTPUT_MAX = 256 * 1024,
	CLIENT_WINDOW = 100, /* RCPTs whose replies may be owed */
	CLIENT_EVENTS = 4,   /* most that one reply or call can cause */
};

/* Which reply is due, or what is waited for. */
enum client_step {
	CLIENT_GREETING,
	CLIENT_EHLO,
	CLIENT_HELO,
	CLIENT_STARTTLS,
	CLIENT_HANDSHAKE,   /* the caller's */
	CLIENT_AUTH_CHOICE, /* the caller's */
	CLIENT_AUTH,
	CLIENT_CHALLENGE, /* the caller's */
	CLIENT_AUTH_CANCELLED,
	CLIENT_IDLE,
	CLIENT_MAIL,
	CLIENT_RCPT,
	CLIENT_DATA,
	CLIENT_BODY, /* the caller's */
	CLIENT_FINAL,
	CLIENT_EMPTY_FINAL, /* DATA was taken although no recipient was */
	CLIENT_SWALLOW,     /* to what was pipelined behind a refused MAIL */
	CLIENT_RSET,
	CLIENT_QUIT,
	CLIENT_DEAD,
	CLIENT_STEPS,
};

/* From smtp_client_send to SENT or REFUSED. */
struct client_transaction {
	const struct smtp_client_envelope *envelope;
	unsigned char *accepted; /* per recipient */
	uint32_t sent;           /* RCPTs */
	uint32_t replied;        /* to RCPTs; in CLIENT_FINAL: recipients dealt with */
	uint32_t accepted_count;
	uint32_t swallow; /* replies still to come that mean nothing */
	bool utf8;        /* SMTPUTF8 is said */
	bool mail_sent;
	bool data_sent;
	bool held_cr;       /* body: the last byte was CR; not sent yet */
	bool at_line_start; /* body */
};

struct smtp_client {
	struct smtp_client_options options;
	struct smtp_reply_reader reader;
	struct buf out;
	struct buf token; /* the last challenge; wiped */
	enum client_step step;
	char *offers;        /* lines of the last EHLO reply but the first; NULL: none */
	uint64_t size_limit; /* 0: none */
	bool pipelining;
	bool eight_bit;
	bool tls_refused;
	bool logged_in;
	bool ended; /* end of file was seen */
	unsigned events;
	struct smtp_client_event event[CLIENT_EVENTS];
	struct client_transaction transaction;
};

/* ---- client.c */
/* The one place where the step changes. */
void client_enter(struct smtp_client *client, enum client_step step);
/* Adds an event; the caller fills in the rest. */
struct smtp_client_event *client_tell(struct smtp_client *client, enum smtp_client_event_type type);
/* The connection is of no use; reply may be NULL. */
void client_fail(struct smtp_client *client, const struct smtp_reply *reply, const char *reason);
void client_ready(struct smtp_client *client);
/* A 2xx or 3xx where it has no meaning. */
void client_unexpected(struct smtp_client *client, const struct smtp_reply *reply);

/* ---- client_open.c */
void client_reply_greeting(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_ehlo(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_helo(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_starttls(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_auth(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_auth_cancelled(struct smtp_client *client, const struct smtp_reply *reply);

/* ---- client_send.c */
void client_reply_mail(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_rcpt(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_data(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_final(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_empty_final(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_swallow(struct smtp_client *client, const struct smtp_reply *reply);
void client_reply_rset(struct smtp_client *client, const struct smtp_reply *reply);
void client_drop_transaction(struct smtp_client *client);

/* ---- client_terms.c */
/*
 * Whether this may leave for this server. ERR_SYNTAX: something in it is not what it must be, or
 * an address needs SMTPUTF8, which is not offered; ERR_DENIED: it requires TLS, and would not get
 * it. RFC 8689 4.2.1.
 */
enum err client_envelope_check(const struct smtp_client *client,
			       const struct smtp_client_envelope *envelope);
/* RFC 6531 3.4: only where an address asks for it, whatever the sender's client said. */
bool client_needs_utf8(const struct smtp_client_envelope *envelope);
/* The whole command into the output; the envelope was checked. */
void client_say_mail(struct smtp_client *client, const struct smtp_client_envelope *envelope);
void client_say_rcpt(struct smtp_client *client, const struct smtp_client_envelope *envelope,
		     uint32_t index);

#endif
