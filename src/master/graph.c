/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

/*
 * queue outlives smtpd and relay, which have commits and results to bring home; auth answers
 * logins until then. smtpd is told before relay, as it stands here last.
 */
const struct graph_node graph_nodes[] = {
	{"queue", IPC_QUEUE, false, 0, STOP_LAST},
	{"auth", IPC_AUTH, false, 0, STOP_LAST},
	{"control", IPC_CONTROL, false, GETS_CONTROL, STOP_LAST},
	{"relay", IPC_RELAY, false, GETS_SECRETS, STOP_FIRST},
	{"smtpd", IPC_SMTPD, true, GETS_LISTENERS | GETS_IDENTITY, STOP_FIRST},
};
const size_t graph_node_count = sizeof(graph_nodes) / sizeof(graph_nodes[0]);

static const enum ipc_role links[][2] = {
	{IPC_SMTPD, IPC_AUTH},   /* logins */
	{IPC_SMTPD, IPC_QUEUE},  /* mail in */
	{IPC_SMTPD, IPC_RELAY},  /* what clients are called */
	{IPC_AUTH, IPC_QUEUE},   /* grants */
	{IPC_QUEUE, IPC_RELAY},  /* mail out */
	{IPC_CONTROL, IPC_AUTH}, /* what the operator asks */
	{IPC_CONTROL, IPC_QUEUE}, {IPC_CONTROL, IPC_RELAY},
};

bool graph_linked(enum ipc_role a, enum ipc_role b)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if ((links[i][0] == a && links[i][1] == b) ||
		    (links[i][0] == b && links[i][1] == a))
			return true;
	return false;
}
