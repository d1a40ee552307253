/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a connection: one address of the host after the other, TLS, the machine. */
#include "connection_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/log.h"
#include "os/loop.h"
#include "delivery.h"
#include "pool.h"
#include "terms.h"
#include "tls/tls.h"

enum { CLEAR_MS = 600000 /* a host whose TLS is broken is spoken to in clear for so long */ };

/* It did not become ready; another address may. */
void connection_give_address_up(struct connection *connection, const struct outcome *outcome)
{
	if (connection->failure.outcome == 0 || outcome->outcome == IPC_DEFERRED)
		connection->failure = *outcome;
	connection_drop_socket(connection);
	connection->state = CONNECTION_CONNECTING;
	if (outcome->scope == IPC_SCOPE_OURS)
		connection->addresses_left = 0; /* no other address mends our configuration */
	connection_connect_next(connection);
}

/* ---- connecting ---- */

static void print_where(struct connection *connection, const struct net_address *address)
{
	char text[NET_TEXT_MAX];

	net_print(address, text);
	if (connection->host->port == 0)
		snprintf(connection->where, sizeof(connection->where), "%s", text);
	else
		snprintf(connection->where, sizeof(connection->where), "%s[%s]:%u",
			 connection->host->name, text, connection->host->port);
}

void connection_connect_failed(struct connection *connection, int error)
{
	bool ours = connection->host->port == 0 && (error == EACCES || error == ENOENT);
	struct outcome outcome;

	outcome_set(&outcome, IPC_DEFERRED, ours ? IPC_SCOPE_OURS : IPC_SCOPE_HOST, 0, "4.4.1",
		    "cannot connect to %s: %s", connection->where, strerror(error));
	connection_give_address_up(connection, &outcome);
}

static bool refused_private(struct connection *connection, const struct net_address *address)
{
	if (connection->host->kind != HOST_MX ||
	    connection->relay->config->delivery.allow_private || !net_is_private(address))
		return false;
	if (connection->failure.outcome == 0)
		outcome_set(&connection->failure, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.4.6",
			    "%s is a private address or this machine's own: no mail is sent "
			    "there unless delivery.allow_private is set",
			    connection->where);
	return true;
}

void connection_connect_next(struct connection *connection)
{
	while (connection->addresses_left > 0) {
		const struct net_address *address = &connection->addresses[connection->address_at];

		connection->addresses_left--;
		connection->address_at = (connection->address_at + 1) % connection->address_count;
		print_where(connection, address);
		if (refused_private(connection, address))
			continue;
		if (net_connect(address, &connection->fd) != ERR_OK) {
			connection_connect_failed(connection, errno);
			return;
		}
		connection->watch = watch_new(connection->relay->loop, connection->fd,
					      connection_on_ready, connection);
		watch_set(connection->watch, WATCH_WRITE);
		connection_arm(connection);
		return;
	}
	connection_die(connection);
	pool_connection_failed(connection, &connection->failure, connection->where);
}

/* The same address once more, without TLS. */
static void same_address_in_clear(struct connection *connection)
{
	connection->clear = true;
	connection->address_at = (connection->address_at + connection->address_count - 1) %
				 connection->address_count;
	connection->addresses_left++;
	connection_drop_socket(connection);
	connection->state = CONNECTION_CONNECTING;
	connection_connect_next(connection);
}

static void again_in_clear(struct connection *connection, const char *why)
{
	connection->host->clear_until = loop_now(connection->relay->loop) + CLEAR_MS;
	log_event(LOG_WARNING, "note",
		  LOG_TEXT("text", "TLS of this server is broken; its mail "
				   "goes in clear for ten minutes"),
		  LOG_TEXT("host", connection->where), LOG_TEXT("reason", why));
	same_address_in_clear(connection);
}

