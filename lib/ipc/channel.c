/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: a socket, what came in, and what is to go out (channel_internal.h).
 *
 * Invariants: owed_* is what was received and has not been given back as credit; a channel freed in
 * a handler lives until the handler has returned (busy).
 */
#include "ipc/channel_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/loop.h"
#include "os/net.h"

enum {
	HOOK_ORDER = 10,
	READ_BLOCK = 64 * 1024,
	READ_MAX = 256 * 1024, /* per iteration, so that one peer cannot starve the others */
	FDS_WAITING = 64,      /* received descriptors whose frames are still to come */
	/* Credit is given back when this share of it has been dealt with. */
	RETURN_BYTES = CHANNEL_CREDIT_BYTES / 8,
	RETURN_MESSAGES = CHANNEL_CREDIT_MESSAGES / 8,
	WHY_MAX = 160,
};

/* Credit that is kept back for the next CREDIT must not be what the largest frame waits for. */
static_assert((int)CHANNEL_CREDIT_BYTES - (int)RETURN_BYTES >= (int)IPC_FRAME_MAX,
	      "no stand-still");

struct incoming {
	struct buf bytes;
	int fds[FDS_WAITING];
	size_t fd_count;
	uint32_t owed_bytes, owed_messages; /* received under BULK, credit not given back */
	uint32_t done_bytes, done_messages; /* dealt with, CREDIT not sent yet */
};

struct channel {
	struct loop *loop;
	struct watch *watch;
	struct hook *hook;
	int fd;
	char *name;
	const struct channel_handlers *handlers;
	void *arg;
	struct outgoing out;
	struct incoming in;
	struct channel_stats stats;
	unsigned busy; /* handlers that are being called */
	bool blocked;  /* the socket takes no more for now */
	bool doomed;   /* the peer reads nothing: to be ended at the end of the iteration */
	bool ended;
	bool freed;
};

static void write_out(struct channel *channel);

/* Lets go of everything but the struct; nothing is sent or received any more. */
static void stop(struct channel *channel)
{
	channel->ended = true;
	watch_free(&channel->watch);
	hook_free(&channel->hook);
	net_close(&channel->fd);
	for (size_t i = 0; i < channel->in.fd_count; i++)
		net_close(&channel->in.fds[i]);
	channel->in.fd_count = 0;
	outgoing_drop(&channel->out);
}

static void destroy(struct channel *channel)
{
	/* Passwords and keys travel in frames. */
	outgoing_release(&channel->out);
	buf_wipe(&channel->in.bytes);
	mem_free(channel->name);
	mem_free(channel);
}

static void enter(struct channel *channel)
{
	channel->busy++;
}

/* After a handler; false if the channel is gone and must not be touched. */
static bool leave(struct channel *channel)
{
	if (--channel->busy == 0 && channel->freed) {
		destroy(channel);
		return false;
	}
	return true;
}

static void end(struct channel *channel, enum channel_end how, const char *why)
{
	if (channel->ended)
		return;
	stop(channel);
	if (channel->handlers->ended == NULL)
		return;
	enter(channel);
	channel->handlers->ended(channel->arg, channel, how, why);
	leave(channel);
}

static void broken(struct channel *channel, const char *what, uint16_t type)
{
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "%s (message %u, %s)", what, type, ipc_type_name(type));
	end(channel, CHANNEL_BROKEN, why);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* One write. ERR_OK: something went out. */
static enum err write_once(struct channel *channel)
{
	struct slice parts[OUTGOING_PARTS];
	size_t len;
	enum err err;
	int pass;

	outgoing_gather(&channel->out, parts, &pass);
	err = net_send_parts(channel->fd, parts, OUTGOING_PARTS, pass, &len);
	if (err != ERR_OK)
		return err;
	channel->stats.writes++;
	outgoing_wrote(&channel->out, parts, len, pass != -1);
	return ERR_OK;
}

static void ask_for_events(struct channel *channel)
{
	watch_set(channel->watch, WATCH_READ | (channel->blocked ? WATCH_WRITE : 0));
}

/* As much as the socket takes. An end is left to the reader, who first reads what the peer sent. */
static void write_out(struct channel *channel)
{
	enum err err = ERR_OK;

	while (outgoing_waits(&channel->out) && err == ERR_OK)
		err = write_once(channel);
	channel->blocked = err == ERR_AGAIN;
	if (err != ERR_OK && err != ERR_AGAIN)
		outgoing_drop(&channel->out);
	ask_for_events(channel);
}

static void send_credit(struct channel *channel)
{
	struct msg_credit credit = {channel->in.done_bytes, channel->in.done_messages};

	if (credit.messages == 0 && credit.bytes == 0)
		return;
	if (channel_send(channel, IPC_CREDIT, &credit) == ERR_OK)
		channel->in.done_bytes = channel->in.done_messages = 0;
}

