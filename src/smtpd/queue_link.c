/* SPDX-License-Identifier: Apache-2.0 */
#include "queue_link.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "etrn.h"
#include "ipc/channel.h"
#include "keys.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "session.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "transaction.h"

enum {
	KEYS_LOW = 256, /* more are asked for below this */
	KEYS_MORE = 1024,
	HOLD_TIME = 10000,    /* ms */
	ABORTS_MAX = 1 << 20, /* bytes; a session has one message at a time */
	OVERHEAD = 4096, /* of a message between processes beyond its lists and bytes, generously */
};

struct queue_link {
	struct smtpd *smtpd;
	struct channel *channel; /* NULL: queue is not there */
	uint32_t incarnation;
	uint32_t synced; /* incarnation that has our grants */
	bool any_before; /* this is not the first queue of our life */
	bool told;       /* ACCEPTING came from this queue */
	bool accepting;
	unsigned code;
	char status[17];
	char text[513];
	uint64_t largest; /* 0: it did not say */
	struct keys keys;
	bool keys_asked;
	struct transaction *known; /* by key: streamed, sent, held */
	struct session *stalled;
	struct buf aborts;  /* keys of messages given up that queue is still to be told of */
	struct timer *hold; /* runs while there are held ones and no answer */
};

static bool has_grants(const struct queue_link *link)
{
	return !link->any_before || link->synced == link->incarnation;
}

struct channel *queue_link_channel(const struct queue_link *link)
{
	return link->channel;
}

bool queue_link_ready(const struct queue_link *link)
{
	return link->channel != NULL && link->told && link->keys.left > 0;
}

bool queue_link_takes(const struct queue_link *link, uint64_t size,
		      struct queue_refusal *refusal_out)
{
	if (!queue_link_ready(link) || !has_grants(link)) {
		*refusal_out = (struct queue_refusal){
			451, "4.3.0", "The queue is starting; try again in a moment"};
		return false;
	}
	if (!link->accepting) {
		*refusal_out = (struct queue_refusal){link->code, link->status, link->text};
		return false;
	}
	if (link->largest != 0 && size > link->largest) {
		*refusal_out = (struct queue_refusal){
			452, "4.3.1", "There is no room on disk for a message of this size now"};
		return false;
	}
	return true;
}

static void ask_for_keys(struct queue_link *link)
{
	const struct msg_keys_wanted msg = {.count = KEYS_MORE};

	if (link->keys_asked || link->keys.left >= KEYS_LOW || link->channel == NULL)
		return;
	if (channel_send(link->channel, IPC_KEYS_WANTED, &msg) == ERR_OK)
		link->keys_asked = true;
}

enum err queue_link_name(struct queue_link *link, struct transaction *transaction)
{
	if (link->channel == NULL || !keys_take(&link->keys, &transaction->id.key)) {
		ask_for_keys(link);
		return ERR_AGAIN;
	}
	os_random(transaction->id.random, sizeof(transaction->id.random));
	transaction->incarnation = link->incarnation;
	ask_for_keys(link);
	return ERR_OK;
}

static bool is_ours(const struct queue_link *link, const struct transaction *transaction)
{
	return link->channel != NULL && transaction->incarnation == link->incarnation;
}

static void know(struct queue_link *link, struct transaction *transaction)
{
	HASH_ADD(hh, link->known, id.key, sizeof(transaction->id.key), transaction);
}

static void forget(struct queue_link *link, struct transaction *transaction)
{
	HASH_DELETE(hh, link->known, transaction);
	transaction->opened = false; /* nothing of it is left to be aborted */
}

static struct transaction *find(const struct queue_link *link, uint64_t key)
{
	struct transaction *transaction;

	HASH_FIND(hh, link->known, &key, sizeof(key), transaction);
	return transaction;
}

static size_t envelope_size(const struct transaction *transaction)
{
	return OVERHEAD + buf_len(&transaction->recipients.bytes);
}

