/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays master and queue for one relay process, on behalf of a test that speaks lines with it:
 *
 *	play-queue RELAY CONF [SECTION=PASSWORD...]
 *
 *	deliver CLAIM DESTINATION SENDER RCPT,RCPT FILE whole|fetched|unreadable
 *	terms [KEY=VALUE...] (what all later ones ask for: flags ret envid auth by_mode by_seconds
 *		by_trace priority notify orcpt; without any: nothing)
 *	cancel CLAIM | queue (a new one; the old one is gone) | gone (no queue any more)
 *	again [DESTINATION] (TRY_AGAIN; without one: all)
 *	acks yes|no | bodies yes|no | status | explain ADDRESS | reload CONF | stop MS
 *
 * It answers with a line for each message of relay, key=value, text last; "exit STATUS" at the end.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/parse.h"
#include "ipc/channel.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"

enum { CLAIMS_MAX = 4096 };

static struct {
	struct loop *loop;
	struct channel *master, *queue, *control;
	struct watch *input;
	struct buf lines;
	uint32_t generation, incarnation;
	struct buf bodies[CLAIMS_MAX]; /* by claim */
	bool unreadable[CLAIMS_MAX];
	bool acks, answer_bodies, ready;
	char *terms;
	char **secrets;
} t = {.acks = true, .answer_bodies = true};

static void die(const char *why)
{
	printf("error %s\n", why);
	fflush(stdout);
	_exit(1);
}

static void say_text(const char *key, struct slice text)
{
	printf(" %s=", key);
	for (size_t i = 0; i < text.len; i++)
		putchar(text.ptr[i] == '\n' ? '|' : text.ptr[i] == ' ' ? '\001' : text.ptr[i]);
}

static void end_line(void)
{
	putchar('\n');
	fflush(stdout);
}

/* ---- what relay says to queue ---- */

static void answer_body(const struct msg_body_want *want)
{
	struct slice body = buf_data(&t.bodies[want->claim % CLAIMS_MAX]);
	struct msg_body msg = {.claim = want->claim, .offset = want->offset};

	if (!t.answer_bodies)
		return;
	if (!t.unreadable[want->claim % CLAIMS_MAX])
		msg.data = slice_head(slice_skip(body, want->offset), want->length);
	if (channel_send(t.queue, IPC_BODY, &msg) != ERR_OK)
		die("no credit for a body that relay asked for");
}

static void say_results(const struct msg_results *msg)
{
	struct ipc_list list = msg->results;
	struct rec_result r;

	while (ipc_list_next(&list, IPC_REC_result, &r)) {
		printf("result claim=%" PRIu64 " key=%" PRIu64
		       " n=%u outcome=%u scope=%u taken=%u code=%u down=%d",
		       msg->claim, msg->key, r.n, r.outcome, r.scope, r.taken, r.code,
		       msg->destination_down);
		say_text("status", r.status);
		say_text("host", msg->host);
		say_text("tls", msg->tls);
		say_text("text", r.text);
		end_line();
	}
	if (t.acks)
		channel_send(t.queue, IPC_RESULTS_ACK, &(struct msg_results_ack){msg->claim});
}

static void say_numbers(const char *what, uint64_t claim, struct ipc_list list)
{
	struct rec_number number;

	printf("%s claim=%" PRIu64 " numbers=", what, claim);
	while (ipc_list_next(&list, IPC_REC_number, &number))
		printf("%u,", number.value);
	end_line();
}

static enum err on_queue(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			 int fd)
{
	union {
		struct msg_body_want want;
		struct msg_at_dot at_dot;
		struct msg_results results;
		struct msg_in_flight in_flight;
		struct msg_in_flight_end end;
	} msg;
	enum err err = ipc_decode(type, payload, &msg);

	(void)arg;
	(void)channel;
	(void)fd;
	if (err != ERR_OK)
		return err;
	switch (type) {
	case IPC_BODY_WANT:
		answer_body(&msg.want);
		break;
	case IPC_AT_DOT:
		say_numbers("at_dot", msg.at_dot.claim, msg.at_dot.numbers);
		break;
	case IPC_RESULTS:
		say_results(&msg.results);
		channel_done(channel, (uint32_t)payload.len, 1);
		break;
	case IPC_IN_FLIGHT:
		say_numbers("in_flight", msg.in_flight.claim, msg.in_flight.numbers);
		break;
	case IPC_IN_FLIGHT_END:
		printf("in_flight_end count=%u", msg.end.count);
		end_line();
		break;
	default:
		return ERR_SYNTAX;
	}
	return ERR_OK;
}

static enum err on_control(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct msg_op_row row;
	struct msg_op_end end;
	struct rec_field field;

	(void)arg;
	(void)channel;
	(void)fd;
	if (type == IPC_OP_ROW && ipc_decode(type, payload, &row) == ERR_OK) {
		printf("row");
		while (ipc_list_next(&row.fields, IPC_REC_field, &field)) {
			char key[65];

			slice_copy(field.key, key, sizeof(key));
			say_text(key, field.value);
		}
		end_line();
	} else if (type == IPC_OP_END && ipc_decode(type, payload, &end) == ERR_OK) {
		printf("end status=%u", end.status);
		say_text("text", end.text);
		end_line();
	}
	return ERR_OK;
}

