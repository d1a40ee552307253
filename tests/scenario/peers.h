/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays the neighbours of a real process over socket pairs: a master that starts it, and peers
 * that it talks to. What a peer receives is kept in order until the test takes it.
 */
#ifndef POSTERN_TESTS_SCENARIO_PEERS_H
#define POSTERN_TESTS_SCENARIO_PEERS_H

#include <sys/types.h>

#include "ipc/channel.h"

struct config;
struct loop;
struct peer;

enum { PEERS_WAIT_MS = 10000 }; /* for anything that must come */

/* Called for each message as it arrives; true: it has been dealt with, and is not kept. */
typedef bool peer_filter_fn(struct peer *peer, uint16_t type, struct slice payload, void *arg);

/* The process's end of a new channel is in *fd_out. */
struct peer *peer_new(struct loop *loop, const char *name, int *fd_out);
void peer_free(struct peer **peer);
void peer_set_filter(struct peer *peer, peer_filter_fn *filter, void *arg);
void peer_send(struct peer *peer, uint16_t type, const void *message);
void peer_send_fd(struct peer *peer, uint16_t type, const void *message, int fd);
void peer_send_raw(struct peer *peer, const void *data, size_t len); /* past the channel */
/*
 * The next message, which must be of this type (the test fails if it is not, or if none comes);
 * valid until the next call for this peer.
 */
void peer_expect(struct peer *peer, uint16_t type, void *message_out);
/* The same; whatever comes before it is passed over. */
void peer_await(struct peer *peer, uint16_t type, void *message_out);
/* The type of the next message, once there is one; 0: the channel has ended. */
uint16_t peer_next_type(struct peer *peer);
void peer_expect_end(struct peer *peer);
/* Nothing has come and nothing comes within the time. */
void peer_expect_silence(struct peer *peer, uint64_t ms);
size_t peer_pending(const struct peer *peer); /* messages not taken yet */

/* Runs the loop for a while. */
void run_for(struct loop *loop, uint64_t ms);

struct process {
	pid_t pid;
	struct peer *master;
};

/* Starts program and exchanges HELLO; then a configuration, first or later. */
void process_start(struct loop *loop, const char *program, struct process *process_out);
void process_prepare(struct process *process, uint32_t generation, const struct config *config);
/* True: prepared; false: refused, error_out (1024 bytes) says why. */
bool process_prepared(struct process *process, uint32_t generation, char *error_out);
void process_commit(struct process *process, uint32_t generation);
/* Gives it a channel to a peer of this role. */
struct peer *process_peer(struct process *process, struct loop *loop, enum ipc_role role,
			  uint16_t index, uint32_t incarnation);
/* Its exit status, once it has ended; 256 + signal if one killed it. */
int process_wait(struct process *process);

/*
 * As root the process under test would look for its own user, which a build machine lacks:
 * becomes nobody for good, with folder given to him.
 */
void become_nobody(const char *folder);

#endif
