/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a socket pair to another process. Sending only queues: what a process made ready in
 * one iteration of its loop goes out in one write at the iteration's end. CONTROL messages are
 * written before BULK ones. Each direction has credit for BULK, in bytes and messages, given
 * back by the reader with channel_done when it has dealt with what it got (not when it has read
 * it), so a slow disk slows the client and never fills memory.
 *
 * A peer that sends anything malformed, or more than its credit, loses the channel and nothing
 * else happens to the reader.
 */
#ifndef POSTERN_IPC_CHANNEL_H
#define POSTERN_IPC_CHANNEL_H

#include "ipc/message.h"

struct loop;
struct channel;

enum channel_end {
	CHANNEL_EOF,   /* the peer closed or died */
	CHANNEL_BROKEN /* it sent what it must not; why says what */
};

struct channel_handlers {
	/*
	 * One message. payload is decoded by the handler with ipc_decode; fd is -1, or with
	 * takes_descriptors a descriptor that the handler now owns. Anything but ERR_OK ends the
	 * channel as broken.
	 */
	enum err (*message)(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			    int fd);
	/* Credit came after channel_can_send was false or ERR_FULL was returned. May be NULL. */
	void (*room)(void *arg, struct channel *channel);
	/*
	 * The channel is over. It sends and receives nothing any more; the owner calls
	 * channel_free, now or later.
	 */
	void (*ended)(void *arg, struct channel *channel, enum channel_end how, const char *why);
	/* Without it a descriptor is closed unseen, and the peer that sent it loses the channel. */
	bool takes_descriptors;
};

enum {
	CHANNEL_CREDIT_BYTES = 5 * 1024 * 1024, /* more than a frame at most */
	CHANNEL_CREDIT_MESSAGES = 1024,
	CHANNEL_BUFFER = 1024 * 1024, /* of the socket, each way: a write should go out whole */
	/* Unsent CONTROL bytes at most: a peer that reads nothing is broken. */
	CHANNEL_CONTROL_MAX = 64 * 1024 * 1024,
};

/* Takes fd (non-blocking is set). handlers must outlive the channel; name is for logs. */
struct channel *channel_new(struct loop *loop, int fd, const char *name,
			    const struct channel_handlers *handlers, void *arg);
void channel_free(struct channel **channel); /* closes; may be called from a handler */

/*
 * Queues a message. fd: -1, or a descriptor that is duplicated into the peer; the channel takes it
 * on ERR_OK and closes it when sent; ERR_SYNTAX unless just those types that carry one get one.
 * ERR_FULL: BULK without credit, nothing queued, room will be called; ERR_EOF: the channel has
 * ended; else as ipc_encode.
 */
enum err channel_send(struct channel *channel, uint16_t type, const void *message);
enum err channel_send_fd(struct channel *channel, uint16_t type, const void *message, int fd);
/* Whether a BULK message of this payload length could be queued now. */
bool channel_can_send(struct channel *channel, size_t payload_len);
/*
 * The reader has dealt with BULK messages: gives their credit back. bytes: the sum of the
 * payload lengths as the handler got them.
 */
void channel_done(struct channel *channel, uint32_t bytes, uint32_t messages);
/* Writes what is queued now instead of at the end of the iteration: before a final dot. */
void channel_flush(struct channel *channel);
bool channel_is_open(const struct channel *channel);
const char *channel_name(const struct channel *channel);

/* Since the start, for the benchmark's "messages per write". */
struct channel_stats {
	uint64_t messages_sent, writes, messages_received, reads;
};
struct channel_stats channel_stats(const struct channel *channel);

#endif
