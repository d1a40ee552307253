/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler on a clock of our own, with a store and hosts that are arrays: M9 (100 000
 * messages for a dead host are one probe a retry), and random weeks with the invariants checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "policy/dispatch.h"
#include "policy/retry.h"

enum { DESTINATIONS = 12, UNDER_WAY_MAX = 64 };

struct message {
	uint32_t destination;
	int64_t due; /* INT64_MAX: delivered */
	int64_t arrived;
	bool in_memory, under_way;
	int64_t ends; /* while under way */
};

struct world {
	struct dispatch *dispatch;
	struct message *messages;
	size_t count, max;
	size_t first_open[DESTINATIONS]; /* messages before it are delivered */
	bool dead[DESTINATIONS];
	int64_t slow[DESTINATIONS]; /* how long one takes */
	int64_t blocked[DESTINATIONS];
	uint32_t window;
	size_t under_way[DESTINATIONS], total, delivered, attempts[DESTINATIONS];
	size_t in_flight[UNDER_WAY_MAX];
	unsigned seed;
	int64_t now;
};

static const struct retry_schedule schedule = {
	.first_ms = 300000, .max_ms = 14400000, .factor_percent = 200, .expire_ms = 432000000};

static uint64_t random_number(struct world *w)
{
	return (uint64_t)rand_r(&w->seed) << 16 ^ (uint64_t)rand_r(&w->seed);
}

/* Every kind of urgency, in turns. */
static struct dispatch_rank rank_of(const struct message *m)
{
	int priority = (int)(m->arrived / 7 % 19) - 9;

	return (struct dispatch_rank){.since = m->arrived - priority * 600000,
				      .priority = priority};
}

static void fresh(struct world *w, uint32_t destination)
{
	struct message *m = &w->messages[w->count];

	assert_true(w->count < w->max);
	*m = (struct message){.destination = destination, .due = w->now, .arrived = w->now};
	w->count++;
	m->in_memory =
		dispatch_fresh(w->dispatch, destination + 1, w->count, rank_of(m), m) == ERR_OK;
}

static void start(struct world *w, const struct dispatch_next *next)
{
	struct message *m = next->data;
	uint32_t d = m->destination;

	assert_ptr_equal(m, &w->messages[next->key - 1]);
	assert_true(m->in_memory && !m->under_way && m->due != INT64_MAX);
	assert_int_equal(next->destination, d + 1);
	m->under_way = true;
	m->ends = w->now + w->slow[d] + (int64_t)(random_number(w) % 20);
	w->under_way[d]++;
	w->attempts[d]++;
	assert_true(w->total < w->window);
	assert_true(w->under_way[d] <= (w->window / 4 != 0 ? w->window / 4 : 1));
	if (w->blocked[d] != 0) { /* one probe, and not before its time */
		assert_true(w->now >= w->blocked[d]);
		assert_int_equal(w->under_way[d], 1);
	}
	w->in_flight[w->total++] = next->key - 1;
}

static void load(struct world *w, const struct dispatch_next *next)
{
	uint32_t d = (uint32_t)next->destination - 1, found = 0;
	int64_t next_due = INT64_MAX;

	while (w->first_open[d] < w->count && (w->messages[w->first_open[d]].destination != d ||
					       w->messages[w->first_open[d]].due == INT64_MAX))
		w->first_open[d]++;
	for (size_t i = w->first_open[d]; i < w->count; i++) {
		struct message *m = &w->messages[i];

		if (m->destination != d || m->due == INT64_MAX)
			continue;
		if (m->due > w->now || found == next->limit) {
			next_due = m->due < next_due ? m->due : next_due;
			if (found == next->limit && next_due <= w->now)
				break; /* the rest cannot be earlier than now matters */
			continue;
		}
		found++;
		if (dispatch_add(w->dispatch, next->destination, i + 1, rank_of(m), m)) {
			assert_false(m->in_memory);
			m->in_memory = true;
		} else {
			assert_true(m->in_memory);
		}
	}
	dispatch_loaded(w->dispatch, next->destination, next_due);
}

/* All that can be done now; returns when there is something to do again. */
static int64_t act(struct world *w)
{
	struct dispatch_next next;

	for (int steps = 0;; steps++) {
		assert_true(steps < 1000000);
		dispatch_next(w->dispatch, w->now, &next);
		if (next.action == DISPATCH_NOTHING)
			return next.wake;
		if (next.action == DISPATCH_START) {
			start(w, &next);
		} else if (next.action == DISPATCH_LOAD) {
			load(w, &next);
		} else {
			struct message *m = next.data;

			assert_true(m->in_memory && !m->under_way);
			m->in_memory = false;
		}
	}
}

static void finish(struct world *w, size_t slot)
{
	size_t index = w->in_flight[slot];
	struct message *m = &w->messages[index];
	uint32_t d = m->destination;
	enum dispatch_outcome outcome = DISPATCH_WORKED;
	int64_t retry_at = 0;

	w->in_flight[slot] = w->in_flight[--w->total];
	w->under_way[d]--;
	m->under_way = m->in_memory = false;
	if (w->dead[d]) {
		uint32_t failures = dispatch_failures(w->dispatch, d + 1);

		outcome = DISPATCH_DOWN;
		retry_at = w->now + (int64_t)retry_pause(&schedule, failures + 1, random_number(w));
		m->due = retry_at;
	} else if (random_number(w) % 50 == 0) {
		m->due = w->now + 60000; /* that one, not the host */
	} else if (random_number(w) % 100 == 0) {
		outcome = DISPATCH_UNKNOWN; /* given back */
	} else {
		m->due = INT64_MAX;
		w->delivered++;
	}
	dispatch_finish(w->dispatch, d + 1, index + 1, outcome, retry_at, m->due);
	if (outcome == DISPATCH_WORKED)
		w->blocked[d] = 0;
	else if (outcome == DISPATCH_DOWN && w->blocked[d] <= w->now)
		w->blocked[d] = retry_at;
}

