/* SPDX-License-Identifier: Apache-2.0 */
/* Control with made-up processes and clients, all in one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "control/control.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"

enum { SEEN_MAX = 4096 };

/* One end of a channel to control: a client, or a process. */
struct end {
	struct channel *channel;
	char seen[SEEN_MAX]; /* what came, in words */
	uint64_t last_id;    /* of the last OP */
	bool ended;
};

static struct loop *loop;
static struct control *control;
static struct end master_side, master, auth, queue, relay, alice, bob;

static void say(struct end *end, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct end *end, const char *format, ...)
{
	size_t len = strlen(end->seen);
	va_list args;

	va_start(args, format);
	vsnprintf(end->seen + len, sizeof(end->seen) - len, format, args);
	va_end(args);
}

static void say_row(struct end *end, struct slice payload)
{
	struct msg_op_row row;
	struct rec_field field;

	assert_int_equal(ipc_decode(IPC_OP_ROW, payload, &row), ERR_OK);
	say(end, "row %d", (int)row.id);
	while (ipc_list_next(&row.fields, IPC_REC_field, &field))
		say(end, " %.*s=%.*s", SLICE_ARG(field.key), SLICE_ARG(field.value));
	say(end, "\n");
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct end *end = arg;
	struct msg_op op;
	struct msg_op_end done;

	(void)channel;
	(void)fd;
	if (type == IPC_OP) {
		assert_int_equal(ipc_decode(type, payload, &op), ERR_OK);
		end->last_id = op.id;
		say(end, "op %d %.*s secret=%.*s\n", op.op, SLICE_ARG(op.subject),
		    SLICE_ARG(op.secret));
	} else if (type == IPC_OP_ROW) {
		say_row(end, payload);
	} else {
		assert_int_equal(ipc_decode(type, payload, &done), ERR_OK);
		say(end, "end %d %d %.*s\n", (int)done.id, done.status, SLICE_ARG(done.text));
	}
	return ERR_OK;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct end *end = arg;

	(void)channel;
	(void)how;
	(void)why;
	channel_free(&end->channel);
	end->ended = true;
}

static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

/* What master's child does: hands answers on. */
static enum err from_master(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			    int fd)
{
	(void)arg;
	(void)channel;
	(void)fd;
	return control_answer(control, TARGET_MASTER, type, payload);
}

static const struct channel_handlers master_handlers = {.message = from_master, .ended = on_ended};

static int open_end(struct end *end)
{
	int fds[2];

	*end = (struct end){0};
	assert_int_equal(net_pair(fds), ERR_OK);
	end->channel = channel_new(loop, fds[0], "test", &handlers, end);
	return fds[1];
}

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* Lets everything happen that is under way. */
static void settle(void)
{
	struct timer *timer = timer_new(loop, stop, NULL);

	timer_set(timer, 30);
	loop_run(loop);
	timer_free(&timer);
}

static int begin(void **state)
{
	(void)state;
	log_open("test", LOG_OUTPUT_STREAM, 2, false);
	log_set_level(LOG_ERROR);
	loop = loop_new();
	control = control_new(loop, geteuid());
	master_side.channel =
		channel_new(loop, open_end(&master), "master", &master_handlers, &master_side);
	control_set_master(control, master_side.channel);
	control_set_peer(control, TARGET_AUTH, open_end(&auth));
	control_set_peer(control, TARGET_QUEUE, open_end(&queue));
	control_set_peer(control, TARGET_RELAY, open_end(&relay));
	control_add_client(control, open_end(&alice));
	control_add_client(control, open_end(&bob));
	return 0;
}

static int finish(void **state)
{
	struct end *ends[] = {&master_side, &master, &auth, &queue, &relay, &alice, &bob};

	(void)state;
	control_free(&control);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		channel_free(&ends[i]->channel);
	loop_free(&loop);
	return 0;
}

