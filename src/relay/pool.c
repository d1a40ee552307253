/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "again.h"
#include "base/hash.h"
#include "base/mem.h"
#include "connection.h"
#include "delivery.h"
#include "host.h"
#include "operator.h"
#include "os/log.h"
#include "os/loop.h"
#include "tls/tls.h"

enum {
	SOCKETS_ORDER = 20, /* after the channels: os/loop.h */
	SWEEP_MS = 10000,
	HOST_KEPT_MS = 60000,
	UNRESOLVED_MS = 1000,
	DOWN_MS_MAX = AGAIN_KEPT_MS,
	TURN_MESSAGES = 10, /* after which a connection makes room for a host that has none */
};

struct pool {
	struct relay *relay;
	struct again *again;
	struct host *hosts;
	unsigned open, unproven; /* connections; those being made to hosts not known to work */
	struct host *starved;
	struct connection *dirty;
	struct connection *idle; /* oldest first */
	struct connection *dead; /* linked by idle_next */
	uint64_t round;          /* of written output */
	struct hook *hook;
	struct timer *sweep;
};

static void host_pump(struct host *host);

struct relay *pool_relay(struct pool *pool)
{
	return pool->relay;
}

/* ---- gathered output ---- */

void pool_mark_dirty(struct connection *connection)
{
	struct pool *pool = connection->host->pool;

	if (connection->dirty)
		return;
	connection->dirty = true;
	connection->dirty_round = pool->round;
	DL_APPEND2(pool->dirty, connection, dirty_prev, dirty_next);
	loop_wake(pool->relay->loop);
}

static void not_dirty(struct connection *connection)
{
	if (!connection->dirty)
		return;
	connection->dirty = false;
	DL_DELETE2(connection->host->pool->dirty, connection, dirty_prev, dirty_next);
}

static void bury(struct pool *pool)
{
	while (pool->dead) {
		struct connection *connection = pool->dead;

		pool->dead = connection->idle_next;
		connection_free(&connection);
	}
}

static void on_iteration_end(void *arg)
{
	struct pool *pool = arg;

	/* Those that become dirty on the way wait until the channels have been written again. */
	pool->round++;
	while (pool->dirty && pool->dirty->dirty_round < pool->round) {
		struct connection *connection = pool->dirty;

		not_dirty(connection);
		connection_flush(connection);
	}
	bury(pool);
}

static void on_sweep(void *arg)
{
	struct pool *pool = arg;
	int64_t now = loop_now(pool->relay->loop);
	struct host *host, *next;

	HASH_ITER (hh, pool->hosts, host, next) {
		if (!host->waiting && !host->connections && host->down_until <= now &&
		    host->used + HOST_KEPT_MS <= now) {
			HASH_DEL(pool->hosts, host);
			host_free(&host);
		}
	}
	mx_sweep(pool->relay->mx, now);
	timer_set(pool->sweep, SWEEP_MS);
}

struct pool *pool_new(struct relay *relay)
{
	struct pool *pool = mem_alloc(sizeof(*pool));

	pool->relay = relay;
	pool->again = again_new();
	pool->hook = hook_new(relay->loop, SOCKETS_ORDER, on_iteration_end, pool);
	pool->sweep = timer_new(relay->loop, on_sweep, pool);
	timer_set(pool->sweep, SWEEP_MS);
	return pool;
}

void pool_free(struct pool **pool)
{
	struct pool *p = *pool;
	struct host *host, *next;

	if (!p)
		return;
	HASH_ITER (hh, p->hosts, host, next) {
		while (host->connections) {
			struct connection *connection = host->connections;

			DL_DELETE(host->connections, connection);
			connection_free(&connection);
		}
		HASH_DEL(p->hosts, host);
		host_free(&host);
	}
	bury(p);
	hook_free(&p->hook);
	timer_free(&p->sweep);
	again_free(&p->again);
	MEM_FREE(*pool);
}

struct host *pool_host(struct pool *pool, const struct host_spec *spec)
{
	char key[RELAY_HOST_MAX + 128];
	struct host *host;
	size_t len;

