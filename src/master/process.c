/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process: starting it, giving it what it needs, watching it, starting it anew. Invariants:
 * a process that is not DOWN has a pid; one that is STARTING, READY or RUNNING has a channel;
 * none is started while a reload is under way, so that all have the same configuration.
 */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "alert.h"
#include "base/mem.h"
#include "listeners.h"
#include "os/log.h"
#include "os/loop.h"

enum {
	PAUSE_MIN = 100, /* ms before a dead process is started again; doubles */
	PAUSE_MAX = 1000,
	LIVED_LONG = 10000, /* then the pause is short again */
	PATIENCE = 8000,    /* for a process without channel to end by itself */
	CONFIG_BYTES = IPC_CONFIG_MAX,
};

static void on_timer(void *arg);

static void name_process(struct process *process, const struct config *config)
{
	const struct config_backend *backend;

	switch (process->node->count) {
	case COUNT_ONE:
	case COUNT_AGENT:
		snprintf(process->name, sizeof(process->name), "%s", process->node->name);
		break;
	case COUNT_SMTPD:
		snprintf(process->name, sizeof(process->name), "%s-%u", process->node->name,
			 process->index);
		break;
	case COUNT_BACKENDS:
		backend = config_backend_of(config, process->index);
		snprintf(process->name, sizeof(process->name), "%s-%s-%u", process->node->name,
			 backend != NULL ? backend->name : "",
			 process->index % (unsigned)CONFIG_BACKEND_PROCESSES_MAX);
		break;
	}
}

static struct process *free_place(struct master *master)
{
	for (size_t i = 0; i < master->process_count; i++) {
		struct process *process = &master->processes[i];

		if (process->retired && process->state == PROCESS_DOWN)
			return process;
	}
	return master->process_count < master->process_room
		       ? &master->processes[master->process_count++]
		       : NULL;
}

struct process *process_add(struct master *master, const struct graph_node *node, uint16_t index)
{
	struct process *process = free_place(master);

	if (process == NULL) /* those that were retired have not ended yet */
		return NULL;
	timer_free(&process->timer);
	*process = (struct process){
		.master = master, .node = node, .index = index, .pause = PAUSE_MIN};
	process->timer = timer_new(master->loop, on_timer, process);
	name_process(process, master->current->config);
	return process;
}

void process_init_all(struct master *master)
{
	uint32_t many = master->current->config->smtpd_processes;

	if (many == 0)
		many = os_cpu_count();
	/* Twice those that come and go: while those of before end, those of now start. */
	master->process_room = graph_node_count + 1 + many +
			       (size_t)2 * CONFIG_BACKENDS_MAX * CONFIG_BACKEND_PROCESSES_MAX;
	master->processes = mem_array(master->process_room, sizeof(*master->processes));
	for (size_t i = 0; i < graph_node_count; i++) {
		const struct graph_node *node = &graph_nodes[i];
		uint32_t count = node->count == COUNT_SMTPD ? many : 1;

		if (node->count == COUNT_BACKENDS || node->count == COUNT_AGENT)
			follow_node(master, node, NULL);
		else
			for (uint32_t n = 0; n < count; n++)
				(void)process_add(master, node, (uint16_t)n);
	}
}

size_t process_count_alive(const struct master *master)
{
	size_t count = 0;

	for (size_t i = 0; i < master->process_count; i++)
		count += master->processes[i].state != PROCESS_DOWN;
	return count;
}

struct process *process_of_role(struct master *master, enum ipc_role role)
{
	for (size_t i = 0; i < master->process_count; i++)
		if (master->processes[i].node->role == role)
			return &master->processes[i];
	return NULL;
}

/* ---- what it is given --------------------------------------------------------------------- */

/* A descriptor of ours that the channel may close. */
static void send_listener(struct process *process, uint32_t generation, uint16_t index,
			  const char *text, int fd)
{
	struct msg_listener msg = {generation, index, slice_str(text)};
	int copy;

	if (net_dup(fd, &copy) != ERR_OK) {
		log_note(LOG_ERROR, "no descriptor left to give listener %s to %s", text,
			 process->name);
		return;
	}
	if (channel_send_fd(process->channel, IPC_LISTENER, &msg, copy) != ERR_OK)
		net_close(&copy);
}

