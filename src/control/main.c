/* SPDX-License-Identifier: Apache-2.0 */
/* The control process: the operator's socket. It touches no files and makes no connections. */
#include <unistd.h>

#include "base/mem.h"
#include "control/control.h"
#include "ipc/child.h"
#include "os/net.h"
#include "os/sandbox.h"

enum { CONTROL_LISTENER = 65535 }; /* the index under which master passes the control socket */

static enum err start(struct child *child, const struct config *config, char *why)
{
	struct control *control;

	(void)config;
	(void)why;
	/* The user who started the server, before rights are given up. */
	control = control_new(child_loop(child), geteuid());
	control_set_master(control, child_master(child));
	child_set_data(child, control);
	return ERR_OK;
}

static void describe_sandbox(struct child *child, const struct config *config,
			     struct sandbox *sandbox_out)
{
	(void)child;
	(void)config;
	*sandbox_out = (struct sandbox){.powers = SANDBOX_ACCEPT};
}

static void take_listener(struct child *child, const struct msg_listener *msg, int fd)
{
	if (msg->index == CONTROL_LISTENER)
		control_listen(child_data(child), fd);
	else
		net_close(&fd);
}

static void commit(struct child *child, const struct config *config)
{
	(void)config;
	control_open(child_data(child));
}

static void take_peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		      int fd)
{
	struct control *control = child_data(child);

	(void)index;
	(void)incarnation;
	if (role == IPC_AUTH)
		control_set_peer(control, TARGET_AUTH, fd);
	else if (role == IPC_QUEUE)
		control_set_peer(control, TARGET_QUEUE, fd);
	else if (role == IPC_RELAY)
		control_set_peer(control, TARGET_RELAY, fd);
	else
		net_close(&fd);
}

static enum err from_master(struct child *child, uint16_t type, struct slice payload, int fd)
{
	net_close(&fd);
	return control_answer(child_data(child), TARGET_MASTER, type, payload);
}

static void stop(struct child *child, uint32_t within_ms)
{
	struct control *control = child_data(child);

	(void)within_ms;
	control_free(&control);
	child_set_data(child, NULL);
	child_exit(child, 0);
}

int main(int argc, char **argv)
{
	static const struct child_role role = {
		.name = "control",
		.role = IPC_CONTROL,
		.start = start,
		.sandbox = describe_sandbox,
		.empty_root = true,
		.commit = commit,
		.peer = take_peer,
		.listener = take_listener,
		.message = from_master,
		.shutdown = stop,
	};

	return child_main(argc, argv, &role);
}
