/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of a pair in one loop, and raw bytes where a peer is to misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ipc/channel.h"
#include "os/loop.h"
#include "os/net.h"

struct end {
	struct channel *channel;
	unsigned messages, rooms, ends;
	enum channel_end how;
	char why[200];
	uint32_t bytes; /* of BULK, not given back */
	uint64_t last_key;
	uint16_t types[64];
	unsigned type_count;
	int fd;
	struct slice payload; /* of the last message */
	unsigned stop_at;     /* messages */
	bool free_in_message, free_in_room, free_in_ended, refuse, done_at_once;
};

static struct loop *loop;
static struct end a, b;
static struct timer *guard;

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct end *end = arg;
	struct msg_submit_chunk chunk;

	assert_ptr_equal(channel, end->channel);
	end->messages++;
	end->payload = payload;
	if (end->type_count < 64)
		end->types[end->type_count++] = type;
	if (fd != -1) {
		net_close(&end->fd);
		end->fd = fd;
	}
	if (type == IPC_SUBMIT_CHUNK) {
		assert_int_equal(ipc_decode(type, payload, &chunk), ERR_OK);
		assert_int_equal(chunk.key, end->last_key + 1);
		end->last_key = chunk.key;
		end->bytes += (uint32_t)payload.len;
		if (end->done_at_once)
			channel_done(channel, (uint32_t)payload.len, 1);
	}
	if (end->messages == end->stop_at)
		loop_stop(loop);
	if (end->free_in_message)
		channel_free(&end->channel);
	return end->refuse ? ERR_SYNTAX : ERR_OK;
}

static void on_room(void *arg, struct channel *channel)
{
	struct end *end = arg;

	(void)channel;
	end->rooms++;
	if (end->free_in_room)
		channel_free(&end->channel);
	loop_stop(loop);
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct end *end = arg;

	assert_false(channel_is_open(channel));
	end->ends++;
	end->how = how;
	strncpy(end->why, why, sizeof(end->why) - 1);
	if (end->free_in_ended)
		channel_free(&end->channel);
	loop_stop(loop);
}

static const struct channel_handlers handlers = {on_message, on_room, on_ended, true};
static const struct channel_handlers strict = {on_message, on_room, on_ended, false};

static void too_long(void *arg)
{
	(void)arg;
	fail_msg("the loop ran for 10 s");
}

static void stop_loop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* Runs until a handler stops the loop. */
static void run(void)
{
	timer_set(guard, 10000);
	loop_run(loop);
}

static void run_for(uint64_t ms)
{
	struct timer *timer = timer_new(loop, stop_loop, NULL);

	timer_set(timer, ms);
	run();
	timer_free(&timer);
}

