/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the queue process: what it opens, in which order, and how it ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "deadline.h"
#include "delays.h"
#include "ended.h"
#include "etrn.h"
#include "delivery.h"
#include "frozen.h"
#include "grants.h"
#include "intake.h"
#include "ipc/alert.h"
#include "ipc/child.h"
#include "keys.h"
#include "operator.h"
#include "outcomes.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "os/sandbox.h"
#include "os/worker.h"
#include "queue.h"
#include "space.h"

#include "writer.h"

enum {
	BODY_THREADS = 4,
	STOP_RESERVE_MS = 1000, /* of the time to stop: for the last commit and the checkpoint */
};

/* So that what it holds at the end counts as held. */
static struct queue *the_queue;

const struct config *queue_config(const struct queue *queue)
{
	return queue->config;
}

struct retry_schedule queue_schedule(const struct queue *queue)
{
	const struct config *config = queue_config(queue);

	return (struct retry_schedule){.first_ms = config->queue.retry_first,
				       .max_ms = config->queue.retry_max,
				       .factor_percent = config->queue.retry_factor,
				       .expire_ms = config->queue.expire,
				       .uncertain_ms = QUEUE_UNCERTAIN_MS};
}

struct slice queue_domain(struct slice address, char lower[QUEUE_NAME_MAX])
{
	size_t at = slice_find_last(address, '@');
	struct slice domain = slice_head(slice_skip(address, at + 1), QUEUE_NAME_MAX);

	for (size_t i = 0; i < domain.len; i++)
		lower[i] = ascii_lower(domain.ptr[i]);
	return slice_of(lower, domain.len);
}

void queue_job(struct worker_pool *pool, void (*work)(void *arg), void (*done)(void *arg),
	       void *arg)
{
	if (worker_submit(pool, work, done, arg) != ERR_OK) {
		log_note(LOG_ERROR, "more waits for the disk than can be: the queue starts anew");
		log_flush();
		abort();
	}
}

void queue_damaged(struct queue *queue, const char *where)
{
	if (queue->broken)
		return;
	queue->broken = true;
	log_note(LOG_ERROR,
		 "the database of the queue is damaged (%s): it is set aside and salvaged now",
		 where);
	if (queue_mark_damaged(queue->folder) != ERR_OK)
		log_note(LOG_ERROR, "no mark could be left in %s", queue->folder);
	child_exit(queue->child, 1);
}

void queue_stop_if_idle(struct queue *queue)
{
	bool neighbours =
		intake_count(queue->intake) != 0 || deliveries_relay(queue->deliveries) != NULL;

	if (queue->stopping && (!neighbours || queue->overdue) && writer_idle(queue->writer) &&
	    operators_idle(queue->operators))
		child_exit(queue->child, 0);
}

/* ---- set-up ------------------------------------------------------------------------------ */
static enum err start(struct child *child, const struct config *config, char *why)
{
	struct queue *queue = mem_alloc(sizeof(*queue));

	(void)why;
	the_queue = queue;
	queue->child = child;
	queue->loop = child_loop(child);
	queue->config = config;
	child_set_data(child, queue);
	config_state_path(config, "queue", queue->folder);
	queue->write_pool = worker_pool_new(queue->loop, "write", 1, QUEUE_JOBS_MAX);
	queue->claim_pool = worker_pool_new(queue->loop, "claim", 1, QUEUE_JOBS_MAX);
	queue->operator_pool = worker_pool_new(queue->loop, "operator", 1, QUEUE_JOBS_MAX);
	queue->body_pool = worker_pool_new(queue->loop, "body", BODY_THREADS, QUEUE_JOBS_MAX);
	queue->keys = keys_new();
	queue->writer = writer_new(queue);
	queue->grants = grants_new(queue);
	queue->space = space_new(queue);
	queue->intake = intake_new(queue);
	queue->deliveries = deliveries_new(queue);
	queue->operators = operators_new(queue);
	queue->etrns = etrns_new();
	queue->frozen = frozen_new(queue);
	queue->lately = ended_new();
	queue->outcomes = outcomes_new(queue);
	queue->deadlines = deadlines_new(queue);
	queue->delays = delays_new(queue);
	return ERR_OK;
}

static void set_sandbox(struct child *child, const struct config *config,
			struct sandbox *sandbox_out)
{
	static const char *folders[2];
	struct queue *queue = child_data(child);

	(void)config;
	folders[0] = queue->folder;
	*sandbox_out = (struct sandbox){.powers = SANDBOX_FILES, .folders = folders};
}

static void tell_set_aside(const struct queue *queue, const struct queue_report *report)
{
	char text[1000];

	(void)snprintf(text, sizeof(text),
		       "the damaged database was set aside as %.500s: %llu messages were salvaged, "
		       "at least %llu could not be read and are in it",
		       report->aside_path, (unsigned long long)report->salvaged,
		       (unsigned long long)report->lost);
	log_note(LOG_ERROR, "%s", text);
	alert_send(child_master(queue->child), IPC_ALERT_ONCE,
		   &(struct alert_words){.kind = "queue-damaged", .subject = "", .text = text});
}

static void tell_report(const struct queue *queue, const struct queue_report *report)
{
	if (report->created)
		log_note(LOG_INFO, "an empty queue was made in %s", queue->folder);
	if (report->upgraded_from != 0)
		log_note(
			LOG_INFO,
			"the queue in %s was brought from schema %d to %d: an older postern cannot "
			"read it any more",
			queue->folder, report->upgraded_from, QUEUE_SCHEMA);
	if (report->set_aside)
		tell_set_aside(queue, report);
	if (report->orphans != 0)
		log_note(LOG_INFO, "%llu bodies without a message were removed",
			 (unsigned long long)report->orphans);
}