static struct slice random_of(const struct transaction *transaction)
{
	return slice_of(transaction->id.random, sizeof(transaction->id.random));
}

/* What queue is told of a message before its body. */
static struct rec_submission submission_of(const struct transaction *transaction)
{
	const struct smtp_mail_terms *terms = &transaction->terms;

	return (struct rec_submission){
		.key = transaction->id.key,
		.random = random_of(transaction),
		.grant = transaction->grant,
		.log_id = slice_str(transaction->accepted->log_id),
		.mail =
			{
				.sender = slice_str(transaction->sender),
				.flags = transaction->flags,
				.envid = terms->envid,
				.ret = (uint8_t)terms->ret,
				.auth = terms->auth,
				.release_at = transaction->release_at,
				.deliver_by = transaction->deliver_by,
				.by_mode = (uint8_t)terms->by,
				.by_trace = terms->by_trace,
				.priority =
					(uint8_t)(terms->has_priority ? terms->priority + 10 : 0),
			},
		.recipients = ipc_list_view(&transaction->recipients),
	};
}

static enum err send_open(struct queue_link *link, struct transaction *transaction)
{
	const struct msg_submit_open msg = {
		.submission = submission_of(transaction),
		.size_hint = transaction->size_hint,
	};
	enum err err = channel_send(link->channel, IPC_SUBMIT_OPEN, &msg);

	if (err != ERR_OK)
		return err;
	transaction->opened = true;
	know(link, transaction);
	return ERR_OK;
}

enum err queue_link_chunk(struct queue_link *link, struct transaction *transaction)
{
	struct msg_submit_chunk msg = {.key = transaction->id.key,
				       .data = buf_data(&transaction->chunk)};
	enum err err;

	if (!is_ours(link, transaction))
		return ERR_EOF;
	if (!transaction->opened) {
		if (!channel_can_send(link->channel, envelope_size(transaction)))
			return ERR_FULL;
		err = send_open(link, transaction);
		if (err != ERR_OK)
			return err;
	}
	err = channel_send(link->channel, IPC_SUBMIT_CHUNK, &msg);
	if (err == ERR_OK)
		buf_clear(&transaction->chunk);
	return err;
}

static enum err send_whole(struct queue_link *link, struct transaction *transaction)
{
	const struct msg_submit msg = {
		.submission = submission_of(transaction),
		.body = buf_data(&transaction->chunk),
	};
	enum err err = channel_send(link->channel, IPC_SUBMIT, &msg);

	if (err == ERR_OK)
		know(link, transaction);
	return err;
}

enum err queue_link_end(struct queue_link *link, struct transaction *transaction)
{
	struct msg_submit_end msg = {
		.key = transaction->id.key,
		.size = transaction->size,
		.flags = transaction->flags,
	};
	enum err err = ERR_OK;

	if (!is_ours(link, transaction))
		return ERR_EOF;
	if (!transaction->opened)
		return send_whole(link, transaction);
	if (buf_len(&transaction->chunk) > 0)
		err = queue_link_chunk(link, transaction);
	if (err == ERR_OK)
		err = channel_send(link->channel, IPC_SUBMIT_END, &msg);
	return err;
}

/* They need credit like all that is in order with bodies. */
static void send_aborts(struct queue_link *link)
{
	struct msg_submit_abort msg;

	while (buf_len(&link->aborts) > 0) {
		memcpy(&msg.key, buf_data(&link->aborts).ptr, sizeof(msg.key));
		if (channel_send(link->channel, IPC_SUBMIT_ABORT, &msg) != ERR_OK)
			return;
		buf_consume(&link->aborts, sizeof(msg.key));
	}
}

void queue_link_abort(struct queue_link *link, struct transaction *transaction)
{
	const struct msg_submit_abort msg = {.key = transaction->id.key};

	if (!transaction->opened)
		return;
	forget(link, transaction);
	if (!is_ours(link, transaction))
		return;
	if (buf_append(&link->aborts, &msg.key, sizeof(msg.key)) == ERR_OK)
		send_aborts(link);
}

