/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new configuration, all or nothing: read, checked, sockets bound, files read, prepared by
 * every process; only then committed. Whatever fails on the way leaves the old one in force.
 * The same way brings a renewed certificate, with the configuration as it is.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "alert.h"
#include "base/mem.h"
#include "folders.h"
#include "os/log.h"
#include "os/loop.h"

enum {
	RETRY_MS = 100, /* a process is just starting */
	TRY_FOR_MS = 10000,
	ANSWER_WITHIN_MS = 15000,
	WATCH_MS = 60000, /* files are looked at */
	ERRORS_MAX = 16384,
	TEXT_MAX = 2048, /* as OP_END takes */
};

bool reload_under_way(const struct master *master)
{
	return master->reload.next != NULL;
}

static void answer_ops(struct master *master, bool ok, const char *text)
{
	struct reload *reload = &master->reload;

	for (size_t i = 0; i < reload->op_count; i++)
		operate_end(master, reload->ops[i], ok, text);
	reload->op_count = 0;
}

static void print_time(int64_t wall, char *text, size_t size)
{
	time_t seconds = (time_t)(wall / 1000);
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL ||
	    strftime(text, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, size, "?");
}

/* reasons: lines. All are logged; the operator's answer is one line. */
static void refused(struct master *master, struct slice reasons)
{
	char text[TEXT_MAX], when[32];
	struct slice line;
	size_t len;

	print_time(master->current->made_at, when, sizeof(when));
	len = (size_t)snprintf(
		text, sizeof(text), "%s refused, still running the configuration of %s",
		master->reload.renew ? "renewal of certificate or password" : "reload", when);
	for (struct slice rest = reasons; slice_split(&rest, '\n', &line);) {
		if (line.len == 0)
			continue;
		log_event(LOG_ERROR, "reload", LOG_TEXT("result", "refused"),
			  LOG_TEXT("running_since", when), LOG_SLICE("reason", line));
		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s",
						len < 100 ? ": " : "; ", SLICE_ARG(line));
	}
	if (master->reload.renew)
		generation_note_files(master->current);
	answer_ops(master, false, text);
}

/* Back to where we were. */
static void roll_back(struct master *master, const char *who, const char *why)
{
	struct msg_rollback msg = {master->reload.next->number};
	char text[TEXT_MAX];

	timer_stop(master->reload.timer);
	for (size_t i = 0; i < master->process_count; i++) {
		struct process *process = &master->processes[i];

		if (process->reload != RELOAD_NOT_ASKED && process->state == PROCESS_RUNNING)
			(void)channel_send(process->channel, IPC_ROLLBACK, &msg);
		process->reload = RELOAD_NOT_ASKED;
	}
	generation_free(&master->reload.next);
	snprintf(text, sizeof(text), "%s: %s", who, why);
	refused(master, slice_str(text));
	if (master->reload.wanted)
		timer_set(master->reload.timer, RETRY_MS);
}

void reload_cancel(struct master *master)
{
	master->reload.wanted = false;
	if (reload_under_way(master))
		roll_back(master, "postern", "it is being stopped");
	timer_stop(master->reload.timer);
	timer_stop(master->reload.watch);
}

void reload_lost(struct process *process)
{
	if (process->reload == RELOAD_NOT_ASKED)
		return;
	process->reload = RELOAD_NOT_ASKED;
	if (reload_under_way(process->master))
		roll_back(process->master, process->name, "it ended while it prepared");
}

/* What only a restart changes; appends a line each. */
static void note_restarts(const struct config *old, const struct config *new, struct buf *notes)
{
	if (old->smtpd_processes != new->smtpd_processes)
		(void)buf_append_str(notes, "smtpd_processes takes effect at the next restart; ");
	if (old->auth.workers != new->auth.workers)
		(void)buf_append_str(notes, "auth workers takes effect at the next restart; ");
	if (old->log_target != new->log_target)
		(void)buf_append_str(notes, "log target takes effect at the next restart; ");
}

static void commit(struct master *master)
{
	struct generation *old = master->current;
	char text[TEXT_MAX];
	struct buf notes;

	timer_stop(master->reload.timer);
	master->current = master->reload.next;
	master->reload.next = NULL;
	buf_init(&notes, 512);
	note_restarts(old->config, master->current->config, &notes);
	for (size_t i = 0; i < master->process_count; i++)
		if (master->processes[i].reload == RELOAD_AGREED)
			process_commit(&master->processes[i], master->current);
	/* Once auth knows which back ends there are. */
	follow_all(master, old->config);
	alert_configured(master->desk);
	log_set_json(master->current->config->log_format == LOG_FORMAT_JSON);
	log_event(LOG_INFO, "reload", LOG_TEXT("result", "done"), LOG_TEXT("config", master->path),
		  LOG_BOOL("files_only", master->reload.renew),
		  LOG_SLICE_IF("note", buf_data(&notes)));
	snprintf(text, sizeof(text), "the configuration of %.1000s is in force%s%.*s", master->path,
		 buf_len(&notes) != 0 ? "; " : "", SLICE_ARG(buf_data(&notes)));
	answer_ops(master, true, text);
	buf_release(&notes);
	generation_free(&old);
	if (master->reload.wanted)
		timer_set(master->reload.timer, RETRY_MS);
}

