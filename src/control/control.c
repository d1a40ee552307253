/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"

enum {
	TEXT_MAX = 512,
	NAME_MAX_BYTES = 16,
	PAUSE_MS = 1000, /* when nobody can be accepted */
};

struct client {
	struct control *control; /* NULL: this place is free */
	struct channel *channel;
	unsigned ops;
	uint64_t since; /* order of arrival */
};

struct op {
	uint64_t id; /* ours; 0: this place is free */
	struct client *client;
	uint64_t client_id;
	uint16_t number;
	unsigned waiting; /* bits of the targets that have not answered */
	bool failed;
	char text[TEXT_MAX];
};

struct target {
	struct control *control;
	enum control_target number;
	struct channel *channel; /* NULL: it is down */
};

struct control {
	struct loop *loop;
	uid_t uid;
	int listener;
	struct watch *watch;
	struct timer *pause; /* running: the listener is not looked at */
	bool open;
	uint64_t next_id, next_client;
	struct client clients[CONTROL_CLIENTS_MAX];
	struct op ops[CONTROL_CLIENTS_MAX * CONTROL_CLIENT_OPS_MAX];
	struct target targets[TARGET_COUNT];
};

#define TO(target) (1u << TARGET_##target)
#define TO_ALL     (TO(MASTER) | TO(AUTH) | TO(QUEUE) | TO(RELAY))

/* Who does what. What is not here is refused. */
static const struct permit {
	uint16_t op;
	unsigned targets;
} permits[] = {
	{IPC_OP_STATUS, TO_ALL},           {IPC_OP_RELOAD, TO(MASTER)},
	{IPC_OP_USER_ADD, TO(AUTH)},       {IPC_OP_USER_LIST, TO(AUTH)},
	{IPC_OP_USER_SHOW, TO(AUTH)},      {IPC_OP_USER_PASSWORD, TO(AUTH)},
	{IPC_OP_USER_DISABLE, TO(AUTH)},   {IPC_OP_USER_ENABLE, TO(AUTH)},
	{IPC_OP_USER_DELETE, TO(AUTH)},    {IPC_OP_USER_TEST, TO(AUTH)},
	{IPC_OP_USER_SET, TO(AUTH)},       {IPC_OP_USER_FREEZE, TO(AUTH)},
	{IPC_OP_USER_THAW, TO(AUTH)},      {IPC_OP_KEY_ADD, TO(AUTH)},
	{IPC_OP_KEY_LIST, TO(AUTH)},       {IPC_OP_KEY_REMOVE, TO(AUTH)},
	{IPC_OP_GROUP_ADD, TO(AUTH)},      {IPC_OP_GROUP_REMOVE, TO(AUTH)},
	{IPC_OP_GROUP_LIST, TO(AUTH)},     {IPC_OP_USER_IMPORT, TO(AUTH)},
	{IPC_OP_QUEUE_SUMMARY, TO(QUEUE)}, {IPC_OP_QUEUE_LIST, TO(QUEUE)},
	{IPC_OP_QUEUE_SHOW, TO(QUEUE)},    {IPC_OP_QUEUE_RETRY, TO(QUEUE)},
	{IPC_OP_QUEUE_HOLD, TO(QUEUE)},    {IPC_OP_QUEUE_RELEASE, TO(QUEUE)},
	{IPC_OP_QUEUE_DROP, TO(QUEUE)},    {IPC_OP_AUTH_BLOCKED, TO(AUTH)},
	{IPC_OP_AUTH_UNBLOCK, TO(AUTH)},   {IPC_OP_ALERT_TEST, TO(MASTER)},
	{IPC_OP_TLS_SHOW, TO(MASTER)},     {IPC_OP_ROUTE_EXPLAIN, TO(RELAY)},
	{IPC_OP_REPORT_SENDERS, TO(AUTH)}, {IPC_OP_REPORT_MECHS, TO(AUTH)},
};

static const char *const target_names[TARGET_COUNT] = {"master", "auth", "queue", "relay"};

/* ---- requests ---------------------------------------------------------------------------- */