	len = host_key(pool->relay, spec, key, sizeof(key));
	HASH_FIND(hh, pool->hosts, key, len, host);
	if (!host) {
		host = host_new(pool, spec, key);
		HASH_ADD_KEYPTR(hh, pool->hosts, host->key, len, host);
	}
	host->used = loop_now(pool->relay->loop);
	return host;
}

/* ---- who waits ---- */

static struct job *take_waiting(struct host *host)
{
	struct job *job = host->waiting;

	DL_DELETE(host->waiting, job);
	host->waiting_count--;
	job->host = NULL;
	return job;
}

static void fail_waiting(struct host *host, const struct outcome *outcome)
{
	struct outcome copy = *outcome;
	unsigned count = host->waiting_count; /* those that come meanwhile have their own turn */

	while (count-- && host->waiting)
		job_host_failed(take_waiting(host), &copy, host->name, true);
}

static bool asked_again(const struct host *host, const struct job *job)
{
	int64_t now = loop_now(host->pool->relay->loop);

	return host->down_until > now &&
	       again_asked(host->pool->again, job->delivery->destination, host->down_since, now);
}

void host_enqueue(struct host *host, struct job *job)
{
	job->host = host;
	job->state = JOB_WAITING;
	DL_APPEND(host->waiting, job);
	host->waiting_count++;
	if (asked_again(host, job))
		host->down_until = 0;
	host_pump(host);
}

void host_dequeue(struct host *host, struct job *job)
{
	DL_DELETE(host->waiting, job);
	host->waiting_count--;
	job->host = NULL;
}

/* ---- who gets a connection ---- */

static const struct config_delivery *limits(const struct pool *pool)
{
	return &pool->relay->config->delivery;
}

static unsigned host_limit(const struct host *host)
{
	unsigned most = limits(host->pool)->connections_per_host;

	if (!host->proven)
		return 1;
	return host->window < most ? host->window : most;
}

static struct connection *idle_connection(struct host *host)
{
	struct connection *connection;

	DL_FOREACH (host->connections, connection) {
		if (connection->idle && connection->state == CONNECTION_OPEN)
			return connection;
	}
	return NULL;
}

void pool_leave_idle(struct connection *connection)
{
	struct pool *pool = connection->host->pool;

	if (!connection->idle)
		return;
	connection->idle = false;
	DL_DELETE2(pool->idle, connection, idle_prev, idle_next);
}

static void starve(struct host *host)
{
	if (host->starved)
		return;
	host->starved = true;
	DL_APPEND2(host->pool->starved, host, starved_prev, starved_next);
}

static void unstarve(struct host *host)
{
	if (!host->starved)
		return;
	host->starved = false;
	DL_DELETE2(host->pool->starved, host, starved_prev, starved_next);
}

/* Room in the total; makes some by ending what has been idle longest. */
static bool have_room(struct host *host)
{
	struct pool *pool = host->pool;
	unsigned most = limits(pool)->connections;
	unsigned most_unproven = most - most / 4;

	if (!host->proven && pool->unproven >= most_unproven)
		return false;
	if (pool->open < most)
		return true;
	if (pool->idle)
		connection_quit(pool->idle); /* its place is free when it is gone */
	return false;
}

static void open_connection(struct host *host)
{
	struct pool *pool = host->pool;
	struct connection *connection;

	pool->open++;
	host->connection_count++;
	host->connecting_count++;
	if (!host->proven)
		pool->unproven++;
	connection = connection_new(host);
	DL_PREPEND(host->connections, connection);
}

static void give_idle(struct host *host)
{
	while (host->waiting) {
		struct connection *connection = idle_connection(host);

		if (!connection)
			return;
		pool_leave_idle(connection);
		if (!connection_give(connection, take_waiting(host)))
			pool_connection_ready(connection);
	}
}