void reload_answered(struct process *process, const struct msg_prepared *msg)
{
	struct master *master = process->master;
	char why[1100];

	if (process->reload != RELOAD_ASKED || !reload_under_way(master) ||
	    msg->generation != master->reload.next->number)
		return; /* of one that was given up */
	if (!msg->ok) {
		snprintf(why, sizeof(why), "%.*s", SLICE_ARG(msg->error));
		roll_back(master, process->name, why);
		return;
	}
	process->reload = RELOAD_AGREED;
	for (size_t i = 0; i < master->process_count; i++)
		if (master->processes[i].reload == RELOAD_ASKED)
			return;
	commit(master);
}

/* What cannot change under running processes. */
static enum err check_unchanged(const struct config *old, const struct config *new,
				struct buf *errors)
{
	if (strcmp(old->state_dir, new->state_dir) == 0 &&
	    strcmp(old->runtime_dir, new->runtime_dir) == 0 &&
	    strcmp(old->user_prefix, new->user_prefix) == 0)
		return ERR_OK;
	(void)buf_append_str(errors, "state_dir, runtime_dir and user_prefix cannot change while "
				     "postern runs: restart it\n");
	return ERR_DENIED;
}

static enum err make_next(struct master *master, struct generation **next_out, struct buf *errors)
{
	struct generation *next = NULL;
	char why[FOLDERS_WHY_MAX];
	enum err err;

	if (master->reload.renew)
		err = generation_again(master->current, &next, errors);
	else
		err = generation_read(master->path, &next, errors);
	if (err != ERR_OK)
		return err;
	next->number = ++master->generation_count;
	err = check_unchanged(master->current->config, next->config, errors);
	if (err == ERR_OK)
		err = generation_fill(next, master->current, errors);
	if (err == ERR_OK && (err = folders_make(next->config, why)) != ERR_OK)
		(void)buf_printf(errors, "%s\n", why);
	if (err != ERR_OK)
		generation_free(&next);
	else
		*next_out = next;
	return err;
}

static void ask_all(struct master *master)
{
	for (size_t i = 0; i < master->process_count; i++) {
		struct process *process = &master->processes[i];

		if (process->state != PROCESS_RUNNING || process->retired)
			continue; /* it starts with what is in force then, or not at all */
		process->reload = RELOAD_ASKED;
		process_prepare(process, master->reload.next);
	}
	timer_set(master->reload.timer, ANSWER_WITHIN_MS);
}

static bool somebody_starts(const struct master *master)
{
	for (size_t i = 0; i < master->process_count; i++)
		if (!master->processes[i].retired &&
		    (master->processes[i].state == PROCESS_STARTING ||
		     master->processes[i].state == PROCESS_READY))
			return true;
	return false;
}

static void try_reload(struct master *master)
{
	struct reload *reload = &master->reload;
	struct buf errors;

	if (somebody_starts(master) || process_count_alive(master) == 0) {
		if (os_monotonic_ms() - reload->since < TRY_FOR_MS) {
			timer_set(reload->timer, RETRY_MS);
			return;
		}
		reload->wanted = false;
		refused(master,
			SLICE_LIT("a process does not come up; \"postern status\" shows which"));
		return;
	}
	reload->wanted = false;
	buf_init(&errors, ERRORS_MAX);
	if (make_next(master, &reload->next, &errors) == ERR_OK)
		ask_all(master);
	else
		refused(master, buf_len(&errors) != 0
					? buf_data(&errors)
					: SLICE_LIT("the configuration cannot be used"));
	buf_release(&errors);
}

static void on_timer(void *arg)
{
	struct master *master = arg;

	if (reload_under_way(master)) {
		for (size_t i = 0; i < master->process_count; i++) {
			if (master->processes[i].reload == RELOAD_ASKED) {
				roll_back(master, master->processes[i].name,
					  "it did not answer in time");
				return;
			}
		}
	} else if (master->reload.wanted) {
		try_reload(master);
	}
}

void reload_request(struct master *master, uint64_t op, bool renew)
{
	struct reload *reload = &master->reload;

	if (master->phase != PHASE_SERVING || (op != 0 && reload_under_way(master)) ||
	    (op != 0 && reload->op_count == OPS_WAITING)) {
		if (op != 0)
			operate_end(master, op, false, "a reload is under way already; try again");
		return;
	}
	if (op != 0)
		reload->ops[reload->op_count++] = op;
	/* A whole reload covers a renewal. */
	if (!reload->wanted || !renew)
		reload->renew = renew;
	reload->wanted = true;
	reload->since = os_monotonic_ms();
	if (!reload_under_way(master))
		try_reload(master);
}

static void on_watch(void *arg)
{
	struct master *master = arg;

	timer_set(master->reload.watch, WATCH_MS);
	if (master->phase == PHASE_SERVING)
		alert_look(master->desk);
	if (master->phase == PHASE_SERVING && !reload_under_way(master) && !master->reload.wanted &&
	    generation_files_changed(master->current))
		reload_request(master, 0, true);
}

void reload_init(struct master *master)
{
	master->reload.timer = timer_new(master->loop, on_timer, master);
	master->reload.watch = timer_new(master->loop, on_watch, master);
	timer_set(master->reload.watch, WATCH_MS);
}