static void end_op(struct op *op)
{
	struct msg_op_end end = {op->client_id, op->failed ? 1 : 0, slice_str(op->text)};
	struct client *client = op->client;

	if (client != NULL) {
		client->ops--;
		channel_send(client->channel, IPC_OP_END, &end);
	}
	*op = (struct op){0};
}

/* Several may answer: the first failure's words stay, else the first words of all. */
static void note_text(struct op *op, bool failed, struct slice text)
{
	/* That one of many is well says little. */
	if (op->number == IPC_OP_STATUS && !failed)
		return;
	if (op->text[0] == '\0' || (failed && !op->failed))
		snprintf(op->text, sizeof(op->text), "%.*s",
			 SLICE_ARG(slice_head(text, TEXT_MAX - 1)));
	op->failed = op->failed || failed;
}

/*
 * Sends a row to the client. When many processes answer, the field "process" says who did; master
 * says it itself, as it also speaks of the others.
 */
static void send_row(struct op *op, enum control_target from, struct ipc_list fields)
{
	struct msg_op_row row = {op->client_id, fields};
	struct ipc_list_builder builder;
	struct rec_field field = {SLICE_LIT("process"), IPC_FIELD_TEXT,
				  slice_str(target_names[from])};
	enum err err;

	if (op->client == NULL)
		return;
	if (op->number != IPC_OP_STATUS || from == TARGET_MASTER) {
		channel_send(op->client->channel, IPC_OP_ROW, &row);
		return;
	}
	ipc_list_begin(&builder, IPC_FRAME_MAX / 2);
	err = ipc_list_add(&builder, IPC_REC_field, &field);
	while (err == ERR_OK && ipc_list_next(&fields, IPC_REC_field, &field))
		if (!slice_is(field.key, "process"))
			err = ipc_list_add(&builder, IPC_REC_field, &field);
	row.fields = ipc_list_view(&builder);
	channel_send(op->client->channel, IPC_OP_ROW, &row);
	ipc_list_release(&builder);
}

/* The process is down, or went down before it answered. */
static void answer_for(struct op *op, enum control_target target)
{
	char text[TEXT_MAX];
	struct rec_field down = {SLICE_LIT("state"), IPC_FIELD_TEXT, SLICE_LIT("down")};
	struct ipc_list_builder builder;

	if (op->number == IPC_OP_STATUS) {
		ipc_list_begin(&builder, 256);
		if (ipc_list_add(&builder, IPC_REC_field, &down) == ERR_OK)
			send_row(op, target, ipc_list_view(&builder));
		ipc_list_release(&builder);
	}
	snprintf(text, sizeof(text),
		 "process %s is down; it is being started again: try again in a second, "
		 "and see the log if that fails",
		 target_names[target]);
	note_text(op, true, slice_str(text));
	op->waiting &= ~(1u << target);
}

static void target_lost(struct control *control, enum control_target target)
{
	for (size_t i = 0; i < sizeof(control->ops) / sizeof(control->ops[0]); i++) {
		struct op *op = &control->ops[i];

		if (op->id == 0 || !(op->waiting & (1u << target)))
			continue;
		answer_for(op, target);
		if (op->waiting == 0)
			end_op(op);
	}
}

static void start_op(struct op *op, const struct msg_op *msg, unsigned targets)
{
	struct control *control = op->client->control;
	struct msg_op forward = *msg;

	forward.id = op->id;
	op->waiting = targets;
	for (unsigned t = 0; t < TARGET_COUNT; t++) {
		struct channel *channel = control->targets[t].channel;

		if (!(targets & (1u << t)))
			continue;
		if (channel == NULL || channel_send(channel, IPC_OP, &forward) != ERR_OK)
			answer_for(op, t);
	}
	if (op->waiting == 0)
		end_op(op);
}

static void refuse(struct client *client, uint64_t id, const char *text)
{
	struct msg_op_end end = {id, 1, slice_str(text)};

	channel_send(client->channel, IPC_OP_END, &end);
}

