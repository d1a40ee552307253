/* SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "delivery.h"
#include "envelope.h"
#include "etrn.h"
#include "grants.h"
#include "ipc/channel.h"
#include "keys.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"
#include "space.h"
#include "upload.h"
#include "writer.h"

enum {
	KEYS_FIRST = 16384,
	KEYS_MAX = 65536,
	RANGES_MAX = 8192,
	/* For so long after the start smtpd may ask what the queue before this one did not say. */
	ASK_MS = 60000,
	ENDED_MAX = 1000000,
	/* Questions of one smtpd that wait: it has one for each message that its clients wait for.
	 */
	ASKING_MAX = 16384,
	/* Of all of them: the pool's other jobs must always find room (queue_job). */
	ASKING_ALL_MAX = QUEUE_JOBS_MAX / 2,
	ETRN_UNABLE = 458,
};

struct range {
	uint64_t first, count;
};

struct front {
	struct intake *intake;
	struct front *next;
	struct channel *channel; /* NULL: gone */
	uint32_t refs;
	uint32_t asking; /* questions that wait */
	uint16_t index;
	uint32_t incarnation;
	struct range *ranges; /* upwards */
	size_t range_count, range_size;
	struct upload *uploads;
};

struct past {
	UT_hash_handle hh;
	uint64_t key;
};

struct intake {
	struct queue *queue;
	struct front *fronts;
	struct buf scratch;
	struct past *ended; /* until ask_until: keys that were stored, and went */
	int64_t ask_until;
	uint32_t asking; /* questions that wait, of all */
};

/* ---- lifetime ---------------------------------------------------------------------------- */
struct front *front_ref(struct front *front)
{
	front->refs++;
	return front;
}

void front_unref(struct front **front)
{
	if (*front != NULL && --(*front)->refs == 0) {
		mem_free((*front)->ranges);
		mem_free(*front);
	}
	*front = NULL;
}

struct queue *front_queue(const struct front *front)
{
	return front->intake->queue;
}

static void front_end(struct front *front)
{
	struct front **at = &front->intake->fronts;

	if (front->channel == NULL)
		return;
	while (*at != front)
		at = &(*at)->next;
	*at = front->next;
	uploads_abort(&front->uploads);
	channel_free(&front->channel);
	front_unref(&front);
}

/* ---- answers ----------------------------------------------------------------------------- */
void front_verdict(struct front *front, uint64_t key, enum ipc_verdict verdict, const char *text)
{
	const struct msg_submitted msg = {
		.key = key, .verdict = (uint8_t)verdict, .text = slice_str(text)};

	if (front->channel != NULL)
		(void)channel_send(front->channel, IPC_SUBMITTED, &msg);
}

void front_credit(struct front *front, uint32_t bytes, uint32_t messages)
{
	if (front->channel != NULL)
		channel_done(front->channel, bytes, messages);
}

static void announce(struct front *front)
{
	struct msg_accepting msg = space_accepting(front->intake->queue->space);

	(void)channel_send(front->channel, IPC_ACCEPTING, &msg);
}

void intake_announce(struct intake *intake)
{
	for (struct front *front = intake->fronts; front != NULL; front = front->next)
		announce(front);
}

/* ---- keys -------------------------------------------------------------------------------- */
static void give_keys(struct front *front, uint32_t count)
{
	struct msg_keys msg;

	msg.count = keys_take(front->intake->queue->keys, count, &msg.first);
	if (msg.count == 0 || channel_send(front->channel, IPC_KEYS, &msg) != ERR_OK)
		return;
	if (front->range_count == RANGES_MAX) /* so old that nobody can still have one of it */
		memmove(front->ranges, front->ranges + 1,
			--front->range_count * sizeof(*front->ranges));
	if (front->range_count == front->range_size) {
		front->range_size = front->range_size == 0 ? 16 : front->range_size * 2;
		front->ranges =
			mem_resize(front->ranges, front->range_size * sizeof(*front->ranges));
	}
	front->ranges[front->range_count++] = (struct range){msg.first, msg.count};
}

