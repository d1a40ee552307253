/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <poll.h>
#include <stddef.h>

#include "base/mem.h"
#include "fuzz.h"
#include "os/loop.h"

enum { WATCHES_MAX = 64, TURNS_MAX = 20000, HOOK_ROUNDS = 8 };
static const int64_t EPOCH = 1700000000000; /* of the wall clock: any time will do */

struct watch {
	struct watch *next;
	struct loop *loop;
	watch_fn *fn; /* NULL: freed, taken out at the end of the turn */
	void *arg;
	int fd;
	int events;
};

struct timer {
	struct timer *next;
	struct loop *loop;
	timer_fn *fn;
	void *arg;
	int64_t at; /* 0: not running */
};

struct hook {
	struct hook *next;
	struct loop *loop;
	hook_fn *fn;
	void *arg;
	int order;
};

struct loop {
	int64_t now;
	struct watch *watches;
	struct timer *timers;
	struct hook *hooks;
	bool woken;
	bool stopped;
};

/* What the wall clock and chance, which know no loop, are made of. */
static struct {
	int64_t now;
	uint64_t chance;
} world;

int64_t __wrap_os_wall_ms(void);
int64_t __wrap_os_monotonic_ms(void);
void __wrap_os_random(void *data, size_t len);
uint64_t __wrap_os_random_u64(void);

int64_t __wrap_os_wall_ms(void)
{
	return EPOCH + world.now;
}

int64_t __wrap_os_monotonic_ms(void)
{
	return world.now;
}

uint64_t __wrap_os_random_u64(void)
{
	world.chance = world.chance * 6364136223846793005u + 1442695040888963407u;
	return world.chance ^ world.chance >> 29;
}

void __wrap_os_random(void *data, size_t len)
{
	unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)(__wrap_os_random_u64() >> 24);
}

void sim_seed(uint32_t seed)
{
	world.now = 1000;
	world.chance = seed;
}

struct loop *loop_new(void)
{
	struct loop *loop = mem_alloc(sizeof(*loop));

	loop->now = world.now;
	return loop;
}

/* Of each list, those that are marked as freed; or all. */
static void sweep(struct loop *loop, bool all)
{
	for (struct watch **link = &loop->watches; *link != NULL;) {
		struct watch *watch = *link;

		if (watch->fn == NULL || all) {
			*link = watch->next;
			mem_free(watch);
		} else {
			link = &watch->next;
		}
	}
	for (struct timer **link = &loop->timers; *link != NULL;) {
		struct timer *timer = *link;

		if (timer->fn == NULL || all) {
			*link = timer->next;
			mem_free(timer);
		} else {
			link = &timer->next;
		}
	}
	for (struct hook **link = &loop->hooks; *link != NULL;) {
		struct hook *hook = *link;

		if (hook->fn == NULL || all) {
			*link = hook->next;
			mem_free(hook);
		} else {
			link = &hook->next;
		}
	}
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	sweep(*loop, true);
	MEM_FREE(*loop);
}