static void ask(struct client *client, const struct msg_op *msg)
{
	struct control *control = client->control;
	unsigned targets = 0;

	for (size_t i = 0; i < sizeof(permits) / sizeof(permits[0]); i++)
		if (permits[i].op == msg->op)
			targets = permits[i].targets;
	if (targets == 0) {
		refuse(client, msg->id,
		       "the server knows no such request: is it older than this program? "
		       "Restart it after an upgrade");
		return;
	}
	if (client->ops == CONTROL_CLIENT_OPS_MAX) {
		refuse(client, msg->id, "too many requests at a time on one connection");
		return;
	}
	for (size_t i = 0; i < sizeof(control->ops) / sizeof(control->ops[0]); i++) {
		struct op *op = &control->ops[i];

		if (op->id != 0)
			continue;
		*op = (struct op){.id = ++control->next_id,
				  .client = client,
				  .client_id = msg->id,
				  .number = msg->op};
		client->ops++;
		start_op(op, msg, targets);
		return;
	}
	/* Clients that went away left theirs behind, unanswered. */
	refuse(client, msg->id, "too many requests are under way: try again in a moment");
}

static struct op *find_op(struct control *control, uint64_t id)
{
	for (size_t i = 0; id != 0 && i < sizeof(control->ops) / sizeof(control->ops[0]); i++)
		if (control->ops[i].id == id)
			return &control->ops[i];
	return NULL;
}

enum err control_answer(struct control *control, enum control_target from, uint16_t type,
			struct slice payload)
{
	struct msg_op_row row;
	struct msg_op_end end;
	struct op *op;
	enum err err;

	if (type == IPC_OP_ROW)
		err = ipc_decode(type, payload, &row);
	else if (type == IPC_OP_END)
		err = ipc_decode(type, payload, &end);
	else
		err = ERR_SYNTAX;
	if (err != ERR_OK)
		return err;
	op = find_op(control, type == IPC_OP_ROW ? row.id : end.id);
	if (op == NULL || !(op->waiting & (1u << from)))
		return ERR_SYNTAX;
	if (type == IPC_OP_ROW) {
		send_row(op, from, row.fields);
		return ERR_OK;
	}
	note_text(op, end.status != 0, end.text);
	op->waiting &= ~(1u << from);
	if (op->waiting == 0)
		end_op(op);
	return ERR_OK;
}

/* ---- clients ----------------------------------------------------------------------------- */

static void drop_client(struct client *client)
{
	struct control *control = client->control;

	/* What it asked goes on; the answers find nobody. */
	for (size_t i = 0; i < sizeof(control->ops) / sizeof(control->ops[0]); i++)
		if (control->ops[i].client == client)
			control->ops[i].client = NULL;
	channel_free(&client->channel);
	*client = (struct client){0};
}

static enum err client_message(void *arg, struct channel *channel, uint16_t type,
			       struct slice payload, int fd)
{
	struct msg_op msg;
	enum err err;

	(void)channel;
	(void)fd;
	if (type != IPC_OP)
		return ERR_SYNTAX;
	if ((err = ipc_decode(type, payload, &msg)) != ERR_OK)
		return err;
	ask(arg, &msg);
	return ERR_OK;
}

static void client_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_WARNING, "a client of the control socket was cut off: %s", why);
	drop_client(arg);
}

static const struct channel_handlers client_handlers = {.message = client_message,
							.ended = client_ended};

/* The client that has waited longest without asking anything goes. Its place; NULL: all ask. */
static struct client *drop_idle(struct control *control)
{
	struct client *idle = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->control != NULL && client->ops == 0 &&
		    (idle == NULL || client->since < idle->since))
			idle = client;
	}
	if (idle != NULL)
		drop_client(idle);
	return idle;
}

static struct client *free_place(struct control *control)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].control == NULL)
			return &control->clients[i];
	return drop_idle(control);
}

void control_add_client(struct control *control, int fd)
{
	struct client *client = free_place(control);

	if (client == NULL) {
		log_note(LOG_WARNING, "more than %d clients on the control socket",
			 CONTROL_CLIENTS_MAX);
		net_close(&fd);
		return;
	}
	client->control = control;
	client->since = ++control->next_client;
	client->channel = channel_new(control->loop, fd, "client", &client_handlers, client);
}

