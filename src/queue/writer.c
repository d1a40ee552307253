/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "intake.h"
#include "keys.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"

enum {
	RESULTS_WAIT_MS = 5,
	RETRY_MS = 200,              /* after a commit that failed */
	OVERWRITE_TRIES = 30,        /* of an unsure commit, */
	OVERWRITE_PAUSE_US = 100000, /* 3 seconds in all: smtpd holds its sessions for 10 */
};

struct put_note {
	writer_fn *fn;
	void *arg;
	bool own;
};
struct after {
	writer_fn *fn;
	void *arg;
};

/* What one commit consists of; arrays that grow and are used again. */
struct gathered {
	struct queue_put *puts;
	struct put_note *put_notes;
	struct queue_change *changes;
	struct queue_destination *destinations;
	struct queue_aside *asides;
	struct queue_deadline *deadlines;
	struct after *afters;
	size_t put_count, change_count, destination_count, aside_count, after_count;
	size_t put_size, note_size, change_size, destination_size, aside_size, after_size;
	size_t deadline_count, deadline_size;
};

struct writer {
	struct queue *queue;
	struct hook *hook;
	struct timer *timer;
	struct gathered next, now; /* now: while running */
	struct queue_batch batch;
	enum err err;
	int64_t took_us;
	uint32_t average_us;
	bool running, hurry, waiting, failing;
	struct writer_totals totals;
};

/* Room for one more in an array of count things. */
static void *grow(void *array, size_t count, size_t *size, size_t item)
{
	if (count < *size)
		return array;
	*size = *size == 0 ? 64 : *size * 2;
	return mem_resize(array, *size * item);
}

