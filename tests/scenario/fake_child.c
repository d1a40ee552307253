/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for any process that master starts, so that master can be tested alone: it writes what
 * it is told into FAKE_DIR/events, one line each, and refuses configurations while a file
 * FAKE_DIR/refuse-NAME (or refuse-start-NAME) is there. With FAKE_DIR/misbehave-NAME it sends
 * master what only control may.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "ipc/child.h"
#include "os/net.h"
#include "os/sandbox.h"

enum { FDS_MAX = 64 };

static const char *folder;
static const char *name;
static int events = -1;
/* Held, so that a listening socket lives as long as in a real process. */
static int held[FDS_MAX], next[FDS_MAX];
static size_t held_count, next_count;

static void note(struct child *child, const char *what, const char *detail)
{
	char line[512];
	int len = snprintf(line, sizeof(line), "%s-%u/%u %s %s\n", name, child_index(child),
			   child_incarnation(child), what, detail);

	if (write(events, line, (size_t)len) != len)
		abort();
}

static void misbehave(struct child *child)
{
	struct msg_op op = {.id = 1, .op = IPC_OP_RELOAD};
	char path[512];

	snprintf(path, sizeof(path), "%s/misbehave-%s", folder, name);
	if (access(path, F_OK) == 0)
		(void)channel_send(child_master(child), IPC_OP, &op);
}

static enum err refusal(const char *prefix, char *why)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s%s", folder, prefix, name);
	if (access(path, F_OK) != 0)
		return ERR_OK;
	snprintf(why, 512, "the test wants %s to refuse", name);
	return ERR_DENIED;
}

static enum err start(struct child *child, const struct config *config, char *why)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/events", folder);
	events = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (events == -1)
		return ERR_IO;
	note(child, "start", config->hostname);
	return refusal("refuse-start-", why);
}

static enum err prepare(struct child *child, const struct config *config, char *why)
{
	note(child, "prepare", config->hostname);
	return refusal("refuse-", why);
}

static void forget(int *fds, size_t *count)
{
	while (*count != 0)
		net_close(&fds[--*count]);
}

static void commit(struct child *child, const struct config *config)
{
	note(child, "commit", config->hostname);
	forget(held, &held_count);
	memcpy(held, next, sizeof(held));
	held_count = next_count;
	next_count = 0;
	misbehave(child);
}

static void rollback(struct child *child)
{
	note(child, "rollback", "");
	forget(next, &next_count);
}

static void peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		 int fd)
{
	char text[64];

	/* Kept open: the other side must not see an end. */
	(void)fd;
	snprintf(text, sizeof(text), "%s-%u/%u", ipc_role_name(role), index, incarnation);
	note(child, "peer", text);
}

static void listener(struct child *child, const struct msg_listener *msg, int fd)
{
	char text[300];

	snprintf(text, sizeof(text), "%u %.*s", msg->index, SLICE_ARG(msg->address));
	note(child, "listener", text);
	if (next_count < FDS_MAX)
		next[next_count++] = fd;
}

static enum err identity(struct child *child, const struct msg_identity *msg, char *why)
{
	char text[64];

	(void)why;
	snprintf(text, sizeof(text), "%zu %zu", msg->certificate.len, msg->key.len);
	note(child, "identity", text);
	return ERR_OK;
}

static void secret(struct child *child, const struct msg_secret *msg)
{
	char text[300];

	snprintf(text, sizeof(text), "%.*s %zu", SLICE_ARG(msg->name), msg->value.len);
	note(child, "secret", text);
}

static void stop(struct child *child, uint32_t within_ms)
{
	(void)within_ms;
	note(child, "shutdown", "");
	child_exit(child, 0);
}

static void sandbox(struct child *child, const struct config *config, struct sandbox *sandbox_out)
{
	static const char *folders[2];

	(void)child;
	(void)config;
	folders[0] = folder;
	*sandbox_out = (struct sandbox){.powers = SANDBOX_FILES, .folders = folders};
}

int main(int argc, char **argv)
{
	static struct child_role role = {
		.start = start,
		.prepare = prepare,
		.commit = commit,
		.rollback = rollback,
		.peer = peer,
		.sandbox = sandbox,
		.listener = listener,
		.identity = identity,
		.secret = secret,
		.shutdown = stop,
	};
	const char *dash = strchr(argv[0], '-');

	folder = getenv("FAKE_DIR");
	if (dash == NULL || folder == NULL)
		return 2;
	role.name = name = dash + 1;
	for (enum ipc_role r = IPC_SMTPD; r < IPC_ROLE_END; r++)
		if (strcmp(ipc_role_name(r), name) == 0)
			role.role = r;
	return child_main(argc, argv, &role);
}