static bool owns_key(const struct front *front, uint64_t key)
{
	size_t low = 0, high = front->range_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct range *range = &front->ranges[middle];

		if (key < range->first)
			high = middle;
		else if (key - range->first >= range->count)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

/* ---- taking a message -------------------------------------------------------------------- */
enum ipc_verdict front_accept(struct front *front, const struct rec_submission *s,
			      struct slice body, struct queue_mail **mail_out)
{
	struct intake *intake = front->intake;
	struct queue *queue = intake->queue;
	struct msg_accepting accepting = space_accepting(queue->space);
	struct grant_view grant;
	struct queue_mail *mail;
	enum ipc_verdict verdict;
	int64_t now = os_wall_ms();

	if (!owns_key(front, s->key) || s->random.len != MSGID_RANDOM || s->recipients.count == 0)
		return IPC_BAD_MESSAGE;
	if (!accepting.ok)
		return accepting.code == 452 ? IPC_DISK_FULL : IPC_STORE_ERROR;
	verdict = grants_use(queue->grants, s->grant, front->index, front->incarnation,
			     s->mail.sender, s->recipients, &grant);
	if (verdict != IPC_STORED)
		return verdict;
	if (!envelope_make(&intake->scratch, queue_config(queue)->hostname, s, &grant, now)) {
		grants_give_back(queue->grants, s->grant, s->recipients.count);
		return IPC_BAD_MESSAGE;
	}
	mail = queue_mail_new(buf_data(&intake->scratch), body);
	mail->id.key = s->key;
	memcpy(mail->id.random, s->random.ptr, MSGID_RANDOM);
	mail->arrived = now;
	/* Its time begins when it may be tried (RFC 4865). */
	mail->expires = (s->mail.release_at > now ? s->mail.release_at : now) +
			(int64_t)queue_config(queue)->queue.expire;
	mail->size = body.len;
	mail->flags = s->mail.flags & ~(uint32_t)IPC_MAIL_BOUNCE; /* those are made here */
	mail->recipients = s->recipients.count;
	*mail_out = mail;
	return IPC_STORED;
}

struct put {
	struct front *front;
	struct queue_mail *mail;
	uint64_t grant;
	uint32_t credit;
};

static enum ipc_verdict verdict_of(enum err err)
{
	switch (err) {
	case ERR_OK:
		return IPC_STORED;
	case ERR_EXISTS:
	case ERR_RANGE:
		return IPC_BAD_MESSAGE;
	case ERR_NO_SPACE:
		return IPC_DISK_FULL;
	case ERR_TIMEOUT:
		return IPC_STORE_UNSURE;
	default:
		return IPC_STORE_ERROR;
	}
}

static void put_done(void *arg, enum err err)
{
	struct put *put = arg;
	struct queue *queue = front_queue(put->front);

	front_verdict(put->front, put->mail->id.key, verdict_of(err), "");
	front_credit(put->front, put->credit, put->credit != 0);
	if (err == ERR_OK)
		deliveries_fresh(queue->deliveries, put->mail);
	else
		grants_give_back(queue->grants, put->grant, put->mail->recipients);
	if (err == ERR_NO_SPACE)
		space_full(queue->space);
	queue_mail_unref(&put->mail);
	front_unref(&put->front);
	mem_free(put);
}

void front_put(struct front *front, struct queue_mail *mail, uint64_t grant, uint32_t credit)
{
	struct put *put = mem_alloc(sizeof(*put));

	*put = (struct put){
		.front = front_ref(front), .mail = mail, .grant = grant, .credit = credit};
	writer_put(front_queue(front)->writer, mail, put_done, put);
}

static enum err on_submit(struct front *front, struct slice payload)
{
	struct msg_submit msg;
	struct queue_mail *mail;
	enum ipc_verdict verdict;
	enum err err = ipc_decode(IPC_SUBMIT, payload, &msg);

	if (err != ERR_OK)
		return err;
	verdict = front_accept(front, &msg.submission, slice_of(msg.body.ptr, msg.body.len), &mail);
	if (verdict == IPC_STORED) {
		front_put(front, mail, msg.submission.grant, (uint32_t)payload.len);
	} else {
		front_verdict(front, msg.submission.key, verdict, "");
		front_credit(front, (uint32_t)payload.len, 1);
	}
	return ERR_OK;
}

/* ---- what became of it ------------------------------------------------------------------- */
struct asked {
	struct front *front;
	struct msgid id;
	bool known;
	enum err err;
};

static void ask_work(void *arg)
{
	struct asked *asked = arg;

	asked->err =
		queue_reader_known(front_queue(asked->front)->claims, &asked->id, &asked->known);
}

static void ask_done(void *arg)
{
	struct asked *asked = arg;
	struct intake *intake = asked->front->intake;
	struct msg_known msg = {.key = asked->id.key, .stored = asked->known};
	struct past *ended;

	HASH_FIND(hh, intake->ended, &asked->id.key, sizeof(asked->id.key), ended);
	if (ended != NULL)
		msg.stored = true; /* it was, and has been delivered since */
	if (asked->err == ERR_CORRUPT && ended == NULL)
		queue_damaged(intake->queue, "looking for a message");
	else if (asked->front->channel != NULL && (asked->err == ERR_OK || ended != NULL))
		(void)channel_send(asked->front->channel, IPC_KNOWN, &msg);
	asked->front->asking--;
	intake->asking--;
	front_unref(&asked->front);
	mem_free(asked);
}

static enum err on_ask(struct front *front, struct slice payload)
{
	struct msg_ask msg;
	struct asked *asked;
	enum err err = ipc_decode(IPC_ASK, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (msg.random.len != MSGID_RANDOM)
		return ERR_RANGE;
	if (front->asking == ASKING_MAX || front->intake->asking == ASKING_ALL_MAX)
		return ERR_FULL;
	front->asking++;
	front->intake->asking++;
	asked = mem_alloc(sizeof(*asked));
	asked->front = front_ref(front);
	asked->id.key = msg.key;
	memcpy(asked->id.random, msg.random.ptr, MSGID_RANDOM);
	queue_job(front_queue(front)->claim_pool, ask_work, ask_done, asked);
	return ERR_OK;
}

/* ---- ETRN -------------------------------------------------------------------------------- */
static enum err on_etrn(struct front *front, struct slice payload)
{
	struct msg_etrn msg;
	enum err err = ipc_decode(IPC_ETRN, payload, &msg);

	if (err != ERR_OK)
		return err;
	/* A client is answered before its domain's mail is through: these can pile up. */
	if (front->asking == ASKING_MAX || front->intake->asking == ASKING_ALL_MAX) {
		front_etrn_done(front, msg.session, ETRN_UNABLE, 0);
		return ERR_OK;
	}
	front->asking++;
	front->intake->asking++;
	err = etrn_start(front_queue(front), front, msg.session, msg.domain);
	if (err != ERR_OK) {
		front->asking--;
		front->intake->asking--;
	}
	return err;
}

void front_etrn_done(struct front *front, uint64_t session, uint16_t code, uint32_t recipients)
{
	const struct msg_etrn_done msg = {
		.session = session, .code = code, .recipients = recipients};

	if (front->channel != NULL)
		(void)channel_send(front->channel, IPC_ETRN_DONE, &msg);
}

void front_etrn_end(struct front **front)
{
	(*front)->asking--;
	(*front)->intake->asking--;
	front_unref(front);
}

static void forget_ended(struct intake *intake)
{
	struct past *ended, *next;

	HASH_ITER (hh, intake->ended, ended, next) {
		HASH_DEL(intake->ended, ended);
		mem_free(ended);
	}
}

void intake_ended(struct intake *intake, uint64_t key)
{
	struct past *ended;

	if (intake->ask_until == 0)
		return;
	if (loop_now(intake->queue->loop) > intake->ask_until) {
		forget_ended(intake);
		intake->ask_until = 0;
		return;
	}
	HASH_FIND(hh, intake->ended, &key, sizeof(key), ended);
	if (ended != NULL || HASH_COUNT(intake->ended) >= ENDED_MAX)
		return;
	ended = mem_alloc(sizeof(*ended));
	ended->key = key;
	HASH_ADD(hh, intake->ended, key, sizeof(ended->key), ended);
}

/* ---- the channel ------------------------------------------------------------------------- */
static enum err on_keys_wanted(struct front *front, struct slice payload)
{
	struct msg_keys_wanted msg;
	enum err err = ipc_decode(IPC_KEYS_WANTED, payload, &msg);

	if (err == ERR_OK)
		give_keys(front, msg.count < KEYS_FIRST ? KEYS_FIRST
				 : msg.count > KEYS_MAX ? KEYS_MAX
							: msg.count);
	return err;
}

static enum err on_open(struct front *front, struct slice payload)
{
	struct msg_submit_open msg;
	enum err err = ipc_decode(IPC_SUBMIT_OPEN, payload, &msg);

	if (err != ERR_OK)
		return err;
	front_credit(front, (uint32_t)payload.len, 1); /* the envelope is in memory, bounded */
	return upload_open(&front->uploads, front, &msg.submission);
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct front *front = arg;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_SUBMIT:
		return on_submit(front, payload);
	case IPC_SUBMIT_OPEN:
		return on_open(front, payload);
	case IPC_SUBMIT_CHUNK:
		return upload_chunk(front->uploads, front, payload);
	case IPC_SUBMIT_END:
		return upload_end(front->uploads, front, payload);
	case IPC_SUBMIT_ABORT:
		return upload_abort(front->uploads, front, payload);
	case IPC_KEYS_WANTED:
		return on_keys_wanted(front, payload);
	case IPC_ASK:
		return on_ask(front, payload);
	case IPC_ETRN:
		return on_etrn(front, payload);
	default:
		return ERR_SYNTAX;
	}
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct front *front = arg;

	(void)channel;
	struct queue *queue = front_queue(front);

	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel from smtpd %u is broken: %s", front->index, why);
	front_end(front);
	queue_stop_if_idle(queue);
}

void intake_connect(struct intake *intake, uint16_t index, uint32_t incarnation, int fd)
{
	static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};
	struct front *front, *next;
	char name[32];

	for (front = intake->fronts; front != NULL; front = next) {
		next = front->next;
		if (front->index == index)
			front_end(front);
	}
	front = mem_alloc(sizeof(*front));
	front->intake = intake;
	front->refs = 1;
	front->index = index;
	front->incarnation = incarnation;
	snprintf(name, sizeof(name), "smtpd-%u", index);
	front->channel = channel_new(intake->queue->loop, fd, name, &handlers, front);
	front->next = intake->fronts;
	intake->fronts = front;
	give_keys(front, KEYS_FIRST);
	announce(front);
}

