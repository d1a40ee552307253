/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "ipc/child.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "os/sandbox.h"
#include "os/worker.h"

struct job {
	struct backend *backend;
	uint64_t id;
	char name[320 + 1], client[64 + 1]; /* as CHECK takes */
	struct secret password;
	struct secret secret; /* the back end's own: a copy, as another may come meanwhile */
	struct backend_question question;
	struct backend_answer answer;
};

struct backend {
	struct child *child;
	const struct backend_driver *driver;
	struct config *config; /* of our own: it stays as it was at the start */
	const struct config_backend *section;
	struct worker_pool *pool;
	struct timer *deadline;
	struct channel *auth;
	struct secret secret, next_secret; /* next: of the configuration that is being prepared */
	struct job *job;                   /* with the thread */
	bool hung; /* the process ends before the thread has come back: nothing may wait */
};

/* One per process; main of each executable gives its drivers. */
static const struct backend_driver *const *the_drivers;
static struct backend *the_backend;

void backend_say(struct backend_answer *answer, enum ipc_check verdict, const char *format, ...)
{
	va_list args;

	answer->verdict = verdict;
	va_start(args, format);
	(void)vsnprintf(answer->why, sizeof(answer->why), format, args);
	va_end(args);
}

void backend_words(struct slice text, char *words_out, size_t size)
{
	size_t len = 0;

	while (text.len != 0) {
		uint32_t code = 0;
		size_t step = utf8_next(text, &code);
		bool good = step != 0 && !utf8_is_unsafe(code);

		if (step == 0)
			step = 1;
		if (len + (good ? step : 1) >= size)
			break;
		if (good)
			memcpy(words_out + len, text.ptr, step);
		else
			words_out[len] = '?';
		len += good ? step : 1;
		text = slice_skip(text, step);
	}
	words_out[len] = '\0';
}

/* ---- questions ------------------------------------------------------------------------------ */

static void job_free(struct job **job)
{
	if (*job == NULL)
		return;
	secret_clear(&(*job)->password);
	secret_clear(&(*job)->secret);
	MEM_FREE(*job);
}

static void send_answer(struct backend *backend, const struct job *job,
			const struct backend_answer *answer)
{
	struct msg_checked msg = {job->id, (uint8_t)answer->verdict, slice_str(answer->why)};

	if (backend->auth != NULL)
		(void)channel_send(backend->auth, IPC_CHECKED, &msg);
}

/* On the thread. */
static void work(void *arg)
{
	struct job *job = arg;

	job->backend->driver->check(job->backend->section, &job->question, &job->answer);
}

static void done(void *arg)
{
	struct job *job = arg;
	struct backend *backend = job->backend;

	timer_stop(backend->deadline);
	backend->job = NULL;
	send_answer(backend, job, &job->answer);
	if (job->answer.note[0] != '\0')
		log_note(LOG_WARNING, "backend \"%s\": %s", backend->section->name,
			 job->answer.note);
	job_free(&job);
}

/*
 * Nobody waits any more for what the thread may be doing. It cannot be stopped, but the process
 * can: the next question must not find it busy, nor be answered with what another one was for.
 */
static void leave_auth(struct backend *backend)
{
	channel_free(&backend->auth);
	backend->hung = backend->job != NULL;
	if (backend->hung)
		child_exit(backend->child, 0);
}

/* The end of the process is the end of the thread, but not of a program that it runs. */
static void end_at_once(const struct backend *backend, int status)
{
	if (backend->driver->give_up != NULL)
		backend->driver->give_up();
	_exit(status);
}

static void on_deadline(void *arg)
{
	struct backend *backend = arg;
	struct backend_answer answer;

	backend_say(&answer, IPC_CHECK_UNAVAILABLE, "no answer within %.1f s",
		    (double)backend->section->timeout / 1000);
	send_answer(backend, backend->job, &answer);
	if (backend->auth != NULL)
		channel_flush(backend->auth);
	leave_auth(backend);
}

static struct job *new_job(struct backend *backend, const struct msg_check *msg)
{
	struct job *job = mem_alloc(sizeof(*job));

	(void)slice_copy(msg->name, job->name, sizeof(job->name));
	(void)slice_copy(msg->client, job->client, sizeof(job->client));
	secret_set(&job->password, msg->password);
	secret_set(&job->secret, secret_value(&backend->secret));
	job->backend = backend;
	job->id = msg->id;
	job->question = (struct backend_question){
		.name = job->name,
		.client = job->client,
		.password = job->password.mem, /* which secret_set ends with NUL */
		.secret = job->secret.mem,
		.until = os_monotonic_ms() + (int64_t)backend->section->timeout,
	};
	backend_say(&job->answer, IPC_CHECK_UNAVAILABLE, "it said nothing");
	return job;
}

static enum err on_check(struct backend *backend, struct slice payload)
{
	struct msg_check msg;
	enum err err = ipc_decode(IPC_CHECK, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (backend->job != NULL)
		return ERR_SYNTAX; /* one at a time */
	backend->job = new_job(backend, &msg);
	if (worker_submit(backend->pool, work, done, backend->job) != ERR_OK) {
		send_answer(backend, backend->job, &backend->job->answer);
		job_free(&backend->job);
		return ERR_OK;
	}
	timer_set(backend->deadline, backend->section->timeout);
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	(void)channel;
	(void)fd;
	return type == IPC_CHECK ? on_check(arg, payload) : ERR_SYNTAX;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct backend *backend = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel to auth is broken: %s", why);
	leave_auth(backend);
}

/* ---- life ----------------------------------------------------------------------------------- */

static const struct backend_driver *driver_for(enum backend_type type)
{
	for (size_t i = 0; the_drivers[i] != NULL; i++)
		if (the_drivers[i]->type == type)
			return the_drivers[i];
	return NULL;
}

/* The section is that of the start for good: if it changes, master replaces the process. */
static enum err keep_section(struct backend *backend, const struct config *config, char *why)
{
	enum err err = config_copy(config, &backend->config);