#define APPEND(gathered, kind, item)                                                               \
	do {                                                                                       \
		(gathered)->kind##s =                                                              \
			grow((gathered)->kind##s, (gathered)->kind##_count,                        \
			     &(gathered)->kind##_size, sizeof(*(gathered)->kind##s));              \
		(gathered)->kind##s[(gathered)->kind##_count++] = (item);                          \
	} while (0)

static bool is_empty(const struct gathered *g)
{
	return g->put_count + g->change_count + g->destination_count + g->aside_count +
		       g->deadline_count + g->after_count ==
	       0;
}

static void clear(struct gathered *g)
{
	g->deadline_count = 0;
	g->put_count = g->change_count = g->destination_count = g->aside_count = g->after_count = 0;
}

static void release(struct gathered *g)
{
	mem_free(g->puts);
	mem_free(g->put_notes);
	mem_free(g->changes);
	mem_free(g->destinations);
	mem_free(g->asides);
	mem_free(g->deadlines);
	mem_free(g->afters);
	*g = (struct gathered){0};
}

/* ---- handing in -------------------------------------------------------------------------- */
static void add_put(struct gathered *g, struct queue_mail *mail, struct put_note note)
{
	g->put_notes = grow(g->put_notes, g->put_count, &g->note_size, sizeof(note));
	g->put_notes[g->put_count] = note;
	APPEND(g, put, ((struct queue_put){.mail = mail}));
}

void writer_put(struct writer *writer, struct queue_mail *mail, writer_fn *fn, void *arg)
{
	add_put(&writer->next, queue_mail_ref(mail), (struct put_note){.fn = fn, .arg = arg});
	writer_hurry(writer);
}

void writer_put_own(struct writer *writer, struct queue_mail *mail, writer_fn *fn, void *arg)
{
	add_put(&writer->next, queue_mail_ref(mail),
		(struct put_note){.fn = fn, .arg = arg, .own = true});
}

void writer_change(struct writer *writer, const struct queue_change *change)
{
	APPEND(&writer->next, change, *change);
}

void writer_destination(struct writer *writer, const struct queue_destination *destination)
{
	APPEND(&writer->next, destination, *destination);
}

void writer_aside(struct writer *writer, const struct queue_aside *aside)
{
	APPEND(&writer->next, aside, *aside);
}

void writer_deadline(struct writer *writer, const struct queue_deadline *deadline)
{
	APPEND(&writer->next, deadline, *deadline);
}

void writer_after(struct writer *writer, writer_fn *fn, void *arg)
{
	APPEND(&writer->next, after, ((struct after){.fn = fn, .arg = arg}));
}

void writer_hurry(struct writer *writer)
{
	writer->hurry = true;
}

/* ---- a commit ---------------------------------------------------------------------------- */
/*
 * Files of messages that are certainly not stored: nothing names them, and on a disk that is full
 * each try of a client would leave another.
 */
static void discard_bodies(const struct writer *writer)
{
	const struct gathered *g = &writer->now;

	if (writer->batch.unsure || writer->err == ERR_CORRUPT)
		return;
	for (size_t i = 0; i < g->put_count; i++) {
		bool stored = writer->err == ERR_OK && g->puts[i].err != ERR_RANGE;

		if (!stored && g->puts[i].mail->in_file && !g->put_notes[i].own)
			queue_body_discard(writer->queue->folder, g->puts[i].mail->id.key);
	}
}

static void work(void *arg)
{
	struct writer *writer = arg;
	int64_t start = os_monotonic_us();

	writer->err = queue_writer_commit(writer->queue->store, &writer->batch);
	/* Until something else stands in its place nobody can say that it is not there. */
	for (int i = 0; writer->batch.unsure && i < OVERWRITE_TRIES; i++) {
		if (queue_writer_overwrite(writer->queue->store) == ERR_OK)
			writer->batch.unsure = false;
		else
			usleep(OVERWRITE_PAUSE_US);
	}
	discard_bodies(writer);
	writer->took_us = os_monotonic_us() - start;
}

static void succeeded(struct writer *writer)
{
	struct gathered *g = &writer->now;

	if (writer->failing)
		log_note(LOG_INFO, "the queue can be written again");
	writer->failing = false;
	writer->totals.commits++;
	writer->totals.rows_ended += writer->batch.rows_ended;
	writer->average_us += (writer->took_us - (int64_t)writer->average_us) / 8;
	if (writer->batch.key_count != 0)
		keys_add(writer->queue->keys, writer->batch.first_key, writer->batch.key_count);
	writer->queue->recipients -= writer->batch.rows_ended < writer->queue->recipients
					     ? writer->batch.rows_ended
					     : writer->queue->recipients;
	for (size_t i = 0; i < writer->batch.ended_count; i++)
		intake_ended(writer->queue->intake, writer->batch.ended[i]);
	for (size_t i = 0; i < g->put_count; i++) {
		if (g->puts[i].err == ERR_OK) {
			writer->totals.messages++;
			writer->queue->recipients += g->puts[i].mail->recipients;
		}
		g->put_notes[i].fn(g->put_notes[i].arg, g->puts[i].err);
		queue_mail_unref(&g->puts[i].mail);
	}
	for (size_t i = 0; i < g->after_count; i++)
		g->afters[i].fn(g->afters[i].arg, ERR_OK);
	clear(g);
}

/* Clients are told; all else goes in front of what has gathered meanwhile. */
static void failed(struct writer *writer)
{
	struct gathered *g = &writer->now, newer = writer->next;
	enum err err = writer->batch.unsure ? ERR_TIMEOUT : writer->err;

	if (!writer->failing)
		log_note(LOG_ERROR, "the queue cannot be written (%s): mail is %s",
			 err_name(writer->err),
			 writer->batch.unsure ? "neither taken nor refused for certain"
					      : "refused until it can");
	writer->failing = true;
	writer->next = (struct gathered){0};
	for (size_t i = 0; i < g->put_count; i++) {
		if (g->put_notes[i].own) {
			add_put(&writer->next, g->puts[i].mail, g->put_notes[i]);
			continue;
		}
		g->put_notes[i].fn(g->put_notes[i].arg, err);
		queue_mail_unref(&g->puts[i].mail);
	}
	for (size_t i = 0; i < g->change_count; i++)
		APPEND(&writer->next, change, g->changes[i]);
	for (size_t i = 0; i < g->destination_count; i++)
		APPEND(&writer->next, destination, g->destinations[i]);
	for (size_t i = 0; i < g->aside_count; i++)
		APPEND(&writer->next, aside, g->asides[i]);
	for (size_t i = 0; i < g->deadline_count; i++)
		APPEND(&writer->next, deadline, g->deadlines[i]);
	for (size_t i = 0; i < g->after_count; i++)
		APPEND(&writer->next, after, g->afters[i]);
	for (size_t i = 0; i < newer.put_count; i++)
		add_put(&writer->next, newer.puts[i].mail, newer.put_notes[i]);
	for (size_t i = 0; i < newer.change_count; i++)
		APPEND(&writer->next, change, newer.changes[i]);
	for (size_t i = 0; i < newer.destination_count; i++)
		APPEND(&writer->next, destination, newer.destinations[i]);
	for (size_t i = 0; i < newer.aside_count; i++)
		APPEND(&writer->next, aside, newer.asides[i]);
	for (size_t i = 0; i < newer.deadline_count; i++)
		APPEND(&writer->next, deadline, newer.deadlines[i]);
	for (size_t i = 0; i < newer.after_count; i++)
		APPEND(&writer->next, after, newer.afters[i]);
	release(&newer);
	clear(g);
	writer->waiting = true;
	timer_set(writer->timer, RETRY_MS);
}

static void done(void *arg)
{
	struct writer *writer = arg;

	writer->running = false;
	if (writer->err == ERR_OK)
		succeeded(writer);
	else if (writer->err == ERR_CORRUPT)
		queue_damaged(writer->queue, "writing");
	else
		failed(writer);
	queue_batch_release(&writer->batch);
	queue_stop_if_idle(writer->queue);
}

static void start(struct writer *writer)
{
	struct gathered old = writer->now;

	timer_stop(writer->timer);
	writer->now = writer->next;
	writer->next = old; /* empty: its arrays are used again */
	writer->hurry = writer->waiting = false;
	writer->running = true;
	writer->batch = (struct queue_batch){
		.puts = writer->now.puts,
		.put_count = writer->now.put_count,
		.changes = writer->now.changes,
		.change_count = writer->now.change_count,
		.destinations = writer->now.destinations,
		.destination_count = writer->now.destination_count,
		.asides = writer->now.asides,
		.aside_count = writer->now.aside_count,
		.deadlines = writer->now.deadlines,
		.deadline_count = writer->now.deadline_count,
		.want_keys = keys_wanted(writer->queue->keys) || writer->failing,
	};
	queue_job(writer->queue->write_pool, work, done, writer);
}

static void on_timer(void *arg)
{
	struct writer *writer = arg;

	writer->waiting = false;
	writer->hurry = true; /* the hook of this iteration starts it */
}

static void on_hook(void *arg)
{
	struct writer *writer = arg;

	if (writer->running || writer->queue->broken ||
	    (is_empty(&writer->next) && !keys_wanted(writer->queue->keys) && !writer->failing))
		return;
	/*
	 * Its time comes. Nobody may have anything to write while mail is refused: then the block
	 * of keys that such a commit puts aside shows whether it works again.
	 */
	if (writer->failing && writer->waiting)
		return;
	if (writer->hurry || keys_wanted(writer->queue->keys)) {
		start(writer);
	} else if (!writer->waiting) {
		writer->waiting = true;
		timer_set(writer->timer, RESULTS_WAIT_MS);
	}
}

struct writer *writer_new(struct queue *queue)
{
	struct writer *writer = mem_alloc(sizeof(*writer));

	writer->queue = queue;
	writer->hook = hook_new(queue->loop, QUEUE_HOOK_WRITER, on_hook, writer);
	writer->timer = timer_new(queue->loop, on_timer, writer);
	return writer;
}

static void drop_puts(struct gathered *g)
{
	for (size_t i = 0; i < g->put_count; i++)
		queue_mail_unref(&g->puts[i].mail);
	release(g);
}

void writer_free(struct writer **writer)
{
	if (*writer == NULL)
		return;
	drop_puts(&(*writer)->next);
	drop_puts(&(*writer)->now);
	hook_free(&(*writer)->hook);
	timer_free(&(*writer)->timer);
	MEM_FREE(*writer);
}

bool writer_idle(const struct writer *writer)
{
	return !writer->running && is_empty(&writer->next);
}

uint32_t writer_commit_us(const struct writer *writer)
{
	return writer->average_us;
}

bool writer_failing(const struct writer *writer)
{
	return writer->failing;
}

struct writer_totals writer_totals(const struct writer *writer)
{
	return writer->totals;
}
