/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts, and the connections to them. A host is a name, a port, a TLS policy and a credential:
 * nothing else is ever sent over its connections, so a connection that was logged in for one
 * relay section is never used for another.
 *
 * Invariants:
 *  1. No more than delivery.connections are open in total, delivery.connections_per_host to one
 *     host; three quarters of the total at most are to hosts not known to work, so that dead
 *     ones leave room.
 *  2. A host not known to work gets one connection; each message that goes through adds one to
 *     its window, a failure halves it.
 *  3. When the last connection to a host fails, all that wait there go on to their next host at
 *     once, and so does whatever comes within the next moments.
 *  4. Hosts that wait for a connection of the total get it in turn.
 */
#ifndef POSTERN_RELAY_POOL_H
#define POSTERN_RELAY_POOL_H

#include "config/config.h"
#include "base/hash.h"
#include "os/net.h"
#include "outcome.h"
#include "relay.h"

struct connection;
struct job;
struct operator_rows;
struct resolve_query;
struct tls_context;

enum host_kind { HOST_MX, HOST_RELAY, HOST_LMTP };

struct host_spec {
	enum host_kind kind;
	const char *name;                 /* host name, address, or path of a socket */
	uint16_t port;                    /* 0: a path */
	const struct config_relay *relay; /* HOST_RELAY */
};

struct host {
	UT_hash_handle hh;
	struct pool *pool;
	enum host_kind kind;
	char *name;
	uint16_t port; /* 0: name is the path of a socket */
	enum relay_tls tls;
	struct tls_context *tls_context; /* NULL: no TLS, or what is missing is in fault */
	char *user;                      /* NULL: no login */
	struct secret password;
	char *relay_name;     /* for the log; NULL */
	struct outcome fault; /* outcome != 0: our set-up is wrong, nothing is sent there */
	char *hostname;       /* what we say in EHLO */
	unsigned generation;

	struct net_address addresses[2 * RELAY_ADDRESSES_MAX];
	size_t address_count, address_good; /* the one that worked last */
	int64_t addresses_until;
	struct resolve_query *queries[2];
	bool lookup_failed; /* one of the look-ups in progress */
	const char *lookup_why;

	struct job *waiting;
	unsigned waiting_count;
	struct connection *connections;
	unsigned connection_count, connecting_count;
	unsigned window;
	bool proven;
	int64_t down_since, down_until; /* loop's time; opens no connection before the latter */
	struct outcome down;            /* why */
	int64_t clear_until; /* its TLS is broken: speak in clear, where that is allowed */
	int64_t used;
	struct host *starved_prev, *starved_next;
	bool starved;
	uint64_t delivered;
	char key[];
};

struct pool *pool_new(struct relay *relay);
void pool_free(struct pool **pool);
struct relay *pool_relay(struct pool *pool);
/* Finds it, or makes it. Lives as long as somebody uses it. */
struct host *pool_host(struct pool *pool, const struct host_spec *spec);
/* The job waits for a connection; job_taken or job_host_failed follows, maybe at once. */
void host_enqueue(struct host *host, struct job *job);
void host_dequeue(struct host *host, struct job *job);
/*
 * Forgets that the servers of this destination, "" for all, could not be used: those that jobs wait
 * at, and those that its mail comes to in the next moments.
 */
void pool_try_again(struct pool *pool, struct slice destination);
/* A new configuration: connections of the old one are not used again. */
void pool_renew(struct pool *pool);
/* Ends all that is idle; used at the end of the process. */
void pool_close_idle(struct pool *pool);
void pool_status(struct pool *pool, struct operator_rows *rows);

/* ---- for connection.c ---- */

/* Ready for a job; may get one at once. */
void pool_connection_ready(struct connection *connection);
/* Could not be made ready; the connection is over. */
void pool_connection_failed(struct connection *connection, const struct outcome *outcome,
			    const char *host_text);
/* Over after it had been ready. */
void pool_connection_closed(struct connection *connection);
/* It is not to be given a job any more. */
void pool_leave_idle(struct connection *connection);
/* The host wants it slower: 421. */
void pool_host_slower(struct host *host);
/* Its output is written at the end of the iteration. */
void pool_mark_dirty(struct connection *connection);

#endif
