/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a process that master started. Invariants: nothing of a configuration is in force
 * before its COMMIT; privileges are given up before anything that came from outside is touched;
 * whatever happens to master, the process ends within its time.
 */
#include "ipc/child.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/secret.h"
#include "config/config.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "os/sandbox.h"

enum {
	MASTER_FD = 3,
	WHY_MAX = 512,
	KEPT_MAX = 1024,          /* listeners, identities and secrets of one configuration */
	ORPHAN_MS = 8000,         /* to finish when master is gone */
	SHUTDOWN_GRACE_MS = 1000, /* past the time given, then the process just ends */
	LOG_RETRY_MS = 200,       /* a slow reader of the log is tried again */
	LOG_HOOK_ORDER = 0,
};

/* Sanitizers read /proc when they report, and at the end look for leaks through it. */
#ifdef POSTERN_SANITIZED
enum { ROOT_CAN_BE_EMPTY = false };
#else
enum { ROOT_CAN_BE_EMPTY = true };
#endif

/* A LISTENER, IDENTITY, AUTHORITIES, SECRET or FILE that waits for its PREPARE. */
struct kept {
	struct kept *next;
	uint16_t type;
	int fd;
	struct secret payload;
};

struct child {
	const struct child_role *role;
	void *data;
	struct loop *loop;
	struct channel *master;
	struct hook *log_hook;
	struct timer *log_timer, *end_timer;
	char name[96]; /* in the log: "smtpd-0" */
	uint16_t index;
	uint32_t incarnation;
	struct config *config;   /* in force */
	struct config *prepared; /* waits for COMMIT or ROLLBACK */
	uint32_t generation;     /* of prepared */
	struct kept *kept, **kept_last;
	size_t kept_count;
	int syslog;
	bool set_up; /* start and open have succeeded */
	bool stopping;
	int status;
};

/* One per process; static so that what it holds at the end counts as held, not as lost. */
static struct child *the_child __attribute__((used));

struct loop *child_loop(struct child *child)
{
	return child->loop;
}

const struct config *child_config(struct child *child)
{
	return child->config;
}

uint16_t child_index(const struct child *child)
{
	return child->index;
}

uint32_t child_incarnation(const struct child *child)
{
	return child->incarnation;
}

struct channel *child_master(struct child *child)
{
	return child->master;
}

void child_set_data(struct child *child, void *data)
{
	child->data = data;
}

void *child_data(struct child *child)
{
	return child->data;
}

void child_exit(struct child *child, int status)
{
	child->status = status;
	loop_stop(child->loop);
}

/* ---- what is kept for the next configuration ---------------------------------------------- */

static enum err keep(struct child *child, uint16_t type, struct slice payload, int fd)
{
	struct kept *kept;

	if (child->kept_count == KEPT_MAX) {
		net_close(&fd);
		return ERR_RANGE;
	}
	kept = mem_alloc(sizeof(*kept));
	kept->type = type;
	kept->fd = fd;
	secret_set(&kept->payload, payload);
	*child->kept_last = kept;
	child->kept_last = &kept->next;
	child->kept_count++;
	return ERR_OK;
}

static void free_kept(struct child *child)
{
	while (child->kept != NULL) {
		struct kept *kept = child->kept;

		child->kept = kept->next;
		net_close(&kept->fd);
		secret_clear(&kept->payload);
		mem_free(kept);
	}
	child->kept_last = &child->kept;
	child->kept_count = 0;
}

/* Gives one kept message to the role, which takes the descriptor. */
static enum err hand_over(struct child *child, struct kept *kept, char *why)
{
	struct slice payload = secret_value(&kept->payload);
	struct msg_listener listener;
	struct msg_identity identity;
	struct msg_authorities authorities;
	struct msg_secret secret;
	struct msg_file file;
	enum err err;

	if (kept->type == IPC_IDENTITY) {
		err = ipc_decode(IPC_IDENTITY, payload, &identity);
		if (err == ERR_OK)
			err = child->role->identity(child, &identity, why);
	} else if (kept->type == IPC_AUTHORITIES) {
		err = ipc_decode(IPC_AUTHORITIES, payload, &authorities);
		if (err == ERR_OK)
			err = child->role->authorities(child, &authorities, why);
	} else if (kept->type == IPC_SECRET) {
		err = ipc_decode(IPC_SECRET, payload, &secret);
		if (err == ERR_OK)
			child->role->secret(child, &secret);
	} else if (kept->type == IPC_FILE) {
		err = ipc_decode(IPC_FILE, payload, &file);
		if (err == ERR_OK)
			err = child->role->file(child, &file, why);
	} else {
		err = ipc_decode(IPC_LISTENER, payload, &listener);
		if (err == ERR_OK) {
			child->role->listener(child, &listener, kept->fd);
			kept->fd = -1;
		}
	}
	if (err != ERR_OK && why[0] == 0)
		snprintf(why, WHY_MAX, "%s: %s", ipc_type_name(kept->type), err_name(err));
	return err;
}

