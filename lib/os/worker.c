/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads. A job is in one of three places: waiting, with a thread, or finished; the lock
 * guards the lists and counts, and what a job does needs no lock. Threads are started with all
 * signals blocked, so that signals are the loop's thread's business.
 */
#include "os/worker.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <uv.h>

#include "base/mem.h"
#include "os/loop.h"
#include "os/loop_uv.h"
#include "os/sandbox.h"

/* Hashing and SQLite need little; a thread per core should not reserve 8 MiB each. */
enum { STACK_SIZE = 1024 * 1024 };

struct job {
	struct job *next;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

struct jobs {
	struct job *first;
	struct job **last;
};

struct worker_pool {
	uv_async_t async; /* first: what libuv closes is the pool */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct jobs waiting, finished;
	struct jobs telling; /* finished ones whose done is being called; the loop's thread only */
	size_t waiting_count, busy; /* under lock */
	size_t waiting_max;
	pthread_t *threads;
	unsigned thread_count;
	bool stop;
	bool *freed; /* set when the pool goes away while done functions run */
	char name[16];
};

static void jobs_init(struct jobs *jobs)
{
	jobs->first = NULL;
	jobs->last = &jobs->first;
}

static void jobs_put(struct jobs *jobs, struct job *job)
{
	job->next = NULL;
	*jobs->last = job;
	jobs->last = &job->next;
}

static struct job *jobs_take(struct jobs *jobs)
{
	struct job *job = jobs->first;

	if (job != NULL) {
		jobs->first = job->next;
		if (jobs->first == NULL)
			jobs->last = &jobs->first;
	}
	return job;
}

static void *run_thread(void *arg)
{
	struct worker_pool *pool = arg;

	pthread_setname_np(pthread_self(), pool->name);
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct job *job;
		bool first;

		while (pool->waiting.first == NULL && !pool->stop)
			pthread_cond_wait(&pool->more, &pool->lock);
		if (pool->stop)
			break;
		job = jobs_take(&pool->waiting);
		pool->waiting_count--;
		pool->busy++;
		pthread_mutex_unlock(&pool->lock);
		/* The sandbox may have closed since this thread began. */
		sandbox_enter_thread();
		job->work(job->arg);
		pthread_mutex_lock(&pool->lock);
		pool->busy--;
		first = pool->finished.first == NULL;
		jobs_put(&pool->finished, job);
		if (first)
			uv_async_send(&pool->async);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* freed: set by worker_pool_free, which may be called in done and tells the rest itself. */
static void tell(struct worker_pool *pool, const bool *freed)
{
	struct job *job;

	while (!*freed && (job = jobs_take(&pool->telling)) != NULL) {
		job->done(job->arg);
		mem_free(job);
	}
}

static void on_finished(uv_async_t *async)
{
	struct worker_pool *pool = async->data;
	bool freed = false;
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	while ((job = jobs_take(&pool->finished)) != NULL)
		jobs_put(&pool->telling, job);
	pthread_mutex_unlock(&pool->lock);
	pool->freed = &freed;
	tell(pool, &freed);
	if (!freed)
		pool->freed = NULL;
}

static void start_thread(struct worker_pool *pool, pthread_t *thread)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, STACK_SIZE) != 0 ||
	    pthread_create(thread, &attr, run_thread, pool) != 0) {
		fprintf(stderr, "postern: cannot start a thread (%s)\n", pool->name);
		abort();
	}
	pthread_attr_destroy(&attr);
}

struct worker_pool *worker_pool_new(struct loop *loop, const char *name, unsigned threads,
				    size_t waiting)
{
	struct worker_pool *pool = mem_alloc(sizeof(*pool));
	sigset_t all, before;

	if (uv_async_init(loop_uv(loop), &pool->async, on_finished) != 0)
		abort();
	pool->async.data = pool;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	jobs_init(&pool->waiting);
	jobs_init(&pool->finished);
	jobs_init(&pool->telling);
	pool->waiting_max = waiting;
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	pool->thread_count = threads != 0 ? threads : 1;
	pool->threads = mem_array(pool->thread_count, sizeof(*pool->threads));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < pool->thread_count; i++)
		start_thread(pool, &pool->threads[i]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pool;
}

static void free_pool(uv_handle_t *handle)
{
	struct worker_pool *pool = handle->data;

	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->more);
	mem_free(pool->threads);
	mem_free(pool);
}

void worker_pool_free(struct worker_pool **pool_in)
{
	struct worker_pool *pool = *pool_in;
	struct job *job;

	if (pool == NULL)
		return;
	*pool_in = NULL;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	while ((job = jobs_take(&pool->waiting)) != NULL)
		mem_free(job);
	if (pool->freed != NULL)
		*pool->freed = true;
	/* What was done is told, so that its owner can free it. */
	while ((job = jobs_take(&pool->finished)) != NULL)
		jobs_put(&pool->telling, job);
	tell(pool, &(const bool){false});
	uv_close((uv_handle_t *)&pool->async, free_pool);
}

enum err worker_submit(struct worker_pool *pool, void (*work)(void *arg), void (*done)(void *arg),
		       void *arg)
{
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	if (pool->waiting_count + pool->busy >= pool->waiting_max + pool->thread_count) {
		pthread_mutex_unlock(&pool->lock);
		return ERR_FULL;
	}
	job = mem_alloc(sizeof(*job));
	*job = (struct job){.work = work, .done = done, .arg = arg};
	jobs_put(&pool->waiting, job);
	pool->waiting_count++;
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	return ERR_OK;
}

size_t worker_waiting(struct worker_pool *pool)
{
	size_t count;

	pthread_mutex_lock(&pool->lock);
	count = pool->waiting_count;
	pthread_mutex_unlock(&pool->lock);
	return count;
}
