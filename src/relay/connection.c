/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "connection_internal.h"
#include "delivery.h"
#include "login.h"
#include "os/log.h"
#include "os/loop.h"
#include "pool.h"
#include "terms.h"
#include "tls/tls.h"

enum {
	QUIT_MS = 5000,
	TURN_BYTES = 262144, /* written on one connection before others get their turn */
	DOT_ROOM = 16,
	READ_SIZE = 16384,
	READ_ROUNDS = 64,
};

/* ---- time ---- */

static uint64_t phase_ms(const struct connection *connection, int phase)
{
	const struct config_timeouts *t = &connection->relay->config->timeouts;

	if (connection->state == CONNECTION_CONNECTING)
		return t->connect;
	if (connection->state == CONNECTION_HANDSHAKE)
		return t->handshake;
	switch (phase) {
	case SMTP_CLIENT_GREETING:
		return t->greeting;
	case SMTP_CLIENT_RCPT:
		return t->recipient;
	case SMTP_CLIENT_DATA:
		return t->data_init;
	case SMTP_CLIENT_BODY:
		return t->data_send;
	case SMTP_CLIENT_FINAL:
		return t->data_final;
	case SMTP_CLIENT_IDLE:
		return t->idle;
	case SMTP_CLIENT_QUIT:
		return QUIT_MS;
	default:
		return t->mail;
	}
}

/* The time begins anew: something moved. */
void connection_arm(struct connection *connection)
{
	int64_t now = loop_now(connection->relay->loop);
	uint64_t ms;

	connection->phase = connection->client ? (int)smtp_client_phase(connection->client) : -1;
	ms = phase_ms(connection, connection->phase);
	connection->deadline = now + (int64_t)ms;
	if (connection->timer_at == 0 || connection->deadline < connection->timer_at) {
		timer_set(connection->timer, ms);
		connection->timer_at = connection->deadline;
	}
}

static void arm_if_moved(struct connection *connection)
{
	if (connection->client && (int)smtp_client_phase(connection->client) != connection->phase)
		connection_arm(connection);
}

/* ---- the end ---- */

void connection_drop_socket(struct connection *connection)
{
	watch_free(&connection->watch);
	stream_free(&connection->stream);
	net_close(&connection->fd);
	smtp_client_free(&connection->client);
	login_free(&connection->login);
	connection->write_wants = 0;
}

void connection_die(struct connection *connection)
{
	connection->state = CONNECTION_DEAD;
	watch_free(&connection->watch);
	stream_free(&connection->stream);
	net_close(&connection->fd);
	timer_free(&connection->timer);
}

void connection_free(struct connection **connection)
{
	struct connection *c = *connection;

	*connection = NULL;
	if (!c)
		return;
	connection_drop_socket(c);
	timer_free(&c->timer);
	mem_free(c->addresses);
	mem_free(c);
}

static void close_ready(struct connection *connection)
{
	connection_die(connection);
	pool_connection_closed(connection);
}

/* The connection is of no use any more; outcome says why. */
void connection_broken(struct connection *connection, const struct outcome *outcome)
{
	struct job *job = connection->job;
	struct outcome copy = *outcome;
	char where[sizeof(connection->where)], tls[sizeof(connection->tls)];

	if (connection_leniently(connection, &copy))
		return;
	if (!connection->ready) {
		connection_give_address_up(connection, &copy);
		return;
	}
	memcpy(where, connection->where, sizeof(where));
	memcpy(tls, connection->tls, sizeof(tls));
	connection->job = NULL;
	if (job)
		job->connection = NULL;
	pool_leave_idle(connection);
	connection_die(connection);
	if (job && outcome_try_next(&copy))
		job_host_failed(job, &copy, where, false);
	else if (job)
		job_done(job, &copy, where, tls, false);
	pool_connection_closed(connection);
}

void connection_fail(struct connection *connection, enum ipc_scope scope, const char *status,
		     const char *text)
{
	struct outcome outcome;

	outcome_set(&outcome, IPC_DEFERRED, scope, 0, status, "%s", text);
	connection_broken(connection, &outcome);
}

/* The socket is of no use, and the machine had nothing to say about it. */
static void lost(struct connection *connection)
{
	if (connection->state != CONNECTION_OPEN)
		return;
	if (connection->ready && !connection->job)
		close_ready(connection); /* it was idle, or said goodbye: nobody misses it */
	else
		connection_fail(connection, IPC_SCOPE_HOST, "4.4.2", "the connection was lost");
}

/* ---- bytes ---- */