static enum err hand_over_all(struct child *child, char *why)
{
	enum err err = ERR_OK;

	for (struct kept *kept = child->kept; kept != NULL && err == ERR_OK; kept = kept->next)
		err = hand_over(child, kept, why);
	free_kept(child);
	return err;
}

/* ---- log ---------------------------------------------------------------------------------- */

static void open_log(struct child *child, const struct config *config)
{
	bool json = config->log_format == LOG_FORMAT_JSON;

	if (config->log_target == LOG_TARGET_SYSLOG && child->syslog == -1)
		child->syslog = log_syslog_socket();
	if (config->log_target == LOG_TARGET_SYSLOG && child->syslog != -1)
		log_open(child->name, LOG_OUTPUT_SYSLOG, child->syslog, json);
	else if (config->log_target == LOG_TARGET_JOURNAL)
		log_open(child->name, LOG_OUTPUT_JOURNAL, STDERR_FILENO, json);
	else
		log_open(child->name, LOG_OUTPUT_STREAM, STDERR_FILENO, json);
}

static void on_log_timer(void *arg)
{
	(void)arg; /* the hook does it: something has happened now */
}

static void on_log_hook(void *arg)
{
	struct child *child = arg;

	log_flush();
	if (log_pending())
		timer_set(child->log_timer, LOG_RETRY_MS);
}

/* ---- the first configuration -------------------------------------------------------------- */

/* The user and the group in numbers. */
static enum err find_user(const struct child_user *user, uid_t *uid, gid_t *gid, gid_t *more,
			  char *why)
{
	if (os_user(user->name, uid, gid) != ERR_OK) {
		snprintf(why, WHY_MAX,
			 "there is no user %.200s to run as; \"postern setup\" makes it, or: "
			 "adduser --system --group --no-create-home %.200s",
			 user->name, user->name);
		return ERR_NOT_FOUND;
	}
	if (*uid == 0 && !user->may_be_root) {
		snprintf(why, WHY_MAX, "user %.200s has root's number 0; it must have its own",
			 user->name);
		return ERR_DENIED;
	}
	if (user->group[0] != '\0' && os_group(user->group, more) != ERR_OK) {
		snprintf(why, WHY_MAX, "there is no group %.200s to be in", user->group);
		return ERR_NOT_FOUND;
	}
	return ERR_OK;
}

static enum err give_up_rights(struct child *child, const struct config *config, char *why)
{
	struct child_user user = {0};
	char root[OS_PATH_MAX];
	gid_t gid, more = 0;
	uid_t uid;
	enum err err;

	if (!os_is_root())
		return ERR_OK;
	if (!config_user(config, child->role->name, user.name))
		user.name[0] = '\0';
	if (child->role->user != NULL)
		child->role->user(child, config, &user);
	if (user.name[0] == '\0')
		return ERR_OK;
	err = find_user(&user, &uid, &gid, &more, why);
	if (err != ERR_OK)
		return err;
	config_runtime_path(config, "empty", root);
	return os_drop_privileges(uid, gid, user.group[0] != '\0' ? &more : NULL,
				  child->role->empty_root && ROOT_CAN_BE_EMPTY ? root : NULL, why);
}

static enum err close_sandbox(struct child *child, const struct sandbox *sandbox, char *why)
{
	enum err err = sandbox_enter(sandbox, why);

	if (err == ERR_OK && why[0] != 0)
		log_note(LOG_WARNING, "the sandbox of %s is not whole: %s", child->name, why);
	if (err == ERR_OK)
		why[0] = 0;
	return err;
}

static enum err set_up(struct child *child, const struct config *config, char *why)
{
	const struct child_role *role = child->role;
	struct sandbox sandbox = {0};
	enum err err = ERR_OK;

	open_log(child, config);
	if (role->start != NULL)
		err = role->start(child, config, why);
	if (err == ERR_OK && role->sandbox != NULL)
		role->sandbox(child, config, &sandbox);
	if (err == ERR_OK)
		err = give_up_rights(child, config, why);
	if (err == ERR_OK)
		err = close_sandbox(child, &sandbox, why);
	if (err == ERR_OK && role->open != NULL)
		err = role->open(child, config, why);
	if (err == ERR_OK)
		child->set_up = true;
	return err;
}