/* Runs until the time, or until nothing is left to happen. */
static void run(struct world *w, int64_t until)
{
	while (w->now < until) {
		int64_t wake = act(w);

		for (size_t i = 0; i < w->total; i++) {
			int64_t ends = w->messages[w->in_flight[i]].ends;

			wake = ends < wake ? ends : wake;
		}
		if (wake > until)
			wake = until;
		assert_true(wake > w->now || w->total != 0);
		w->now = wake > w->now ? wake : w->now;
		for (size_t i = w->total; i-- > 0;) {
			if (w->messages[w->in_flight[i]].ends <= w->now)
				finish(w, i);
		}
	}
	act(w);
}

static struct world new_world(size_t max, unsigned seed, uint32_t window)
{
	struct dispatch_options options = {.window = window, .first_window = 4, .ready_max = 200};
	struct world w = {.max = max, .seed = seed, .window = window, .now = 1000};

	w.dispatch = dispatch_new(&options);
	w.messages = mem_array(max, sizeof(*w.messages));
	for (int i = 0; i < DESTINATIONS; i++)
		w.slow[i] = 50;
	return w;
}

static void ignore(void *arg, void *data)
{
	(void)arg;
	(void)data;
}

static void end_world(struct world *w)
{
	dispatch_free(&w->dispatch, ignore, NULL);
	mem_free(w->messages);
}

static void m9_dead_host_gets_one_probe(void **state)
{
	enum { DEAD = 100000, GOOD = 2000 };
	struct world w = new_world(DEAD + GOOD, 3, 64);
	int64_t start_of_good;

	(void)state;
	w.dead[0] = true;
	w.slow[0] = 30000; /* it takes its time to refuse */
	for (int i = 0; i < DEAD; i++)
		fresh(&w, 0);
	run(&w, w.now + 86400000); /* a day */
	/* A first window of four, then one probe per retry: 5 m, 10 m, ... 4 h. */
	assert_in_range(w.attempts[0], 8, 20);
	assert_in_range(dispatch_totals(w.dispatch).ready, 0, 200);
	start_of_good = w.now;
	for (uint32_t i = 0; i < GOOD; i++)
		fresh(&w, 1 + i % 4);
	while (w.delivered < GOOD && w.now < start_of_good + 600000)
		run(&w, w.now + 100);
	/* 64 at once, a quarter each: 16 per 60 ms and host; and the stragglers' minute or two. */
	assert_int_equal(w.delivered, GOOD);
	/* It comes back: all of it goes out. */
	w.dead[0] = false;
	w.slow[0] = 50;
	run(&w, w.now + 4 * 3600000 + 3600000);
	assert_int_equal(w.delivered, DEAD + GOOD);
	assert_int_equal(dispatch_totals(w.dispatch).under_way, 0);
	end_world(&w);
}

static void a_slow_host_takes_only_its_share(void **state)
{
	struct world w = new_world(3000, 5, 64);
	int64_t start_of_good;

	(void)state;
	w.slow[0] = 600000;
	for (int i = 0; i < 1000; i++)
		fresh(&w, 0);
	run(&w, w.now + 1000);
	start_of_good = w.now;
	for (uint32_t i = 0; i < 1000; i++)
		fresh(&w, 1 + i % 10);
	while (w.delivered < 960)
		run(&w, w.now + 10);
	assert_true(w.now - start_of_good < 10000);
	end_world(&w);
}

static void random_weeks(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 60; seed++) {
		struct world w = new_world(4000, seed, 1 + seed % 40);

		for (int step = 0; step < 300; step++) {
			uint32_t d = (uint32_t)(random_number(&w) % DESTINATIONS);

			switch (random_number(&w) % 8) {
			case 0:
				w.dead[d] = !w.dead[d];
				break;
			case 1:
				w.slow[d] = (int64_t)(random_number(&w) % 5000);
				break;
			case 2:
				w.blocked[d] = 0;
				dispatch_wake(w.dispatch, d + 1, w.now);
				break;
			case 3:
				for (int i = 0; i < 100 && w.count < w.max; i++)
					fresh(&w, d);
				break;
			case 4:
			case 5:
				if (w.count < w.max)
					fresh(&w, d);
				break;
			default:
				run(&w, w.now + (int64_t)(random_number(&w) % 2000000));
			}
		}
		memset(w.dead, 0, sizeof(w.dead));
		run(&w, w.now + 2 * 86400000);
		if (w.delivered != w.count)
			fail_msg("seed %u: %zu of %zu delivered", seed, w.delivered, w.count);
		end_world(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(m9_dead_host_gets_one_probe),
		cmocka_unit_test(a_slow_host_takes_only_its_share),
		cmocka_unit_test(random_weeks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
