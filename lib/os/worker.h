/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads for what blocks or takes long: hashing, disk. Started before the sandbox
 * closes. A pool of one thread keeps the order of its jobs (a writer).
 */
#ifndef POSTERN_OS_WORKER_H
#define POSTERN_OS_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct loop;
struct worker_pool;

/* waiting: jobs that may wait for a thread. name: at most 15 characters. */
struct worker_pool *worker_pool_new(struct loop *loop, const char *name, unsigned threads,
				    size_t waiting);
/*
 * Waits for the jobs under way and calls done for what was worked; drops those that wait (done is
 * not called for them). May be called in done. Before loop_free.
 */
void worker_pool_free(struct worker_pool **pool);
/*
 * Runs work(arg) on a thread, then done(arg) on the loop's. ERR_FULL: too many wait; nothing is
 * called. Whoever made arg frees it in done.
 */
enum err worker_submit(struct worker_pool *pool, void (*work)(void *arg), void (*done)(void *arg),
		       void *arg);
size_t worker_waiting(struct worker_pool *pool);

#endif