/* ---- master ---- */

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	(void)arg;
	if (how == CHANNEL_BROKEN)
		die(why);
	if (channel == t.master)
		loop_stop(t.loop);
}

static const struct channel_handlers queue_handlers = {.message = on_queue, .ended = on_ended};
static const struct channel_handlers control_handlers = {.message = on_control, .ended = on_ended};

static void connect_peer(enum ipc_role role, struct channel **channel,
			 const struct channel_handlers *handlers)
{
	const struct msg_peer msg = {.role = (uint8_t)role, .incarnation = ++t.incarnation};
	int fds[2];

	channel_free(channel);
	if (net_pair(fds) != ERR_OK)
		die("no socket pair");
	*channel = channel_new(t.loop, fds[0], ipc_role_name(role), handlers, NULL);
	if (channel_send_fd(t.master, IPC_PEER, &msg, fds[1]) != ERR_OK)
		die("PEER");
}

static void send_configuration(const char *path)
{
	struct msg_prepare msg = {.generation = ++t.generation};
	struct config *config;
	struct buf errors, bytes;

	buf_init(&errors, 65536);
	buf_init(&bytes, 1 << 20);
	if (config_read(path, &config, &errors) != ERR_OK) {
		printf("%.*s\n", SLICE_ARG(buf_data(&errors)));
		die("configuration");
	}
	for (char **s = t.secrets; *s; s++) {
		struct slice all = slice_str(*s);
		size_t at = slice_find(all, '=');
		const struct msg_secret secret = {.generation = t.generation,
						  .name = slice_head(all, at),
						  .value = slice_skip(all, at + 1)};

		channel_send(t.master, IPC_SECRET, &secret);
	}
	if (config_encode(config, &bytes) != ERR_OK)
		die("config_encode");
	msg.config = buf_data(&bytes);
	channel_send(t.master, IPC_PREPARE, &msg);
	config_free(&config);
	buf_release(&bytes);
	buf_release(&errors);
}

static void on_prepared(const struct msg_prepared *msg)
{
	printf("prepared ok=%d", msg->ok);
	say_text("text", msg->error);
	end_line();
	if (!msg->ok)
		return;
	channel_send(t.master, IPC_COMMIT, &(struct msg_commit){msg->generation});
	if (t.ready)
		return;
	t.ready = true;
	connect_peer(IPC_QUEUE, &t.queue, &queue_handlers);
	connect_peer(IPC_CONTROL, &t.control, &control_handlers);
}

static enum err on_master(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			  int fd)
{
	struct msg_prepared msg;

	(void)arg;
	(void)channel;
	(void)fd;
	if (type == IPC_PREPARED && ipc_decode(type, payload, &msg) == ERR_OK)
		on_prepared(&msg);
	return ERR_OK;
}

static const struct channel_handlers master_handlers = {.message = on_master, .ended = on_ended};

/* ---- what the test says ---- */

static void keep_terms(const char *text)
{
	mem_free(t.terms);
	t.terms = mem_strdup(text);
}

/* What the terms say of key; "" for nothing. */
static struct slice term(const char *key)
{
	struct slice rest = slice_str(t.terms), word;

	while (slice_split(&rest, ' ', &word)) {
		size_t at = slice_find(word, '=');

		if (slice_is(slice_head(word, at), key))
			return slice_skip(word, at + 1);
	}
	return SLICE_LIT("");
}

static int64_t term_number(const char *key)
{
	char text[32];

	return slice_copy(term(key), text, sizeof(text)) == ERR_OK ? strtoll(text, NULL, 10) : 0;
}

static void set_terms(struct rec_mail *mail)
{
	mail->flags |= (uint32_t)term_number("flags");
	mail->ret = (uint8_t)term_number("ret");
	mail->envid = term("envid");
	mail->auth = term("auth");
	mail->by_mode = (uint8_t)term_number("by_mode");
	mail->by_trace = term_number("by_trace") != 0;
	mail->priority = (uint8_t)term_number("priority");
	if (mail->by_mode != 0)
		mail->deliver_by = os_wall_ms() + 1000 * term_number("by_seconds") + 500;
}