static void ask(struct end *client, uint64_t id, uint16_t number, const char *subject)
{
	struct msg_op op = {
		.id = id, .op = number, .subject = slice_str(subject), .secret = SLICE_LIT("pw")};

	assert_int_equal(channel_send(client->channel, IPC_OP, &op), ERR_OK);
	settle();
}

static void send_row(struct end *process, uint64_t id, const char *key, const char *value)
{
	struct rec_field field = {slice_str(key), IPC_FIELD_TEXT, slice_str(value)};
	struct ipc_list_builder builder;

	ipc_list_begin(&builder, 1000);
	assert_int_equal(ipc_list_add(&builder, IPC_REC_field, &field), ERR_OK);

	struct msg_op_row row = {id, ipc_list_view(&builder)};

	channel_send(process->channel, IPC_OP_ROW, &row);
	ipc_list_release(&builder);
}

static void send_end(struct end *process, uint64_t id, uint8_t status, const char *text)
{
	struct msg_op_end end = {id, status, slice_str(text)};

	channel_send(process->channel, IPC_OP_END, &end);
	settle();
}

static void goes_to_the_one_who_can(void **state)
{
	(void)state;
	ask(&alice, 7, IPC_OP_USER_ADD, "carol");
	assert_string_equal(auth.seen, "op 20 carol secret=pw\n");
	assert_string_equal(queue.seen, "");
	send_row(&auth, auth.last_id, "name", "carol");
	send_end(&auth, auth.last_id, 0, "added");
	assert_string_equal(alice.seen, "row 7 name=carol\nend 7 0 added\n");
	assert_string_equal(bob.seen, "");
	ask(&bob, 7, IPC_OP_QUEUE_SUMMARY, "");
	ask(&bob, 8, IPC_OP_RELOAD, "");
	ask(&bob, 9, IPC_OP_ROUTE_EXPLAIN, "a@b");
	assert_string_equal(queue.seen, "op 40  secret=pw\n");
	assert_string_equal(master.seen, "op 2  secret=pw\n");
	assert_string_equal(relay.seen, "op 80 a@b secret=pw\n");
	send_end(&master, master.last_id, 1, "line 3 is wrong");
	assert_string_equal(bob.seen, "end 8 1 line 3 is wrong\n");
}

static void equal_numbers_do_not_mix(void **state)
{
	(void)state;
	ask(&alice, 1, IPC_OP_USER_SHOW, "a");

	uint64_t first = auth.last_id;

	ask(&bob, 1, IPC_OP_USER_SHOW, "b");
	assert_int_not_equal(auth.last_id, first);
	send_end(&auth, auth.last_id, 0, "for bob");
	assert_string_equal(alice.seen, "");
	assert_string_equal(bob.seen, "end 1 0 for bob\n");
	send_end(&auth, first, 0, "for alice");
	assert_string_equal(alice.seen, "end 1 0 for alice\n");
}

static void status_asks_all_and_names_them(void **state)
{
	(void)state;
	ask(&alice, 3, IPC_OP_STATUS, "");
	send_row(&auth, auth.last_id, "accounts", "2");
	send_row(&queue, queue.last_id, "process", "forged");
	send_end(&auth, auth.last_id, 0, "");
	send_end(&queue, queue.last_id, 0, "");
	send_row(&master, master.last_id, "process", "smtpd-0");
	send_end(&master, master.last_id, 0, "");
	assert_null(strstr(alice.seen, "end"));
	send_end(&relay, relay.last_id, 0, "");
	assert_string_equal(alice.seen, "row 3 process=auth accounts=2\nrow 3 process=queue\n"
					"row 3 process=smtpd-0\nend 3 0 \n");
}

