/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ask is put to one back end after the other. At each it waits in the queue until a process is
 * free (link is set), is then with that process (process->ask), and ends there by its answer, or
 * by its timer. A process whose question was given up is busy until it answers or ends.
 */
#include "backends.h"

#include <stdio.h>
#include <string.h>

#include "alarm.h"
#include "auth.h"
#include "base/mem.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"

enum {
	/* Beyond the back end's time: it tells itself that it took too long, in better words. */
	PATIENCE_MS = 500,
	/* Of a process that neither answers nor ends. */
	STUCK_MS = 5000,
};

struct process {
	struct backend *backend;
	struct channel *channel; /* NULL: it is being started */
	struct backend_ask *ask; /* NULL while busy: it was given up */
	struct timer *stuck;
	uint64_t id;
	bool busy;
};

struct backend {
	struct backends *backends;
	char name[BACKEND_NAME_MAX + 1];
	enum backend_type type;
	uint64_t timeout, cache;
	uint32_t waiting_max;
	size_t process_count;
	struct process processes[CONFIG_BACKEND_PROCESSES_MAX];
	struct backend_ask *first, **last;
	size_t waiting;
	bool down;
	int64_t since;
	char why[BACKENDS_WHY];
	uint64_t yes, no, unavailable;
};

struct backends {
	struct auth *auth;
	struct backend *items[CONFIG_BACKENDS_MAX]; /* in the order of the file */
	size_t count;
	struct config *config; /* that they were made for */
	uint64_t last_id, round;
};

static void put(struct backend_ask *ask);
static void serve(struct backend *backend);

/* ---- whether it can be asked ---------------------------------------------------------------- */

static void note(struct backend *backend, bool down, const char *why)
{
	bool first = backend->since == 0;

	if (down)
		(void)snprintf(backend->why, sizeof(backend->why), "%s", why);
	if (!first && down == backend->down)
		return;
	if (down)
		log_event(LOG_ERROR, "backend-down", LOG_TEXT("backend", backend->name),
			  LOG_TEXT("reason", why));
	else if (!first)
		log_event(LOG_INFO, "backend-up", LOG_TEXT("backend", backend->name),
			  LOG_NUMBER("down_s", (os_wall_ms() - backend->since) / 1000));
	if (down)
		alarm_backend(backend->backends->auth, backend->name, why);
	else
		alarm_backend_over(backend->backends->auth, backend->name);
	backend->down = down;
	backend->since = os_wall_ms();
	if (!down)
		backend->why[0] = '\0';
}

/* ---- an ask --------------------------------------------------------------------------------- */

struct backend_ask *backend_ask_new(void)
{
	return mem_alloc(sizeof(struct backend_ask));
}

void backend_ask_free(struct backend_ask **ask)
{
	if (*ask == NULL)
		return;
	timer_free(&(*ask)->timer);
	secret_clear(&(*ask)->password);
	MEM_FREE(*ask);
}

static void leave_queue(struct backend_ask *ask)
{
	struct backend *backend = ask->at;

	if (ask->link == NULL)
		return;
	*ask->link = ask->next;
	if (ask->next != NULL)
		ask->next->link = ask->link;
	else
		backend->last = ask->link;
	ask->link = NULL;
	ask->next = NULL;
	backend->waiting--;
}

/* Takes it from where it is. */
static void take_back(struct backend_ask *ask)
{
	timer_stop(ask->timer);
	if (ask->at == NULL)
		return;
	leave_queue(ask);
	for (size_t i = 0; i < ask->at->process_count; i++)
		if (ask->at->processes[i].ask == ask)
			ask->at->processes[i].ask = NULL;
	ask->at = NULL;
}

void backends_cancel(struct backend_ask **ask)
{
	if (*ask == NULL)
		return;
	take_back(*ask);
	backend_ask_free(ask);
}

static unsigned weight(enum ipc_check verdict)
{
	switch (verdict) {
	case IPC_CHECK_YES:
		return 4;
	case IPC_CHECK_UNAVAILABLE:
		return 3;
	case IPC_CHECK_NO:
		return 2;
	case IPC_CHECK_UNKNOWN:
		return 1;
	}
	return 0;
}

/* One answer; then the next back end is asked, or it is over. */
static void answered(struct backend_ask *ask, enum ipc_check verdict, const char *why)
{
	struct backend *backend = ask->at;

	take_back(ask);
	if (verdict == IPC_CHECK_YES)
		backend->yes++;
	else if (verdict == IPC_CHECK_UNAVAILABLE)
		backend->unavailable++;
	else
		backend->no++;
	if (weight(verdict) > weight(ask->verdict)) {
		ask->verdict = verdict;
		(void)snprintf(ask->by, sizeof(ask->by), "%s", backend->name);
		(void)snprintf(ask->why, sizeof(ask->why), "%s", why);
	}
	if (ask->each != NULL)
		ask->each(ask, backend->name, verdict, why);
	ask->position++;
	if (verdict == IPC_CHECK_YES && !ask->all)
		ask->done(ask);
	else
		put(ask);
}

