/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop over libuv. Invariants: a handle's struct lives until libuv has closed it, whatever
 * callback it is freed in; hooks run after every callback of an iteration and before the loop
 * sleeps (libuv runs prepare handles just there), and once more when the loop ends.
 */
#include "os/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/mem.h"
#include "os/loop_uv.h"

/* A hook may make work for one that ran before it; past this many rounds the loop polls first. */
enum { HOOK_ROUNDS = 8 };

struct hook {
	struct hook *next;
	struct loop *loop;
	hook_fn *fn; /* NULL: freed while hooks ran */
	void *arg;
	int order;
};

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_idle_t idle;     /* active: do not sleep, hooks still have work */
	struct hook *hooks; /* by order */
	bool woken;         /* somebody made work for hooks since they began */
	bool running_hooks;
};

struct watch {
	uv_poll_t uv;
	watch_fn *fn;
	void *arg;
	int events; /* asked for */
};

struct timer {
	uv_timer_t uv;
	timer_fn *fn;
	void *arg;
};

struct signal_watch {
	uv_signal_t uv;
	signal_fn *fn;
	void *arg;
};

/* libuv's own failures here are memory or descriptors at start-up. */
static void must(int status)
{
	if (status != 0)
		abort();
}

static void free_handle(uv_handle_t *handle)
{
	mem_free(handle->data);
}

static void close_handle(void *handle)
{
	uv_close(handle, free_handle);
}

static void run_hooks_once(struct loop *loop)
{
	loop->running_hooks = true;
	for (struct hook *hook = loop->hooks; hook != NULL; hook = hook->next)
		if (hook->fn != NULL)
			hook->fn(hook->arg);
	loop->running_hooks = false;
	for (struct hook **link = &loop->hooks; *link != NULL;) {
		struct hook *hook = *link;

		if (hook->fn == NULL) {
			*link = hook->next;
			mem_free(hook);
		} else {
			link = &hook->next;
		}
	}
}

static void on_idle(uv_idle_t *idle)
{
	uv_idle_stop(idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;
	int rounds = 0;

	do {
		loop->woken = false;
		run_hooks_once(loop);
	} while (loop->woken && ++rounds < HOOK_ROUNDS);
	if (loop->woken)
		uv_idle_start(&loop->idle, on_idle);
}

struct loop *loop_new(void)
{
	struct loop *loop = mem_alloc(sizeof(*loop));

	must(uv_loop_init(&loop->uv));
	must(uv_prepare_init(&loop->uv, &loop->prepare));
	must(uv_idle_init(&loop->uv, &loop->idle));
	loop->prepare.data = loop;
	must(uv_prepare_start(&loop->prepare, on_prepare));
	return loop;
}

static void close_left_over(uv_handle_t *handle, void *arg)
{
	struct loop *loop = arg;
	bool ours = handle == (uv_handle_t *)&loop->prepare || handle == (uv_handle_t *)&loop->idle;

	if (!uv_is_closing(handle))
		uv_close(handle, ours ? NULL : free_handle);
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	uv_walk(&(*loop)->uv, close_left_over, *loop);
	uv_run(&(*loop)->uv, UV_RUN_DEFAULT);
	must(uv_loop_close(&(*loop)->uv));
	while ((*loop)->hooks != NULL) {
		struct hook *hook = (*loop)->hooks;

		(*loop)->hooks = hook->next;
		mem_free(hook);
	}
	MEM_FREE(*loop);
}

void loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	/* What the last callbacks queued still goes out. */
	on_prepare(&loop->prepare);
	uv_idle_stop(&loop->idle);
}

void loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

int64_t loop_now(const struct loop *loop)
{
	return (int64_t)uv_now(&loop->uv);
}