/* ---- what master says --------------------------------------------------------------------- */

static void answer(struct child *child, uint32_t generation, enum err err, const char *why)
{
	struct msg_prepared prepared = {generation, err == ERR_OK, slice_of("", 0)};

	if (err != ERR_OK)
		prepared.error = slice_str(why[0] != 0 ? why : err_name(err));
	(void)channel_send(child->master, IPC_PREPARED, &prepared);
	channel_flush(child->master);
}

static void forget_prepared(struct child *child)
{
	free_kept(child);
	if (child->prepared == NULL)
		return;
	if (child->config != NULL && child->role->rollback != NULL)
		child->role->rollback(child);
	config_free(&child->prepared);
}

static enum err on_prepare(struct child *child, struct slice payload)
{
	char why[WHY_MAX] = "";
	struct msg_prepare msg;
	struct config *config;
	bool first = !child->set_up;
	enum err err;

	err = ipc_decode(IPC_PREPARE, payload, &msg);
	if (err != ERR_OK)
		return err;
	if (child->prepared != NULL)
		return ERR_SYNTAX; /* the last one is not settled */
	err = config_decode(msg.config, &config);
	if (err != ERR_OK)
		return err;
	if (first)
		err = set_up(child, config, why);
	else if (child->role->prepare != NULL)
		err = child->role->prepare(child, config, why);
	if (err != ERR_OK) {
		free_kept(child);
		config_free(&config);
	} else {
		child->prepared = config;
		child->generation = msg.generation;
		err = hand_over_all(child, why);
		if (err != ERR_OK && !first)
			forget_prepared(child);
	}
	answer(child, msg.generation, err, why);
	if (err != ERR_OK && first)
		child_exit(child, 1);
	return ERR_OK;
}

static enum err on_commit(struct child *child, struct slice payload)
{
	struct msg_commit msg;
	struct config *old = child->config;

	if (ipc_decode(IPC_COMMIT, payload, &msg) != ERR_OK || child->prepared == NULL ||
	    msg.generation != child->generation)
		return ERR_SYNTAX;
	child->config = child->prepared;
	child->prepared = NULL;
	if (old != NULL)
		log_set_json(child->config->log_format == LOG_FORMAT_JSON);
	if (child->role->commit != NULL)
		child->role->commit(child, child->config);
	config_free(&old);
	return ERR_OK;
}

static enum err on_rollback(struct child *child, struct slice payload)
{
	struct msg_rollback msg;

	if (ipc_decode(IPC_ROLLBACK, payload, &msg) != ERR_OK)
		return ERR_SYNTAX;
	/* One that was refused here, or never came so far, leaves nothing to forget. */
	forget_prepared(child);
	return ERR_OK;
}

static enum err on_peer(struct child *child, struct slice payload, int fd)
{
	struct msg_peer msg;

	if (child->config == NULL || child->role->peer == NULL ||
	    ipc_decode(IPC_PEER, payload, &msg) != ERR_OK || msg.role == 0 ||
	    msg.role >= IPC_ROLE_END) {
		net_close(&fd);
		return ERR_SYNTAX;
	}
	child->role->peer(child, msg.role, msg.index, msg.incarnation, fd);
	return ERR_OK;
}

static void on_overdue(void *arg)
{
	struct child *child = arg;

	log_note(LOG_WARNING, "%s could not finish in its time and ends now", child->name);
	child_exit(child, 1);
}

static void shut_down(struct child *child, uint32_t within_ms)
{
	if (child->stopping)
		return;
	child->stopping = true;
	timer_set(child->end_timer, (uint64_t)within_ms + SHUTDOWN_GRACE_MS);
	if (child->config != NULL && child->role->shutdown != NULL)
		child->role->shutdown(child, within_ms);
	else
		child_exit(child, 0);
}

static enum err on_other(struct child *child, uint16_t type, struct slice payload, int fd)
{
	if (child->role->message == NULL || child->config == NULL) {
		net_close(&fd);
		return ERR_SYNTAX;
	}
	return child->role->message(child, type, payload, fd);
}

static enum err on_master(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			  int fd)
{
	struct child *child = arg;
	const struct child_role *role = child->role;
	struct msg_shutdown msg;