static void the_dead_are_answered_for(void **state)
{
	(void)state;
	ask(&alice, 4, IPC_OP_QUEUE_LIST, "");
	channel_free(&queue.channel);
	settle();
	assert_string_equal(
		alice.seen,
		"end 4 1 process queue is down; it is being started again: try again in a second, "
		"and see the log if that fails\n");
	alice.seen[0] = '\0';
	ask(&alice, 5, IPC_OP_STATUS, "");
	send_end(&auth, auth.last_id, 0, "");
	send_end(&master, master.last_id, 0, "");
	send_end(&relay, relay.last_id, 0, "");
	assert_non_null(strstr(alice.seen, "row 5 process=queue state=down\n"));
	assert_non_null(strstr(alice.seen, "end 5 1 process queue is down;"));
	/* The new one is asked again. */
	control_set_peer(control, TARGET_QUEUE, open_end(&queue));
	alice.seen[0] = '\0';
	ask(&alice, 6, IPC_OP_QUEUE_LIST, "");
	send_end(&queue, queue.last_id, 0, "nothing");
	assert_string_equal(alice.seen, "end 6 0 nothing\n");
}

static void what_is_not_permitted_is_refused(void **state)
{
	static const uint16_t unknown[] = {0, 3, 19, 39, 48, 61, 65535};

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		ask(&alice, 1, unknown[i], "");
	assert_string_equal(auth.seen, "");
	assert_string_equal(queue.seen, "");
	assert_string_equal(master.seen, "");
	assert_int_equal(strncmp(alice.seen, "end 1 1 the server knows no such request", 40), 0);
	assert_false(alice.ended);
}

static void a_malformed_client_loses_its_connection_only(void **state)
{
	struct msg_op_end end = {1, 0, SLICE_LIT("forged")};
	struct msg_grant_revoke revoke = {5};

	(void)state;
	ask(&bob, 1, IPC_OP_USER_LIST, "");
	channel_send(alice.channel, IPC_OP_END, &end);
	settle();
	assert_true(alice.ended);
	control_add_client(control, open_end(&alice));
	channel_send(alice.channel, IPC_GRANT_REVOKE, &revoke);
	settle();
	assert_true(alice.ended);
	int raw = open_end(&alice);
	size_t len;

	/* Noise instead of frames. */
	channel_free(&alice.channel);
	net_close(&raw);
	int fds[2];

	assert_int_equal(net_pair(fds), ERR_OK);
	control_add_client(control, fds[1]);
	assert_int_equal(net_send(fds[0], "GET / HTTP/1.0\r\n\r\n", 18, &len), ERR_OK);
	settle();
	char byte;

	assert_int_equal(net_recv(fds[0], &byte, 1, &len), ERR_EOF);
	net_close(&fds[0]);
	assert_int_equal(control_client_count(control), 1);
	send_end(&auth, auth.last_id, 0, "done");
	assert_string_equal(bob.seen, "end 1 0 done\n");
}

static void a_process_answers_only_what_it_was_asked(void **state)
{
	(void)state;
	ask(&alice, 1, IPC_OP_USER_LIST, "");
	send_end(&relay, auth.last_id, 0, "forged");
	assert_string_equal(alice.seen, "");
	assert_true(relay.ended);
	send_end(&auth, auth.last_id, 0, "");
	assert_string_equal(alice.seen, "end 1 0 \n");
}

static void a_client_that_left_gets_nothing(void **state)
{
	(void)state;
	ask(&alice, 1, IPC_OP_USER_LIST, "");
	channel_free(&alice.channel);
	settle();
	assert_int_equal(control_client_count(control), 1);
	send_row(&auth, auth.last_id, "name", "x");
	send_end(&auth, auth.last_id, 0, "");
	assert_false(auth.ended);
	assert_string_equal(bob.seen, "");
}