size_t control_client_count(const struct control *control)
{
	size_t count = 0;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		count += control->clients[i].control != NULL;
	return count;
}

/* The socket's mode keeps others out already; this holds if a folder's mode was changed. */
static bool may_ask(const struct control *control, int fd)
{
	uid_t uid;
	pid_t pid;

	if (net_peer_user(fd, &uid, &pid) != ERR_OK)
		return false;
	if (uid == 0 || uid == control->uid)
		return true;
	log_event(LOG_WARNING, "refused", LOG_TEXT("socket", "control"), LOG_NUMBER("uid", uid),
		  LOG_NUMBER("pid", pid),
		  LOG_TEXT("reason", "only root and the server's user may use it"));
	return false;
}

static void on_pause_over(void *arg)
{
	struct control *control = arg;

	if (control->open && control->watch != NULL)
		watch_set(control->watch, WATCH_READ);
}

/* Who waits stays there, and would wake us at once again: without a pause we would only spin. */
static void pause_accepting(struct control *control, enum err err)
{
	log_note(LOG_ERROR, "the control socket takes nobody for a second: %s",
		 err == ERR_FULL ? "no descriptors are left" : err_name(err));
	if (err == ERR_FULL)
		(void)drop_idle(control);
	watch_set(control->watch, 0);
	timer_set(control->pause, PAUSE_MS);
}

static void on_listener(void *arg, int events)
{
	struct control *control = arg;
	struct net_address peer;
	int fd;

	(void)events;
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		enum err err = net_accept(control->listener, &fd, &peer);

		if (err != ERR_OK && err != ERR_AGAIN)
			pause_accepting(control, err);
		if (err != ERR_OK)
			return;
		if (may_ask(control, fd))
			control_add_client(control, fd);
		else
			net_close(&fd);
	}
}

void control_listen(struct control *control, int fd)
{
	timer_stop(control->pause);
	watch_free(&control->watch);
	net_close(&control->listener);
	control->listener = fd;
	control->watch = watch_new(control->loop, fd, on_listener, control);
	if (control->open)
		watch_set(control->watch, WATCH_READ);
}

void control_open(struct control *control)
{
	control->open = true;
	if (control->watch != NULL)
		watch_set(control->watch, WATCH_READ);
}

/* ---- the processes ----------------------------------------------------------------------- */

static enum err peer_message(void *arg, struct channel *channel, uint16_t type,
			     struct slice payload, int fd)
{
	struct target *target = arg;

	(void)channel;
	(void)fd;
	return control_answer(target->control, target->number, type, payload);
}

static void peer_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct target *target = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "channel to %s ended: %s", target_names[target->number], why);
	channel_free(&target->channel);
	target_lost(target->control, target->number);
}

static const struct channel_handlers peer_handlers = {.message = peer_message, .ended = peer_ended};

void control_set_peer(struct control *control, enum control_target target, int fd)
{
	struct target *t = &control->targets[target];

	if (t->channel != NULL) {
		channel_free(&t->channel);
		target_lost(control, target);
	}
	t->channel = channel_new(control->loop, fd, target_names[target], &peer_handlers, t);
}

void control_set_master(struct control *control, struct channel *channel)
{
	control->targets[TARGET_MASTER].channel = channel;
}

struct control *control_new(struct loop *loop, uid_t uid)
{
	struct control *control = mem_alloc(sizeof(*control));

	control->loop = loop;
	control->uid = uid;
	control->listener = -1;
	control->pause = timer_new(loop, on_pause_over, control);
	for (unsigned t = 0; t < TARGET_COUNT; t++) {
		control->targets[t].control = control;
		control->targets[t].number = (enum control_target)t;
	}
	return control;
}

void control_free(struct control **control)
{
	struct control *c = *control;

	if (c == NULL)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].control != NULL)
			drop_client(&c->clients[i]);
	for (unsigned t = 0; t < TARGET_COUNT; t++)
		if (t != TARGET_MASTER)
			channel_free(&c->targets[t].channel);
	timer_free(&c->pause);
	watch_free(&c->watch);
	net_close(&c->listener);
	MEM_FREE(*control);
}