	if (err != ERR_OK)
		return err;
	backend->section = config_backend_of(backend->config, child_index(backend->child));
	if (backend->section != NULL)
		backend->driver = driver_for(backend->section->type);
	if (backend->driver != NULL)
		return ERR_OK;
	(void)snprintf(why, BACKEND_WHY, "there is no back end %u for this program",
		       child_index(backend->child));
	return ERR_NOT_FOUND;
}

static enum err start(struct child *child, const struct config *config, char *why)
{
	struct backend *backend = mem_alloc(sizeof(*backend));
	enum err err;

	backend->child = child;
	child_set_data(child, backend);
	the_backend = backend;
	err = keep_section(backend, config, why);
	if (err != ERR_OK)
		return err;
	backend->deadline = timer_new(child_loop(child), on_deadline, backend);
	backend->pool = worker_pool_new(child_loop(child), "check", 1, 1);
	return backend->driver->start != NULL
		       ? backend->driver->start(backend->config, backend->section, why)
		       : ERR_OK;
}

/* A file may change while the section stays, so this is taken up by each configuration. */
static enum err take_file(struct child *child, const struct msg_file *msg, char *why)
{
	struct backend *backend = child_data(child);
	struct slice line = slice_line(msg->value);

	if (!slice_is(msg->title, backend->section->name))
		return ERR_OK; /* we are about to be replaced */
	if (line.len == 0 || slice_has_byte(line, '\0')) {
		(void)snprintf(why, BACKEND_WHY,
			       "backend \"%s\": the first line of %s is empty, or no text; the "
			       "password of bind_dn belongs there",
			       backend->section->name, backend->section->ldap.bind_password_file);
		return ERR_SYNTAX;
	}
	secret_set(&backend->next_secret, line);
	return ERR_OK;
}

static void commit(struct child *child, const struct config *config)
{
	struct backend *backend = child_data(child);

	(void)config;
	secret_set(&backend->secret, secret_value(&backend->next_secret));
	secret_clear(&backend->next_secret);
}

static void rollback(struct child *child)
{
	struct backend *backend = child_data(child);

	secret_clear(&backend->next_secret);
}

static void set_user(struct child *child, const struct config *config, struct child_user *user)
{
	const struct backend *backend = child_data(child);
	const struct config_backend *section = backend->section;
	gid_t gid;

	(void)config;
	user->may_be_root = backend->driver->may_be_root && section->user != NULL;
	if (section->user != NULL)
		(void)snprintf(user->name, sizeof(user->name), "%s", section->user);
	if (section->group != NULL)
		(void)snprintf(user->group, sizeof(user->group), "%s", section->group);
	else if (backend->driver->group != NULL && os_group(backend->driver->group, &gid) == ERR_OK)
		(void)snprintf(user->group, sizeof(user->group), "%s", backend->driver->group);
}

static void set_sandbox(struct child *child, const struct config *config,
			struct sandbox *sandbox_out)
{
	const struct backend *backend = child_data(child);

	(void)config;
	backend->driver->sandbox(backend->section, sandbox_out);
}

static void peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		 int fd)
{
	static const struct channel_handlers HANDLERS = {.message = on_message, .ended = on_ended};
	struct backend *backend = child_data(child);

	(void)index;
	(void)incarnation;
	if (role != IPC_AUTH) {
		log_note(LOG_ERROR, "a channel to %s is not for a back end", ipc_role_name(role));
		net_close(&fd);
		return;
	}
	leave_auth(backend);
	if (backend->hung) {
		net_close(&fd); /* auth takes that for the end that it is */
		return;
	}
	backend->auth = channel_new(child_loop(child), fd, "auth", &HANDLERS, backend);
}

static void shut_down(struct child *child, uint32_t within_ms)
{
	struct backend *backend = child_data(child);

	(void)within_ms; /* the login that waits is answered 454, and tried again */
	backend->hung = backend->job != NULL;
	child_exit(child, 0);
}

static void free_backend(struct backend *backend)
{
	if (backend == NULL)
		return;
	channel_free(&backend->auth);
	worker_pool_free(&backend->pool);
	timer_free(&backend->deadline);
	config_free(&backend->config);
	secret_clear(&backend->secret);
	secret_clear(&backend->next_secret);
	mem_free(backend);
}

int backend_main(int argc, char **argv, const struct backend_driver *const *drivers)
{
	static const struct child_role ROLE = {
		.name = "backend",
		.role = IPC_BACKEND,
		.start = start,
		.file = take_file,
		.commit = commit,
		.rollback = rollback,
		.user = set_user,
		.peer = peer,
		.sandbox = set_sandbox,
		.shutdown = shut_down,
	};
	int status;

	the_drivers = drivers;
	status = child_main(argc, argv, &ROLE);
	/* Nothing can be taken from under a thread that is still at work. */
	if (the_backend != NULL && the_backend->hung)
		end_at_once(the_backend, status);
	free_backend(the_backend);
	return status;
}
