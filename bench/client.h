/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the load generator: connects, takes TLS, logs in, hands over messages, one
 * after the other, and leaves. It shares no code with the server under test but for base/, so
 * that both cannot be wrong in the same way.
 *
 *	IDLE -> CONNECT -> GREETING -> EHLO -> STARTTLS -> HANDSHAKE -> EHLO -> LOGIN -> READY
 *	READY -> ENVELOPE -> BODY -> READY (next message) or QUIT -> IDLE
 *
 * With implicit TLS the handshake comes right after the connect; without TLS or login those
 * states are left out.
 */
#ifndef POSTERN_BENCH_CLIENT_H
#define POSTERN_BENCH_CLIENT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

#include "latency.h"

enum client_tls { CLIENT_TLS_NONE, CLIENT_TLS_STARTTLS, CLIENT_TLS_IMPLICIT };
/* GROUPED: MAIL RCPT DATA in one write; FULL: with the body of the message before, too. */
enum pipelining { PIPELINING_NONE, PIPELINING_GROUPED, PIPELINING_FULL };

enum client_state {
	CLIENT_IDLE,
	CLIENT_CONNECT,
	CLIENT_GREETING,
	CLIENT_EHLO,
	CLIENT_STARTTLS,
	CLIENT_HANDSHAKE,
	CLIENT_LOGIN,
	CLIENT_READY,
	CLIENT_ENVELOPE,
	CLIENT_BODY,
	CLIENT_QUIT,
};

/* What all connections do. */
struct plan {
	struct sockaddr_storage address;
	socklen_t address_len;
	enum client_tls tls;
	enum pipelining pipelining;
	SSL_CTX *tls_context;
	char *login; /* the AUTH PLAIN command; NULL: no login */
	char *sender, *recipient;
	char *run; /* what the ids of this run start with */
	unsigned recipients;
	uint64_t per_login; /* messages */
	const char *body;   /* the part that all messages share */
	size_t body_len;
	FILE *ledger; /* NULL: none */
};

/* What came of it, all connections together. */
struct tally {
	uint64_t wanted;  /* messages to send in total */
	uint64_t started; /* messages whose MAIL was sent */
	uint64_t acknowledged, refused, unknown, lost;
	uint64_t connects, logins, broken;
	uint64_t last_ns; /* when the last acknowledgement came */
	struct latency final_reply, login_time;
	char why[256]; /* the first thing that went wrong */
};

struct client {
	const struct plan *plan;
	struct tally *tally;
	enum client_state state;
	int fd;
	int source; /* see net_connect */
	SSL *ssl;
	bool tls_done, want_write;
	uint64_t connected_ns, dot_ns;
	uint64_t sent_here; /* messages on this login */
	unsigned step;      /* reply within the envelope */
	unsigned accepted;  /* recipients */
	bool next_sent;     /* the next envelope went with the body */
	char id[64], next_id[64];
	uint64_t sum; /* checksum of the body with this id */
	size_t size;
	char in[4096];
	size_t in_len;
	/* What remains to be sent: three pieces, the middle one shared. */
	char *head, *tail;
	size_t head_len, tail_len, sent;
	const char *middle;
	size_t middle_len;
};

/* What a call to client_event left behind. */
enum client_outcome {
	CLIENT_GOES_ON,
	CLIENT_IS_READY, /* logged in, between two messages: client_send or client_leave is due */
	CLIENT_IS_DONE,  /* it left as planned; client_connect starts anew */
	CLIENT_BROKE,    /* it ended otherwise; likewise */
};

void client_init(struct client *client, const struct plan *plan, struct tally *tally);
void client_release(struct client *client);
/* Starts to connect; CLIENT_BROKE when that failed at once. The caller watches client->fd. */
enum client_outcome client_connect(struct client *client);
/* Something can be read or written. */
enum client_outcome client_event(struct client *client);
/* Whether another message is wanted on this login. */
bool client_has_more(const struct client *client);
enum client_outcome client_send(struct client *client);  /* the next message; only when READY */
enum client_outcome client_leave(struct client *client); /* QUIT; only when READY */
void client_close(struct client *client); /* writes to the ledger what became of its message */

#endif
