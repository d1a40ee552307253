/* SPDX-License-Identifier: Apache-2.0 */
#include "deadline.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "delivery.h"
#include "ended.h"
#include "notice.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"
#include "settle.h"
#include "writer.h"

enum {
	BATCH = 256,   /* messages at a time, */
	PLACES = 4096, /* no more once they have so many recipients; each place fails by a report */
	LOOK_MAX_MS = 60000, /* a clock that jumps is looked at again within a minute */
	AGAIN_MS = 1000,     /* what is being settled or under way is looked at again after */
	FAILED_MS = 60000,   /* the store could not be read */
};

struct deadlines {
	struct queue *queue;
	struct timer *timer;
	int64_t next;
	struct queue_deadline after; /* the next look goes on behind it; key 0: from the start */
	unsigned told;               /* notices whose marks are not on disk yet */
	bool busy;
};

struct place {
	int64_t destination;
	uint64_t key;
};

/* One look: on the operators' thread, then on the loop's. */
struct look {
	struct deadlines *deadlines;
	int64_t now, next;
	struct queue_deadline after;
	uint64_t ended; /* before it was read */
	bool telling;   /* marks of the look before are on their way to the disk */
	struct queue_deadline due[BATCH];
	struct queue_mail *mails[BATCH]; /* with their bodies, once; NULL: gone, or damaged */
	bool open[BATCH];                /* not over yet */
	size_t count;
	struct place *places;
	size_t place_count;
	struct queue_load *loads;
	size_t load_count;
	enum err err;
};

static void arm(struct deadlines *deadlines)
{
	int64_t wait = deadlines->next - os_wall_ms();

	if (deadlines->busy || deadlines->next == QUEUE_NEVER)
		return;
	timer_set(deadlines->timer, wait < 0             ? 0
				    : wait > LOOK_MAX_MS ? LOOK_MAX_MS
							 : (uint64_t)wait);
}

/* ---- reading ----------------------------------------------------------------------------- */
static int compare(const void *a, const void *b)
{
	const struct place *first = a, *second = b;

	if (first->destination != second->destination)
		return first->destination < second->destination ? -1 : 1;
	return first->key < second->key ? -1 : first->key > second->key;
}

/* Where the message's recipients are. */
static enum err find_places(struct look *look, struct queue_reader *reader, size_t at)
{
	uint64_t key = look->due[at].key;
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	enum err err = queue_reader_mail(reader, key, &look->mails[at]);

	if (err != ERR_OK)
		return err == ERR_NOT_FOUND ? ERR_OK : err; /* it was delivered, or is damaged */
	err = queue_envelope_read(
		slice_of(look->mails[at]->envelope, look->mails[at]->envelope_len), &envelope);
	if (err == ERR_OK)
		look->places = mem_resize(look->places, (look->place_count + envelope.count) *
								sizeof(*look->places));
	while (err == ERR_OK && queue_envelope_next(&envelope.recipients, &recipient))
		look->places[look->place_count++] = (struct place){recipient.destination, key};
	return err;
}

/* The envelope of a message to hundreds of domains was read for each: one of them is kept. */
static void share_mail(struct look *look, struct queue_loaded *loaded)
{
	for (size_t i = 0; i < look->count && loaded->mail != NULL; i++) {
		if (look->mails[i] == NULL || look->mails[i]->id.key != loaded->mail->id.key)
			continue;
		queue_mail_unref(&loaded->mail);
		loaded->mail = queue_mail_ref(look->mails[i]);
		return;
	}
}

static enum err load_places(struct look *look, struct queue_reader *reader)
{
	uint64_t keys[BATCH];
	enum err err = ERR_OK;

	qsort(look->places, look->place_count, sizeof(*look->places), compare);
	look->loads = mem_array(look->place_count, sizeof(*look->loads));
	for (size_t i = 0; i < look->place_count && err == ERR_OK;) {
		int64_t destination = look->places[i].destination;
		struct queue_load *load = &look->loads[look->load_count++];
		size_t count = 0;

		for (; i < look->place_count && look->places[i].destination == destination; i++) {
			if (count == 0 || keys[count - 1] != look->places[i].key)
				keys[count++] = look->places[i].key;
		}
		*load = (struct queue_load){.destination = destination,
					    .keys = keys,
					    .key_count = count,
					    .limit = count};
		err = queue_reader_load(reader, load);
		load->keys = NULL; /* they were for the question only */
		for (size_t j = 0; j < load->count; j++)
			share_mail(look, &load->loaded[j]);
	}
	return err;
}

