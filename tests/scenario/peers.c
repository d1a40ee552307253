/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"

struct received {
	struct received *next;
	uint16_t type;
	size_t len;
	char payload[];
};

struct peer {
	struct loop *loop;
	struct channel *channel;
	char name[32];
	int raw; /* our end too, for what a channel would not send */
	struct received *first, **last;
	struct received *taken; /* what the test looks at now */
	size_t pending;
	peer_filter_fn *filter;
	void *filter_arg;
	bool ended;
	bool waiting;
};

static void on_deadline(void *arg)
{
	bool *over = arg;

	*over = true;
}

/* Lets the loop run until something came for the peer, or the time is over. */
static bool wait_for(struct peer *peer, uint64_t ms)
{
	bool over = false;
	struct timer *timer = timer_new(peer->loop, on_deadline, &over);

	timer_set(timer, ms);
	while (peer->first == NULL && !peer->ended && !over) {
		peer->waiting = true;
		run_for(peer->loop, 50);
	}
	peer->waiting = false;
	timer_free(&timer);
	return peer->first != NULL || peer->ended;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct peer *peer = arg;
	struct received *received;

	(void)channel;
	net_close(&fd);
	if (ipc_type_bulk(type))
		channel_done(channel, (uint32_t)payload.len, 1);
	if (peer->filter != NULL && peer->filter(peer, type, payload, peer->filter_arg))
		return ERR_OK;
	received = mem_alloc(sizeof(*received) + payload.len + 1);
	received->type = type;
	received->len = payload.len;
	memcpy(received->payload, payload.ptr, payload.len);
	*peer->last = received;
	peer->last = &received->next;
	peer->pending++;
	if (peer->waiting)
		loop_stop(peer->loop);
	return ERR_OK;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct peer *peer = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		print_message("%s: broken: %s\n", peer->name, why);
	peer->ended = true;
	if (peer->waiting)
		loop_stop(peer->loop);
}

struct peer *peer_new(struct loop *loop, const char *name, int *fd_out)
{
	static const struct channel_handlers HANDLERS = {.message = on_message, .ended = on_ended};
	struct peer *peer = mem_alloc(sizeof(*peer));
	int fds[2];

	assert_int_equal(net_pair(fds), ERR_OK);
	peer->loop = loop;
	peer->last = &peer->first;
	peer->raw = fds[0];
	(void)snprintf(peer->name, sizeof(peer->name), "%s", name);
	peer->channel = channel_new(loop, fds[0], peer->name, &HANDLERS, peer);
	*fd_out = fds[1];
	return peer;
}

void peer_free(struct peer **peer)
{
	struct received *received;

	if (*peer == NULL)
		return;
	channel_free(&(*peer)->channel);
	mem_free((*peer)->taken);
	while ((received = (*peer)->first) != NULL) {
		(*peer)->first = received->next;
		mem_free(received);
	}
	MEM_FREE(*peer);
}

void peer_set_filter(struct peer *peer, peer_filter_fn *filter, void *arg)
{
	peer->filter = filter;
	peer->filter_arg = arg;
}

void peer_send(struct peer *peer, uint16_t type, const void *message)
{
	assert_int_equal(channel_send(peer->channel, type, message), ERR_OK);
	channel_flush(peer->channel);
}

void peer_send_fd(struct peer *peer, uint16_t type, const void *message, int fd)
{
	assert_int_equal(channel_send_fd(peer->channel, type, message, fd), ERR_OK);
	channel_flush(peer->channel);
}

void peer_send_raw(struct peer *peer, const void *data, size_t len)
{
	size_t sent = 0;

	assert_int_equal(net_send(peer->raw, data, len, &sent), ERR_OK);
	assert_int_equal(sent, len);
}

static struct received *take(struct peer *peer)
{
	struct received *received = peer->first;

	mem_free(peer->taken);
	peer->taken = received;
	peer->first = received->next;
	if (peer->first == NULL)
		peer->last = &peer->first;
	peer->pending--;
	return received;
}

static void decode(struct peer *peer, struct received *received, void *message_out)
{
	(void)peer;
	assert_int_equal(
		ipc_decode(received->type, slice_of(received->payload, received->len), message_out),
		ERR_OK);
}

void peer_expect(struct peer *peer, uint16_t type, void *message_out)
{
	if (!wait_for(peer, PEERS_WAIT_MS) || peer->first == NULL)
		fail_msg("%s: %s did not come", peer->name, ipc_type_name(type));
	if (peer->first->type != type)
		fail_msg("%s: %s came instead of %s", peer->name, ipc_type_name(peer->first->type),
			 ipc_type_name(type));
	decode(peer, take(peer), message_out);
}