/*
 * It may have waited for most of its time: that the back end is down says the process, after a
 * whole one, or on_stuck.
 */
static void on_timer(void *arg)
{
	struct backend_ask *ask = arg;
	char why[128];

	(void)snprintf(why, sizeof(why),
		       ask->link != NULL ? "none of its processes was free within %.1f s"
					 : "no answer within %.1f s",
		       (double)ask->at->timeout / 1000);
	answered(ask, IPC_CHECK_UNAVAILABLE, why);
}

/* The next back end that it is for. */
static void put(struct backend_ask *ask)
{
	struct backends *backends = ask->backends;
	struct backend *backend = NULL;

	/* After a reload position means another: what was to be asked is gone. */
	for (; ask->round == backends->round && ask->position < backends->count; ask->position++) {
		struct backend *next = backends->items[ask->position];

		if (ask->only[0] == '\0' || slice_is(slice_str(ask->only), next->name)) {
			backend = next;
			break;
		}
	}
	if (ask->round != backends->round) {
		ask->verdict = IPC_CHECK_UNAVAILABLE;
		(void)snprintf(ask->why, sizeof(ask->why), "the configuration changed meanwhile");
	}
	if (backend == NULL) {
		ask->done(ask);
		return;
	}
	ask->at = backend;
	if (backend->waiting >= backend->waiting_max) {
		answered(ask, IPC_CHECK_UNAVAILABLE, "too many logins wait for it");
		return;
	}
	ask->link = backend->last;
	*backend->last = ask;
	backend->last = &ask->next;
	backend->waiting++;
	timer_set(ask->timer, backend->timeout + PATIENCE_MS);
	serve(backend);
}

void backends_ask(struct backends *backends, struct backend_ask *ask)
{
	ask->backends = backends;
	ask->round = backends->round;
	ask->position = 0;
	ask->verdict = IPC_CHECK_UNKNOWN;
	ask->timer = timer_new(backends->auth->loop, on_timer, ask);
	(void)snprintf(ask->why, sizeof(ask->why), "no back end of that name is configured");
	put(ask);
}

/* ---- processes ------------------------------------------------------------------------------ */

static void on_stuck(void *arg)
{
	struct process *process = arg;

	note(process->backend, true, "its process neither answers nor ends");
	/* It ends when it sees that, and master starts another. */
	channel_free(&process->channel);
	process->busy = false;
}

static bool send_check(struct process *process, struct backend_ask *ask)
{
	struct msg_check msg = {
		.id = ++process->backend->backends->last_id,
		.name = slice_str(ask->name),
		.password = secret_value(&ask->password),
		.client = slice_str(ask->client),
	};

	if (channel_send(process->channel, IPC_CHECK, &msg) != ERR_OK)
		return false;
	process->id = msg.id;
	process->busy = true;
	process->ask = ask;
	timer_set(process->stuck, process->backend->timeout + STUCK_MS);
	return true;
}

/* Gives those that wait to the processes that are free. */
static void serve(struct backend *backend)
{
	for (size_t i = 0; i < backend->process_count && backend->first != NULL; i++) {
		struct process *process = &backend->processes[i];
		struct backend_ask *ask = backend->first;

		if (process->channel == NULL || process->busy)
			continue;
		leave_queue(ask);
		if (!send_check(process, ask))
			answered(ask, IPC_CHECK_UNAVAILABLE, "its process cannot be reached");
	}
}

static void free_process(struct process *process)
{
	process->busy = false;
	timer_stop(process->stuck);
	serve(process->backend);
}

static enum err on_checked(struct process *process, struct slice payload)
{
	struct backend *backend = process->backend;
	struct backend_ask *ask = process->ask;
	char why[BACKENDS_WHY];
	struct msg_checked msg;
	enum err err = ipc_decode(IPC_CHECKED, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (!process->busy || msg.id != process->id || msg.verdict < IPC_CHECK_YES ||
	    msg.verdict > IPC_CHECK_UNAVAILABLE)
		return ERR_SYNTAX;
	(void)snprintf(why, sizeof(why), "%.*s", SLICE_ARG(msg.why));
	process->ask = NULL;
	note(backend, msg.verdict == IPC_CHECK_UNAVAILABLE, why);
	if (ask != NULL)
		answered(ask, (enum ipc_check)msg.verdict, why);
	free_process(process);
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	(void)channel;
	(void)fd;
	return type == IPC_CHECKED ? on_checked(arg, payload) : ERR_SYNTAX;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct process *process = arg;
	struct backend_ask *ask = process->ask;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_event(LOG_ERROR, "note",
			  LOG_TEXT("text", "a process of a back end sent what it must not"),
			  LOG_TEXT("backend", process->backend->name), LOG_TEXT("reason", why));
	channel_free(&process->channel);
	process->ask = NULL;
	process->busy = false;
	timer_stop(process->stuck);
	if (ask != NULL) {
		note(process->backend, true, "its process ended while it was asked");
		answered(ask, IPC_CHECK_UNAVAILABLE, "its process ended while it was asked");
	}
}

void backends_process(struct backends *backends, uint16_t index, int fd)
{
	static const struct channel_handlers HANDLERS = {.message = on_message, .ended = on_ended};
	size_t at = index / CONFIG_BACKEND_PROCESSES_MAX, n = index % CONFIG_BACKEND_PROCESSES_MAX;
	struct process *process;

	if (at >= backends->count || n >= backends->items[at]->process_count) {
		log_note(LOG_ERROR, "a channel to a back end that is not configured");
		net_close(&fd);
		return;
	}
	process = &backends->items[at]->processes[n];
	if (process->channel != NULL)
		on_ended(process, process->channel, CHANNEL_EOF, "");
	process->channel =
		channel_new(backends->auth->loop, fd, process->backend->name, &HANDLERS, process);
	serve(process->backend);
}

/* ---- the configuration ---------------------------------------------------------------------- */

static struct backend *backend_new(struct backends *backends, const struct config_backend *section)
{
	struct backend *backend = mem_alloc(sizeof(*backend));

