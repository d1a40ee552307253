/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: descriptors, timers, signals and what worker threads finished.
 * A thin face over libuv, so that the rest does not depend on it. One thread; nothing that may
 * block is called from it.
 */
#ifndef POSTERN_OS_LOOP_H
#define POSTERN_OS_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct watch;
struct timer;
struct hook;

/* HANGUP: the other end sends no more, whether what it sent has been read or not. */
enum { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_HANGUP = 4 };

struct loop *loop_new(void);
void loop_free(struct loop **loop);
void loop_run(struct loop *loop); /* until loop_stop */
void loop_stop(struct loop *loop);
int64_t loop_now(const struct loop *loop); /* monotonic ms at the start of this iteration */

/*
 * fn runs when fd is ready for what was asked; events says for which. Errors and hang-ups show
 * as all. The watch does not own fd; watch_free before closing it. All _free functions may be
 * called from within callbacks, take NULL and set the pointer to NULL.
 */
typedef void watch_fn(void *arg, int events);
struct watch *watch_new(struct loop *loop, int fd, watch_fn *fn,
			void *arg);              /* asks for nothing yet */
void watch_set(struct watch *watch, int events); /* 0 pauses */
void watch_free(struct watch **watch);

typedef void timer_fn(void *arg);
struct timer *timer_new(struct loop *loop, timer_fn *fn, void *arg); /* not running */
void timer_set(struct timer *timer, uint64_t in_ms); /* once, replaces what was set */
void timer_stop(struct timer *timer);
void timer_free(struct timer **timer);

/*
 * Runs at the end of each iteration in which something happened, before the loop sleeps: where
 * gathered output is written. Order: lower first (channels 10, sockets 20, log 0).
 */
typedef void hook_fn(void *arg);
struct hook *hook_new(struct loop *loop, int order, hook_fn *fn, void *arg);
void hook_free(struct hook **hook);
/* Makes sure that the hooks run soon although nothing else happens. */
void loop_wake(struct loop *loop);

typedef void signal_fn(void *arg, int signum);
void loop_on_signal(struct loop *loop, int signum, signal_fn *fn, void *arg);

#endif