static void work(void *arg)
{
	struct look *look = arg;
	struct queue_reader *reader = look->deadlines->queue->views;

	look->err = queue_reader_deadlines(reader, look->after, look->now, BATCH, look->due,
					   &look->count, &look->next);
	for (size_t i = 0; i < look->count && look->err == ERR_OK; i++) {
		if (look->place_count >= PLACES) { /* the rest when these have been dealt with */
			look->next = look->due[i].at;
			look->count = i;
			break;
		}
		look->err = find_places(look, reader, i);
	}
	if (look->err == ERR_OK && look->place_count != 0)
		look->err = load_places(look, reader);
}

/* ---- deciding ---------------------------------------------------------------------------- */
static void stays_open(struct look *look, uint64_t key)
{
	for (size_t i = 0; i < look->count; i++)
		look->open[i] = look->open[i] || look->due[i].key == key;
}

/* The rows at one destination; NULL: nothing of it is to fail now. */
static struct delivery *seize(struct look *look, struct queue_loaded *loaded)
{
	struct queue *queue = look->deadlines->queue;
	struct delivery *delivery;
	size_t kept = 0;

	for (size_t i = 0; i < loaded->row_count; i++) {
		if (loaded->rows[i].state != QUEUE_HELD) /* the operator has the last word */
			loaded->rows[kept++] = loaded->rows[i];
	}
	loaded->row_count = kept;
	if (kept == 0)
		return NULL;
	stays_open(look, loaded->rows[0].key);
	delivery = delivery_of(queue, loaded);
	if (!dispatch_seize(deliveries_dispatch(queue->deliveries), delivery->destination,
			    delivery->mail->id.key, delivery)) {
		delivery_free(delivery);
		return NULL;
	}
	delivery->in_dispatch = true;
	return delivery;
}

/* Mode R: they fail, in one report, unless relay has them: then their result decides. */
static void give_up(struct look *look, uint64_t key)
{
	struct delivery **seized = mem_array(look->load_count, sizeof(struct delivery *));
	size_t count = 0;

	for (size_t i = 0; i < look->load_count; i++) {
		for (size_t j = 0; j < look->loads[i].count; j++) {
			struct queue_loaded *loaded = &look->loads[i].loaded[j];
			struct delivery *delivery = NULL;

			if (loaded->mail != NULL && loaded->row_count != 0 &&
			    loaded->mail->id.key == key)
				delivery = seize(look, loaded);
			if (delivery != NULL)
				seized[count++] = delivery;
		}
	}
	settle_over(seized, count, REPORT_LATE);
	mem_free(seized);
}

/* Mode N: the rows of all destinations of the message in one report. */
static void tell(struct look *look, uint64_t key)
{
	struct notice_item *items = NULL;
	struct queue_mail *mail = NULL;
	size_t count = 0;

	for (size_t i = 0; i < look->load_count; i++) {
		for (size_t j = 0; j < look->loads[i].count; j++) {
			struct queue_loaded *loaded = &look->loads[i].loaded[j];

			if (loaded->mail == NULL || loaded->mail->id.key != key)
				continue;
			mail = loaded->mail;
			items = mem_resize(items, (count + loaded->row_count) * sizeof(*items));
			for (size_t k = 0; k < loaded->row_count; k++) {
				const struct queue_row *row = &loaded->rows[k];

				if (row->state == QUEUE_HELD ||
				    (row->notice & QUEUE_NOTICE_BY) != 0)
					continue;
				items[count++] = (struct notice_item){.row = *row};
			}
		}
	}
	if (count != 0) {
		stays_open(look, key);
		/* What this look read may be of before the marks: it would tell them twice. */
		if (!look->telling)
			notice_send(look->deadlines->queue, mail, items, count, QUEUE_NOTICE_BY,
				    REPORT_LATE, look->ended, &look->deadlines->told);
	}
	mem_free(items);
}