static void deliver(char *args)
{
	static const unsigned char random[12] = "0123456789a";
	struct msg_deliver msg = {
		.attempt = 1, .arrived = 1790000000000, .mail = {.flags = IPC_MAIL_8BIT}};
	char destination[256], sender[256], recipients[4096], file[512], how[16];
	struct ipc_list_builder list;
	struct slice rest, one;
	struct buf *body;

	if (sscanf(args, "%" SCNu64 " %255s %255s %4095s %511s %15s", &msg.claim, destination,
		   sender, recipients, file, how) != 6)
		die("deliver: arguments");
	msg.key = msg.claim + 1000;
	msg.random = slice_of(random, sizeof(random));
	msg.destination = slice_str(destination);
	msg.mail.sender = strcmp(sender, "-") ? slice_str(sender) : SLICE_LIT("");
	set_terms(&msg.mail);
	ipc_list_begin(&list, 1 << 20);
	rest = slice_str(recipients);
	for (uint32_t n = 0; slice_split(&rest, ',', &one); n++)
		ipc_list_add(&list, IPC_REC_recipient,
			     &(struct rec_recipient){.n = n,
						     .address = one,
						     .notify = (uint8_t)term_number("notify"),
						     .orcpt = term("orcpt")});
	msg.recipients = ipc_list_view(&list);
	body = &t.bodies[msg.claim % CLAIMS_MAX];
	buf_release(body);
	buf_init(body, 256 << 20);
	if (os_read_file(file, 256 << 20, body) != ERR_OK)
		die("deliver: file");
	msg.size = buf_len(body);
	msg.has_body = !strcmp(how, "whole");
	t.unreadable[msg.claim % CLAIMS_MAX] = !strcmp(how, "unreadable");
	if (msg.has_body)
		msg.body = buf_data(body);
	if (channel_send(t.queue, IPC_DELIVER, &msg) != ERR_OK)
		die("deliver: no credit");
	ipc_list_release(&list);
}

static void ask(enum ipc_op op, const char *subject)
{
	const struct msg_op msg = {.id = 7, .op = (uint16_t)op, .subject = slice_str(subject)};

	channel_send(t.control, IPC_OP, &msg);
}

static void on_line(char *line)
{
	char *args = line + strcspn(line, " ");

	if (*args)
		*args++ = '\0';
	if (!strcmp(line, "deliver"))
		deliver(args);
	else if (!strcmp(line, "terms"))
		keep_terms(args);
	else if (!strcmp(line, "cancel"))
		channel_send(t.queue, IPC_CLAIM_CANCEL,
			     &(struct msg_claim_cancel){strtoull(args, NULL, 10)});
	else if (!strcmp(line, "queue"))
		connect_peer(IPC_QUEUE, &t.queue, &queue_handlers);
	else if (!strcmp(line, "gone"))
		channel_free(&t.queue);
	else if (!strcmp(line, "again"))
		channel_send(t.queue, IPC_TRY_AGAIN, &(struct msg_try_again){slice_str(args)});
	else if (!strcmp(line, "acks"))
		t.acks = args[0] == 'y';
	else if (!strcmp(line, "bodies"))
		t.answer_bodies = args[0] == 'y';
	else if (!strcmp(line, "status"))
		ask(IPC_OP_STATUS, "");
	else if (!strcmp(line, "explain"))
		ask(IPC_OP_ROUTE_EXPLAIN, args);
	else if (!strcmp(line, "reload"))
		send_configuration(args);
	else if (!strcmp(line, "stop"))
		channel_send(t.master, IPC_SHUTDOWN,
			     &(struct msg_shutdown){(uint32_t)strtoul(args, NULL, 10)});
	else
		die("unknown line");
}

static void on_input(void *arg, int events)
{
	char *room;
	size_t len;
	ssize_t got;

	(void)arg;
	(void)events;
	if (buf_reserve(&t.lines, 65536, &room, &len) != ERR_OK)
		die("line too long");
	got = read(STDIN_FILENO, room, len);
	if (got <= 0) {
		watch_free(&t.input);
		channel_send(t.master, IPC_SHUTDOWN, &(struct msg_shutdown){1000});
		return;
	}
	buf_commit(&t.lines, (size_t)got);
	for (;;) {
		struct slice all = buf_data(&t.lines);
		size_t at = slice_find(all, '\n');
		char *line;

		if (at == all.len)
			return;
		line = mem_strndup(all.ptr, at);
		buf_consume(&t.lines, at + 1);
		on_line(line);
		mem_free(line);
	}
}

int main(int argc, char **argv)
{
	static char name[] = "postern-relay", index_option[] = "--index", zero[] = "0",
		    incarnation[] = "--incarnation", one[] = "1";
	char *const arguments[] = {name, index_option, zero, incarnation, one, NULL};
	int fds[2], status;
	pid_t pid;

	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	t.secrets = argv + 3;
	t.loop = loop_new();
	buf_init(&t.lines, 1 << 20);
	if (net_pair(fds) != ERR_OK || os_spawn(argv[1], arguments, fds[1], &pid) != ERR_OK)
		die("cannot start relay");
	net_close(&fds[1]);
	t.master = channel_new(t.loop, fds[0], "relay", &master_handlers, NULL);
	t.input = watch_new(t.loop, STDIN_FILENO, on_input, NULL);
	watch_set(t.input, WATCH_READ);
	send_configuration(argv[2]);
	loop_run(t.loop);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	printf("exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	fflush(stdout);
	_exit(0);
}