static int setup(void **state)
{
	int fds[2];

	(void)state;
	loop = loop_new();
	guard = timer_new(loop, too_long, NULL);
	assert_int_equal(net_pair(fds), ERR_OK);
	a = (struct end){.fd = -1};
	b = (struct end){.fd = -1};
	a.channel = channel_new(loop, fds[0], "a", &handlers, &a);
	b.channel = channel_new(loop, fds[1], "b", &handlers, &b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	channel_free(&a.channel);
	channel_free(&b.channel);
	net_close(&a.fd);
	net_close(&b.fd);
	timer_free(&guard);
	loop_free(&loop);
	return 0;
}

/* b is a bare socket instead. */
static int setup_raw(void **state)
{
	setup(state);
	channel_free(&b.channel);
	channel_free(&a.channel);
	int fds[2];

	assert_int_equal(net_pair(fds), ERR_OK);
	a.channel = channel_new(loop, fds[0], "a", &handlers, &a);
	b.fd = fds[1];
	return 0;
}

static void send_raw(const void *data, size_t len)
{
	size_t sent;

	assert_int_equal(net_send(b.fd, data, len, &sent), ERR_OK);
	assert_int_equal(sent, len);
}

static enum err send_chunk(struct channel *channel, uint64_t key, size_t len)
{
	static char body[IPC_CHUNK];
	struct msg_submit_chunk chunk = {key, slice_of(body, len)};

	return channel_send(channel, IPC_SUBMIT_CHUNK, &chunk);
}

static void gathers_and_puts_control_first(void **state)
{
	struct msg_grant_ack ack = {7};
	struct channel_stats stats;

	(void)state;
	for (uint64_t i = 1; i <= 10; i++) {
		assert_int_equal(send_chunk(a.channel, i, 1000), ERR_OK);
		assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
	}
	b.stop_at = 20;
	run();
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(b.types[i], i < 10 ? IPC_GRANT_ACK : IPC_SUBMIT_CHUNK);
	stats = channel_stats(a.channel);
	assert_int_equal(stats.messages_sent, 20);
	assert_int_equal(stats.writes, 1);
	assert_int_equal(channel_stats(b.channel).messages_received, 20);
	assert_int_equal(channel_stats(b.channel).reads, 1);
}

/* The memory is the channel's still: it is looked at, not read. */
static void wipes_secrets(void **state)
{
	struct msg_op op = {.op = 1, .secret = SLICE_LIT("a password that is to be forgotten")};
	struct msg_grant_ack ack = {7};

	(void)state;
	assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
	assert_int_equal(channel_send(a.channel, IPC_OP, &op), ERR_OK);
	b.stop_at = 2;
	run();
	assert_int_equal(b.types[1], IPC_OP);
	assert_true(b.payload.len > op.secret.len);
	for (size_t i = 0; i < b.payload.len; i++)
		assert_int_equal(b.payload.ptr[i], 0);
}

static void flush_writes_now(void **state)
{
	struct msg_grant_ack ack = {7};

	(void)state;
	assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
	assert_int_equal(channel_stats(a.channel).writes, 0);
	channel_flush(a.channel);
	assert_int_equal(channel_stats(a.channel).writes, 1);
}

/* Fills the credit in messages or bytes; returns how many went. */
static uint64_t fill(size_t len)
{
	uint64_t count = 0;

	while (send_chunk(a.channel, count + 1, len) == ERR_OK)
		count++;
	return count;
}

static void credit_in_messages(void **state)
{
	struct msg_grant_ack ack = {7};

	(void)state;
	assert_int_equal(fill(0), CHANNEL_CREDIT_MESSAGES);
	assert_false(channel_can_send(a.channel, 0));
	/* CONTROL needs none. */
	assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
	b.stop_at = CHANNEL_CREDIT_MESSAGES + 1;
	run();
	assert_int_equal(b.last_key, CHANNEL_CREDIT_MESSAGES);
	assert_int_equal(a.rooms, 0);
	/* Less than an eighth is kept back, an eighth is given back. */
	channel_done(b.channel, 0, CHANNEL_CREDIT_MESSAGES / 8 - 1);
	run_for(20);
	assert_int_equal(a.rooms, 0);
	channel_done(b.channel, 12, 1);
	run();
	assert_int_equal(a.rooms, 1);
	assert_int_equal(fill(0), CHANNEL_CREDIT_MESSAGES / 8);
	assert_int_equal(a.ends + b.ends, 0);
}

static void credit_in_bytes(void **state)
{
	const size_t payload = IPC_CHUNK + 12;
	const uint64_t most = CHANNEL_CREDIT_BYTES / payload;

	(void)state;
	assert_int_equal(fill(IPC_CHUNK), most);
	assert_false(channel_can_send(a.channel, payload));
	assert_true(channel_can_send(a.channel, 100)); /* a little is left */
	b.stop_at = (unsigned)most;
	run();
	channel_done(b.channel, b.bytes, (uint32_t)most);
	run();
	assert_int_equal(a.rooms, 1);
	b.last_key = 0;
	assert_int_equal(fill(IPC_CHUNK), most);
	b.stop_at = 2 * (unsigned)most;
	run();
	assert_int_equal(a.ends + b.ends, 0);
	assert_int_equal(b.last_key, most);
}

/* 300 MB through a reader that gives back at once: order kept, nothing lost, credit never wrong. */
static void streams(void **state)
{
	uint64_t key = 1;

	(void)state;
	b.done_at_once = true;
	while (key <= 5000) {
		if (send_chunk(a.channel, key, (key * 7919) % (IPC_CHUNK + 1)) == ERR_OK)
			key++;
		else
			run();
	}
	if (b.last_key < 5000) {
		b.stop_at = 5000;
		run();
	}
	assert_int_equal(b.last_key, 5000);
	assert_int_equal(a.ends + b.ends, 0);
}

/* A BULK frame that was begun is finished before CONTROL; CONTROL then overtakes the others. */
static void control_overtakes(void **state)
{
	struct msg_grant_ack ack = {7};
	uint64_t sent = fill(IPC_CHUNK);
	unsigned at;

	(void)state;
	assert_true(sent > 60);
	channel_flush(a.channel); /* the socket takes less than all of it */
	assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
	b.stop_at = (unsigned)sent + 1;
	run();
	for (at = 0; at < 64 && b.types[at] != IPC_GRANT_ACK; at++)
		;
	assert_in_range(at, 1, sent - 2);
	assert_int_equal(b.last_key, sent);
}

static void passes_descriptors(void **state)
{
	struct msg_grant_ack ack = {7};
	struct msg_peer peer = {.role = IPC_QUEUE};
	struct stat one, other;
	int fds[2];

	(void)state;
	assert_int_equal(channel_send_fd(a.channel, IPC_GRANT_ACK, &ack, 0), ERR_SYNTAX);
	assert_int_equal(channel_send(a.channel, IPC_PEER, &peer), ERR_SYNTAX);
	/* 40 of them, between others: more than fit one write. */
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(pipe(fds), 0);
		close(fds[1]);
		assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
		assert_int_equal(fstat(fds[0], &one), 0);
		assert_int_equal(channel_send_fd(a.channel, IPC_PEER, &peer, fds[0]), ERR_OK);
	}
	b.stop_at = 80;
	run();
	/* The last to arrive is the last that was sent, and ours is closed. */
	assert_int_equal(fstat(b.fd, &other), 0);
	assert_int_equal(one.st_ino, other.st_ino);
	assert_int_equal(b.types[62], IPC_GRANT_ACK);
	assert_int_equal(b.types[63], IPC_PEER);
	assert_true(fcntl(b.fd, F_GETFD) & FD_CLOEXEC);
}