void peer_await(struct peer *peer, uint16_t type, void *message_out)
{
	struct received *received;

	do {
		if (!wait_for(peer, PEERS_WAIT_MS) || peer->first == NULL)
			fail_msg("%s: %s did not come", peer->name, ipc_type_name(type));
		received = take(peer);
	} while (received->type != type);
	decode(peer, received, message_out);
}

uint16_t peer_next_type(struct peer *peer)
{
	if (!wait_for(peer, PEERS_WAIT_MS))
		fail_msg("%s: nothing came", peer->name);
	return peer->first != NULL ? peer->first->type : 0;
}

void peer_expect_end(struct peer *peer)
{
	bool over = false;
	struct timer *timer = timer_new(peer->loop, on_deadline, &over);

	timer_set(timer, PEERS_WAIT_MS);
	while (!peer->ended && !over)
		run_for(peer->loop, 10);
	timer_free(&timer);
	if (!peer->ended)
		fail_msg("%s: the channel did not end", peer->name);
}

void peer_expect_silence(struct peer *peer, uint64_t ms)
{
	if (wait_for(peer, ms))
		fail_msg("%s: %s came", peer->name,
			 peer->first != NULL ? ipc_type_name(peer->first->type) : "the end");
}

size_t peer_pending(const struct peer *peer)
{
	return peer->pending;
}

static void on_run_over(void *arg)
{
	loop_stop(arg);
}

void run_for(struct loop *loop, uint64_t ms)
{
	struct timer *timer = timer_new(loop, on_run_over, loop);

	timer_set(timer, ms);
	loop_run(loop);
	timer_free(&timer);
}

/* ---- the process ---------------------------------------------------------------------------- */

void process_start(struct loop *loop, const char *program, struct process *process_out)
{
	char *argv[] = {(char *)(uintptr_t) "process-under-test",
			(char *)(uintptr_t) "--incarnation", (char *)(uintptr_t) "1", NULL};
	struct msg_hello hello;
	int fd;

	process_out->master = peer_new(loop, "master", &fd);
	assert_int_equal(os_spawn(program, argv, fd, &process_out->pid), ERR_OK);
	net_close(&fd);
	peer_expect(process_out->master, IPC_HELLO, &hello);
	assert_int_equal(hello.version, IPC_VERSION);
	assert_int_equal(hello.pid, process_out->pid);
}

void process_prepare(struct process *process, uint32_t generation, const struct config *config)
{
	struct msg_prepare msg = {.generation = generation};
	struct buf bytes;

	buf_init(&bytes, 1024 * 1024);
	assert_int_equal(config_encode(config, &bytes), ERR_OK);
	msg.config = buf_data(&bytes);
	peer_send(process->master, IPC_PREPARE, &msg);
	buf_release(&bytes);
}

bool process_prepared(struct process *process, uint32_t generation, char *error_out)
{
	struct msg_prepared msg;

	peer_expect(process->master, IPC_PREPARED, &msg);
	assert_int_equal(msg.generation, generation);
	(void)slice_copy(slice_head(msg.error, 1023), error_out, 1024);
	return msg.ok;
}

void process_commit(struct process *process, uint32_t generation)
{
	peer_send(process->master, IPC_COMMIT, &(struct msg_commit){generation});
}

struct peer *process_peer(struct process *process, struct loop *loop, enum ipc_role role,
			  uint16_t index, uint32_t incarnation)
{
	struct msg_peer msg = {(uint8_t)role, index, incarnation};
	int fd;
	struct peer *peer = peer_new(loop, ipc_role_name(role), &fd);

	peer_send_fd(process->master, IPC_PEER, &msg, fd);
	return peer;
}

int process_wait(struct process *process)
{
	int status = 0;

	for (int i = 0; i < PEERS_WAIT_MS / 10; i++) {
		pid_t pid = waitpid(process->pid, &status, WNOHANG);

		if (pid == process->pid)
			return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
		if (usleep(10000) != 0)
			break;
	}
	fail_msg("the process did not end");
	return -1;
}

void become_nobody(const char *folder)
{
	enum { NOBODY = 65534 };

	if (geteuid() != 0)
		return;
	if (chown(folder, NOBODY, NOBODY) != 0 || setgroups(0, NULL) != 0 ||
	    setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0) {
		perror("cannot become nobody");
		exit(1);
	}
}