void queue_link_stall(struct queue_link *link, struct session *session)
{
	if (session->stalled)
		return;
	session->stalled = true;
	DL_APPEND2(link->stalled, session, stall_prev, stall_next);
}

void queue_link_unstall(struct queue_link *link, struct session *session)
{
	if (!session->stalled)
		return;
	session->stalled = false;
	DL_DELETE2(link->stalled, session, stall_prev, stall_next);
}

uint32_t queue_link_waiting(const struct queue_link *link)
{
	struct transaction *transaction;
	struct transaction *after;
	uint32_t count = 0;

	HASH_ITER (hh, link->known, transaction, after) {
		if (transaction->session != NULL)
			count++;
	}
	return count;
}

/* First come, first served; whoever stalls again goes to the end, so each is tried once. */
static void go_on_all(struct queue_link *link)
{
	struct session *session;
	struct session *last = link->stalled != NULL ? link->stalled->stall_prev : NULL;

	while ((session = link->stalled) != NULL) {
		queue_link_unstall(link, session);
		transaction_go_on(session);
		if (session == last)
			break;
	}
}

static void on_keys(struct queue_link *link, const struct msg_keys *msg)
{
	link->keys_asked = false;
	keys_add(&link->keys, msg->first, msg->count);
	smtpd_update(link->smtpd);
}

static void on_accepting(struct queue_link *link, const struct msg_accepting *msg)
{
	link->told = true;
	link->accepting = msg->ok;
	link->largest = msg->largest;
	link->code = msg->code >= 400 && msg->code <= 599 ? msg->code : 452;
	(void)slice_copy(msg->status, link->status, sizeof(link->status));
	(void)slice_copy(msg->text, link->text, sizeof(link->text));
	smtpd_update(link->smtpd);
}

static enum err on_submitted(struct queue_link *link, const struct msg_submitted *msg)
{
	struct transaction *transaction = find(link, msg->key);

	/* It may have been aborted when the answer was on its way. */
	if (transaction == NULL)
		return ERR_OK;
	forget(link, transaction);
	if (transaction->state == TRANSACTION_SENT) {
		transaction_answered(transaction, msg->verdict, msg->text);
		return ERR_OK;
	}
	/* Refused before its end came: the rest is read and thrown away. */
	if (msg->verdict == IPC_STORED)
		return ERR_SYNTAX;
	transaction_answered(transaction, msg->verdict, msg->text);
	return ERR_OK;
}

static bool any_held(const struct queue_link *link)
{
	struct transaction *transaction;
	struct transaction *after;

	HASH_ITER (hh, link->known, transaction, after) {
		if (transaction->state == TRANSACTION_HELD)
			return true;
	}
	return false;
}

static enum err on_known(struct queue_link *link, const struct msg_known *msg)
{
	struct transaction *transaction = find(link, msg->key);

	if (transaction == NULL || transaction->state != TRANSACTION_HELD)
		return ERR_OK;
	forget(link, transaction);
	transaction_answered(transaction, msg->stored ? IPC_STORED : IPC_STORE_ERROR,
			     SLICE_LIT(""));
	if (!any_held(link))
		timer_stop(link->hold);
	return ERR_OK;
}

static void ask(struct queue_link *link)
{
	struct transaction *transaction;
	struct transaction *after;

	HASH_ITER (hh, link->known, transaction, after) {
		const struct msg_ask msg = {.key = transaction->id.key,
					    .random = random_of(transaction)};

		if (transaction->state == TRANSACTION_HELD &&
		    channel_send(link->channel, IPC_ASK, &msg) != ERR_OK)
			return;
	}
}