static void send_listeners(struct process *process, const struct generation *generation)
{
	if (process->node->gets & GETS_CONTROL)
		send_listener(process, generation->number, LISTENER_CONTROL, "control",
			      process->master->control_socket);
	if (!(process->node->gets & GETS_LISTENERS))
		return;
	for (size_t i = 0; i < generation->listener_count; i++) {
		const struct listener *listener = &generation->listeners[i];
		char text[NET_TEXT_MAX];

		net_print_port(&listener->where, text);
		send_listener(process, generation->number, listener->index, text, listener->fd);
	}
}

static bool gets_file(const struct process *process, const struct generation *generation,
		      const struct named_file *file)
{
	const struct config_backend *backend;

	if (!(process->node->gets & file->gets))
		return false;
	if (process->node->count != COUNT_BACKENDS)
		return true;
	backend = config_backend_of(generation->config, process->index);
	return backend != NULL && strcmp(backend->name, file->title) == 0;
}

static void send_secrets(struct process *process, const struct generation *generation)
{
	for (size_t i = 0; process->node->gets & GETS_IDENTITY && i < generation->identity_count;
	     i++) {
		struct tls_identity identity = generation_identity(generation, i);
		struct msg_identity msg = {generation->number,
					   slice_str(generation->identities[i].files->label),
					   identity.certificate, identity.key};

		(void)channel_send(process->channel, IPC_IDENTITY, &msg);
	}
	for (size_t i = 0; process->node->gets & GETS_IDENTITY && i < generation->authorities_count;
	     i++) {
		struct msg_authorities msg = {
			generation->number, slice_str(generation->authorities[i].listener),
			secret_value(&generation->authorities[i].certificates)};

		(void)channel_send(process->channel, IPC_AUTHORITIES, &msg);
	}
	for (size_t i = 0; i < generation->named_file_count; i++) {
		const struct named_file *file = &generation->named_files[i];
		struct msg_file msg = {generation->number, slice_str(file->section),
				       slice_str(file->title), slice_str(file->setting),
				       secret_value(&file->value)};

		if (gets_file(process, generation, file))
			(void)channel_send(process->channel, IPC_FILE, &msg);
	}
	if (!(process->node->gets & GETS_SECRETS))
		return;
	for (size_t i = 0; i < generation->password_count; i++) {
		struct msg_secret msg = {generation->number,
					 slice_str(generation->passwords[i].name),
					 secret_value(&generation->passwords[i].value)};

		(void)channel_send(process->channel, IPC_SECRET, &msg);
	}
}

void process_prepare(struct process *process, const struct generation *generation)
{
	struct msg_prepare msg = {generation->number, slice_of("", 0)};
	struct buf bytes;
	enum err err;

	send_listeners(process, generation);
	send_secrets(process, generation);
	buf_init(&bytes, CONFIG_BYTES);
	err = config_encode(generation->config, &bytes);
	msg.config = buf_data(&bytes);
	if (err == ERR_OK)
		err = channel_send(process->channel, IPC_PREPARE, &msg);
	/* Without it the process never answers, and is found out by the time limit. */
	if (err != ERR_OK)
		log_note(LOG_ERROR, "the configuration cannot be sent to %s: %s", process->name,
			 err_name(err));
	buf_release(&bytes);
}

static void send_peer(struct process *process, const struct process *peer, int fd)
{
	struct msg_peer msg = {(uint8_t)peer->node->role, peer->index, peer->incarnation};

	if (channel_send_fd(process->channel, IPC_PEER, &msg, fd) != ERR_OK)
		net_close(&fd);
}

static void connect_peers(struct process *process)
{
	struct master *master = process->master;

	for (size_t i = 0; i < master->process_count; i++) {
		struct process *peer = &master->processes[i];
		int fds[2];

		if (peer == process || peer->state != PROCESS_RUNNING || peer->retired ||
		    !graph_linked(process->node->role, peer->node->role))
			continue;
		if (net_pair(fds) != ERR_OK) {
			log_note(LOG_ERROR, "no descriptors left to connect %s and %s",
				 process->name, peer->name);
			continue;
		}
		/* Here, while we may exceed the system's limit. */
		net_buffers(fds[0], CHANNEL_BUFFER);
		net_buffers(fds[1], CHANNEL_BUFFER);
		send_peer(process, peer, fds[0]);
		send_peer(peer, process, fds[1]);
	}
}

