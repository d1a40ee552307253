/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/offline.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/exchange.h"
#include "ipc/channel.h"
#include "master/folders.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "os/program.h"

enum {
	START_MS = 60000, /* a large queue is salvaged or checked at start */
	STOP_MS = 10000,
	GENERATION = 1,
	LOG_SHOWN_MAX = 2000, /* bytes of its log in an error */
};

/* The process, led as master would. */
struct owner {
	const struct config *config;
	const char *name;
	struct loop *loop;
	struct channel *channel;
	struct timer *timer;
	pid_t pid;
	int log; /* what it writes to standard error: told only if it fails */
	bool ready;
	char *why;
};

static void fail(struct owner *owner, const char *what)
{
	if (owner->why[0] == '\0')
		snprintf(owner->why, ASK_WHY_MAX, "%s", what);
	loop_stop(owner->loop);
}

static enum err send_config(struct owner *owner)
{
	struct buf bytes;
	enum err err;

	buf_init(&bytes, 1024 * 1024);
	err = config_encode(owner->config, &bytes);
	if (err == ERR_OK) {
		struct msg_prepare msg = {GENERATION, buf_data(&bytes)};

		err = channel_send(owner->channel, IPC_PREPARE, &msg);
	}
	buf_release(&bytes);
	return err;
}

static enum err on_hello(struct owner *owner, struct slice payload)
{
	struct msg_hello hello;
	enum err err = ipc_decode(IPC_HELLO, payload, &hello);

	if (err != ERR_OK)
		return err;
	if (hello.version == IPC_VERSION)
		return send_config(owner);
	fail(owner,
	     "the programs in libexec are of another version than this one: install postern anew");
	return ERR_OK;
}

static enum err on_prepared(struct owner *owner, struct slice payload)
{
	struct msg_commit commit = {GENERATION};
	struct msg_prepared prepared;
	char text[ASK_WHY_MAX];
	enum err err = ipc_decode(IPC_PREPARED, payload, &prepared);

	if (err != ERR_OK)
		return err;
	if (!prepared.ok) {
		snprintf(text, sizeof(text), "%s: %.*s", owner->name, SLICE_ARG(prepared.error));
		fail(owner, text);
		return ERR_OK;
	}
	owner->ready = true;
	loop_stop(owner->loop);
	return channel_send(owner->channel, IPC_COMMIT, &commit);
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	(void)channel;
	(void)fd;
	if (type == IPC_HELLO)
		return on_hello(arg, payload);
	if (type == IPC_PREPARED)
		return on_prepared(arg, payload);
	return ERR_OK; /* what it tells master besides is of no use here */
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct owner *owner = arg;
	char text[ASK_WHY_MAX];

	(void)channel;
	if (how == CHANNEL_BROKEN)
		snprintf(text, sizeof(text), "process %s cannot be understood: %s", owner->name,
			 why);
	else
		snprintf(text, sizeof(text), "process %s ended", owner->name);
	fail(owner, text);
}

static void on_time(void *arg)
{
	fail(arg, "the process that owns the files does not get ready");
}

static enum err start(struct owner *owner)
{
	static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};
	char path[OS_PATH_MAX], name[32], index[] = "--index", zero[] = "0",
					  incarnation[] = "--incarnation", one[] = "1";
	char *argv[] = {name, index, zero, incarnation, one, NULL};
	int fds[2];
	enum err err = folders_make(owner->config, owner->why);

	if (err != ERR_OK)
		return err;
	if ((err = net_pair(fds)) != ERR_OK) {
		snprintf(owner->why, ASK_WHY_MAX, "no socket pair: %s", strerror(errno));
		return err;
	}
	snprintf(name, sizeof(name), "postern-%s", owner->name);
	os_libexec_path(owner->name, path);
	err = program_spawn_quietly(path, argv, fds[1], &owner->pid, &owner->log);
	if (err != ERR_OK)
		snprintf(owner->why, ASK_WHY_MAX, "%.1000s cannot be started: %s", path,
			 strerror(errno));
	net_close(&fds[1]);
	if (err != ERR_OK) {
		net_close(&fds[0]);
		return err;
	}
	owner->channel = channel_new(owner->loop, fds[0], owner->name, &handlers, owner);
	owner->timer = timer_new(owner->loop, on_time, owner);
	timer_set(owner->timer, START_MS);
	loop_run(owner->loop);
	timer_stop(owner->timer);
	return owner->ready ? ERR_OK : ERR_IO;
}