static void host_pump(struct host *host)
{
	struct relay *relay = host->pool->relay;
	int64_t now = loop_now(relay->loop);

	host->used = now;
	if (host->fault.outcome) {
		fail_waiting(host, &host->fault);
		return;
	}
	give_idle(host);
	if (host->waiting && host->down_until > now) {
		if (host->connection_count == 0)
			fail_waiting(host, &host->down);
		return;
	}
	while (host->waiting) {
		if (host->connecting_count >= host->waiting_count ||
		    host->connection_count >= host_limit(host))
			break;
		if (!host_resolve(host, now))
			break; /* the answer pumps again */
		if (!have_room(host)) {
			starve(host);
			return;
		}
		open_connection(host);
	}
	unstarve(host);
}

static void pump_starved(struct pool *pool)
{
	struct host *last = pool->starved ? pool->starved->starved_prev : NULL;

	while (pool->starved) {
		struct host *host = pool->starved;

		unstarve(host);
		host_pump(host);
		if (host == last)
			break;
	}
}

void host_resolved(struct host *host)
{
	host_pump(host);
}

static void went_down(struct host *host, const struct outcome *outcome, uint64_t ms)
{
	host->down = *outcome;
	host->down_since = loop_now(host->pool->relay->loop);
	host->down_until = host->down_since + (int64_t)ms;
}

void host_unresolved(struct host *host, const struct outcome *outcome)
{
	went_down(host, outcome, UNRESOLVED_MS);
	if (host->connection_count == 0)
		fail_waiting(host, outcome);
}

/* ---- what connections tell ---- */

static void no_longer_connecting(struct connection *connection)
{
	struct host *host = connection->host;

	if (connection->ready)
		return;
	connection->ready = true;
	host->connecting_count--;
	if (!host->proven)
		host->pool->unproven--;
}

static void remove_connection(struct connection *connection)
{
	struct host *host = connection->host;
	struct pool *pool = host->pool;

	pool_leave_idle(connection);
	not_dirty(connection);
	no_longer_connecting(connection);
	DL_DELETE(host->connections, connection);
	host->connection_count--;
	pool->open--;
	connection->idle_next = pool->dead;
	pool->dead = connection;
	loop_wake(pool->relay->loop);
}

/* The host works: all its connections that are being made leave the count of the unproven. */
static void prove(struct host *host)
{
	if (host->proven)
		return;
	host->pool->unproven -= host->connecting_count;
	host->proven = true;
	host->down_until = 0;
	if (host->window < 4)
		host->window = 4;
}

/*
 * Whether it may take one more message. A new one always takes one: it was made for a job that
 * waits, and would be made again and again.
 */
static bool may_go_on(const struct connection *connection)
{
	const struct host *host = connection->host;

	if (host->connection_count > host_limit(host))
		return false;
	if (connection->messages == 0)
		return true;
	if (connection->messages >= limits(host->pool)->messages_per_connection ||
	    connection->messages >= smtp_client_limit(connection->client, "MAILMAX") ||
	    host->generation != host->pool->relay->generation || connection->lenient)
		return false;
	return !host->pool->starved || host->connection_count == 1 ||
	       connection->messages < TURN_MESSAGES;
}

void pool_connection_ready(struct connection *connection)
{
	struct host *host = connection->host;
	struct relay *relay = host->pool->relay;
	const struct config_delivery *delivery = limits(host->pool);

	if (!connection->ready) {
		no_longer_connecting(connection);
		prove(host);
	} else if (host->window < delivery->connections_per_host) {
		host->window++;
	}
	while (host->waiting && may_go_on(connection)) {
		if (connection_give(connection, take_waiting(host))) {
			host_pump(host);
			return;
		}
	}
	if (!may_go_on(connection) || relay->stopping || host->pool->starved ||
	    relay->config->timeouts.idle == 0) {
		connection_quit(connection);
	} else {
		connection->idle = true;
		DL_APPEND2(host->pool->idle, connection, idle_prev, idle_next);
	}
	host_pump(host);
}

static uint64_t down_ms(const struct relay *relay)
{
	uint64_t ms = relay->config->queue.retry_first / 2;

	return ms < DOWN_MS_MAX ? ms : DOWN_MS_MAX;
}