void process_commit(struct process *process, const struct generation *generation)
{
	struct msg_commit msg = {generation->number};
	bool first = process->state == PROCESS_READY;

	(void)channel_send(process->channel, IPC_COMMIT, &msg);
	process->reload = RELOAD_NOT_ASKED;
	process->state = PROCESS_RUNNING;
	if (first && !process->retired)
		connect_peers(process);
}

void process_tell(struct process *process, int64_t within)
{
	struct msg_shutdown msg = {(uint32_t)within};

	if (process->told || process->state == PROCESS_DOWN)
		return;
	process->told = true;
	if (process->channel != NULL)
		(void)channel_send(process->channel, IPC_SHUTDOWN, &msg);
}

/* ---- what it says ------------------------------------------------------------------------- */

static void all_ready(struct master *master)
{
	for (size_t i = 0; i < master->process_count; i++)
		if (master->processes[i].state != PROCESS_READY)
			return;
	for (size_t i = 0; i < master->process_count; i++)
		process_commit(&master->processes[i], master->current);
	master->phase = PHASE_SERVING;
	os_notify("READY=1");
	alert_configured(master->desk);
	if (os_is_root() && master->current->config->user_prefix[0] == '\0')
		log_note(LOG_WARNING, "all processes run as root, as user_prefix is empty: for "
				      "tests only");
	log_event(LOG_INFO, "start", LOG_TEXT("version", POSTERN_VERSION),
		  LOG_TEXT("config", master->path), LOG_NUMBER("processes", master->process_count),
		  LOG_NUMBER("listeners", master->current->listener_count));
}

static void on_first_answer(struct process *process, const struct msg_prepared *msg)
{
	struct master *master = process->master;
	char why[1100];

	if (!msg->ok) {
		snprintf(why, sizeof(why), "%.*s", SLICE_ARG(msg->error));
		if (master->phase == PHASE_STARTING)
			master_fail(master, process->name, why);
		else
			log_event(LOG_ERROR, "note", LOG_TEXT("process", process->name),
				  LOG_TEXT("text", "it cannot start"), LOG_TEXT("reason", why));
		return;
	}
	process->state = PROCESS_READY;
	if (master->phase == PHASE_STARTING)
		all_ready(master);
	else if (master->phase == PHASE_SERVING)
		process_commit(process, master->current);
}

static enum err on_prepared(struct process *process, struct slice payload)
{
	struct msg_prepared msg;
	enum err err = ipc_decode(IPC_PREPARED, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (process->state == PROCESS_STARTING)
		on_first_answer(process, &msg);
	else
		reload_answered(process, &msg);
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct process *process = arg;
	struct msg_hello hello;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_HELLO:
		if (ipc_decode(type, payload, &hello) != ERR_OK)
			return ERR_SYNTAX;
		return hello.version == IPC_VERSION ? ERR_OK : ERR_RANGE;
	case IPC_PREPARED:
		return on_prepared(process, payload);
	case IPC_ALERT:
		return alert_message(process, payload);
	case IPC_POSTED:
		return alert_posted(process, payload);
	case IPC_OP:
		return process->node->role == IPC_CONTROL ? operate(process, payload) : ERR_DENIED;
	default:
		return ERR_SYNTAX;
	}
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct process *process = arg;

	(void)channel;
	channel_free(&process->channel);
	if (how == CHANNEL_BROKEN) {
		log_note(LOG_ERROR, "%s sent what it must not and is ended: %s", process->name,
			 why);
		os_kill(process->pid, SIGKILL);
	}
	reload_lost(process);
	/* The next control process asks under numbers of its own. */
	if (process->node->role == IPC_CONTROL)
		process->master->reload.op_count = 0;
	process->state = PROCESS_ENDING;
	timer_set(process->timer, PATIENCE);
	process_reap(process->master);
}

/* ---- start and end ------------------------------------------------------------------------ */

static enum err spawn(struct process *process, int *fd_out)
{
	const char *program =
		graph_program(process->node, process->master->current->config, process->index);
	char path[OS_PATH_MAX], argv0[64], index[16], incarnation[16];
	char *argv[] = {argv0,       (char[]){"--index"}, index,         (char[]){"--incarnation"},
			incarnation, (char[]){"--name"},  process->name, NULL};
	int fds[2];
	enum err err;