static void freed_in_message(void **state)
{
	struct msg_grant_ack ack = {7};

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
	b.free_in_message = true;
	run(); /* a sees the end */
	assert_int_equal(b.messages, 1);
	assert_int_equal(b.ends, 0);
	assert_int_equal(a.ends, 1);
	assert_int_equal(a.how, CHANNEL_EOF);
	assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_EOF);
	assert_false(channel_can_send(a.channel, 0));
}

static void freed_in_ended_and_refused(void **state)
{
	struct msg_grant_ack ack = {7};

	(void)state;
	b.refuse = b.free_in_ended = true;
	a.free_in_ended = true;
	assert_int_equal(channel_send(a.channel, IPC_GRANT_ACK, &ack), ERR_OK);
	run();
	assert_int_equal(b.ends, 1);
	assert_int_equal(b.how, CHANNEL_BROKEN);
	assert_non_null(strstr(b.why, "GRANT_ACK"));
	assert_null(b.channel);
	run();
	assert_null(a.channel);
}

static void freed_in_room(void **state)
{
	(void)state;
	a.free_in_room = true;
	assert_int_equal(fill(0), CHANNEL_CREDIT_MESSAGES);
	b.stop_at = CHANNEL_CREDIT_MESSAGES;
	run();
	channel_done(b.channel, 0, CHANNEL_CREDIT_MESSAGES);
	run();
	assert_null(a.channel);
}

static void header(char frame[IPC_HEADER], uint32_t len, uint16_t type, uint16_t descriptors)
{
	memcpy(frame, &len, 4);
	memcpy(frame + 4, &type, 2);
	memcpy(frame + 6, &descriptors, 2);
}

static void expect_broken(const char *word)
{
	run();
	assert_int_equal(a.ends, 1);
	assert_int_equal(a.how, CHANNEL_BROKEN);
	assert_non_null(strstr(a.why, word));
}

static void frame_too_long(void **state)
{
	char frame[IPC_HEADER];

	(void)state;
	header(frame, IPC_FRAME_MAX, IPC_SUBMIT, 0);
	send_raw(frame, sizeof(frame));
	expect_broken("too long");
}

static void unknown_type(void **state)
{
	char frame[IPC_HEADER];

	(void)state;
	header(frame, 0, 11111, 0);
	send_raw(frame, sizeof(frame));
	expect_broken("unknown");
}

static void descriptor_missing(void **state)
{
	char frame[IPC_HEADER + 7] = {0};

	(void)state;
	header(frame, 7, IPC_PEER, 1);
	send_raw(frame, sizeof(frame));
	expect_broken("descriptors");
}

