/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the relay process: what it sets up before the sandbox closes, reloads, its end. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "capture.h"
#include "config/config.h"
#include "ipc/child.h"
#include "login.h"
#include "mx.h"
#include "names.h"
#include "operator.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/maildir.h"
#include "os/os.h"
#include "os/sandbox.h"
#include "pool.h"
#include "queue_link.h"
#include "relay.h"
#include "dns/resolve.h"
#include "settings.h"
#include "tls/tls.h"

/* One per process, so that the end of main can release it. */
static struct relay *the_relay;

void relay_check_stopped(struct relay *relay)
{
	if (relay->stopping && queue_link_is_quiet(relay->queue))
		child_exit(relay->child, 0);
}

/* ---- set-up ---- */

static enum err start(struct child *child, const struct config *config, char *why)
{
	struct relay *relay = mem_alloc(sizeof(*relay));
	enum err err;

	the_relay = relay;
	relay->child = child;
	relay->loop = child_loop(child);
	relay->config = config;
	child_set_data(child, relay);
	relay->gsasl = login_library_new();
	if (!relay->gsasl) {
		snprintf(why, 512, "GNU SASL cannot be set up");
		return ERR_INTERNAL;
	}
	err = settings_start(relay, config, why);
	if (err == ERR_OK)
		err = resolver_new(config, &relay->resolver, why);
	if (err != ERR_OK)
		return err;
	resolver_attach(relay->resolver, relay->loop);
	relay->capture = capture_new(relay);
	relay->mx = mx_new(relay);
	relay->names = names_new(relay);
	relay->queue = queue_link_new(relay);
	relay->pool = pool_new(relay);
	relay->operators = operators_new(relay);
	return ERR_OK;
}

static void set_sandbox(struct child *child, const struct config *config,
			struct sandbox *sandbox_out)
{
	struct relay *relay = child_data(child);
	const char *const *folders = settings_folders(relay);

	(void)config;
	*sandbox_out = (struct sandbox){
		.powers = SANDBOX_CONNECT | (folders[0] ? SANDBOX_FILES : 0), .folders = folders};
}

/* ---- configurations ---- */

static enum err prepare(struct child *child, const struct config *config, char *why)
{
	return settings_prepare(child_data(child), config, why);
}

static void commit(struct child *child, const struct config *config)
{
	struct relay *relay = child_data(child);

	relay->config = config;
	relay->generation++;
	settings_commit(relay);
	pool_renew(relay->pool);
}

static void rollback(struct child *child)
{
	settings_rollback(child_data(child));
}

static void secret(struct child *child, const struct msg_secret *msg)
{
	settings_secret(child_data(child), msg->name, msg->value);
}

/* ---- peers, the end ---- */

static void peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		 int fd)
{
	struct relay *relay = child_data(child);

	(void)incarnation;
	if (role == IPC_QUEUE) {
		queue_link_connect(relay->queue, fd);
	} else if (role == IPC_SMTPD) {
		names_connect(relay->names, index, fd);
	} else if (role == IPC_CONTROL) {
		operators_connect(relay->operators, fd);
	} else {
		log_note(LOG_ERROR, "relay has no business with %s", ipc_role_name(role));
		net_close(&fd);
	}
}

static void too_late(void *arg)
{
	struct relay *relay = arg;

	child_exit(relay->child, 0);
}

static void stop(struct child *child, uint32_t within_ms)
{
	struct relay *relay = child_data(child);
	static struct timer *end; /* the process ends with it */

	relay->stopping = true;
	end = timer_new(relay->loop, too_late, relay);
	timer_set(end, within_ms > 200 ? within_ms - 200 : 0);
	queue_link_stop(relay->queue);
	pool_close_idle(relay->pool);
	relay_check_stopped(relay);
}

static void free_relay(struct relay *relay)
{
	if (!relay)
		return;
	operators_free(&relay->operators);
	queue_link_free(&relay->queue);
	pool_free(&relay->pool);
	mx_free(&relay->mx);
	names_free(&relay->names);
	capture_free(&relay->capture);
	resolver_free(&relay->resolver);
	settings_free(relay);
	login_library_free(&relay->gsasl);
	mem_free(relay);
}

int main(int argc, char **argv)
{
	static const struct child_role role = {
		.name = "relay",
		.role = IPC_RELAY,
		.start = start,
		.prepare = prepare,
		.commit = commit,
		.rollback = rollback,
		.peer = peer,
		.sandbox = set_sandbox,
		.secret = secret,
		.shutdown = stop,
	};
	int status = child_main(argc, argv, &role);

	free_relay(the_relay);
	return status;
}
