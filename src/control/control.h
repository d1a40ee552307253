/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator asks, handed to the process that can do it. A client (the CLI) sends OP
 * frames over the control socket; each is looked up in the permit table, gets a number of ours,
 * and goes to one process or to all; OP_ROW and OP_END come back under that number and are given
 * to the client under its own. So a client can name nobody else's request.
 *
 * Nothing that a client sends ends more than its own connection. A process that is down, or dies
 * before it has answered, ends the request with words. Clients and requests are bounded.
 */
#ifndef POSTERN_CONTROL_CONTROL_H
#define POSTERN_CONTROL_CONTROL_H

#include <sys/types.h>

#include "ipc/channel.h"

struct control;
struct loop;

enum control_target {
	TARGET_MASTER,
	TARGET_AUTH,
	TARGET_QUEUE,
	TARGET_RELAY,
	TARGET_COUNT,
};

enum {
	CONTROL_CLIENTS_MAX = 32,    /* connections of the CLI */
	CONTROL_CLIENT_OPS_MAX = 16, /* requests of one that are not answered yet */
};

/* uid: whom we serve besides root. */
struct control *control_new(struct loop *loop, uid_t uid);
void control_free(struct control **control);
/* The socket to accept on, which control owns; the one before is closed. */
void control_listen(struct control *control, int fd);
/*
 * Accepts from now on: once the first configuration is in force, before which master gives no
 * answers.
 */
void control_open(struct control *control);
/* A client's connection: owns fd, and closes it if there is no room. */
void control_add_client(struct control *control, int fd);
size_t control_client_count(const struct control *control);

/* The channel to a process began (owned by us), or was replaced. */
void control_set_peer(struct control *control, enum control_target target, int fd);
/* Master's channel belongs to the child; what comes on it is given to control_answer. */
void control_set_master(struct control *control, struct channel *channel);
/* OP_ROW or OP_END from a process. Not ERR_OK: it is malformed, or no answer to what we asked. */
enum err control_answer(struct control *control, enum control_target from, uint16_t type,
			struct slice payload);

#endif
