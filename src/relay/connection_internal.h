/* SPDX-License-Identifier: Apache-2.0 */
/* What connection.c (the socket) and connection_events.c (the dialogue) know of each other. */
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

#endif
