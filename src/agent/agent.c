/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the agent process, and its channel to auth. */
#include "agent.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "dns/resolve.h"
#include "https.h"
#include "introspect.h"
#include "ipc/channel.h"
#include "ipc/child.h"
#include "issuers.h"
#include "keys.h"
#include "os/log.h"
#include "os/net.h"
#include "os/os.h"
#include "os/sandbox.h"
#include "os/worker.h"
#include "post.h"
#include "transfer.h"

enum { BUNDLE_MAX = 4 * 1024 * 1024, SAVES_WAITING = 64 };

/* One per process, so that the end of main can release it. */
static struct agent *the_agent;

/* ---- auth ----------------------------------------------------------------------------------- */

void agent_tell(struct agent *agent, uint16_t type, const void *msg)
{
	if (agent->auth != NULL)
		(void)channel_send(agent->auth, type, msg);
}

static void on_wanted(struct agent *agent, const struct msg_token_keys_wanted *msg)
{
	struct issuer *issuer = issuer_find(agent, msg->title);
	struct msg_token_keys_same none = {msg->title, 0, true,
					   SLICE_LIT("the configuration changes")};

	/* auth may have the new configuration before we have, or the old one longer. */
	if (issuer != NULL && issuer->keys != NULL)
		keys_wanted(issuer->keys, msg->fetched);
	else
		agent_tell(agent, IPC_TOKEN_KEYS_SAME, &none);
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct agent *agent = arg;
	union {
		struct msg_token_keys_wanted wanted;
		struct msg_introspect introspect;
	} msg;
	enum err err;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_TOKEN_KEYS_WANTED:
		if ((err = ipc_decode(type, payload, &msg.wanted)) == ERR_OK)
			on_wanted(agent, &msg.wanted);
		return err;
	case IPC_INTROSPECT:
		if ((err = ipc_decode(type, payload, &msg.introspect)) == ERR_OK)
			introspect_ask(agent, &msg.introspect);
		return err;
	default:
		return ERR_SYNTAX;
	}
}

static void lose_auth(struct agent *agent)
{
	channel_free(&agent->auth);
	introspect_forget_all(agent);
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel to auth is broken: %s", why);
	lose_auth(arg);
}

static void peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		 int fd)
{
	static const struct channel_handlers HANDLERS = {.message = on_message, .ended = on_ended};
	struct agent *agent = child_data(child);

	(void)index;
	(void)incarnation;
	if (role != IPC_AUTH) {
		log_note(LOG_ERROR, "a channel to %s is not for agent", ipc_role_name(role));
		net_close(&fd);
		return;
	}
	lose_auth(agent);
	agent->auth = channel_new(agent->loop, fd, "auth", &HANDLERS, agent);
	for (size_t i = 0; i < agent->issuer_count; i++)
		if (agent->issuers[i]->keys != NULL)
			keys_tell(agent->issuers[i]->keys);
}

/* ---- set-up --------------------------------------------------------------------------------- */

/* That of the package ca-certificates, whole and now: the sandbox leaves no way to it. */
static struct trust *read_bundle(void)
{
	struct trust *trust = NULL;
	struct buf pem;

	buf_init(&pem, BUNDLE_MAX);
	if (os_read_file("/etc/ssl/certs/ca-certificates.crt", BUNDLE_MAX, &pem) == ERR_OK &&
	    buf_len(&pem) > 0)
		trust = trust_new(buf_data(&pem));
	buf_release(&pem);
	return trust;
}

static enum err start(struct child *child, const struct config *config, char *why)
{
	struct agent *agent = mem_alloc(sizeof(*agent));
	enum err err;

	the_agent = agent;
	agent->child = child;
	agent->loop = child_loop(child);
	child_set_data(child, agent);
	config_state_path(config, "agent", agent->folder);
	agent->system = read_bundle();
	err = resolver_new(config, &agent->resolver, why);
	if (err != ERR_OK)
		return err;
	resolver_attach(agent->resolver, agent->loop);
	agent->disk = worker_pool_new(agent->loop, "disk", 1, SAVES_WAITING);
	err = https_new(agent->loop, agent->resolver, &agent->https, why);
	return err == ERR_OK ? issuers_check(agent, config, why) : err;
}

static void set_sandbox(struct child *child, const struct config *config,
			struct sandbox *sandbox_out)
{
	struct agent *agent = child_data(child);
	static const char *folders[2]; /* looked at until open is called */

	(void)config;
	folders[0] = agent->folder;
	*sandbox_out =
		(struct sandbox){.powers = SANDBOX_FILES | SANDBOX_CONNECT, .folders = folders};
}

/* ---- configurations ------------------------------------------------------------------------- */

static enum err prepare(struct child *child, const struct config *config, char *why)
{
	return issuers_check(child_data(child), config, why);
}

static enum err file(struct child *child, const struct msg_file *msg, char *why)
{
	return issuers_file(child_data(child), msg, why);
}

static void commit(struct child *child, const struct config *config)
{
	issuers_commit(child_data(child), config);
}

/* From master. */
static enum err message(struct child *child, uint16_t type, struct slice payload, int fd)
{
	struct msg_post msg;
	enum err err;

	(void)fd;
	if (type != IPC_POST)
		return ERR_SYNTAX;
	if ((err = ipc_decode(type, payload, &msg)) == ERR_OK)
		post_send(child_data(child), &msg);
	return err;
}

static void rollback(struct child *child)
{
	issuers_rollback(child_data(child));
}

/* ---- the end -------------------------------------------------------------------------------- */

static void shut_down(struct child *child, uint32_t within_ms)
{
	(void)within_ms; /* a login that waits is answered 454, and tried again */
	child_exit(child, 0);
}

static void free_agent(struct agent *agent)
{
	if (agent == NULL)
		return;
	lose_auth(agent);
	issuers_free(agent);
	post_free(agent);
	https_free(&agent->https);
	worker_pool_free(&agent->disk);
	resolver_free(&agent->resolver);
	trust_free(&agent->system);
	mem_free(agent);
}

int main(int argc, char **argv)
{
	static const struct child_role ROLE = {
		.name = "agent",
		.role = IPC_AGENT,
		.start = start,
		.prepare = prepare,
		.commit = commit,
		.rollback = rollback,
		.file = file,
		.peer = peer,
		.message = message,
		.sandbox = set_sandbox,
		.shutdown = shut_down,
	};
	int status = child_main(argc, argv, &ROLE);

	free_agent(the_agent);
	return status;
}
