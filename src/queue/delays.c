/* SPDX-License-Identifier: Apache-2.0 */
#include "delays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "ended.h"
#include "ipc/message.h"
#include "notice.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"

enum {
	WALK_MS = 5 * 60 * 1000, /* between walks; less if notices are wanted sooner than that */
	WALK_MIN_MS = 1000,
	PAGE_ROWS = 5000,
	PAGE_PAUSE_MS = 50,
	FOUND_MAX = 1024, /* rows to tell about at a time; the rest in the next walk, soon */
	LOAD_MAX = 32,    /* messages with their bodies in memory at a time */
};

struct found {
	struct notice_item item;
	uint8_t bits;
};

struct delays {
	struct queue *queue;
	struct timer *timer;
	struct queue_scan scan;
	bool busy, more, loading; /* more: found is full, the walk is not over */
	int64_t now;
	uint64_t first, again; /* of the walk under way */
	struct found *found;
	size_t count, told;
	struct queue_mail *mails[LOAD_MAX]; /* of found from told on, in its order */
	size_t mail_count;
	uint64_t ended; /* before the store was read for mails */
	unsigned open;  /* notices whose marks are not on disk yet */
	enum err err;
};

uint8_t delays_due(const struct queue_row *row, const struct queue_mail *mail,
		   const struct queue_envelope *envelope, uint64_t first, uint64_t again,
		   int64_t now)
{
	int64_t since = envelope->release_at > mail->arrived ? envelope->release_at : mail->arrived;
	uint64_t age = now > since ? (uint64_t)(now - since) : 0;
	uint8_t bits = 0;

	if (row->state == QUEUE_HELD || (mail->flags & IPC_MAIL_BOUNCE) != 0)
		return 0;
	if (first != 0 && age >= first)
		bits |= QUEUE_NOTICE_FIRST;
	if (again != 0 && age >= again)
		bits |= QUEUE_NOTICE_AGAIN | QUEUE_NOTICE_FIRST; /* late: once is enough */
	return (bits & ~row->notice) != 0 ? bits : 0;
}

/* ---- the walk ---------------------------------------------------------------------------- */
static bool visit(void *arg, const struct queue_view *view)
{
	struct delays *delays = arg;
	struct found *found;
	uint8_t bits = delays_due(&view->row, view->mail, view->envelope, delays->first,
				  delays->again, delays->now);

	if (bits == 0)
		return true;
	found = &delays->found[delays->count++];
	*found = (struct found){.item = {.row = view->row}, .bits = bits};
	(void)snprintf(found->item.last, sizeof(found->item.last), "%.*s",
		       SLICE_ARG(slice_head(view->last, NOTICE_LAST_MAX - 1)));
	return delays->count < FOUND_MAX;
}

static void walk_work(void *arg)
{
	struct delays *delays = arg;

	delays->err =
		queue_reader_scan(delays->queue->views, &delays->scan, PAGE_ROWS, visit, delays);
}

/* ---- telling ----------------------------------------------------------------------------- */
static int compare(const void *a, const void *b)
{
	const struct queue_row *first = &((const struct found *)a)->item.row;
	const struct queue_row *second = &((const struct found *)b)->item.row;

	if (first->key != second->key)
		return first->key < second->key ? -1 : 1;
	return first->n < second->n ? -1 : first->n > second->n;
}

/*
 * Without those that ended or moved since they were found, whether they wait long is for the next
 * walk; one that moved ahead of the walk was found twice, and is there once.
 */
static void look_again(struct delays *delays)
{
	struct queue_reader *reader = delays->queue->views;
	size_t kept = delays->told;
	bool there;

	for (size_t i = delays->told; i < delays->count; i++) {
		if (queue_reader_has(reader, &delays->found[i].item.row, &there) != ERR_OK || there)
			delays->found[kept++] = delays->found[i];
	}
	delays->count = kept;
}

/* The messages that come next. */
static void load_work(void *arg)
{
	struct delays *delays = arg;
	uint64_t before = 0;

	look_again(delays);
	delays->mail_count = 0;
	for (size_t i = delays->told; i < delays->count && delays->mail_count < LOAD_MAX; i++) {
		struct queue_mail *mail = NULL;
		uint64_t key = delays->found[i].item.row.key;

		if (key == before)
			continue;
		before = key;
		delays->err = queue_reader_mail(delays->queue->views, key, &mail);
		if (delays->err == ERR_NOT_FOUND)
			continue; /* gone meanwhile */
		if (delays->err != ERR_OK)
			return;
		delays->mails[delays->mail_count++] = mail;
	}
	delays->err = ERR_OK;
}

static struct queue_mail *mail_of(const struct delays *delays, uint64_t key)
{
	for (size_t i = 0; i < delays->mail_count; i++) {
		if (delays->mails[i]->id.key == key)
			return delays->mails[i];
	}
	return NULL;
}

