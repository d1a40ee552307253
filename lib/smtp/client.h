/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SMTP and LMTP client's side of a connection, without I/O (RFC 5321, 2033, 2920, 3207,
 * 4954). Same form as the server: feed, next, output, and calls that answer events. It
 * pipelines where the server offers it, counts replies against commands, and is the second,
 * independent guard of what leaves: a body with a bare CR, a bare LF or a NUL is never ended
 * with a dot (5.6.0), an address or a parameter with CR, LF, NUL or blank never sent.
 *
 * A connection lives through: GREETING (220), EHLO, [STARTTLS, EHLO], [AUTH], READY; then any
 * number of transactions: smtp_client_send, RECIPIENT for each, BODY_WANTED, SENT, READY; then
 * quit. RECIPIENT comes for each reply to a RCPT, and with LMTP again for each reply after the
 * dot; final says which is the last word. After REFUSED comes READY too, or FAILED. The next
 * transaction may start as soon as smtp_client_idle: a READY that was not taken is then void.
 */
#ifndef POSTERN_SMTP_CLIENT_H
#define POSTERN_SMTP_CLIENT_H

#include "base/buf.h"
#include "smtp/reply.h"
#include "smtp/terms.h"

struct smtp_client;

enum smtp_client_tls { SMTP_CLIENT_TLS_NONE, SMTP_CLIENT_TLS_IF_OFFERED, SMTP_CLIENT_TLS_REQUIRED };

struct smtp_client_options {
	const char *hostname; /* for EHLO; must outlive */
	bool lmtp;            /* LHLO, a reply per recipient after the dot */
	enum smtp_client_tls tls;
	bool tls_on; /* TLS is on from the start */
	bool auth;   /* log in before the first transaction */
};

enum smtp_client_event_type {
	SMTP_CLIENT_STARTTLS =
		1, /* output sent, then handshake, then smtp_client_tls_done; failed: close */
	SMTP_CLIENT_AUTH, /* text: mechanisms offered; answer smtp_client_auth or _auth_cancel */
	SMTP_CLIENT_CHALLENGE,   /* text: decoded; answer smtp_client_auth_response */
	SMTP_CLIENT_READY,       /* a transaction may start */
	SMTP_CLIENT_RECIPIENT,   /* a reply for recipient index; final: no other will come for it */
	SMTP_CLIENT_BODY_WANTED, /* 354 came: smtp_client_body until the end, then
				    smtp_client_body_end */
	SMTP_CLIENT_SENT,    /* all is said: reply (of any code) is for all recipients still open */
	SMTP_CLIENT_REFUSED, /* the transaction failed before the body: reply; connection still
				usable */
	SMTP_CLIENT_FAILED,  /* close the connection: reply (code 0 if none), reason, phase */
};

enum smtp_client_phase {
	SMTP_CLIENT_GREETING,
	SMTP_CLIENT_HELLO,
	SMTP_CLIENT_TLS,
	SMTP_CLIENT_LOGIN,
	SMTP_CLIENT_IDLE,
	SMTP_CLIENT_MAIL,
	SMTP_CLIENT_RCPT,
	SMTP_CLIENT_DATA,
	SMTP_CLIENT_BODY,
	SMTP_CLIENT_FINAL,
	SMTP_CLIENT_QUIT,
	SMTP_CLIENT_DEAD,
};

struct smtp_client_event {
	enum smtp_client_event_type type;
	struct slice text;            /* valid until the next call */
	struct smtp_reply reply;      /* the same */
	uint32_t index;               /* RECIPIENT */
	bool final;                   /* RECIPIENT: nothing more will be said about it */
	const char *reason;           /* FAILED: static text, in words */
	enum smtp_client_phase phase; /* FAILED, REFUSED: where */
	bool certain; /* FAILED: false if the dot was sent: may have been delivered */
};

struct smtp_client_recipient {
	struct slice address;
	struct smtp_rcpt_terms terms;
};

/*
 * What of the terms the server does not offer is left unsaid: ask smtp_client_offers first.
 * SMTPUTF8 is said where an address is not ASCII, and only there: terms.utf8 is not looked at.
 * An LMTP server is not told of NOTIFY and its kin: who brings mail into a mailbox reports himself.
 */
struct smtp_client_envelope {
	struct slice sender;
	const struct smtp_client_recipient *recipients;
	uint32_t recipient_count;
	uint64_t size;
	bool body_8bit; /* sent as BODY=8BITMIME if offered */
	struct smtp_mail_terms terms;
	int64_t by_seconds; /* what is left of it, if terms.by is set */
};

struct smtp_client *smtp_client_new(const struct smtp_client_options *options);
void smtp_client_free(struct smtp_client **client);
/* If the peer breaks the protocol, FAILED follows. Call next until it says false after it. */
void smtp_client_feed(struct smtp_client *client, struct slice bytes);
void smtp_client_eof(
	struct smtp_client *client); /* the connection ended; FAILED follows unless idle */
bool smtp_client_next(struct smtp_client *client, struct smtp_client_event *event_out);
struct buf *smtp_client_output(struct smtp_client *client);

void smtp_client_tls_done(struct smtp_client *client);
/* mechanism "PLAIN"; initial may be empty with has_initial false. */
void smtp_client_auth(struct smtp_client *client, const char *mechanism, struct slice initial,
		      bool has_initial);
void smtp_client_auth_response(struct smtp_client *client, struct slice token);
void smtp_client_auth_cancel(struct smtp_client *client);

/*
 * Starts a transaction. ERR_BUSY: not idle. ERR_SYNTAX: an address or a parameter that must not be
 * sent, or no recipient, or an address that is not ASCII where SMTPUTF8 is not offered. ERR_DENIED:
 * terms.require_tls, and there is no TLS, or REQUIRETLS is not offered (LMTP: does not matter).
 * Nothing was sent then. The envelope must live until SENT, REFUSED or FAILED.
 */
enum err smtp_client_send(struct smtp_client *client, const struct smtp_client_envelope *envelope);
/*
 * A part of the body, at most 128 KiB, dot-stuffed into the output. ERR_FULL: send output first,
 * then the same part again. ERR_SYNTAX: the body has a CR or LF alone or a NUL (reply 554 5.6.0),
 * or bytes above 127 that the server cannot take (554 5.6.3): FAILED follows, nothing is ended.
 * ERR_BUSY: not asked for (or FAILED came). ERR_RANGE: too long.
 */
enum err smtp_client_body(struct smtp_client *client, struct slice part);
/*
 * All of the body was given: queues the final dot. What must be told to others before the dot
 * leaves is told before this is called.
 */
enum err smtp_client_body_end(struct smtp_client *client);
void smtp_client_quit(struct smtp_client *client);
enum smtp_client_phase smtp_client_phase(const struct smtp_client *client);
bool smtp_client_idle(const struct smtp_client *client); /* READY for a transaction */
/* What the server offered, after the last EHLO. */
bool smtp_client_offers(const struct smtp_client *client, const char *keyword);
/* What stands behind the keyword, "" for nothing; valid until the next EHLO. false: not offered. */
bool smtp_client_offer(const struct smtp_client *client, const char *keyword,
		       struct slice *value_out);
/*
 * What the server says it takes at most: name is of RFC 9422 4, "RCPTMAX" per transaction, "MAILMAX"
 * per connection. UINT32_MAX: it does not say, or says nonsense.
 */
uint32_t smtp_client_limit(const struct smtp_client *client, const char *name);

#endif
