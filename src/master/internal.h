/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of master share. One struct master per program; it is in one phase at a time,
 * and each process in one state. Only reload.c replaces master->current.
 */
#ifndef POSTERN_MASTER_INTERNAL_H
#define POSTERN_MASTER_INTERNAL_H

#include <sys/types.h>

#include "generation.h"
#include "graph.h"
#include "ipc/channel.h"

struct alert_desk;
struct loop;
struct timer;
struct hook;

enum phase {
	PHASE_STARTING, /* until all processes agree to the first configuration */
	PHASE_SERVING,
	PHASE_STOPPING,
};

enum process_state {
	PROCESS_DOWN,
	PROCESS_STARTING, /* it was given its first configuration */
	PROCESS_READY,    /* it agreed */
	PROCESS_RUNNING,  /* it was told to go */
	PROCESS_ENDING,   /* its channel is gone, it will be soon */
};

enum reload_state { RELOAD_NOT_ASKED, RELOAD_ASKED, RELOAD_AGREED };

struct process {
	struct master *master;
	const struct graph_node *node;
	uint16_t index;
	char name[96]; /* "queue", "smtpd-0", "backend-campus-0" */
	enum process_state state;
	enum reload_state reload;
	pid_t pid;
	struct channel *channel;
	uint32_t incarnation; /* counts starts */
	int64_t started_at;   /* wall clock */
	int64_t started_mono;
	uint64_t pause;      /* before the next start */
	struct timer *timer; /* the next start, or the end of patience */
	bool told;           /* to stop */
	bool retired;        /* no longer wanted: told to stop, and not started again */
};

enum { OPS_WAITING = 16 };

struct reload {
	bool wanted;               /* as soon as possible */
	bool renew;                /* files only, the configuration stays */
	struct generation *next;   /* not NULL: processes were asked */
	uint64_t ops[OPS_WAITING]; /* requests of the operator to answer at the end */
	size_t op_count;
	int64_t since; /* monotonic: when it was first tried */
	struct timer *timer;
	struct timer *watch; /* looks at files */
};

struct master {
	struct loop *loop;
	struct hook *log_hook;
	struct timer *log_timer;
	const char *path; /* of the configuration */
	enum phase phase;
	struct generation *current;
	uint32_t generation_count;
	struct process *processes; /* with room for all that a reload may add: none ever moves */
	size_t process_count, process_room;
	int lock, control_socket, syslog;
	int64_t started_at;
	struct reload reload;
	struct alert_desk *desk;
	struct timer *stop_timer;
	int64_t stop_deadline; /* monotonic */
	int status;
};

/* ---- master.c ---- */
/* At start-up: says why on standard error and stops everything; status 1. */
void master_fail(struct master *master, const char *who, const char *why);

/* ---- process.c ---- */
void process_init_all(struct master *master);
/* A place for one more; one that is retired and has ended may be taken again. */
struct process *process_add(struct master *master, const struct graph_node *node, uint16_t index);
void process_start(struct process *process);
/* Sends a generation's listeners, identity, secrets and configuration. */
void process_prepare(struct process *process, const struct generation *generation);
/* Tells it that what it prepared is in force; the first time also connects it to its peers. */
void process_commit(struct process *process, const struct generation *generation);
/* Looks which have ended. */
void process_reap(struct master *master);
void process_kill_all(struct master *master);
size_t process_count_alive(const struct master *master);
struct process *process_of_role(struct master *master, enum ipc_role role);
/* Tells it to finish within the time (ms), once. */
void process_tell(struct process *process, int64_t within);

/* ---- follow.c ---- */
/*
 * Makes the processes of the back ends and agent those of master->current: starts what is new, and
 * ends what is no longer configured or, of the back ends, is configured differently. before: NULL
 * at the start, when all of that node are made and none is started.
 */
void follow_node(struct master *master, const struct graph_node *node, const struct config *before);
void follow_all(struct master *master, const struct config *before);

/* ---- reload.c ---- */
void reload_init(struct master *master);
/* op: number of the operator's request to be answered, or 0. renew: see struct reload. */
void reload_request(struct master *master, uint64_t op, bool renew);
void reload_answered(struct process *process, const struct msg_prepared *msg);
/* A process is gone: it cannot agree. */
void reload_lost(struct process *process);
bool reload_under_way(const struct master *master);
void reload_cancel(struct master *master);

/* ---- operate.c ---- */
enum err operate(struct process *control, struct slice payload);
void operate_end(struct master *master, uint64_t id, bool ok, const char *text);

/* ---- stop.c ---- */
void stop_begin(struct master *master);
/* A process is gone: perhaps the next step is due. */
void stop_continue(struct master *master);

#endif