static void read_all(struct connection *connection)
{
	static char data[READ_SIZE]; /* one thread; given to the machine at once */

	for (int i = 0; i < READ_ROUNDS && connection->state == CONNECTION_OPEN; i++) {
		size_t len;
		enum err err = stream_read(connection->stream, data, sizeof(data), &len);

		if (err == ERR_AGAIN)
			return;
		if (err == ERR_OK)
			smtp_client_feed(connection->client, slice_of(data, len));
		else
			smtp_client_eof(connection->client);
		connection_events(connection);
		if (err != ERR_OK)
			lost(connection);
		if (err != ERR_OK || connection->state != CONNECTION_OPEN ||
		    !stream_pending(connection->stream))
			return;
	}
	if (connection->state == CONNECTION_OPEN)
		pool_mark_dirty(connection);
}

/* ERR_OK: all is written or the turn is over; ERR_AGAIN: the socket is full. */
static enum err write_output(struct connection *connection, size_t *written)
{
	struct buf *output = smtp_client_output(connection->client);

	while (buf_len(output) > 0 && *written < TURN_BYTES) {
		struct slice data = buf_data(output);
		size_t len;
		enum err err = stream_write(connection->stream, data.ptr, data.len, &len);

		if (err != ERR_OK)
			return err;
		buf_consume(output, len);
		*written += len;
	}
	return ERR_OK;
}

/* Gives the machine what it takes of the body. true: the dot is in the output. */
bool connection_pump_body(struct connection *connection)
{
	struct slice part;

	while (connection->job && connection->job->state == JOB_SENDING &&
	       smtp_client_phase(connection->client) == SMTP_CLIENT_BODY) {
		enum job_body body = job_body(connection->job, &part);
		enum err err;

		if (body == JOB_BODY_WAIT)
			return false;
		if (body == JOB_BODY_BROKEN) {
			connection_fail(connection, IPC_SCOPE_OURS, "4.3.0",
					"the message cannot be read from the queue");
			return false;
		}
		if (body == JOB_BODY_END) {
			if (buf_room(smtp_client_output(connection->client)) < DOT_ROOM)
				return false;
			job_at_dot(connection->job);
			err = smtp_client_body_end(connection->client);
			connection_events(connection);
			return err == ERR_OK;
		}
		err = smtp_client_body(connection->client, part);
		if (err == ERR_FULL)
			return false;
		if (err != ERR_OK) {
			connection_events(connection);
			return false;
		}
		job_body_used(connection->job, part.len);
	}
	return false;
}

void connection_flush(struct connection *connection)
{
	size_t written = 0, before;
	enum err err = ERR_OK;

	if (connection->state != CONNECTION_OPEN)
		return;
	if (stream_pending(connection->stream)) {
		read_all(connection);
		if (connection->state != CONNECTION_OPEN)
			return;
	}
	do {
		before = written;
		/* A dot that has just been made waits until queue was told of it. */
		if (connection_pump_body(connection)) {
			pool_mark_dirty(connection);
			return;
		}
		if (connection->state != CONNECTION_OPEN)
			return;
		err = write_output(connection, &written);
	} while (err == ERR_OK && written > before && written < TURN_BYTES);
	if (written)
		connection_arm(connection);
	if (err == ERR_AGAIN) {
		watch_set(connection->watch, WATCH_READ | stream_wants(connection->stream));
		return;
	}
	watch_set(connection->watch, WATCH_READ);
	if (err != ERR_OK) {
		smtp_client_eof(connection->client);
		connection_events(connection);
		lost(connection);
	} else if (written >= TURN_BYTES) {
		pool_mark_dirty(connection);
	}
}

void connection_on_ready(void *arg, int events)
{
	struct connection *connection = arg;
	enum err err;

	switch (connection->state) {
	case CONNECTION_CONNECTING:
		err = net_connect_result(connection->fd);
		if (err == ERR_OK)
			connection_connected(connection);
		else if (err != ERR_AGAIN)
			connection_connect_failed(connection, errno);
		break;
	case CONNECTION_HANDSHAKE:
		connection_continue_handshake(connection);
		break;
	case CONNECTION_OPEN:
		if (events & WATCH_WRITE)
			pool_mark_dirty(connection);
		read_all(connection);
		break;
	case CONNECTION_DEAD:
		break;
	}
}

/* ---- time-outs ---- */

