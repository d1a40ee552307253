/* SPDX-License-Identifier: Apache-2.0 */
#include "alert_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "alert.h"
#include "base/mem.h"
#include "config/config.h"
#include "os/helper.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"

enum {
	SAID_MAX = 2000, /* of what it says */
	PATIENCE_MS = 2000,
	VARIABLES = 5,
	VARIABLE_MAX = 1200,
};

struct waiting {
	struct waiting *prev, *next;
	struct alert_run run;
};

struct alert_runner {
	struct loop *loop;
	alert_run_fn *done;
	alert_post_fn *post;
	void *arg;
	const struct config *config;
	struct waiting *line; /* the first one runs, if one does */
	size_t count;
	pid_t pid; /* 0: none runs */
	int said_fd;
	struct watch *watch;
	struct buf said;
	struct timer *timer;
	struct timer *next; /* starts what waits, from the loop */
	bool overdue;
	bool posting; /* instead of a pid */
	uint64_t post_id;
};

static void start_next(void *arg);

/* ---- its end -------------------------------------------------------------------------------- */

static void close_said(struct alert_runner *runner)
{
	watch_free(&runner->watch);
	net_close(&runner->said_fd);
}

static void forget_first(struct alert_runner *runner)
{
	struct waiting *first = runner->line;

	DL_DELETE(runner->line, first);
	runner->count--;
	mem_free(first->run.json);
	mem_free(first);
}

/* how: of its end. */
static void finish(struct alert_runner *runner, bool ok, const char *how)
{
	char text[ALERT_RUN_TEXT];
	struct slice said = slice_trim(buf_data(&runner->said));

	while (said.len != 0 && said.ptr[said.len - 1] == '\n')
		said.len--;
	(void)snprintf(text, sizeof(text), "%s%s%.*s", how, said.len != 0 ? "; it said: " : "",
		       SLICE_ARG(said));
	log_event(ok ? LOG_INFO : LOG_ERROR, runner->posting ? "alert-webhook" : "alert-command",
		  LOG_TEXT("kind", runner->line->run.kind),
		  LOG_TEXT("subject", runner->line->run.subject), LOG_TEXT("result", how),
		  LOG_SLICE_IF("said", said));
	runner->posting = false;
	runner->done(runner->arg, &runner->line->run, ok, text);
	buf_clear(&runner->said);
	forget_first(runner);
	if (runner->line != NULL)
		timer_set(runner->next, 0);
}

void alert_runner_reap(struct alert_runner *runner)
{
	char how[160];
	int status, signum;

	if (runner->pid == 0 || !helper_ended(runner->pid, &status, &signum))
		return;
	runner->pid = 0;
	timer_stop(runner->timer);
	(void)helper_read(runner->said_fd, &runner->said);
	close_said(runner);
	if (runner->overdue)
		(void)snprintf(how, sizeof(how), "killed, as it did not end within %llu s",
			       (unsigned long long)(runner->config->alert.timeout + 999) / 1000);
	else if (signum != 0)
		(void)snprintf(how, sizeof(how), "ended by signal %d (%s)", signum,
			       strsignal(signum));
	else
		(void)snprintf(how, sizeof(how), "exit status %d", status);
	finish(runner, signum == 0 && status == 0 && !runner->overdue, how);
}

static void on_overdue(void *arg)
{
	struct alert_runner *runner = arg;

	if (runner->posting) {
		finish(runner, false, "no answer of agent");
		return;
	}
	runner->overdue = true;
	helper_kill(runner->pid); /* its end is noticed as any other */
}

static void on_said(void *arg, int events)
{
	struct alert_runner *runner = arg;

	(void)events;
	if (helper_read(runner->said_fd, &runner->said) == ERR_EOF)
		watch_free(&runner->watch);
}

/* ---- its start ------------------------------------------------------------------------------ */

/* One line of a variable: programs that print it are not led astray. */
static void set_variable(char variable[VARIABLE_MAX], const char *name, const char *value)
{
	int len = snprintf(variable, VARIABLE_MAX, "POSTERN_%s=%s", name, value);

	for (int i = 0; i < len && i < VARIABLE_MAX - 1; i++)
		if ((unsigned char)variable[i] < ' ' || variable[i] == 0x7f)
			variable[i] = '?';
}

