/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody who embeds the server machine, for tests: answers what it asks, writes down what
 * happens. Recipients whose local part starts with "no" are refused. PLAIN and LOGIN are done as
 * the auth process does them; the password "right" is right.
 */
#ifndef POSTERN_TESTS_SMTP_PEER_H
#define POSTERN_TESTS_SMTP_PEER_H

#include "smtp/server.h"

struct peer {
	struct smtp_server *server;
	struct smtp_server_options options;
	struct buf log;  /* one line per event; bodies of one message joined */
	struct buf said; /* what the server sent */
	struct buf body; /* of the message under way */
	unsigned accepted;
	unsigned dropped;
	bool closed;
	bool repaired; /* the last message was */
	bool in_login; /* LOGIN: the user name was given */
	bool mute;     /* write no log */
};

enum {
	PEER_TLS = 1,
	PEER_REQUIRED = 2,
	PEER_STARTTLS = 4,
	PEER_REFUSE_BARE = 8,
	PEER_OFF = 16,
	PEER_ALL = 32 /* every extension */
};

#define PEER_NOW INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

void peer_open(struct peer *peer, unsigned flags);
/* Opens with TLS, says EHLO, logs in; log and said are empty after it. */
void peer_open_logged_in(struct peer *peer, unsigned flags);
void peer_close(struct peer *peer);
/* Feeds bytes (as much as there is room for at a time) and runs the machine. */
void peer_send(struct peer *peer, struct slice bytes);
void peer_run(struct peer *peer);
const char *peer_said(struct peer *peer); /* all it said since the last call; until the next */
/* Escapes what is not printable: \r \n \\ \xNN. */
void peer_escape(struct buf *out, struct slice text);

#endif
