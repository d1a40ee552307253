/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "os/worker.h"

static struct loop *loop;
static char trace[256];

static void note(const char *word)
{
	size_t len = strlen(trace);

	assert_true(len + strlen(word) + 2 < sizeof(trace));
	memcpy(trace + len, word, strlen(word) + 1);
}

static int setup(void **state)
{
	(void)state;
	loop = loop_new();
	trace[0] = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

static void note_and_stop(void *arg)
{
	note(arg);
	loop_stop(loop);
}

static void note_only(void *arg)
{
	note(arg);
}

static void timers_in_order(void **state)
{
	struct timer *one = timer_new(loop, note_only, (char[]){"1"});
	struct timer *two = timer_new(loop, note_only, (char[]){"2"});
	struct timer *end = timer_new(loop, note_and_stop, (char[]){"e"});
	int64_t before = loop_now(loop);

	(void)state;
	timer_set(two, 20);
	timer_set(one, 50);
	timer_set(one, 5); /* replaces */
	timer_set(end, 60);
	loop_run(loop);
	assert_string_equal(trace, "12e");
	assert_in_range(loop_now(loop) - before, 55, 5000);
	timer_set(two, 1);
	timer_stop(two);
	timer_set(end, 20);
	loop_run(loop);
	assert_string_equal(trace, "12ee");
	timer_free(&one);
	timer_free(&two);
	timer_free(&end);
	assert_null(end);
	timer_free(&end);
}

static struct timer *self;

static void free_self(void *arg)
{
	(void)arg;
	timer_free(&self);
	loop_stop(loop);
}

static void timer_freed_in_its_callback(void **state)
{
	(void)state;
	self = timer_new(loop, free_self, NULL);
	timer_set(self, 1);
	loop_run(loop);
	assert_null(self);
}

static struct watch *watch;
static int pair[2];

static void on_watch(void *arg, int events)
{
	char byte;
	size_t len;
	enum err err;

	(void)arg;
	if (events & WATCH_WRITE)
		note("w");
	if (events & WATCH_READ) {
		err = net_recv(pair[0], &byte, 1, &len);
		note(err == ERR_OK ? "r" : err == ERR_EOF ? "E" : "?");
		if (err == ERR_EOF)
			watch_free(&watch);
	}
	if (watch != NULL)
		watch_set(watch, WATCH_READ);
	loop_stop(loop);
}

static void watches(void **state)
{
	size_t len;

	(void)state;
	assert_int_equal(net_pair(pair), ERR_OK);
	watch = watch_new(loop, pair[0], on_watch, NULL);
	watch_set(watch, WATCH_WRITE);
	loop_run(loop);
	assert_string_equal(trace, "w");
	assert_int_equal(net_send(pair[1], "x", 1, &len), ERR_OK);
	loop_run(loop);
	assert_string_equal(trace, "wr");
	net_close(&pair[1]);
	loop_run(loop);
	assert_string_equal(trace, "wrE");
	assert_null(watch);
	net_close(&pair[0]);
}

static void on_hangup(void *arg, int events)
{
	(void)arg;
	note((events & WATCH_HANGUP) != 0 ? "H" : "?");
	loop_stop(loop);
}

/* Data that nobody reads is no reason to wake, and does not hide the end behind it. */
static void a_hangup_is_seen_behind_data(void **state)
{
	struct timer *nothing = timer_new(loop, note_and_stop, (char[]){"."});
	size_t len;

	(void)state;
	assert_int_equal(net_pair(pair), ERR_OK);
	watch = watch_new(loop, pair[0], on_hangup, NULL);
	watch_set(watch, WATCH_HANGUP);
	assert_int_equal(net_send(pair[1], "x", 1, &len), ERR_OK);
	timer_set(nothing, 50);
	loop_run(loop);
	assert_string_equal(trace, ".");
	net_close(&pair[1]);
	loop_run(loop);
	assert_string_equal(trace, ".H");
	watch_free(&watch);
	timer_free(&nothing);
	net_close(&pair[0]);
}

/* A failed connection shows as both kinds of event. */
static int connecting;
static int seen_events;

static void on_connecting(void *arg, int events)
{
	(void)arg;
	seen_events = events;
	watch_set(watch, 0);
	loop_stop(loop);
}

static void failed_connection_is_seen(void **state)
{
	struct net_address address;

	(void)state;
	/* A port that was free a moment ago. */
	assert_int_equal(net_read(SLICE_LIT("127.0.0.1"), 0, &address), ERR_OK);
	assert_int_equal(net_listen(&address, 1, &pair[0]), ERR_OK);
	assert_int_equal(net_local_name(pair[0], &address), ERR_OK);
	net_close(&pair[0]);
	assert_int_equal(net_connect(&address, &connecting), ERR_OK);
	watch = watch_new(loop, connecting, on_connecting, NULL);
	watch_set(watch, WATCH_WRITE);
	loop_run(loop);
	assert_true(seen_events & WATCH_WRITE);
	assert_int_equal(net_connect_result(connecting), ERR_IO);
	watch_free(&watch);
	net_close(&connecting);
}

static unsigned wakes;

static void hook_that_wakes(void *arg)
{
	note(arg);
	if (wakes != 0) {
		wakes--;
		loop_wake(loop);
	}
}

static void hooks_after_callbacks(void **state)
{
	struct hook *late = hook_new(loop, 20, note_only, (char[]){"C"});
	struct hook *early = hook_new(loop, 0, note_only, (char[]){"A"});
	struct hook *middle = hook_new(loop, 10, hook_that_wakes, (char[]){"B"});
	struct timer *one = timer_new(loop, note_only, (char[]){"1"});
	struct timer *two = timer_new(loop, note_only, (char[]){"2"});
	struct timer *end = timer_new(loop, note_and_stop, (char[]){"e"});

	(void)state;
	timer_set(one, 0);
	timer_set(two, 0);
	timer_set(end, 20);
	loop_run(loop);
	/* Both timers, then hooks; the end, hooks of its iteration, and those of loop_run's end. */
	assert_int_equal(strncmp(trace, "12ABC", 5), 0);
	assert_non_null(strstr(trace, "eABC"));
	/* Work that a hook makes for an earlier one is done before the loop sleeps. */
	trace[0] = 0;
	wakes = 1;
	timer_set(end, 0);
	loop_run(loop);
	assert_int_equal(strncmp(trace, "eABCABC", 7), 0);
	hook_free(&early);
	hook_free(&middle);
	trace[0] = 0;
	timer_set(end, 0);
	loop_run(loop);
	assert_int_equal(strncmp(trace, "eC", 2), 0);
	assert_null(strchr(trace, 'A'));
	hook_free(&late);
	timer_free(&one);
	timer_free(&two);
	timer_free(&end);
}

static struct hook *own_hook;

static void free_hook(void *arg)
{
	note(arg);
	hook_free(&own_hook);
}

static void hook_freed_while_it_runs(void **state)
{
	struct timer *end = timer_new(loop, note_and_stop, (char[]){"e"});

	(void)state;
	own_hook = hook_new(loop, 0, free_hook, (char[]){"F"});
	timer_set(end, 5);
	loop_run(loop);
	assert_string_equal(trace, "Fe");
	timer_free(&end);
}

static void on_signal(void *arg, int signum)
{
	assert_int_equal(signum, SIGUSR1);
	note(arg);
	loop_stop(loop);
}

static void signals(void **state)
{
	(void)state;
	loop_on_signal(loop, SIGUSR1, on_signal, (char[]){"s"});
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	loop_run(loop);
	assert_string_equal(trace, "s");
}

/* ---- workers ---- */

static struct worker_pool *pool;
static int gate[2]; /* jobs wait until a byte comes */
static unsigned worked, told;

static void work_at_gate(void *arg)
{
	char byte;

	(void)arg;
	if (read(gate[0], &byte, 1) == 1)
		__atomic_add_fetch(&worked, 1, __ATOMIC_SEQ_CST);
}

static void tell(void *arg)
{
	(void)arg;
	told++;
	if (told == 4)
		loop_stop(loop);
}

static void open_gate(unsigned count)
{
	while (count-- != 0)
		assert_int_equal(write(gate[1], "x", 1), 1);
}

static void full_pool_refuses(void **state)
{
	(void)state;
	assert_int_equal(pipe(gate), 0);
	worked = told = 0;
	pool = worker_pool_new(loop, "test", 2, 2);
	for (int i = 0; i < 4; i++)
		assert_int_equal(worker_submit(pool, work_at_gate, tell, NULL), ERR_OK);
	assert_int_equal(worker_submit(pool, work_at_gate, tell, NULL), ERR_FULL);
	assert_in_range(worker_waiting(pool), 2, 4);
	open_gate(4);
	loop_run(loop);
	assert_int_equal(worked, 4);
	assert_int_equal(told, 4);
	assert_int_equal(worker_submit(pool, work_at_gate, tell, NULL), ERR_OK);
	open_gate(1);
	worker_pool_free(&pool);
	close(gate[0]);
	close(gate[1]);
}

static void *open_gate_late(void *arg)
{
	(void)arg;
	usleep(50000);
	open_gate(1);
	return NULL;
}

static void free_waits_and_drops(void **state)
{
	pthread_t late;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	worked = told = 0;
	pool = worker_pool_new(loop, "test", 1, 10);
	for (int i = 0; i < 3; i++)
		assert_int_equal(worker_submit(pool, work_at_gate, tell, NULL), ERR_OK);
	while (worker_waiting(pool) != 2)
		usleep(1000);
	assert_int_equal(pthread_create(&late, NULL, open_gate_late, NULL), 0);
	worker_pool_free(&pool);
	assert_null(pool);
	assert_int_equal(pthread_join(late, NULL), 0);
	assert_int_equal(worked, 1);
	assert_int_equal(told, 1);
	close(gate[0]);
	close(gate[1]);
}

static unsigned order[1000];
static unsigned order_count;

static void work_nothing(void *arg)
{
	(void)arg;
}

static void tell_order(void *arg)
{
	order[order_count++] = *(unsigned *)arg;
	if (order_count == 1000)
		loop_stop(loop);
}

static void one_thread_keeps_order(void **state)
{
	static unsigned numbers[1000];

	(void)state;
	pool = worker_pool_new(loop, "writer", 1, 1000);
	order_count = 0;
	for (unsigned i = 0; i < 1000; i++) {
		numbers[i] = i;
		assert_int_equal(worker_submit(pool, work_nothing, tell_order, &numbers[i]),
				 ERR_OK);
	}
	loop_run(loop);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(order[i], i);
	worker_pool_free(&pool);
}

static void tell_and_free(void *arg)
{
	(void)arg;
	told++;
	worker_pool_free(&pool);
	loop_stop(loop);
}

static void freed_in_done(void **state)
{
	(void)state;
	told = 0;
	pool = worker_pool_new(loop, "test", 1, 10);
	for (int i = 0; i < 3; i++)
		assert_int_equal(worker_submit(pool, work_nothing, tell_and_free, NULL), ERR_OK);
	loop_run(loop);
	assert_null(pool);
	assert_in_range(told, 1, 3);
}

static volatile bool blocked;

static void look_at_signals(void *arg)
{
	sigset_t set;

	(void)arg;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGCHLD) == 1;
}

static void stop_when_done(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void threads_block_signals(void **state)
{
	(void)state;
	pool = worker_pool_new(loop, "test", 1, 1);
	assert_int_equal(worker_submit(pool, look_at_signals, stop_when_done, NULL), ERR_OK);
	loop_run(loop);
	assert_true(blocked);
	worker_pool_free(&pool);
}

/* The kernel's own text has the same number, in another form. */
static void load_is_that_of_the_kernel(void **state)
{
	uint32_t before, after;
	double text;

	(void)state;
	/* It changes every five seconds: one look of two falls between changes. */
	do {
		before = os_load();
		assert_int_equal(getloadavg(&text, 1), 1);
		after = os_load();
	} while (before != after);
	assert_in_range((uint32_t)(text * 100 + 0.5) + 2, after, after + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		T(timers_in_order),
		T(timer_freed_in_its_callback),
		T(watches),
		T(a_hangup_is_seen_behind_data),
		T(failed_connection_is_seen),
		T(hooks_after_callbacks),
		T(hook_freed_while_it_runs),
		T(signals),
		T(full_pool_refuses),
		T(free_waits_and_drops),
		T(one_thread_keeps_order),
		T(freed_in_done),
		T(threads_block_signals),
		T(load_is_that_of_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
