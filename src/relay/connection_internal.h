/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a connection know of each other: connection_open.c (its beginning),
 * connection.c (bytes, time, the end), connection_events.c (the dialogue).
 */
#ifndef POSTERN_RELAY_CONNECTION_INTERNAL_H
#define POSTERN_RELAY_CONNECTION_INTERNAL_H

#include "connection.h"

/* Deals with what the machine says. The connection may be over, but is not freed yet. */
void connection_events(struct connection *connection);
void connection_start_tls(struct connection *connection);
void connection_broken(struct connection *connection, const struct outcome *outcome);
/* true: the final dot lies in the output, and must not be written before the channels are. */
bool connection_pump_body(struct connection *connection);
void connection_moved(struct connection *connection); /* perhaps into another phase */

/* ---- connection.c ---- */
void connection_arm(struct connection *connection); /* the time of the phase begins anew */
void connection_die(struct connection *connection);
void connection_drop_socket(struct connection *connection);
void connection_on_ready(void *arg, int events); /* watch_fn */
void connection_fail(struct connection *connection, enum ipc_scope scope, const char *status,
		     const char *text);

/* ---- connection_open.c ---- */
void connection_connect_next(struct connection *connection);
void connection_connect_failed(struct connection *connection, int error);
void connection_connected(struct connection *connection);
void connection_continue_handshake(struct connection *connection);
/* err: ERR_DENIED if the server's TLS is no good, ERR_INTERNAL if ours is not, else it broke off.
 */
void connection_handshake_failed(struct connection *connection, enum err err, const char *why);
/*
 * It broke on the way into TLS, which is no failed handshake. true: there is mail for this host
 * that says TLS-Required: No, and the same address is tried once more, in clear, for it alone.
 */
bool connection_leniently(struct connection *connection, const struct outcome *outcome);
/* It did not become ready; another address may. */
void connection_give_address_up(struct connection *connection, const struct outcome *outcome);

#endif