	(void)channel;
	switch (type) {
	case IPC_LISTENER:
		if (role->listener != NULL)
			return keep(child, type, payload, fd);
		net_close(&fd);
		return ERR_SYNTAX;
	case IPC_IDENTITY:
		return role->identity != NULL ? keep(child, type, payload, -1) : ERR_SYNTAX;
	case IPC_AUTHORITIES:
		return role->authorities != NULL ? keep(child, type, payload, -1) : ERR_SYNTAX;
	case IPC_SECRET:
		return role->secret != NULL ? keep(child, type, payload, -1) : ERR_SYNTAX;
	case IPC_FILE:
		return role->file != NULL ? keep(child, type, payload, -1) : ERR_SYNTAX;
	case IPC_PREPARE:
		return on_prepare(child, payload);
	case IPC_COMMIT:
		return on_commit(child, payload);
	case IPC_ROLLBACK:
		return on_rollback(child, payload);
	case IPC_PEER:
		return on_peer(child, payload, fd);
	case IPC_SHUTDOWN:
		if (ipc_decode(type, payload, &msg) != ERR_OK)
			return ERR_SYNTAX;
		shut_down(child, msg.within_in_ms);
		return ERR_OK;
	default:
		return on_other(child, type, payload, fd);
	}
}

static void on_master_ended(void *arg, struct channel *channel, enum channel_end how,
			    const char *why)
{
	struct child *child = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "%s does not understand master and ends: %s", child->name, why);
	shut_down(child, ORPHAN_MS);
}

/* ---- start and end of the process --------------------------------------------------------- */

static bool read_number(const char *text, uint64_t max, uint64_t *value_out)
{
	return text != NULL && slice_number(slice_str(text), max, value_out) == ERR_OK;
}

static bool read_arguments(struct child *child, int argc, char **argv)
{
	uint64_t value;

	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--index") == 0 && read_number(argv[i + 1], UINT16_MAX, &value))
			child->index = (uint16_t)value;
		else if (strcmp(argv[i], "--incarnation") == 0 &&
			 read_number(argv[i + 1], UINT32_MAX, &value))
			child->incarnation = (uint32_t)value;
		else if (strcmp(argv[i], "--name") == 0 && argv[i + 1] != NULL)
			snprintf(child->name, sizeof(child->name), "%s", argv[i + 1]);
		else
			return false;
	}
	return true;
}

static void ignore_signals(void)
{
	static const int signals[] = {SIGPIPE, SIGINT, SIGHUP, SIGTERM};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	/* A terminal's Ctrl-C reaches everybody: master decides and sends SHUTDOWN. */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &ignore, NULL);
}

static void harden(void)
{
	unsigned char key[16];

	os_harden();
	ignore_signals();
	(void)os_raise_descriptors(0);
	os_random(key, sizeof(key));
	hash_set_key(key);
	mem_when_out(log_out_of_memory);
}

static struct child *make_child(const struct child_role *role)
{
	struct child *child = mem_alloc(sizeof(*child));

	child->role = role;
	child->kept_last = &child->kept;
	child->syslog = -1;
	return child;
}

static void connect_master(struct child *child)
{
	static const struct channel_handlers handlers = {
		.message = on_master,
		.ended = on_master_ended,
		.takes_descriptors = true,
	};
	struct msg_hello hello = {IPC_VERSION, (uint32_t)getpid()};

	child->loop = loop_new();
	child->log_timer = timer_new(child->loop, on_log_timer, child);
	child->end_timer = timer_new(child->loop, on_overdue, child);
	child->log_hook = hook_new(child->loop, LOG_HOOK_ORDER, on_log_hook, child);
	child->master = channel_new(child->loop, MASTER_FD, "master", &handlers, child);
	(void)channel_send(child->master, IPC_HELLO, &hello);
}

int child_main(int argc, char **argv, const struct child_role *role)
{
	struct child *child = make_child(role);
	struct net_address address;
	int status;

	the_child = child;
	if (!read_arguments(child, argc, argv) || net_local_name(MASTER_FD, &address) != ERR_OK ||
	    address.u.any.sa_family != AF_UNIX) {
		fprintf(stderr,
			"%s: this program is a part of postern and is started by \"postern "
			"serve\"\n",
			argc > 0 ? argv[0] : role->name);
		return 2;
	}
	if (child->name[0] == '\0')
		snprintf(child->name, sizeof(child->name), "%s", role->name);
	harden();
	log_open(child->name, LOG_OUTPUT_STREAM, STDERR_FILENO, false);
	log_set_gathered(true);
	connect_master(child);
	loop_run(child->loop);
	log_set_gathered(false);
	free_kept(child);
	channel_free(&child->master);
	status = child->status;
	return status;
}