static void open_timed_out(struct connection *connection)
{
	static const char *const waited_for[] = {
		[SMTP_CLIENT_GREETING] = "the greeting",
		[SMTP_CLIENT_HELLO] = "the reply to EHLO",
		[SMTP_CLIENT_TLS] = "the reply to STARTTLS",
		[SMTP_CLIENT_LOGIN] = "the reply to AUTH",
		[SMTP_CLIENT_MAIL] = "the reply to MAIL",
		[SMTP_CLIENT_RCPT] = "the reply to RCPT",
		[SMTP_CLIENT_DATA] = "the reply to DATA",
		[SMTP_CLIENT_BODY] = "taking the message",
		[SMTP_CLIENT_FINAL] = "the reply to the end of the message",
	};
	enum smtp_client_phase phase = smtp_client_phase(connection->client);
	uint64_t ms = phase_ms(connection, (int)phase);
	struct outcome outcome;

	if (phase == SMTP_CLIENT_IDLE && !connection->job) {
		connection_quit(connection);
		return;
	}
	if (phase == SMTP_CLIENT_QUIT || phase == SMTP_CLIENT_DEAD || connection->quitting) {
		close_ready(connection);
		return;
	}
	outcome_set(&outcome, phase == SMTP_CLIENT_FINAL ? IPC_UNCERTAIN : IPC_DEFERRED,
		    IPC_SCOPE_HOST, 0, "4.4.2", "waited for %s for %llu s",
		    phase < sizeof(waited_for) / sizeof(waited_for[0]) && waited_for[phase]
			    ? waited_for[phase]
			    : "the server",
		    (unsigned long long)(ms / 1000));
	connection_broken(connection, &outcome);
}

static void on_time(void *arg)
{
	struct connection *connection = arg;
	int64_t now = loop_now(connection->relay->loop);

	connection->timer_at = 0;
	if (now < connection->deadline) {
		timer_set(connection->timer, (uint64_t)(connection->deadline - now));
		connection->timer_at = connection->deadline;
		return;
	}
	if (connection->state == CONNECTION_OPEN)
		open_timed_out(connection);
	else if (connection->state == CONNECTION_HANDSHAKE)
		connection_handshake_failed(connection, ERR_TIMEOUT,
					    "the TLS handshake took too long");
	else if (!connection->watch)
		connection_connect_next(connection); /* the beginning */
	else
		connection_connect_failed(connection, ETIMEDOUT);
}

/* ---- for others ---- */

struct connection *connection_new(struct host *host)
{
	struct connection *connection = mem_alloc(sizeof(*connection));
	size_t count = host->address_count;

	connection->host = host;
	connection->relay = pool_relay(host->pool);
	connection->fd = -1;
	connection->phase = -1;
	connection->addresses = mem_array(count, sizeof(*connection->addresses));
	memcpy(connection->addresses, host->addresses, count * sizeof(*connection->addresses));
	connection->address_count = connection->addresses_left = count;
	connection->address_at = host->address_good < count ? host->address_good : 0;
	connection->timer = timer_new(connection->relay->loop, on_time, connection);
	timer_set(connection->timer, 0);
	return connection;
}

/* The job is not for this connection: on to its next host, or over. */
static void decline(struct connection *connection, struct job *job, const struct outcome *why)
{
	connection->job = NULL;
	job->connection = NULL;
	if (outcome_try_next(why))
		job_host_failed(job, why, connection->where, false);
	else
		job_done(job, why, connection->where, connection->tls, false);
}

bool connection_give(struct connection *connection, struct job *job)
{
	struct outcome why;
	struct job *rest;

	if (!terms_fit(job, connection, &why)) {
		decline(connection, job, &why);
		return false;
	}
	/* RFC 9422 4.2: what is more would only be refused for now, and wait for its next turn. */
	rest = job_split(job, smtp_client_limit(connection->client, "RCPTMAX"));
	connection->job = job;
	job_taken(job, connection);
	if (smtp_client_send(connection->client, &job->envelope) != ERR_OK) {
		outcome_set(&why, IPC_FAILED, IPC_SCOPE_MESSAGE, 0, "5.1.3",
			    "an address or a parameter of this message must not be sent");
		decline(connection, job, &why);
		if (rest)
			host_enqueue(connection->host, rest);
		return false;
	}
	connection->available = false;
	connection->messages++;
	connection_arm(connection);
	pool_mark_dirty(connection);
	if (rest)
		host_enqueue(connection->host, rest);
	return true;
}

void connection_body_ready(struct connection *connection)
{
	if (connection->state == CONNECTION_OPEN)
		pool_mark_dirty(connection);
}

void connection_abandon(struct connection *connection)
{
	if (connection->job)
		connection->job->connection = NULL;
	connection->job = NULL;
	if (connection->state != CONNECTION_DEAD)
		close_ready(connection);
}

void connection_quit(struct connection *connection)
{
	pool_leave_idle(connection);
	if (connection->quitting || connection->state != CONNECTION_OPEN)
		return;
	connection->quitting = true;
	connection->available = false;
	smtp_client_quit(connection->client);
	connection_arm(connection);
	pool_mark_dirty(connection);
}

void connection_moved(struct connection *connection)
{
	arm_if_moved(connection);
}