static void descriptor_unwanted(void **state)
{
	char frame[IPC_HEADER + 8] = {0};
	struct slice part = slice_of(frame, sizeof(frame));
	size_t sent;

	(void)state;
	header(frame, 8, IPC_GRANT_ACK, 0);
	assert_int_equal(net_send_parts(b.fd, &part, 1, 0, &sent), ERR_OK);
	expect_broken("without its message");
}

/* A whole and right message with a descriptor, to one who takes none: it is closed unseen. */
static void descriptor_not_taken(void **state)
{
	const struct msg_peer peer = {.role = 1, .index = 2, .incarnation = 3};
	char byte;
	int ends[2];

	(void)state;
	channel_free(&a.channel);
	channel_free(&b.channel);
	assert_int_equal(net_pair(ends), ERR_OK);
	a.channel = channel_new(loop, ends[0], "a", &strict, &a);
	b.channel = channel_new(loop, ends[1], "b", &strict, &b);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(channel_send_fd(b.channel, IPC_PEER, &peer, ends[1]), ERR_OK);
	expect_broken("not taken here");
	assert_int_equal(a.messages, 0);
	/* Nobody holds the other end of the pipe any more. */
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

static void credit_invented(void **state)
{
	char frame[IPC_HEADER + 8] = {0};

	(void)state;
	header(frame, 8, IPC_CREDIT, 0);
	frame[IPC_HEADER] = 1;
	send_raw(frame, sizeof(frame));
	expect_broken("credit");
}

static void credit_overdrawn(void **state)
{
	const size_t count = CHANNEL_CREDIT_MESSAGES + 1;
	struct msg_submit_chunk chunk = {0};
	struct buf frames;

	(void)state;
	buf_init(&frames, count * (IPC_HEADER + 12));
	for (chunk.key = 1; chunk.key <= count; chunk.key++)
		assert_int_equal(ipc_encode(IPC_SUBMIT_CHUNK, &chunk, 0, &frames), ERR_OK);
	send_raw(buf_data(&frames).ptr, buf_len(&frames));
	expect_broken("credit");
	assert_int_equal(a.messages, CHANNEL_CREDIT_MESSAGES);
	buf_release(&frames);
}

static void byte_by_byte(void **state)
{
	struct msg_grant_ack ack = {0x0102030405060708};
	struct buf frame;

	(void)state;
	buf_init(&frame, 100);
	assert_int_equal(ipc_encode(IPC_GRANT_ACK, &ack, 0, &frame), ERR_OK);
	for (size_t i = 0; i < buf_len(&frame); i++) {
		assert_int_equal(a.messages, 0);
		send_raw(buf_data(&frame).ptr + i, 1);
		a.stop_at = 1;
		run_for(1);
	}
	assert_int_equal(a.messages, 1);
	send_raw("x", 1);
	net_close(&b.fd);
	run();
	assert_int_equal(a.how, CHANNEL_EOF);
	assert_non_null(strstr(a.why, "within a message"));
	buf_release(&frame);
}

/* A peer that reads nothing does not fill our memory. */
static void reads_nothing(void **state)
{
	static char config[1000000];
	struct msg_prepare prepare = {1, slice_of(config, sizeof(config))};
	unsigned count = 0;

	(void)state;
	while (channel_send(a.channel, IPC_PREPARE, &prepare) == ERR_OK)
		assert_true(++count < 100);
	assert_int_equal(a.ends, 0); /* not from within the send */
	expect_broken("reads nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define PAIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define RAW(test)  cmocka_unit_test_setup_teardown(test, setup_raw, teardown)
		PAIR(gathers_and_puts_control_first),
		PAIR(wipes_secrets),
		PAIR(flush_writes_now),
		PAIR(credit_in_messages),
		PAIR(credit_in_bytes),
		PAIR(streams),
		PAIR(control_overtakes),
		PAIR(passes_descriptors),
		PAIR(freed_in_message),
		PAIR(freed_in_ended_and_refused),
		PAIR(freed_in_room),
		RAW(frame_too_long),
		RAW(unknown_type),
		RAW(descriptor_missing),
		RAW(descriptor_unwanted),
		PAIR(descriptor_not_taken),
		RAW(credit_invented),
		RAW(credit_overdrawn),
		RAW(byte_by_byte),
		RAW(reads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
