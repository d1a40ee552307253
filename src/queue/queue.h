/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue process: takes messages from smtpd under auth's grants, keeps them, hands what is due
 * to relay, makes reports, and does what the operator asks. All state is reached from struct
 * queue; each part has its own file and is opaque to the others.
 *
 *	intake, upload --put--> writer --stored--> delivery --DELIVER--> relay
 *	                          ^                   |
 *	                          +--- settle <-RESULTS+   report: a put in the same commit
 *
 * deadline and delays end, and tell of, what waits: by the clock, not by what relay says.
 */
#ifndef POSTERN_QUEUE_QUEUE_H
#define POSTERN_QUEUE_QUEUE_H

#include "ipc/child.h"
#include "policy/retry.h"
#include "store/queue.h"

struct config;
struct deadlines;
struct deliveries;
struct ended;
struct etrns;
struct frozen;
struct dispatch;
struct grants;
struct intake;
struct keys;
struct link;
struct loop;
struct operators;
struct outcomes;
struct space;
struct timer;
struct delays;
struct worker_pool;
struct writer;

enum {
	/* Deliveries under way in total; a quarter of it at one destination at most. */
	QUEUE_WINDOW = 1024,
	QUEUE_FIRST_WINDOW = 4,
	QUEUE_READY_MAX = 8192,               /* deliveries kept in memory beyond those */
	QUEUE_BODY_MEMORY = 32 * 1024 * 1024, /* bodies in memory of what is ready; more: on disk */
	QUEUE_LOADS_MAX = 16,                 /* reads of the store for claims at a time */
	QUEUE_LEASE_MS = 4 * 3600 * 1000,     /* relay's longest attempt is far shorter */
	QUEUE_UNCERTAIN_MS = 10 * 60 * 1000,
	QUEUE_JOBS_MAX = 65536, /* waiting at a pool: bounded by credit and windows long before */
	/* Order of the hooks at an iteration's end; channels write at 10. */
	QUEUE_HOOK_DISPATCH = 4,
	QUEUE_HOOK_WRITER = 5,
	QUEUE_HOOK_SENT = 6,
};

struct queue {
	struct child *child;
	struct loop *loop;
	const struct config *config; /* the first one until it is committed, then that in force */
	char folder[4096];
	/* One thread each but bodies': the store's connections belong to one thread. */
	struct worker_pool *write_pool, *claim_pool, *operator_pool, *body_pool;
	struct queue_writer *store;
	struct queue_reader *claims, *views;
	struct writer *writer;
	struct keys *keys;
	struct grants *grants;
	struct space *space;
	struct intake *intake;
	struct deliveries *deliveries;
	struct deadlines *deadlines;
	struct delays *delays;
	struct operators *operators;
	struct etrns *etrns;
	struct frozen *frozen;
	struct outcomes *outcomes;
	struct ended *lately;        /* what ended a moment ago */
	uint64_t recipients;         /* in the queue: for status */
	unsigned loads;              /* reads of the store for claims under way */
	struct timer *overdue_timer; /* while stopping */
	bool stopping, overdue, broken;
	bool ended; /* the loop is over, the workers are gone */
};

const struct config *queue_config(const struct queue *queue);
struct retry_schedule queue_schedule(const struct queue *queue);
/* The store says that it is damaged: leaves the mark and ends; the next start salvages. */
void queue_damaged(struct queue *queue, const char *where);
/* All that shutdown waits for has happened? Then the process ends. */
void queue_stop_if_idle(struct queue *queue);
/* A job that must run: the pools take more than can be asked for, so anything else is a bug. */
void queue_job(struct worker_pool *pool, void (*work)(void *arg), void (*done)(void *arg),
	       void *arg);
/* The address's domain in lower case, without a domain our own; at most QUEUE_NAME_MAX bytes. */
struct slice queue_domain(struct slice address, char lower[QUEUE_NAME_MAX]);

#endif