/* All rows of one message in one report. */
static void tell_message(struct delays *delays, size_t first, size_t end)
{
	struct queue_mail *mail = mail_of(delays, delays->found[first].item.row.key);
	struct notice_item *items = mem_array(end - first, sizeof(*items));
	uint8_t bits = 0;

	for (size_t i = first; i < end; i++) {
		items[i - first] = delays->found[i].item;
		bits |= delays->found[i].bits;
	}
	if (mail != NULL)
		notice_send(delays->queue, mail, items, end - first, bits, REPORT_SAID,
			    delays->ended, &delays->open);
	mem_free(items);
}

static void forget_mails(struct delays *delays)
{
	for (size_t i = 0; i < delays->mail_count; i++)
		queue_mail_unref(&delays->mails[i]);
	delays->mail_count = 0;
}

static void tell(struct delays *delays)
{
	size_t messages = 0;

	while (delays->told < delays->count && messages < LOAD_MAX) {
		uint64_t key = delays->found[delays->told].item.row.key;
		size_t end = delays->told;

		while (end < delays->count && delays->found[end].item.row.key == key)
			end++;
		tell_message(delays, delays->told, end);
		delays->told = end;
		messages++;
	}
	forget_mails(delays);
}

/* ---- steps ------------------------------------------------------------------------------- */
/* How long until the next walk: notices are late by that much at most. */
static uint64_t pause(const struct delays *delays)
{
	const struct config *config = queue_config(delays->queue);
	uint64_t first = config->queue.delay_notice, again = config->queue.delay_notice_again;
	uint64_t least = first == 0 || (again != 0 && again < first) ? again : first;

	least /= 8;
	return least > WALK_MS ? WALK_MS : least < WALK_MIN_MS ? WALK_MIN_MS : least;
}

static void rest(struct delays *delays)
{
	delays->scan = (struct queue_scan){.with_mail = true};
	delays->count = delays->told = 0;
	delays->loading = false;
	MEM_FREE(delays->found);
	forget_mails(delays);
	/* Before the marks are on disk the same rows would be found again. */
	timer_set(delays->timer, delays->more ? WALK_MIN_MS : pause(delays));
	delays->more = false;
}

static void done(void *arg)
{
	struct delays *delays = arg;
	bool over = delays->err == ERR_EOF || delays->count == FOUND_MAX;

	delays->busy = false;
	if (delays->err == ERR_CORRUPT) {
		queue_damaged(delays->queue, "looking for mail that waits");
		return;
	}
	if (delays->err != ERR_OK && delays->err != ERR_EOF) {
		log_note(LOG_ERROR, "the queue cannot be read (%s): no notices of delay now",
			 err_name(delays->err));
		rest(delays);
		return;
	}
	if (delays->loading) {
		tell(delays);
		over = true;
	} else if (over) {
		delays->more = delays->err != ERR_EOF;
		delays->loading = true;
		qsort(delays->found, delays->count, sizeof(*delays->found), compare);
	}
	if (over && delays->told == delays->count)
		rest(delays);
	else
		timer_set(delays->timer, PAGE_PAUSE_MS);
}

static void on_timer(void *arg)
{
	struct delays *delays = arg;
	const struct config *config = queue_config(delays->queue);

	if (delays->busy || delays->queue->broken || delays->queue->stopping)
		return;
	if (delays->found == NULL) {     /* a walk begins */
		if (delays->open != 0) { /* it would find the same once more */
			timer_set(delays->timer, WALK_MIN_MS);
			return;
		}
		delays->first = config->queue.delay_notice;
		delays->again = config->queue.delay_notice_again;
		delays->now = os_wall_ms();
		if ((delays->first == 0 && delays->again == 0) || delays->queue->recipients == 0) {
			rest(delays);
			return;
		}
		delays->found = mem_array(FOUND_MAX, sizeof(*delays->found));
	}
	delays->busy = true;
	delays->ended = ended_count(delays->queue->lately);
	queue_job(delays->queue->operator_pool, delays->loading ? load_work : walk_work, done,
		  delays);
}

void delays_config(struct delays *delays)
{
	if (delays->found == NULL)
		timer_set(delays->timer, pause(delays));
}

struct delays *delays_new(struct queue *queue)
{
	struct delays *delays = mem_alloc(sizeof(*delays));

	delays->queue = queue;
	delays->scan.with_mail = true;
	delays->timer = timer_new(queue->loop, on_timer, delays);
	timer_set(delays->timer, pause(delays));
	return delays;
}

void delays_free(struct delays **delays)
{
	if (*delays == NULL)
		return;
	forget_mails(*delays);
	timer_free(&(*delays)->timer);
	mem_free((*delays)->found);
	MEM_FREE(*delays);
}