static void clients_and_requests_are_bounded(void **state)
{
	struct end more[CONTROL_CLIENTS_MAX];

	(void)state;
	for (int i = 0; i < CONTROL_CLIENT_OPS_MAX; i++) {
		struct msg_op op = {.id = (uint64_t)i, .op = IPC_OP_USER_LIST};

		assert_int_equal(channel_send(alice.channel, IPC_OP, &op), ERR_OK);
	}
	ask(&alice, 99, IPC_OP_USER_LIST, "");
	assert_string_equal(alice.seen, "end 99 1 too many requests at a time on one connection\n");
	/* The busy one stays; of the idle ones the eldest makes room. */
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control_add_client(control, open_end(&more[i]));
	settle();
	assert_int_equal(control_client_count(control), CONTROL_CLIENTS_MAX);
	assert_false(alice.ended);
	assert_true(bob.ended);
	assert_true(more[0].ended);
	assert_false(more[CONTROL_CLIENTS_MAX - 1].ended);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		channel_free(&more[i].channel);
}

/* Whoever connects while the server starts waits until there are answers. */
static void accepts_once_it_is_open(void **state)
{
	char folder[] = "/tmp/postern-control-XXXXXX", path[64];
	struct net_address address;
	int listener, fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	assert_int_equal(net_read_local(path, &address), ERR_OK);
	assert_int_equal(net_listen(&address, 8, &listener), ERR_OK);
	control_listen(control, listener);
	assert_int_equal(net_connect(&address, &fd), ERR_OK);
	settle();
	assert_int_equal(control_client_count(control), 2);
	control_open(control);
	settle();
	assert_int_equal(control_client_count(control), 3);
	net_close(&fd);
	settle();
	assert_int_equal(control_client_count(control), 2);
	unlink(path);
	rmdir(folder);
}

static void count(void *arg)
{
	unsigned *turns = arg;

	++*turns;
}

static void out_of_descriptors(void **state)
{
	struct rlimit before, tight;
	struct net_address address;
	struct hook *hook;
	unsigned turns = 0;
	char path[] = "/tmp/postern-control-XXXXXX", socket[64];
	int listener, first, second, highest;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(socket, sizeof(socket), "%s/s", path);
	assert_int_equal(net_read_local(socket, &address), ERR_OK);
	assert_int_equal(net_listen(&address, 10, &listener), ERR_OK);
	control_listen(control, listener);
	control_open(control);
	assert_int_equal(net_connect(&address, &first), ERR_OK);
	settle();
	assert_int_equal(control_client_count(control), 3);
	/* One more knocks, and control has no descriptor left to take it with. */
	assert_int_equal(net_connect(&address, &second), ERR_OK);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	highest = dup(0);
	close(highest);
	tight.rlim_cur = (rlim_t)highest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	hook = hook_new(loop, 30, count, &turns);
	for (int i = 0; i < 5; i++)
		settle();
	assert_in_range(turns, 1, 30); /* it does not spin */
	/* Who waited longest without a question made room; after the pause the other is taken. */
	assert_true(alice.ended);
	assert_false(bob.ended);
	assert_int_equal(control_client_count(control), 2);
	for (int i = 0; i < 200 && control_client_count(control) < 3; i++)
		settle();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(control_client_count(control), 3);
	hook_free(&hook);
	close(first);
	close(second);
	assert_int_equal(unlink(socket), 0);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(goes_to_the_one_who_can, begin, finish),
		cmocka_unit_test_setup_teardown(equal_numbers_do_not_mix, begin, finish),
		cmocka_unit_test_setup_teardown(status_asks_all_and_names_them, begin, finish),
		cmocka_unit_test_setup_teardown(the_dead_are_answered_for, begin, finish),
		cmocka_unit_test_setup_teardown(what_is_not_permitted_is_refused, begin, finish),
		cmocka_unit_test_setup_teardown(a_malformed_client_loses_its_connection_only, begin,
						finish),
		cmocka_unit_test_setup_teardown(a_process_answers_only_what_it_was_asked, begin,
						finish),
		cmocka_unit_test_setup_teardown(a_client_that_left_gets_nothing, begin, finish),
		cmocka_unit_test_setup_teardown(accepts_once_it_is_open, begin, finish),
		cmocka_unit_test_setup_teardown(clients_and_requests_are_bounded, begin, finish),
		cmocka_unit_test_setup_teardown(out_of_descriptors, begin, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