void loop_wake(struct loop *loop)
{
	loop->woken = true;
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

static void on_poll(uv_poll_t *uv, int status, int uv_events)
{
	struct watch *watch = uv->data;
	int events = 0;

	if (status < 0) {
		/* libuv has stopped the handle; whoever asked for something goes on asking. */
		events = WATCH_READ | WATCH_WRITE | WATCH_HANGUP;
		if (watch->events != 0)
			uv_poll_start(uv, watch->events, on_poll);
	}
	if (uv_events & UV_READABLE)
		events |= WATCH_READ;
	if (uv_events & UV_WRITABLE)
		events |= WATCH_WRITE;
	if (uv_events & UV_DISCONNECT)
		events |= WATCH_HANGUP;
	watch->fn(watch->arg, events);
}

struct watch *watch_new(struct loop *loop, int fd, watch_fn *fn, void *arg)
{
	struct watch *watch = mem_alloc(sizeof(*watch));

	static_assert(UV_READABLE == (int)WATCH_READ && UV_WRITABLE == (int)WATCH_WRITE &&
			      UV_DISCONNECT == (int)WATCH_HANGUP,
		      "same bits");
	must(uv_poll_init(&loop->uv, &watch->uv, fd));
	watch->uv.data = watch;
	watch->fn = fn;
	watch->arg = arg;
	return watch;
}

void watch_set(struct watch *watch, int events)
{
	if (events == watch->events)
		return;
	watch->events = events;
	if (events == 0)
		uv_poll_stop(&watch->uv);
	else
		must(uv_poll_start(&watch->uv, events, on_poll));
}

void watch_free(struct watch **watch)
{
	if (*watch == NULL)
		return;
	close_handle(&(*watch)->uv);
	*watch = NULL;
}

static void on_timer(uv_timer_t *uv)
{
	struct timer *timer = uv->data;

	timer->fn(timer->arg);
}

struct timer *timer_new(struct loop *loop, timer_fn *fn, void *arg)
{
	struct timer *timer = mem_alloc(sizeof(*timer));

	must(uv_timer_init(&loop->uv, &timer->uv));
	timer->uv.data = timer;
	timer->fn = fn;
	timer->arg = arg;
	return timer;
}

void timer_set(struct timer *timer, uint64_t in_ms)
{
	must(uv_timer_start(&timer->uv, on_timer, in_ms, 0));
}

void timer_stop(struct timer *timer)
{
	uv_timer_stop(&timer->uv);
}

void timer_free(struct timer **timer)
{
	if (*timer == NULL)
		return;
	close_handle(&(*timer)->uv);
	*timer = NULL;
}

struct hook *hook_new(struct loop *loop, int order, hook_fn *fn, void *arg)
{
	struct hook *hook = mem_alloc(sizeof(*hook));
	struct hook **link = &loop->hooks;

	*hook = (struct hook){.loop = loop, .fn = fn, .arg = arg, .order = order};
	while (*link != NULL && (*link)->order <= order)
		link = &(*link)->next;
	hook->next = *link;
	*link = hook;
	loop_wake(loop);
	return hook;
}

void hook_free(struct hook **hook)
{
	struct hook *freed = *hook;
	struct loop *loop;

	if (freed == NULL)
		return;
	*hook = NULL;
	loop = freed->loop;
	freed->fn = NULL;
	if (loop->running_hooks)
		return; /* run_hooks_once takes it out when it is through */
	for (struct hook **link = &loop->hooks; *link != NULL; link = &(*link)->next) {
		if (*link == freed) {
			*link = freed->next;
			mem_free(freed);
			return;
		}
	}
}

static void on_signal(uv_signal_t *uv, int signum)
{
	struct signal_watch *watch = uv->data;

	watch->fn(watch->arg, signum);
}

void loop_on_signal(struct loop *loop, int signum, signal_fn *fn, void *arg)
{
	struct signal_watch *watch = mem_alloc(sizeof(*watch));

	must(uv_signal_init(&loop->uv, &watch->uv));
	watch->uv.data = watch;
	watch->fn = fn;
	watch->arg = arg;
	must(uv_signal_start(&watch->uv, on_signal, signum));
}