/* Waits for its end; returns the signal that ended it, or 0. */
static int reap(pid_t pid)
{
	struct timespec pause = {0, 5 * 1000 * 1000};
	int status, signum;

	for (int ms = 0; ms < STOP_MS; ms += 5) {
		if (os_reap(pid, &status, &signum))
			return signum;
		nanosleep(&pause, NULL);
	}
	os_kill(pid, SIGKILL);
	while (!os_reap(pid, &status, &signum))
		nanosleep(&pause, NULL);
	return SIGKILL;
}

/* The end of its log, for an error that says little by itself. */
static void append_log(struct owner *owner)
{
	size_t have = strlen(owner->why);
	struct buf said;

	buf_init(&said, LOG_SHOWN_MAX);
	program_said(owner->log, &said);
	if (buf_len(&said) != 0)
		snprintf(owner->why + have, ASK_WHY_MAX - have, "; it said:\n%.*s",
			 SLICE_ARG(buf_data(&said)));
	buf_release(&said);
}

static void stop(struct owner *owner, bool told)
{
	struct msg_shutdown shutdown = {STOP_MS / 2};

	if (owner->channel != NULL && channel_is_open(owner->channel)) {
		channel_send(owner->channel, IPC_SHUTDOWN, &shutdown);
		channel_flush(owner->channel);
	}
	int signum = owner->pid > 0 ? reap(owner->pid) : 0;
	size_t have = strlen(owner->why);

	if (!told && signum != 0)
		snprintf(owner->why + have, ASK_WHY_MAX - have, " by signal %d (%s)", signum,
			 strsignal(signum));
	if (!told)
		append_log(owner);
	channel_free(&owner->channel);
	timer_free(&owner->timer);
	loop_free(&owner->loop);
	net_close(&owner->log);
}

static enum err connect_peer(struct owner *owner, int *fd_out)
{
	struct msg_peer peer = {IPC_CONTROL, 0, 1};
	int fds[2];
	enum err err = net_pair(fds);

	if (err != ERR_OK)
		return err;
	err = channel_send_fd(owner->channel, IPC_PEER, &peer, fds[1]);
	if (err == ERR_OK)
		*fd_out = fds[0];
	else
		net_close(&fds[0]);
	return err;
}

static struct owner new_owner(const struct config *config, enum ipc_role role, char *why)
{
	struct owner owner = {.config = config, .name = ipc_role_name(role), .log = -1, .why = why};

	why[0] = '\0';
	owner.loop = loop_new();
	return owner;
}

enum err offline_ask(const struct config *config, const struct question *question,
		     struct answer *answer_out, char *why)
{
	struct owner owner = new_owner(config, question->owner, why);
	int fd = -1;
	enum err err = start(&owner);
	bool started = err == ERR_OK;

	if (err == ERR_OK && (err = connect_peer(&owner, &fd)) != ERR_OK)
		snprintf(why, ASK_WHY_MAX, "no channel to %s: %s", owner.name, err_name(err));
	if (err == ERR_OK)
		err = exchange(owner.loop, fd, question, answer_out, why);
	stop(&owner, started && err != ERR_EOF && err != ERR_AGAIN);
	return err;
}

enum err offline_try(const struct config *config, enum ipc_role role, char *why)
{
	struct owner owner = new_owner(config, role, why);
	enum err err = start(&owner);

	stop(&owner, true);
	return err;
}