void loop_run(struct loop *loop)
{
	sim_settle(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

int64_t loop_now(const struct loop *loop)
{
	return loop->now;
}

void loop_wake(struct loop *loop)
{
	loop->woken = true;
}

struct watch *watch_new(struct loop *loop, int fd, watch_fn *fn, void *arg)
{
	struct watch *watch = mem_alloc(sizeof(*watch));

	*watch =
		(struct watch){.next = loop->watches, .loop = loop, .fn = fn, .arg = arg, .fd = fd};
	loop->watches = watch;
	return watch;
}

void watch_set(struct watch *watch, int events)
{
	watch->events = events;
}

void watch_free(struct watch **watch)
{
	if (*watch != NULL) {
		(*watch)->fn = NULL;
		(*watch)->events = 0;
	}
	*watch = NULL;
}

struct timer *timer_new(struct loop *loop, timer_fn *fn, void *arg)
{
	struct timer *timer = mem_alloc(sizeof(*timer));

	*timer = (struct timer){.next = loop->timers, .loop = loop, .fn = fn, .arg = arg};
	loop->timers = timer;
	return timer;
}

void timer_set(struct timer *timer, uint64_t in_ms)
{
	HOLDS(in_ms < INT64_MAX / 2);
	timer->at = timer->loop->now + (int64_t)in_ms;
}

void timer_stop(struct timer *timer)
{
	timer->at = 0;
}

void timer_free(struct timer **timer)
{
	if (*timer != NULL) {
		(*timer)->fn = NULL;
		(*timer)->at = 0;
	}
	*timer = NULL;
}

struct hook *hook_new(struct loop *loop, int order, hook_fn *fn, void *arg)
{
	struct hook *hook = mem_alloc(sizeof(*hook));
	struct hook **link = &loop->hooks;

	while (*link != NULL && (*link)->order <= order)
		link = &(*link)->next;
	*hook = (struct hook){.next = *link, .loop = loop, .fn = fn, .arg = arg, .order = order};
	*link = hook;
	loop->woken = true;
	return hook;
}

void hook_free(struct hook **hook)
{
	if (*hook != NULL)
		(*hook)->fn = NULL;
	*hook = NULL;
}

void loop_on_signal(struct loop *loop, int signum, signal_fn *fn, void *arg)
{
	(void)loop;
	(void)signum;
	(void)fn;
	(void)arg;
}

static void run_hooks(struct loop *loop)
{
	int rounds = 0;

	do {
		loop->woken = false;
		for (struct hook *hook = loop->hooks; hook != NULL; hook = hook->next)
			if (hook->fn != NULL)
				hook->fn(hook->arg);
	} while (loop->woken && ++rounds < HOOK_ROUNDS);
}

/* One iteration; whether anything happened. */
static bool turn(struct loop *loop)
{
	struct watch *asked[WATCHES_MAX];
	struct pollfd fds[WATCHES_MAX];
	nfds_t count = 0;
	bool any = false;

	for (struct watch *watch = loop->watches; watch != NULL; watch = watch->next) {
		if (watch->events == 0)
			continue;
		HOLDS(count < WATCHES_MAX);
		asked[count] = watch;
		fds[count].fd = watch->fd;
		fds[count++].events = (short)(((watch->events & WATCH_READ) != 0 ? POLLIN : 0) |
					      ((watch->events & WATCH_WRITE) != 0 ? POLLOUT : 0));
	}
	if (poll(fds, count, 0) <= 0)
		count = 0;
	for (nfds_t i = 0; i < count; i++) {
		int events = 0;

		HOLDS((fds[i].revents & POLLNVAL) == 0);
		if ((fds[i].revents & (POLLERR | POLLHUP)) != 0)
			events = WATCH_READ | WATCH_WRITE;
		events |= (fds[i].revents & POLLIN) != 0 ? WATCH_READ : 0;
		events |= (fds[i].revents & POLLOUT) != 0 ? WATCH_WRITE : 0;
		if (events == 0 || asked[i]->fn == NULL || asked[i]->events == 0)
			continue;
		any = true;
		asked[i]->fn(asked[i]->arg, events);
	}
	/* What the hooks write can be read in the next iteration. */
	any = any || loop->woken;
	run_hooks(loop);
	sweep(loop, false);
	return any || loop->woken;
}

void sim_settle(struct loop *loop)
{
	unsigned turns = 0;

	/* A process that is never done with what it has turns in a circle. */
	while (!loop->stopped && turn(loop))
		HOLDS(++turns < TURNS_MAX);
}

static struct timer *first_until(struct loop *loop, int64_t end)
{
	struct timer *first = NULL;

	for (struct timer *timer = loop->timers; timer != NULL; timer = timer->next)
		if (timer->at != 0 && timer->at <= end && (first == NULL || timer->at < first->at))
			first = timer;
	return first;
}

void sim_pass(struct loop *loop, int64_t ms, void (*after_each)(void))
{
	int64_t end = loop->now + ms;
	struct timer *timer;

	while (!loop->stopped && (timer = first_until(loop, end)) != NULL) {
		if (timer->at > loop->now)
			loop->now = world.now = timer->at;
		timer->at = 0;
		timer->fn(timer->arg);
		sim_settle(loop);
		after_each();
	}
	if (!loop->stopped)
		loop->now = world.now = end;
	sim_settle(loop);
}
