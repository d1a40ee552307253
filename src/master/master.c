/* SPDX-License-Identifier: Apache-2.0 */
#include "master.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "folders.h"
#include "internal.h"
#include "listeners.h"
#include "os/log.h"
#include "os/loop.h"

enum {
	ERRORS_MAX = 65536,
	LOG_RETRY_MS = 200,
	DESCRIPTORS = 524288, /* for smtpd: a session is one, or a few */
};

/* ---- words on standard error, before there is a log -------------------------------------- */

static void say(struct slice lines)
{
	struct slice line;

	while (slice_split(&lines, '\n', &line))
		if (line.len != 0)
			fprintf(stderr, "postern: %.*s\n", SLICE_ARG(line));
}

void master_fail(struct master *master, const char *who, const char *why)
{
	if (master->phase == PHASE_STOPPING)
		return; /* the first reason is the reason */
	log_flush();
	fprintf(stderr, "postern: %s: %s\n", who, why);
	master->status = 1;
	stop_begin(master);
}

/* ---- log ---------------------------------------------------------------------------------- */

static void open_log(struct master *master)
{
	const struct config *config = master->current->config;
	bool json = config->log_format == LOG_FORMAT_JSON;

	if (config->log_target == LOG_TARGET_SYSLOG && master->syslog == -1)
		master->syslog = log_syslog_socket();
	if (config->log_target == LOG_TARGET_SYSLOG && master->syslog != -1)
		log_open("master", LOG_OUTPUT_SYSLOG, master->syslog, json);
	else if (config->log_target == LOG_TARGET_JOURNAL)
		log_open("master", LOG_OUTPUT_JOURNAL, STDERR_FILENO, json);
	else
		log_open("master", LOG_OUTPUT_STREAM, STDERR_FILENO, json);
}

static void on_log_timer(void *arg)
{
	(void)arg; /* the hook does it */
}

static void on_log_hook(void *arg)
{
	struct master *master = arg;

	log_flush();
	if (log_pending())
		timer_set(master->log_timer, LOG_RETRY_MS);
}

/* ---- signals ------------------------------------------------------------------------------ */

static void on_stop_signal(void *arg, int signum)
{
	(void)signum;
	stop_begin(arg);
}

static void on_reload_signal(void *arg, int signum)
{
	(void)signum;
	reload_request(arg, 0, false);
}

static void on_child_signal(void *arg, int signum)
{
	(void)signum;
	struct master *master = arg;

	alert_reap(master->desk);
	process_reap(master);
}

/* ---- start -------------------------------------------------------------------------------- */

static void harden(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	unsigned char key[16];

	os_harden();
	sigaction(SIGPIPE, &ignore, NULL);
	(void)os_raise_descriptors(DESCRIPTORS);
	os_random(key, sizeof(key));
	hash_set_key(key);
	mem_when_out(log_out_of_memory);
}

/* All that can be found out before anything is started. */
static enum err get_ready(struct master *master, struct buf *errors)
{
	char why[FOLDERS_WHY_MAX];
	const struct config *config;
	enum err err;

	err = generation_read(master->path, &master->current, errors);
	if (err != ERR_OK)
		return err;
	master->current->number = ++master->generation_count;
	config = master->current->config;
	err = folders_lock(config, &master->lock, why);
	if (err == ERR_OK)
		err = folders_make(config, why);
	if (err != ERR_OK) {
		(void)buf_printf(errors, "%s\n", why);
		return err;
	}
	err = generation_fill(master->current, NULL, errors);
	if (err != ERR_OK)
		return err;
	err = listeners_control(config, &master->control_socket, why);
	if (err != ERR_OK)
		(void)buf_printf(errors, "%s\n", why);
	return err;
}

static void run(struct master *master)
{
	open_log(master);
	log_set_gathered(true);
	master->loop = loop_new();
	master->log_timer = timer_new(master->loop, on_log_timer, master);
	master->log_hook = hook_new(master->loop, 0, on_log_hook, master);
	loop_on_signal(master->loop, SIGTERM, on_stop_signal, master);
	loop_on_signal(master->loop, SIGINT, on_stop_signal, master);
	loop_on_signal(master->loop, SIGHUP, on_reload_signal, master);
	loop_on_signal(master->loop, SIGCHLD, on_child_signal, master);
	reload_init(master);
	master->desk = alert_desk_new(master);
	process_init_all(master);
	for (size_t i = 0; i < master->process_count && master->phase == PHASE_STARTING; i++)
		process_start(&master->processes[i]);
	loop_run(master->loop);
	log_set_gathered(false);
}

static void clean_up(struct master *master)
{
	char path[OS_PATH_MAX];

	if (master->control_socket != -1) {
		config_runtime_path(master->current->config, "control.sock", path);
		(void)os_remove_file(path);
	}
	for (size_t i = 0; i < master->process_count; i++) {
		channel_free(&master->processes[i].channel);
		timer_free(&master->processes[i].timer);
	}
	alert_desk_free(&master->desk);
	timer_free(&master->reload.timer);
	timer_free(&master->reload.watch);
	timer_free(&master->stop_timer);
	timer_free(&master->log_timer);
	hook_free(&master->log_hook);
	loop_free(&master->loop);
	mem_free(master->processes);
	generation_free(&master->current);
	net_close(&master->control_socket);
	net_close(&master->syslog);
	net_close(&master->lock);
}

static const char *read_options(int argc, char **argv)
{
	if (argc == 1)
		return POSTERN_SYSCONF "/postern.conf";
	if (argc == 3 && (strcmp(argv[1], "-c") == 0 || strcmp(argv[1], "--config") == 0))
		return argv[2];
	return NULL;
}

int master_main(int argc, char **argv)
{
	struct master master = {.lock = -1, .control_socket = -1, .syslog = -1};
	struct buf errors;
	enum err err;

	master.path = read_options(argc, argv);
	if (master.path == NULL) {
		fprintf(stderr, "usage: postern serve [-c FILE]\n");
		return 2;
	}
	harden();
	master.started_at = os_wall_ms();
	buf_init(&errors, ERRORS_MAX);
	err = get_ready(&master, &errors);
	if (err == ERR_OK) {
		run(&master);
	} else {
		if (buf_len(&errors) == 0)
			(void)buf_printf(&errors, "%s: %s\n", master.path, err_name(err));
		say(buf_data(&errors));
		master.status = 1;
	}
	buf_release(&errors);
	clean_up(&master);
	return master.status;
}
