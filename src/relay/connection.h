/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a host: connects to its addresses in turn, does TLS and login, then sends
 * one job after another. What it writes goes out at the end of the loop's iteration, after
 * the channels: queue knows of a final dot before the dot leaves.
 */
#ifndef POSTERN_RELAY_CONNECTION_H
#define POSTERN_RELAY_CONNECTION_H

#include "os/net.h"
#include "smtp/client.h"
#include "outcome.h"
#include "relay.h"

struct host;
struct job;
struct login;
struct stream;
struct timer;
struct watch;

enum connection_state {
	CONNECTION_CONNECTING,
	CONNECTION_HANDSHAKE,
	CONNECTION_OPEN,
	CONNECTION_DEAD, /* freed at the end of the iteration */
};

struct connection {
	struct connection *prev, *next;             /* of its host */
	struct connection *dirty_prev, *dirty_next; /* of the pool */
	struct connection *idle_prev, *idle_next;
	struct host *host;
	struct relay *relay;
	enum connection_state state;
	bool dirty;
	uint64_t dirty_round;
	bool idle;      /* in the pool's list of idle ones */
	bool ready;     /* has been, once */
	bool available; /* the pool was told that it may be given a job */
	bool quitting;
	bool clear; /* no TLS this time: it was broken a moment ago */
	/* In clear for one message whose sender does not mind (TLS-Required: No); failure says why.
	 */
	bool lenient;

	struct net_address *addresses; /* NULL once one has worked */
	size_t address_count, address_at, addresses_left;
	int fd;                 /* while connecting */
	struct outcome failure; /* of the addresses tried; outcome 0: none was */
	struct watch *watch;
	struct stream *stream;
	struct smtp_client *client;
	struct login *login;
	struct job *job;
	unsigned messages; /* transactions begun */

	struct timer *timer;
	int64_t deadline, timer_at;
	int phase;       /* the one that deadline is for */
	int write_wants; /* what a blocked write waits for */
	char where[512]; /* "mx.example.org[192.0.2.1]:25" */
	char tls[128];
};

/* Starts to connect. Counted by the caller. */
struct connection *connection_new(struct host *host);
void connection_free(struct connection **connection); /* without a word to anybody */
/*
 * Starts the job's transaction on a ready connection. false: its server cannot have it, or nobody;
 * the job has gone elsewhere or is over, and the connection is as it was.
 */
bool connection_give(struct connection *connection, struct job *job);
/* More of the body is there, or it is broken. */
void connection_body_ready(struct connection *connection);
/* The job is no longer wanted: the connection ends without a dot. */
void connection_abandon(struct connection *connection);
/* Writes what there is, gathers more of the body. */
void connection_flush(struct connection *connection);
/* Says goodbye; the connection ends soon. */
void connection_quit(struct connection *connection);

#endif