void pool_connection_failed(struct connection *connection, const struct outcome *outcome,
			    const char *host_text)
{
	struct host *host = connection->host;
	struct pool *pool = host->pool;
	struct relay *relay = pool->relay;
	struct outcome copy = *outcome;

	remove_connection(connection);
	host->window = host->window > 1 ? host->window / 2 : 1;
	went_down(host, &copy, down_ms(relay));
	if (host->connection_count == 0) {
		host->proven = false;
		log_event(LOG_WARNING, "note", LOG_TEXT("text", "server cannot be used"),
			  LOG_TEXT("host", host_text), LOG_TEXT_IF("relay", host->relay_name),
			  LOG_TEXT("reason", copy.text));
		fail_waiting(host, &copy);
	}
	host_pump(host);
	pump_starved(pool);
}

void pool_connection_closed(struct connection *connection)
{
	struct host *host = connection->host;
	struct pool *pool = host->pool;

	remove_connection(connection);
	host_pump(host);
	pump_starved(pool);
	relay_check_stopped(pool->relay);
}

void pool_host_slower(struct host *host)
{
	host->window = host->window > 1 ? host->window / 2 : 1;
}

/* ---- configuration, status ---- */

void pool_close_idle(struct pool *pool)
{
	struct connection *connection, *next;

	DL_FOREACH_SAFE2(pool->idle, connection, next, idle_next)
	{
		connection_quit(connection);
	}
}

static void forgive(struct pool *pool)
{
	struct host *host, *next;

	HASH_ITER (hh, pool->hosts, host, next) {
		host->down_until = 0;
		if (host->waiting)
			host_pump(host);
	}
}

static bool waits_for(const struct host *host, struct slice destination)
{
	for (const struct job *job = host->waiting; job; job = job->next)
		if (slice_equal(job->delivery->destination, destination))
			return true;
	return false;
}

void pool_try_again(struct pool *pool, struct slice destination)
{
	int64_t now = loop_now(pool->relay->loop);
	struct host *host, *next;

	if (destination.len == 0) {
		forgive(pool);
		return;
	}
	again_note(pool->again, destination, now);
	HASH_ITER (hh, pool->hosts, host, next) {
		if (host->down_until <= now || !waits_for(host, destination))
			continue;
		host->down_until = 0;
		host_pump(host);
	}
}

void pool_renew(struct pool *pool)
{
	pool_close_idle(pool);
	forgive(pool); /* the administrator may just have mended it */
}

static void host_status(const struct host *host, struct operator_rows *rows, int64_t now)
{
	operator_row_begin(rows);
	operator_text(rows, "host", host->relay_name ? host->relay_name : host->name);
	operator_text(rows, "address", host->name);
	operator_text(rows, "state",
		      host->fault.outcome      ? "wrong set-up"
		      : host->down_until > now ? "down"
		      : host->proven           ? "works"
					       : "unknown");
	operator_number(rows, "connections", host->connection_count);
	operator_number(rows, "connecting", host->connecting_count);
	operator_number(rows, "waiting", host->waiting_count);
	operator_number(rows, "window", host->window);
	operator_number(rows, "delivered", (int64_t)host->delivered);
	if (host->fault.outcome || host->down_until > now)
		operator_text(rows, "reason",
			      host->fault.outcome ? host->fault.text : host->down.text);
	operator_row_end(rows);
}

void pool_status(struct pool *pool, struct operator_rows *rows)
{
	int64_t now = loop_now(pool->relay->loop);
	struct host *host, *next;

	operator_row_begin(rows);
	operator_text(rows, "process", "relay");
	operator_number(rows, "connections", pool->open);
	operator_number(rows, "connections_max", limits(pool)->connections);
	operator_number(rows, "hosts", HASH_COUNT(pool->hosts));
	operator_row_end(rows);
	HASH_ITER (hh, pool->hosts, host, next) {
		host_status(host, rows, now);
	}
}