static enum err open_readers(struct queue *queue)
{
	enum err err;

	if ((err = queue_reader_open(queue->folder, &queue->claims)) != ERR_OK ||
	    (err = queue_reader_open(queue->folder, &queue->views)) != ERR_OK ||
	    (err = queue_reader_count(queue->claims, &queue->recipients)) != ERR_OK)
		return err;
	if ((err = deadlines_open(queue->deadlines)) != ERR_OK)
		return err;
	return deliveries_open(queue->deliveries);
}

/* Before the threads have anything to do, so all of it may happen here. */
static enum err open_store(struct child *child, const struct config *config, char *why)
{
	struct queue *queue = child_data(child);
	struct queue_batch keys = {.want_keys = true};
	struct queue_report report;
	enum err err;

	(void)config;
	err = queue_writer_open(queue->folder, os_wall_ms(), &queue->store, &report);
	if (err != ERR_OK) {
		(void)snprintf(why, 512, "%s", report.why);
		return err;
	}
	tell_report(queue, &report);
	if ((err = open_readers(queue)) == ERR_CORRUPT)
		(void)queue_mark_damaged(queue->folder);
	if (err == ERR_OK)
		err = queue_writer_commit(queue->store, &keys);
	if (err != ERR_OK) {
		(void)snprintf(why, 512, "the queue in %.300s cannot be used: %s%s", queue->folder,
			       err_name(err),
			       err == ERR_CORRUPT ? "; it is salvaged at the next start" : "");
		return err;
	}
	keys_add(queue->keys, keys.first_key, keys.key_count);
	queue_batch_release(&keys);
	space_look(queue->space);
	return ERR_OK;
}

/* ---- life -------------------------------------------------------------------------------- */
static enum err prepare(struct child *child, const struct config *config, char *why)
{
	struct queue *queue = child_data(child);
	char folder[4096];

	config_state_path(config, "queue", folder);
	if (strcmp(folder, queue->folder) != 0) {
		(void)snprintf(why, 512, "state_dir cannot change while postern runs");
		return ERR_DENIED;
	}
	return ERR_OK;
}

static void commit(struct child *child, const struct config *config)
{
	struct queue *queue = child_data(child);

	queue->config = config;
	intake_announce(queue->intake);
	delays_config(queue->delays);
}

static void rollback(struct child *child)
{
	(void)child;
}

static void peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		 int fd)
{
	struct queue *queue = child_data(child);

	switch (role) {
	case IPC_SMTPD:
		intake_connect(queue->intake, index, incarnation, fd);
		break;
	case IPC_AUTH:
		grants_connect(queue->grants, fd);
		break;
	case IPC_RELAY:
		deliveries_connect(queue->deliveries, fd);
		break;
	case IPC_CONTROL:
	case IPC_CLI:
		operators_connect(queue->operators, fd);
		break;
	default:
		net_close(&fd);
	}
}

static void on_overdue(void *arg)
{
	struct queue *queue = arg;

	queue->overdue = true;
	queue_stop_if_idle(queue);
}

/*
 * Nothing new is handed to relay. Master ends smtpd and relay first; if it is master that is gone,
 * they end by themselves, and what they bring home meanwhile is still taken.
 */
static void stop(struct child *child, uint32_t within_ms)
{
	struct queue *queue = child_data(child);

	queue->stopping = true;
	queue->overdue_timer = timer_new(queue->loop, on_overdue, queue);
	timer_set(queue->overdue_timer,
		  within_ms > STOP_RESERVE_MS ? within_ms - STOP_RESERVE_MS : 0);
	deliveries_stop(queue->deliveries);
	writer_hurry(queue->writer);
	loop_wake(queue->loop);
	queue_stop_if_idle(queue);
}

static void free_queue(struct queue *queue)
{
	if (queue == NULL) /* it ended before its first configuration */
		return;
	worker_pool_free(&queue->write_pool);
	worker_pool_free(&queue->claim_pool);
	worker_pool_free(&queue->operator_pool);
	worker_pool_free(&queue->body_pool);
	queue->ended = true;
	intake_free(&queue->intake);
	operators_free(&queue->operators);
	etrns_free(&queue->etrns);
	frozen_free(&queue->frozen);
	ended_free(&queue->lately);
	outcomes_free(&queue->outcomes);
	deliveries_free(&queue->deliveries);
	deadlines_free(&queue->deadlines);
	delays_free(&queue->delays);
	space_free(&queue->space);
	grants_free(&queue->grants);
	writer_free(&queue->writer);
	keys_free(&queue->keys);
	timer_free(&queue->overdue_timer);
	queue_reader_close(&queue->views);
	queue_reader_close(&queue->claims);
	queue_writer_close(&queue->store); /* checkpoints */
	mem_free(queue);
}

int main(int argc, char **argv)
{
	static const struct child_role role = {
		.name = "queue",
		.role = IPC_QUEUE,
		.start = start,
		.open = open_store,
		.prepare = prepare,
		.commit = commit,
		.rollback = rollback,
		.peer = peer,
		.sandbox = set_sandbox,
		.shutdown = stop,
	};
	int status = child_main(argc, argv, &role);

	free_queue(the_queue);
	return status;
}
