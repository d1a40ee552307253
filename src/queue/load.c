/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "delivery.h"
#include "frozen.h"
#include "ipc/alert.h"
#include "ipc/child.h"
#include "os/log.h"
#include "os/os.h"
#include "policy/dispatch.h"
#include "queue.h"
#include "settle.h"
#include "writer.h"

enum { ROWS_MAX = 1000 };

struct load {
	struct queue *queue;
	struct queue_load load;
	enum err err;
};

/* A damaged message on its way aside. */
struct aside {
	struct queue *queue;
	struct queue_aside aside;
	struct queue_row *rows;
};

static void alert_damaged(const struct aside *aside)
{
	char key[24], recipients[24], text[400];

	(void)snprintf(key, sizeof(key), "%lld", (long long)aside->aside.key);
	(void)snprintf(recipients, sizeof(recipients), "%zu", aside->aside.row_count);
	(void)snprintf(
		text, sizeof(text),
		"a message is damaged and was not delivered (%.100s); it was set aside as key "
		"%s of the table \"damaged\" of queue.db: look at the disk it lies on",
		aside->aside.reason, key);

	const struct rec_field evidence[] = {
		{SLICE_LIT("key"), IPC_FIELD_NUMBER, slice_str(key)},
		{SLICE_LIT("recipients"), IPC_FIELD_NUMBER, slice_str(recipients)},
		{SLICE_LIT("reason"), IPC_FIELD_TEXT, slice_str(aside->aside.reason)},
	};

	alert_send(child_master(aside->queue->child), IPC_ALERT_ONCE,
		   &(struct alert_words){"mail-damaged", key, text, evidence, 3});
}

static void aside_done(void *arg, enum err err)
{
	struct aside *aside = arg;

	(void)err;
	log_event(LOG_ERROR, "failed", LOG_NUMBER("key", aside->aside.key),
		  LOG_TEXT("reason", aside->aside.reason),
		  LOG_TEXT("text", "a damaged message was set aside in the table \"damaged\" of "
				   "queue.db; it was not delivered"));
	alert_damaged(aside);
	mem_free(aside->rows);
	mem_free(aside);
}

static void put_aside(struct queue *queue, struct queue_loaded *loaded)
{
	struct aside *aside = mem_alloc(sizeof(*aside));

	aside->queue = queue;
	aside->rows = loaded->rows;
	loaded->rows = NULL;
	aside->aside = (struct queue_aside){.key = aside->rows[0].key,
					    .reason = loaded->damage,
					    .in_file = loaded->in_file,
					    .rows = aside->rows,
					    .row_count = loaded->row_count};
	writer_aside(queue->writer, &aside->aside);
	writer_after(queue->writer, aside_done, aside);
}

/* It is in memory already: does the store have more of it than that? */
static void note_more(struct dispatch *dispatch, const struct delivery *loaded)
{
	const struct delivery *held =
		dispatch_find(dispatch, loaded->destination, loaded->mail->id.key);

	if (held == NULL)
		return;
	for (uint32_t i = 0, j = 0; i < loaded->row_count; i++) {
		for (j = 0; j < held->row_count; j++) {
			if (held->rows[j].n == loaded->rows[i].n)
				break;
		}
		if (j == held->row_count) {
			dispatch_again(dispatch, loaded->destination, loaded->mail->id.key);
			return;
		}
	}
}

static void take(struct queue *queue, struct queue_loaded *loaded, int64_t now)
{
	struct dispatch *dispatch = deliveries_dispatch(queue->deliveries);
	struct queue_envelope envelope;
	struct delivery *delivery;
	bool full = loaded->row_count == ROWS_MAX, late;

	if (loaded->mail == NULL) {
		put_aside(queue, loaded);
		return;
	}
	delivery = delivery_of(queue, loaded);
	/* What was loaded is known to be well-formed. */
	(void)queue_envelope_read(slice_of(delivery->mail->envelope, delivery->mail->envelope_len),
				  &envelope);
	if (frozen_has(queue->frozen, envelope.account)) { /* it is being held */
		delivery_free(delivery);
		return;
	}
	late = delivery_late(&envelope, now);
	/* Nobody need ask a host that is down whether it wants what is too old. */
	if (late || (delivery->mail->expires <= now &&
		     dispatch_failures(dispatch, delivery->destination) != 0)) {
		if (dispatch_adopt(dispatch, delivery->destination, delivery->mail->id.key,
				   delivery)) {
			delivery->in_dispatch = true;
			if (full)
				dispatch_again(dispatch, delivery->destination,
					       delivery->mail->id.key);
			settle_over(&delivery, 1, late ? REPORT_LATE : REPORT_EXPIRED);
		} else {
			delivery_free(delivery);
		}
		return;
	}
	if (dispatch_add(dispatch, delivery->destination, delivery->mail->id.key,
			 delivery_rank(delivery->mail, &envelope), delivery)) {
		if (full)
			dispatch_again(dispatch, delivery->destination, delivery->mail->id.key);
		return;
	}
	note_more(dispatch, delivery);
	delivery_free(delivery);
}

static void work(void *arg)
{
	struct load *load = arg;

	load->err = queue_reader_load(load->queue->claims, &load->load);
}

static void done(void *arg)
{
	struct load *load = arg;
	struct queue *queue = load->queue;
	int64_t now = os_wall_ms();

	queue->loads--;
	if (load->err == ERR_CORRUPT) {
		queue_damaged(queue, "reading");
	} else if (load->err != ERR_OK) {
		log_note(LOG_ERROR, "the queue cannot be read (%s): tried again in a minute",
			 err_name(load->err));
		load->load.next_due = now + 60000;
	} else {
		for (size_t i = 0; i < load->load.count; i++)
			take(queue, &load->load.loaded[i], now);
	}
	dispatch_loaded(deliveries_dispatch(queue->deliveries), load->load.destination,
			load->load.next_due);
	queue_load_release(&load->load);
	mem_free(load);
}

void load_start(struct queue *queue, int64_t destination, uint32_t limit)
{
	struct load *load = mem_alloc(sizeof(*load));

	load->queue = queue;
	load->load = (struct queue_load){.destination = destination,
					 .due = os_wall_ms(),
					 .limit = limit,
					 /* Past the bound they come when relay asks for them. */
					 .bodies = deliveries_memory(queue->deliveries) <
						   QUEUE_BODY_MEMORY};
	queue->loads++;
	queue_job(queue->claim_pool, work, done, load);
}

unsigned load_count(const struct queue *queue)
{
	return queue->loads;
}
