/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include "base/mem.h"
#include "delivery.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/worker.h"
#include "queue.h"

enum { WANTS_MAX = 64, WANT_MAX = 1024 * 1024 };

struct body_feed {
	struct {
		uint64_t offset;
		uint32_t length;
	} wants[WANTS_MAX]; /* in a ring */
	unsigned first, count;
	bool running;    /* a job reads */
	bool unsent;     /* data waits for credit */
	struct buf data; /* of the first want, at its offset; empty: it cannot be read */
};

/* Reads for one want. It does not hold the delivery: that may end meanwhile. */
struct job {
	struct queue *queue;
	uint64_t claim;
	struct queue_mail *mail, *loaded;
	uint64_t offset;
	size_t length;
	struct buf data;
	enum err err;
};

void feed_free(struct body_feed **feed)
{
	if (*feed == NULL)
		return;
	buf_release(&(*feed)->data);
	MEM_FREE(*feed);
}

static void go_on(struct delivery *delivery);

static void work(void *arg)
{
	struct job *job = arg;

	if (job->mail->in_file)
		job->err = queue_body_read(job->queue->folder, job->mail, job->offset, job->length,
					   &job->data);
	else
		job->err = queue_reader_mail(job->queue->claims, job->mail->id.key, &job->loaded);
}

static void unreadable(struct job *job)
{
	char id[MSGID_TEXT_MAX + 1];

	msgid_print(&job->mail->id, id);
	log_event(LOG_ERROR, "note", LOG_TEXT("id", id), LOG_TEXT("reason", err_name(job->err)),
		  LOG_TEXT("text", "the body of a message cannot be read"));
	buf_clear(&job->data);
}

static void done(void *arg)
{
	struct job *job = arg;
	struct delivery *delivery = deliveries_claim(job->queue->deliveries, job->claim);

	if (job->err == ERR_CORRUPT && !job->mail->in_file)
		queue_damaged(job->queue, "reading a body");
	if (job->err != ERR_OK)
		unreadable(job);
	if (delivery != NULL && delivery->feed != NULL && delivery->feed->running) {
		delivery->feed->running = false;
		if (job->err == ERR_OK && !job->mail->in_file) {
			/* From now on it is in memory. */
			deliveries_count_memory(job->queue->deliveries,
						(int64_t)job->loaded->body_len -
							(int64_t)delivery->mail->body_len);
			queue_mail_unref(&delivery->mail);
			delivery->mail = job->loaded;
			job->loaded = NULL;
		} else {
			buf_release(&delivery->feed->data);
			delivery->feed->data = job->data;
			buf_init(&job->data, 0);
			delivery->feed->unsent = true;
		}
		go_on(delivery);
	}
	queue_mail_unref(&job->mail);
	queue_mail_unref(&job->loaded);
	buf_release(&job->data);
	mem_free(job);
}

static void read_first(struct delivery *delivery)
{
	struct body_feed *feed = delivery->feed;
	struct job *job = mem_alloc(sizeof(*job));

	job->queue = delivery->queue;
	job->claim = delivery->claim;
	job->mail = queue_mail_ref(delivery->mail);
	job->offset = feed->wants[feed->first].offset;
	job->length = feed->wants[feed->first].length < IPC_CHUNK ? feed->wants[feed->first].length
								  : IPC_CHUNK;
	buf_init(&job->data, IPC_CHUNK);
	feed->running = true;
	queue_job(delivery->mail->in_file ? delivery->queue->body_pool
					  : delivery->queue->claim_pool,
		  work, done, job);
}

/* Sends data of the first want; false: no credit. */
static bool send_part(struct delivery *delivery, struct slice data)
{
	struct body_feed *feed = delivery->feed;
	struct channel *relay = deliveries_relay(delivery->queue->deliveries);
	const struct msg_body msg = {
		.claim = delivery->claim, .offset = feed->wants[feed->first].offset, .data = data};

	if (relay == NULL || channel_send(relay, IPC_BODY, &msg) == ERR_FULL)
		return false;
	feed->wants[feed->first].offset += data.len;
	feed->wants[feed->first].length -= (uint32_t)data.len;
	if (data.len == 0 || feed->wants[feed->first].length == 0) {
		feed->first = (feed->first + 1) % WANTS_MAX;
		feed->count--;
	}
	return true;
}

static void go_on(struct delivery *delivery)
{
	struct body_feed *feed = delivery->feed;
	const struct queue_mail *mail;

	while (feed->count != 0 && !feed->running) {
		uint64_t offset = feed->wants[feed->first].offset;
		uint32_t length = feed->wants[feed->first].length;

		mail = delivery->mail;
		if (feed->unsent) {
			if (!send_part(delivery, buf_data(&feed->data)))
				return;
			feed->unsent = false;
			buf_clear(&feed->data);
		} else if (offset >= mail->size || length == 0) {
			if (!send_part(delivery, slice_of("", 0)))
				return;
		} else if (!mail->in_file && mail->body != NULL) {
			struct slice part =
				slice_skip(slice_of(mail->body, mail->body_len), offset);

			part = slice_head(part, length);
			if (!send_part(delivery, slice_head(part, IPC_CHUNK)))
				return;
		} else {
			read_first(delivery);
		}
	}
}

enum err feed_want(struct deliveries *deliveries, struct slice payload)
{
	struct msg_body_want msg;
	struct delivery *delivery;
	struct body_feed *feed;
	unsigned at;
	enum err err = ipc_decode(IPC_BODY_WANT, payload, &msg);

	if (err != ERR_OK)
		return err;
	if ((delivery = deliveries_claim(deliveries, msg.claim)) == NULL) {
		/* Settled meanwhile (dropped by the operator, say): there is none for it. */
		const struct msg_body none = {
			.claim = msg.claim, .offset = msg.offset, .data = slice_of("", 0)};

		(void)channel_send(deliveries_relay(deliveries), IPC_BODY, &none);
		return ERR_OK;
	}
	if (delivery->feed == NULL) {
		delivery->feed = mem_alloc(sizeof(*feed));
		buf_init(&delivery->feed->data, IPC_CHUNK);
	}
	feed = delivery->feed;
	if (feed->count == WANTS_MAX)
		return ERR_FULL;
	at = (feed->first + feed->count++) % WANTS_MAX;
	feed->wants[at].offset = msg.offset;
	feed->wants[at].length = msg.length < WANT_MAX ? msg.length : WANT_MAX;
	go_on(delivery);
	return ERR_OK;
}

void feed_room(struct delivery *delivery)
{
	go_on(delivery);
}