	backend->backends = backends;
	(void)snprintf(backend->name, sizeof(backend->name), "%s", section->name);
	backend->type = section->type;
	backend->timeout = section->timeout;
	backend->cache = section->cache;
	backend->waiting_max = section->waiting;
	backend->process_count = section->processes;
	backend->last = &backend->first;
	for (size_t i = 0; i < backend->process_count; i++) {
		backend->processes[i].backend = backend;
		backend->processes[i].stuck =
			timer_new(backends->auth->loop, on_stuck, &backend->processes[i]);
	}
	return backend;
}

static void backend_free(struct backend **backend)
{
	if (*backend == NULL)
		return;
	for (size_t i = 0; i < (*backend)->process_count; i++) {
		channel_free(&(*backend)->processes[i].channel);
		timer_free(&(*backend)->processes[i].stuck);
	}
	MEM_FREE(*backend);
}

/* Those who are asking it hear that it is not there any more. */
static void cut_off(struct backend *backend)
{
	static const char WHY[] = "the configuration of this back end changed meanwhile";

	while (backend->first != NULL)
		answered(backend->first, IPC_CHECK_UNAVAILABLE, WHY);
	for (size_t i = 0; i < backend->process_count; i++)
		if (backend->processes[i].ask != NULL)
			answered(backend->processes[i].ask, IPC_CHECK_UNAVAILABLE, WHY);
}

void backends_configure(struct backends *backends, const struct config *config)
{
	struct backend *old[CONFIG_BACKENDS_MAX];
	struct config *before = backends->config;
	size_t old_count = backends->count;
	bool changed = old_count != config->backend_count;

	memcpy(old, backends->items, sizeof(old));
	for (size_t i = 0; i < config->backend_count; i++)
		changed = changed || !config_backend_same(before, config, i);
	/* The copy is as large as what PREPARE brought. */
	if (!changed || config_copy(config, &backends->config) != ERR_OK)
		return;
	backends->round++;
	backends->count = config->backend_count;
	for (size_t i = 0; i < config->backend_count; i++)
		if (!config_backend_same(before, config, i))
			backends->items[i] = backend_new(backends, &config->backends[i]);
		else
			old[i] = NULL; /* it goes on */
	for (size_t i = 0; i < old_count; i++)
		if (old[i] != NULL) {
			cut_off(old[i]);
			if (old[i]->down)
				alarm_backend_over(backends->auth, old[i]->name);
			backend_free(&old[i]);
		}
	config_free(&before);
}

struct backends *backends_new(struct auth *auth)
{
	struct backends *backends = mem_alloc(sizeof(*backends));

	backends->auth = auth;
	backends->config = config_new();
	return backends;
}

void backends_free(struct backends **backends)
{
	if (*backends == NULL)
		return;
	for (size_t i = 0; i < (*backends)->count; i++)
		backend_free(&(*backends)->items[i]);
	config_free(&(*backends)->config);
	MEM_FREE(*backends);
}

size_t backends_count(const struct backends *backends)
{
	return backends->count;
}

uint64_t backends_cache(const struct backends *backends, const char *name)
{
	for (size_t i = 0; i < backends->count; i++)
		if (slice_is(slice_str(name), backends->items[i]->name))
			return backends->items[i]->cache;
	return 0;
}

/* ---- status --------------------------------------------------------------------------------- */

void backends_rows(const struct backends *backends,
		   void (*row)(void *arg, const struct backends_row *row), void *arg)
{
	for (size_t i = 0; i < backends->count; i++) {
		const struct backend *backend = backends->items[i];
		size_t there = 0;

		for (size_t n = 0; n < backend->process_count; n++)
			there += backend->processes[n].channel != NULL;
		row(arg, &(struct backends_row){
				 .name = backend->name,
				 .type = config_backend_type(backend->type),
				 .down = backend->down,
				 .since = backend->since,
				 .why = backend->why,
				 .processes = there,
				 .waiting = backend->waiting,
				 .yes = backend->yes,
				 .no = backend->no,
				 .unavailable = backend->unavailable,
			 });
	}
}