/* At the end of each iteration. */
static void on_hook(void *arg)
{
	struct channel *channel = arg;

	if (channel->doomed) {
		end(channel, CHANNEL_BROKEN, "the peer reads nothing");
		return;
	}
	if (channel->ended || channel->blocked || !outgoing_waits(&channel->out))
		return;
	/* A write is due anyway: what is owed goes along. */
	send_credit(channel);
	write_out(channel);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Calls room once there is credit again; false if the channel is gone. */
static bool tell_room(struct channel *channel)
{
	if (!channel->out.refused || channel->ended)
		return true;
	channel->out.refused = false;
	if (channel->handlers->room == NULL)
		return true;
	enter(channel);
	channel->handlers->room(channel->arg, channel);
	return leave(channel);
}

/* The peer's side of the credit: more than it was given breaks the channel. */
static bool within_credit(struct incoming *in, size_t len)
{
	if (len > CHANNEL_CREDIT_BYTES - in->owed_bytes ||
	    in->owed_messages == CHANNEL_CREDIT_MESSAGES)
		return false;
	in->owed_bytes += (uint32_t)len;
	in->owed_messages++;
	return true;
}

static int take_fd(struct incoming *in)
{
	int fd = in->fds[0];

	in->fd_count--;
	memmove(in->fds, in->fds + 1, in->fd_count * sizeof(in->fds[0]));
	return fd;
}

/* Hands one frame over; false if the channel has ended or is gone. */
static bool handle(struct channel *channel, uint16_t type, uint16_t descriptors,
		   struct slice payload)
{
	struct incoming *in = &channel->in;
	enum err err;
	int fd = -1;

	channel->stats.messages_received++;
	if (type == IPC_CREDIT && descriptors == 0) {
		if (outgoing_take_credit(&channel->out, payload))
			return tell_room(channel) && !channel->ended;
		broken(channel, "more credit than was used", type);
		return false;
	}
	if (descriptors != (ipc_type_descriptor(type) ? 1 : 0) || descriptors > in->fd_count) {
		broken(channel, "descriptors do not fit the message", type);
		return false;
	}
	if (descriptors != 0 && !channel->handlers->takes_descriptors) {
		broken(channel, "a descriptor that is not taken here", type);
		return false;
	}
	if (ipc_type_bulk(type) && !within_credit(in, payload.len)) {
		broken(channel, "the peer sent more than its credit", type);
		return false;
	}
	if (descriptors != 0)
		fd = take_fd(in);
	enter(channel);
	err = channel->handlers->message(channel->arg, channel, type, payload, fd);
	if (ipc_type_secret(type)) /* the bytes are there as long as we are busy */
		channel_wipe(payload);
	if (!channel->ended && err != ERR_OK)
		broken(channel, err_name(err), type);
	return leave(channel) && !channel->ended;
}

/* Takes the next whole frame. ERR_AGAIN: not here yet; ERR_RANGE, ERR_SYNTAX: malformed. */
static enum err next_frame(struct channel *channel, uint16_t *type_out, uint16_t *descriptors_out,
			   struct slice *payload_out)
{
	struct slice all = buf_data(&channel->in.bytes);
	uint32_t len;

	if (all.len < IPC_HEADER)
		return ERR_AGAIN;
	memcpy(&len, all.ptr, sizeof(len));
	memcpy(type_out, all.ptr + 4, sizeof(*type_out));
	memcpy(descriptors_out, all.ptr + 6, sizeof(*descriptors_out));
	if (len > IPC_FRAME_MAX - IPC_HEADER)
		return ERR_RANGE;
	if (!ipc_type_known(*type_out))
		return ERR_SYNTAX;
	if (all.len - IPC_HEADER < len)
		return ERR_AGAIN;
	*payload_out = slice_of(all.ptr + IPC_HEADER, len);
	return ERR_OK;
}

/* All whole frames that are here; false if the channel has ended or is gone. */
static bool handle_frames(struct channel *channel)
{
	struct incoming *in = &channel->in;
	uint16_t type = 0, descriptors = 0;
	struct slice payload;
	enum err err;

	while ((err = next_frame(channel, &type, &descriptors, &payload)) == ERR_OK) {
		if (!handle(channel, type, descriptors, payload))
			return false;
		buf_consume(&in->bytes, IPC_HEADER + payload.len);
	}
	if (err != ERR_AGAIN) {
		broken(channel, err == ERR_RANGE ? "a frame too long" : "an unknown message", type);
		return false;
	}
	if (buf_len(&in->bytes) == 0 && in->fd_count != 0) {
		broken(channel, "a descriptor without its message", 0);
		return false;
	}
	channel_trim(&in->bytes);
	return true;
}

/* One read of at least a block. ERR_AGAIN, ERR_EOF, ERR_IO; ERR_RANGE: too many descriptors. */
static enum err read_once(struct channel *channel, size_t *len_out)
{
	struct incoming *in = &channel->in;
	int fds[NET_FDS_MAX];
	size_t count, room;
	char *to;
	enum err err;

	err = buf_reserve(&in->bytes, READ_BLOCK, &to, &room);
	if (err == ERR_OK)
		err = net_recv_fds(channel->fd, to, room, len_out, fds, &count);
	if (err != ERR_OK)
		return err;
	channel->stats.reads++;
	buf_commit(&in->bytes, *len_out);
	for (size_t i = 0; i < count; i++) {
		if (in->fd_count == FDS_WAITING) {
			net_close(&fds[i]);
			err = ERR_RANGE;
		} else {
			in->fds[in->fd_count++] = fds[i];
		}
	}
	return err;
}

/* Frames are dealt with after each read, so that what is here never has to grow past one frame. */
static void read_in(struct channel *channel)
{
	size_t total = 0, len = 0;
	enum err err;

	enter(channel);
	do {
		err = read_once(channel, &len);
		if (err != ERR_OK)
			break;
		total += len;
	} while (handle_frames(channel) && len == READ_BLOCK && total < READ_MAX);
	if (channel->ended)
		err = ERR_OK;
	if (err == ERR_EOF && buf_len(&channel->in.bytes) != 0)
		end(channel, CHANNEL_EOF, "the peer ended within a message");
	else if (err == ERR_EOF || err == ERR_IO)
		end(channel, CHANNEL_EOF, "the peer closed");
	else if (err == ERR_RANGE || err == ERR_FULL)
		broken(channel, "more descriptors or bytes than any message has", 0);
	leave(channel);
}

static void on_ready(void *arg, int events)
{
	struct channel *channel = arg;

	enter(channel);
	if (events & WATCH_WRITE && channel->blocked)
		write_out(channel);
	if (events & WATCH_READ && !channel->ended)
		read_in(channel);
	leave(channel);
}

/* ---- the owner's side --------------------------------------------------------------------- */

struct channel *channel_new(struct loop *loop, int fd, const char *name,
			    const struct channel_handlers *handlers, void *arg)
{
	struct channel *channel = mem_alloc(sizeof(*channel));

	channel->loop = loop;
	channel->fd = fd;
	channel->name = mem_strdup(name);
	channel->handlers = handlers;
	channel->arg = arg;
	outgoing_init(&channel->out);
	buf_init(&channel->in.bytes, IPC_FRAME_MAX + READ_BLOCK);
	net_buffers(fd, CHANNEL_BUFFER);
	channel->watch = watch_new(loop, fd, on_ready, channel); /* makes fd non-blocking */
	channel->hook = hook_new(loop, HOOK_ORDER, on_hook, channel);
	watch_set(channel->watch, WATCH_READ);
	return channel;
}

void channel_free(struct channel **channel_in)
{
	struct channel *channel = *channel_in;

	if (channel == NULL)
		return;
	*channel_in = NULL;
	if (!channel->ended)
		stop(channel);
	if (channel->busy != 0)
		channel->freed = true;
	else
		destroy(channel);
}

enum err channel_send_fd(struct channel *channel, uint16_t type, const void *message, int fd)
{
	enum err err;

	if (channel->ended || channel->doomed)
		return ERR_EOF;
	if ((fd != -1) != ipc_type_descriptor(type))
		return ERR_SYNTAX;
	err = outgoing_put(&channel->out, type, message, fd);
	if (err == ERR_FULL && !ipc_type_bulk(type)) {
		/* As if it were dead; said from the loop, not from within a send. */
		channel->doomed = true;
		loop_wake(channel->loop);
		return ERR_EOF;
	}
	if (err != ERR_OK)
		return err;
	channel->stats.messages_sent++;
	loop_wake(channel->loop);
	return ERR_OK;
}

enum err channel_send(struct channel *channel, uint16_t type, const void *message)
{
	return channel_send_fd(channel, type, message, -1);
}

bool channel_can_send(struct channel *channel, size_t payload_len)
{
	return !channel->ended && outgoing_has_credit(&channel->out, payload_len);
}

void channel_done(struct channel *channel, uint32_t bytes, uint32_t messages)
{
	struct incoming *in = &channel->in;

	if (channel->ended)
		return;
	/* The owner cannot give back more than it got. */
	if (bytes > in->owed_bytes)
		bytes = in->owed_bytes;
	if (messages > in->owed_messages)
		messages = in->owed_messages;
	in->owed_bytes -= bytes;
	in->owed_messages -= messages;
	in->done_bytes += bytes;
	in->done_messages += messages;
	if (in->done_bytes >= RETURN_BYTES || in->done_messages >= RETURN_MESSAGES)
		send_credit(channel);
}

void channel_flush(struct channel *channel)
{
	if (!channel->ended && !channel->blocked)
		write_out(channel);
}

bool channel_is_open(const struct channel *channel)
{
	return !channel->ended;
}

const char *channel_name(const struct channel *channel)
{
	return channel->name;
}

struct channel_stats channel_stats(const struct channel *channel)
{
	return channel->stats;
}