static void hold_over(void *arg)
{
	struct queue_link *link = arg;
	struct transaction *transaction;
	struct transaction *after;

	HASH_ITER (hh, link->known, transaction, after) {
		if (transaction->state != TRANSACTION_HELD)
			continue;
		forget(link, transaction);
		transaction_answered(transaction, IPC_STORE_UNSURE,
				     SLICE_LIT("queue ended and nobody can say what it stored"));
	}
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct queue_link *link = arg;
	union {
		struct msg_keys keys;
		struct msg_accepting accepting;
		struct msg_submitted submitted;
		struct msg_known known;
		struct msg_etrn_done etrn_done;
	} msg;
	enum err err;

	(void)channel;
	(void)fd;
	if (type != IPC_KEYS && type != IPC_ACCEPTING && type != IPC_SUBMITTED &&
	    type != IPC_KNOWN && type != IPC_ETRN_DONE)
		return ERR_SYNTAX;
	err = ipc_decode(type, payload, &msg);
	if (err != ERR_OK)
		return err;
	if (type == IPC_KEYS)
		on_keys(link, &msg.keys);
	else if (type == IPC_ACCEPTING)
		on_accepting(link, &msg.accepting);
	else if (type == IPC_SUBMITTED)
		err = on_submitted(link, &msg.submitted);
	else if (type == IPC_ETRN_DONE)
		etrn_done(link->smtpd, &msg.etrn_done);
	else
		err = on_known(link, &msg.known);
	return err;
}

static void on_room(void *arg, struct channel *channel)
{
	(void)channel;
	send_aborts(arg);
	go_on_all(arg);
}

/* One that queue had: whole, it is held; in part, it is lost and refused at its end. */
static void orphan(struct queue_link *link, struct transaction *transaction)
{
	if (transaction->state == TRANSACTION_HELD)
		return; /* of a queue before */
	if (transaction->state == TRANSACTION_SENT && transaction->session != NULL) {
		transaction->state = TRANSACTION_HELD;
		return;
	}
	forget(link, transaction);
	if (transaction->state == TRANSACTION_SENT) {
		transaction_free(&transaction);
		return;
	}
	transaction_spoil(transaction, 451, "4.3.0", "The queue was started anew; send it again",
			  "the queue process ended");
}

static void gone(struct queue_link *link)
{
	struct transaction *transaction;
	struct transaction *after;
	bool was_holding = any_held(link);

	channel_free(&link->channel);
	link->any_before = true;
	link->told = false;
	keys_clear(&link->keys);
	link->keys_asked = false;
	buf_release(&link->aborts);
	HASH_ITER (hh, link->known, transaction, after)
		orphan(link, transaction);
	etrn_forget_all(link->smtpd);
	if (!was_holding && any_held(link))
		timer_set(link->hold, HOLD_TIME);
	go_on_all(link); /* no credit will come: they find out */
	smtpd_update(link->smtpd);
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct queue_link *link = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "queue sent what it must not: %s", why);
	gone(link);
}

static const struct channel_handlers handlers = {
	.message = on_message, .room = on_room, .ended = on_ended};

struct queue_link *queue_link_new(struct smtpd *smtpd)
{
	struct queue_link *link = mem_alloc(sizeof(*link));

	link->smtpd = smtpd;
	link->hold = timer_new(smtpd->loop, hold_over, link);
	buf_init(&link->aborts, ABORTS_MAX);
	return link;
}

void queue_link_free(struct queue_link **link)
{
	struct transaction *transaction;
	struct transaction *after;

	if (*link == NULL)
		return;
	/* Sessions have ended before; what is left belongs to none. */
	HASH_ITER (hh, (*link)->known, transaction, after) {
		forget(*link, transaction);
		transaction_free(&transaction);
	}
	channel_free(&(*link)->channel);
	buf_release(&(*link)->aborts);
	timer_free(&(*link)->hold);
	MEM_FREE(*link);
}

void queue_link_peer(struct queue_link *link, int fd, uint32_t incarnation)
{
	if (link->channel != NULL)
		gone(link);
	link->incarnation = incarnation;
	link->channel = channel_new(link->smtpd->loop, fd, "queue", &handlers, link);
	ask(link);
}

void queue_link_synced(struct queue_link *link, uint32_t incarnation)
{
	link->synced = incarnation;
	smtpd_update(link->smtpd);
}
