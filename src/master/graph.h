/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes there are, what each is given, and who talks to whom: two tables. */
#ifndef POSTERN_MASTER_GRAPH_H
#define POSTERN_MASTER_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "ipc/message.h"

enum graph_gets {
	GETS_LISTENERS = 1 << 0,
	GETS_IDENTITY = 1 << 1,
	GETS_SECRETS = 1 << 2,
	GETS_CONTROL = 1 << 3, /* the control socket, as a listener */
	/* Files that settings name, as FILE messages: */
	GETS_TOKEN_KEYS = 1 << 4,    /* public keys of issuers */
	GETS_AGENT = 1 << 5,         /* how to ask others: our secrets, their authorities */
	GETS_BIND_PASSWORD = 1 << 6, /* of its own back end */
};

/* When a process is told to stop; the next step begins when all of the one before are gone. */
enum graph_stop { STOP_FIRST, STOP_LAST, STOP_STEPS };

enum graph_count {
	COUNT_ONE,
	COUNT_SMTPD,    /* config.smtpd_processes */
	COUNT_BACKENDS, /* as many as each backend section says; a reload changes it */
	COUNT_AGENT,    /* one if config_needs_agent, else none; a reload changes it, too */
};

struct config;

struct graph_node {
	const char *name; /* of the process, its executable and the user it runs as */
	enum ipc_role role;
	enum graph_count count;
	int gets;
	enum graph_stop stop;
};

/* In the order in which they are started. */
extern const struct graph_node graph_nodes[];
extern const size_t graph_node_count;

/* The executable of process number index of a node. */
const char *graph_program(const struct graph_node *node, const struct config *config,
			  uint16_t index);
/* Whether processes of these roles have a channel to each other. */
bool graph_linked(enum ipc_role a, enum ipc_role b);
/* Whether those of this role may tell an administrator something: not those that strangers reach.
 */
bool graph_may_alert(enum ipc_role role);

#endif
