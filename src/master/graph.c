/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include "config/config.h"

/*
 * queue outlives smtpd and relay, which have commits and results to bring home; auth answers
 * logins until then, and agent and the back ends say whether they are right. smtpd is told before
 * relay, as it stands here last.
 */
const struct graph_node graph_nodes[] = {
	{"queue", IPC_QUEUE, COUNT_ONE, 0, STOP_LAST},
	{"auth", IPC_AUTH, COUNT_ONE, GETS_TOKEN_KEYS, STOP_LAST},
	{"agent", IPC_AGENT, COUNT_AGENT, GETS_AGENT, STOP_LAST},
	{"backend", IPC_BACKEND, COUNT_BACKENDS, GETS_BIND_PASSWORD, STOP_LAST},
	{"control", IPC_CONTROL, COUNT_ONE, GETS_CONTROL, STOP_LAST},
	{"relay", IPC_RELAY, COUNT_ONE, GETS_SECRETS, STOP_FIRST},
	{"smtpd", IPC_SMTPD, COUNT_SMTPD, GETS_LISTENERS | GETS_IDENTITY, STOP_FIRST},
};
const size_t graph_node_count = sizeof(graph_nodes) / sizeof(graph_nodes[0]);

static const enum ipc_role links[][2] = {
	{IPC_SMTPD, IPC_AUTH},   /* logins */
	{IPC_SMTPD, IPC_QUEUE},  /* mail in */
	{IPC_SMTPD, IPC_RELAY},  /* what clients are called */
	{IPC_AUTH, IPC_QUEUE},   /* grants */
	{IPC_AUTH, IPC_BACKEND}, /* passwords that others know */
	{IPC_AUTH, IPC_AGENT},   /* what issuers say of tokens */
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

bool graph_may_alert(enum ipc_role role)
{
	return role == IPC_AUTH || role == IPC_QUEUE || role == IPC_AGENT;
}

const char *graph_program(const struct graph_node *node, const struct config *config,
			  uint16_t index)
{
	/* By the libraries that they need: what one of them cannot do is no matter to the others.
	 */
	static const char *const programs[] = {
		[BACKEND_SASLAUTHD] = "backend-cyrus", [BACKEND_SASLDB] = "backend-cyrus",
		[BACKEND_PAM] = "backend-pam",         [BACKEND_LDAP] = "backend-ldap",
		[BACKEND_DOVECOT] = "backend-dovecot", [BACKEND_PASSWD_FILE] = "backend-files",
		[BACKEND_EXEC] = "backend-exec",
	};
	const struct config_backend *backend;

	if (node->count != COUNT_BACKENDS)
		return node->name;
	backend = config_backend_of(config, index);
	return backend != NULL ? programs[backend->type] : node->name;
}