static void decide(struct look *look)
{
	struct queue_envelope envelope;

	for (size_t i = 0; i < look->count; i++) {
		const struct queue_mail *mail = look->mails[i];

		if (mail == NULL || look->open[i] ||
		    queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope) !=
			    ERR_OK)
			continue;
		if (envelope.by_mode == QUEUE_BY_RETURN)
			give_up(look, look->due[i].key);
		else
			tell(look, look->due[i].key);
	}
}

static void finish(struct look *look)
{
	struct deadlines *deadlines = look->deadlines;
	bool open = false;

	for (size_t i = 0; i < look->count; i++) {
		open = open || look->open[i];
		if (!look->open[i])
			writer_deadline(deadlines->queue->writer, &look->due[i]);
	}
	/* What is not over yet holds up nobody behind it: when all were looked at it begins anew.
	 */
	deadlines->after = look->count != 0 && look->next <= look->now ? look->due[look->count - 1]
								       : (struct queue_deadline){0};
	if (look->next < deadlines->next)
		deadlines->next = look->next;
	/* Those that are over are still there until the commit. */
	if (((open || look->after.key != 0) && look->now + AGAIN_MS < deadlines->next) ||
	    (look->count != 0 && deadlines->next <= look->now))
		deadlines->next = look->now + AGAIN_MS;
}

static void done(void *arg)
{
	struct look *look = arg;
	struct deadlines *deadlines = look->deadlines;

	if (look->err == ERR_CORRUPT) {
		queue_damaged(deadlines->queue, "looking for times to deliver by");
	} else if (look->err != ERR_OK) {
		log_note(LOG_ERROR, "times to deliver by cannot be read (%s)", err_name(look->err));
		deadlines->next = look->now + FAILED_MS;
	} else {
		decide(look);
		finish(look);
	}
	for (size_t i = 0; i < look->load_count; i++)
		queue_load_release(&look->loads[i]);
	for (size_t i = 0; i < BATCH; i++)
		queue_mail_unref(&look->mails[i]);
	mem_free(look->loads);
	mem_free(look->places);
	mem_free(look);
	deadlines->busy = false;
	deliveries_poke(deadlines->queue->deliveries);
	arm(deadlines);
}

static void on_timer(void *arg)
{
	struct deadlines *deadlines = arg;
	struct look *look;

	if (deadlines->queue->broken || deadlines->queue->stopping)
		return;
	if (os_wall_ms() < deadlines->next) {
		arm(deadlines);
		return;
	}
	look = mem_alloc(sizeof(*look));
	look->deadlines = deadlines;
	look->now = os_wall_ms();
	look->after = deadlines->after;
	look->telling = deadlines->told != 0;
	look->ended = ended_count(deadlines->queue->lately);
	deadlines->busy = true;
	deadlines->next = QUEUE_NEVER;
	queue_job(deadlines->queue->operator_pool, work, done, look);
}

/* ---- life -------------------------------------------------------------------------------- */
void deadlines_note(struct deadlines *deadlines, int64_t at)
{
	if (at >= deadlines->next)
		return;
	deadlines->next = at;
	arm(deadlines);
}

enum err deadlines_open(struct deadlines *deadlines)
{
	struct queue_deadline none[1];
	size_t count;
	int64_t next;
	enum err err = queue_reader_deadlines(deadlines->queue->views, (struct queue_deadline){0},
					      0, 0, none, &count, &next);

	if (err == ERR_OK)
		deadlines_note(deadlines, next);
	return err;
}

struct deadlines *deadlines_new(struct queue *queue)
{
	struct deadlines *deadlines = mem_alloc(sizeof(*deadlines));

	deadlines->queue = queue;
	deadlines->next = QUEUE_NEVER;
	deadlines->timer = timer_new(queue->loop, on_timer, deadlines);
	return deadlines;
}

void deadlines_free(struct deadlines **deadlines)
{
	if (*deadlines == NULL)
		return;
	timer_free(&(*deadlines)->timer);
	MEM_FREE(*deadlines);
}