bool connection_leniently(struct connection *connection, const struct outcome *outcome)
{
	const struct host *host = connection->host;
	const struct job *job = host->waiting;
	bool in_tls = connection->phase == SMTP_CLIENT_TLS ||
		      (connection->stream && stream_is_tls(connection->stream));

	if (connection->ready || connection->clear || !in_tls || host->kind != HOST_MX)
		return false;
	while (job && !terms_tls_optional(job))
		job = job->next;
	if (!job)
		return false;
	connection->failure = *outcome;
	connection->lenient = true;
	same_address_in_clear(connection);
	return true;
}

/* ---- TLS ---- */

void connection_handshake_failed(struct connection *connection, enum err err, const char *why)
{
	bool ours = err == ERR_DENIED || err == ERR_INTERNAL;
	char text[TLS_WHY_MAX];
	struct outcome outcome;

	snprintf(text, sizeof(text), "%s", why);
	if (connection->host->tls == RELAY_TLS_OPPORTUNISTIC) {
		again_in_clear(connection, text);
		return;
	}
	outcome_set(&outcome, IPC_DEFERRED, ours ? IPC_SCOPE_OURS : IPC_SCOPE_HOST, 0, "4.7.5",
		    "%s", text);
	outcome.no_tls = err == ERR_DENIED;
	connection_broken(connection, &outcome);
}

static void open_machine(struct connection *connection)
{
	struct host *host = connection->host;
	int64_t now = loop_now(connection->relay->loop);
	bool clear = connection->clear || host->clear_until > now;
	struct smtp_client_options options = {
		.hostname = host->hostname,
		.lmtp = host->kind == HOST_LMTP,
		.tls = host->tls == RELAY_TLS_REQUIRED                  ? SMTP_CLIENT_TLS_REQUIRED
		       : host->tls == RELAY_TLS_OPPORTUNISTIC && !clear ? SMTP_CLIENT_TLS_IF_OFFERED
									: SMTP_CLIENT_TLS_NONE,
		.tls_on = stream_is_tls(connection->stream),
		.auth = host->user != NULL,
	};

	connection->client = smtp_client_new(&options);
	connection->state = CONNECTION_OPEN;
	watch_set(connection->watch, WATCH_READ);
	connection_arm(connection);
}

void connection_continue_handshake(struct connection *connection)
{
	char why[TLS_WHY_MAX];
	enum err err = stream_handshake(connection->stream, why);

	if (err == ERR_AGAIN) {
		watch_set(connection->watch, stream_wants(connection->stream));
		return;
	}
	if (err != ERR_OK) {
		connection_handshake_failed(connection, err, why);
		return;
	}
	snprintf(connection->tls, sizeof(connection->tls), "%s %s%s",
		 stream_version(connection->stream), stream_cipher(connection->stream),
		 stream_verified(connection->stream) ? " verified" : "");
	if (!connection->client) {
		open_machine(connection);
		return;
	}
	connection->state = CONNECTION_OPEN;
	watch_set(connection->watch, WATCH_READ);
	smtp_client_tls_done(connection->client);
	connection_arm(connection);
	pool_mark_dirty(connection);
}

void connection_start_tls(struct connection *connection)
{
	struct host *host = connection->host;

	if (!host->tls_context ||
	    stream_start_tls(connection->stream, host->tls_context, host->name) != ERR_OK) {
		connection_handshake_failed(connection, ERR_INTERNAL, "TLS cannot be started");
		return;
	}
	connection->state = CONNECTION_HANDSHAKE;
	connection_arm(connection);
	connection_continue_handshake(connection);
}

void connection_connected(struct connection *connection)
{
	struct host *host = connection->host;
	size_t at = (connection->address_at + connection->address_count - 1) %
		    connection->address_count;

	if (host->address_count == connection->address_count)
		host->address_good = at;
	if (host->port)
		net_no_delay(connection->fd);
	connection->stream = stream_new(connection->fd);
	connection->fd = -1;
	connection->tls[0] = '\0';
	if (host->tls == RELAY_TLS_IMPLICIT)
		connection_start_tls(connection);
	else
		open_machine(connection);
}