	os_libexec_path(program, path);
	snprintf(argv0, sizeof(argv0), "postern-%s", program);
	snprintf(index, sizeof(index), "%u", process->index);
	snprintf(incarnation, sizeof(incarnation), "%u", process->incarnation + 1);
	err = net_pair(fds);
	if (err != ERR_OK)
		return err;
	err = os_spawn(path, argv, fds[1], &process->pid);
	net_close(&fds[1]);
	if (err != ERR_OK) {
		log_note(LOG_ERROR, "%s cannot be started: %s: %s", process->name, path,
			 strerror(errno));
		net_close(&fds[0]);
		return err;
	}
	*fd_out = fds[0];
	return ERR_OK;
}

static void start_later(struct process *process)
{
	timer_set(process->timer, process->pause);
	process->pause = process->pause * 2 < PAUSE_MAX ? process->pause * 2 : PAUSE_MAX;
}

void process_start(struct process *process)
{
	static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};
	struct master *master = process->master;
	int fd;

	if (spawn(process, &fd) != ERR_OK) {
		if (master->phase == PHASE_STARTING)
			master_fail(master, process->name, "its program cannot be started");
		else
			start_later(process);
		return;
	}
	process->incarnation++;
	process->started_at = os_wall_ms();
	process->started_mono = os_monotonic_ms();
	process->channel = channel_new(master->loop, fd, process->name, &handlers, process);
	process->state = PROCESS_STARTING;
	process->told = false;
	process_prepare(process, master->current);
}

static void on_timer(void *arg)
{
	struct process *process = arg;

	if (process->state == PROCESS_ENDING) {
		log_note(LOG_WARNING, "%s has closed its channel and does not end: it is killed",
			 process->name);
		os_kill(process->pid, SIGKILL);
	} else if (process->retired) {
		os_kill(process->pid, SIGKILL); /* it had its time */
	} else if (process->state == PROCESS_DOWN && process->master->phase == PHASE_SERVING) {
		if (reload_under_way(process->master))
			timer_set(process->timer, PAUSE_MIN);
		else
			process_start(process);
	}
}

static void describe_end(int status, int signum, char *text, size_t size)
{
	if (signum != 0)
		snprintf(text, size, "signal %d (%s)", signum, strsignal(signum));
	else
		snprintf(text, size, "exit status %d", status);
}

static void ended(struct process *process, int status, int signum)
{
	struct master *master = process->master;
	int64_t lived = os_monotonic_ms() - process->started_mono;
	/*
	 * Once told to stop it has said itself why, if it ends with an error. A process of a back
	 * end ends by itself to be rid of a question that has no answer.
	 */
	bool gave_up = process->node->count == COUNT_BACKENDS && status == 0;
	bool in_order = signum == 0 && (process->told || gave_up);
	char how[96], why[160];

	describe_end(status, signum, how, sizeof(how));
	timer_stop(process->timer);
	channel_free(&process->channel);
	reload_lost(process);
	alert_lost(master->desk, process);
	if (!in_order) {
		log_event(LOG_ERROR, "died", LOG_TEXT("process", process->name),
			  LOG_NUMBER("pid", process->pid), LOG_TEXT("how", how),
			  LOG_NUMBER("lived_ms", lived));
		if (master->phase == PHASE_SERVING)
			alert_died(master->desk, process, how);
	}
	process->state = PROCESS_DOWN;
	process->pid = 0;
	if (master->phase == PHASE_STOPPING) {
		stop_continue(master);
	} else if (process->retired) {
		timer_stop(process->timer);
	} else if (master->phase == PHASE_STARTING) {
		snprintf(why, sizeof(why), "it ended before it was ready: %s", how);
		master_fail(master, process->name, why);
	} else {
		if (lived > LIVED_LONG)
			process->pause = PAUSE_MIN;
		start_later(process);
	}
}

/* What a process said last is read before its end is dealt with. */
void process_reap(struct master *master)
{
	for (size_t i = 0; i < master->process_count; i++) {
		struct process *process = &master->processes[i];
		int status, signum;

		if (process->pid != 0 && process->channel == NULL &&
		    os_reap(process->pid, &status, &signum))
			ended(process, status, signum);
	}
}

void process_kill_all(struct master *master)
{
	for (size_t i = 0; i < master->process_count; i++)
		os_kill(master->processes[i].pid, SIGKILL);
}