static enum err start(struct alert_runner *runner, const struct alert_run *run, char *why,
		      size_t size)
{
	char variables[VARIABLES][VARIABLE_MAX], user[256];
	char *environment[VARIABLES + 1];
	struct helper helper = {
		.path = runner->config->alert.command,
		.environment = environment,
		.input = slice_str(run->json),
	};
	enum err err;

	set_variable(variables[0], "HOST", runner->config->hostname);
	set_variable(variables[1], "KIND", run->kind);
	set_variable(variables[2], "SUBJECT", run->subject);
	set_variable(variables[3], "TEXT", run->text);
	set_variable(variables[4], "STATE", run->state);
	for (size_t i = 0; i < VARIABLES; i++)
		environment[i] = variables[i];
	environment[VARIABLES] = NULL;
	helper.change_user = os_is_root() && config_alert_user(runner->config, user);
	if (helper.change_user && os_user(user, &helper.uid, &helper.gid) != ERR_OK) {
		(void)snprintf(why, size, "there is no user %s to run %s", user, helper.path);
		return ERR_NOT_FOUND;
	}
	err = helper_start(&helper, &runner->pid, &runner->said_fd);
	if (err != ERR_OK) /* of the path, or of the interpreter that it names */
		(void)snprintf(why, size, "%s cannot be run: %s", helper.path, strerror(errno));
	return err;
}

/* agent says itself that its time is over; what comes later than that is not looked at. */
static void start_post(struct alert_runner *runner)
{
	runner->posting = true;
	if (runner->post(runner->arg, ++runner->post_id, slice_str(runner->line->run.json)))
		timer_set(runner->timer, runner->config->alert.timeout + PATIENCE_MS);
	else
		finish(runner, false, "agent, which would send it, does not run now");
}

void alert_runner_posted(struct alert_runner *runner, uint64_t id, bool ok, struct slice text)
{
	char how[512 + 1];

	if (!runner->posting || id != runner->post_id)
		return;
	timer_stop(runner->timer);
	(void)slice_copy(text, how, sizeof(how));
	finish(runner, ok, how);
}

static void start_next(void *arg)
{
	struct alert_runner *runner = arg;
	char why[600];

	if (runner->pid != 0 || runner->posting || runner->line == NULL)
		return;
	if (runner->config->alert.webhook != NULL) {
		start_post(runner);
		return;
	}
	if (runner->config->alert.command == NULL) {
		finish(runner, false, "alert.command was taken out of the configuration");
		return;
	}
	if (start(runner, &runner->line->run, why, sizeof(why)) != ERR_OK) {
		finish(runner, false, why);
		return;
	}
	runner->overdue = false;
	runner->watch = watch_new(runner->loop, runner->said_fd, on_said, runner);
	watch_set(runner->watch, WATCH_READ);
	timer_set(runner->timer, runner->config->alert.timeout);
}

bool alert_runner_add(struct alert_runner *runner, const struct alert_run *run)
{
	struct waiting *waiting;

	if (runner->count >= ALERT_LINE_MAX)
		return false;
	waiting = mem_alloc(sizeof(*waiting));
	waiting->run = *run;
	DL_APPEND(runner->line, waiting);
	runner->count++;
	timer_set(runner->next, 0);
	return true;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct alert_runner *alert_runner_new(struct loop *loop, alert_run_fn *done, alert_post_fn *post,
				      void *arg)
{
	struct alert_runner *runner = mem_alloc(sizeof(*runner));

	runner->loop = loop;
	runner->done = done;
	runner->post = post;
	runner->arg = arg;
	runner->said_fd = -1;
	buf_init(&runner->said, SAID_MAX);
	runner->timer = timer_new(loop, on_overdue, runner);
	runner->next = timer_new(loop, start_next, runner);
	return runner;
}

void alert_runner_free(struct alert_runner **runner)
{
	if (*runner == NULL)
		return;
	helper_kill((*runner)->pid);
	close_said(*runner);
	while ((*runner)->line != NULL)
		forget_first(*runner);
	buf_release(&(*runner)->said);
	timer_free(&(*runner)->timer);
	timer_free(&(*runner)->next);
	MEM_FREE(*runner);
}

void alert_runner_configure(struct alert_runner *runner, const struct config *config)
{
	runner->config = config;
}

size_t alert_runner_waiting(const struct alert_runner *runner)
{
	return runner->count;
}