struct intake *intake_new(struct queue *queue)
{
	struct intake *intake = mem_alloc(sizeof(*intake));

	intake->queue = queue;
	/* The first queue of a master's life has nobody before it that smtpd could ask about. */
	if (child_incarnation(queue->child) != 1)
		intake->ask_until = loop_now(queue->loop) + ASK_MS;
	buf_init(&intake->scratch, QUEUE_ENVELOPE_MAX);
	return intake;
}

void intake_free(struct intake **intake)
{
	if (*intake == NULL)
		return;
	while ((*intake)->fronts != NULL)
		front_end((*intake)->fronts);
	forget_ended(*intake);
	buf_release(&(*intake)->scratch);
	MEM_FREE(*intake);
}

size_t intake_count(const struct intake *intake)
{
	size_t count = 0;

	for (struct front *front = intake->fronts; front != NULL; front = front->next)
		count++;
	return count;
}

struct channel_stats intake_stats(const struct intake *intake)
{
	struct channel_stats sum = {0};

	for (struct front *front = intake->fronts; front != NULL; front = front->next) {
		struct channel_stats one = {0};

		if (front->channel != NULL)
			one = channel_stats(front->channel);
		sum.messages_sent += one.messages_sent;
		sum.writes += one.writes;
		sum.messages_received += one.messages_received;
		sum.reads += one.reads;
	}
	return sum;
}
