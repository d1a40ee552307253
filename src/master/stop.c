/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end: those that talk to the world first (smtpd before relay), then those that keep what
 * they bring home. Everything is over within STOP_MS and a little for the last step.
 */
#include "internal.h"

#include <signal.h>

#include "os/log.h"
#include "os/loop.h"

enum {
	STOP_MS = 8000,  /* for transactions under way */
	LAST_MS = 2000,  /* at least, for the last commits */
	GRACE_MS = 1500, /* then what is left is killed */
};

static int64_t time_left(const struct master *master)
{
	int64_t left = master->stop_deadline - os_monotonic_ms();

	return left > LAST_MS ? left : LAST_MS;
}

void stop_continue(struct master *master)
{
	for (int step = STOP_FIRST; step < STOP_STEPS; step++) {
		bool alive = false;

		for (size_t i = master->process_count; i-- > 0;) {
			struct process *process = &master->processes[i];

			if ((int)process->node->stop != step || process->state == PROCESS_DOWN)
				continue;
			alive = true;
			process_tell(process, time_left(master));
		}
		if (alive)
			return;
	}
	loop_stop(master->loop);
}

static void on_overdue(void *arg)
{
	struct master *master = arg;

	for (size_t i = 0; i < master->process_count; i++)
		if (master->processes[i].state != PROCESS_DOWN)
			log_note(LOG_WARNING, "%s did not end in its time and is killed",
				 master->processes[i].name);
	process_kill_all(master);
}

void stop_begin(struct master *master)
{
	if (master->phase == PHASE_STOPPING) {
		/* Asked twice: at once. What was acknowledged is on disk. */
		process_kill_all(master);
		return;
	}
	os_notify("STOPPING=1");
	if (master->phase == PHASE_SERVING)
		log_event(LOG_INFO, "stop", LOG_NUMBER("within_ms", STOP_MS));
	reload_cancel(master);
	master->phase = PHASE_STOPPING;
	master->stop_deadline = os_monotonic_ms() + STOP_MS;
	master->stop_timer = timer_new(master->loop, on_overdue, master);
	timer_set(master->stop_timer, STOP_MS + LAST_MS + GRACE_MS);
	stop_continue(master);
}
