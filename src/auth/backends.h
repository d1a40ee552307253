/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords that others know: puts a name and a password to the back ends of the configuration, in
 * their order, through the processes that master runs for each. A process has one question at a
 * time, the others wait in a bounded queue; a back end that is slow or down holds up those only who
 * are asking it.
 *
 * Whether a back end can be asked is known from its last answer. When that changes, the log says
 * so, once.
 */
#ifndef POSTERN_AUTH_BACKENDS_H
#define POSTERN_AUTH_BACKENDS_H

#include "base/secret.h"
#include "ipc/message.h"
#include "store/accounts.h"

struct auth;
struct backend;
struct backends;
struct config;
struct timer;

enum { BACKEND_NAME_MAX = 64, BACKENDS_WHY = 512 };

struct backend_ask {
	/* Set by who asks. */
	char name[ACCOUNT_NAME_MAX + 1]; /* canonical */
	char client[64];                 /* "" if none logs in */
	struct secret password;
	char only[BACKEND_NAME_MAX + 1]; /* this back end alone; "": all, until one says yes */
	bool all;                        /* a yes does not end it either */
	/* Each answer; may be NULL. */
	void (*each)(struct backend_ask *ask, const char *backend, enum ipc_check verdict,
		     const char *why);
	/* The end; the asker owns it again, and frees it. May be called from backends_ask. */
	void (*done)(struct backend_ask *ask);
	void *arg;
	/*
	 * YES: and back end by said so. Else UNAVAILABLE if one could not be asked, else UNKNOWN if
	 * none knows the name, else NO. why: what by said.
	 */
	enum ipc_check verdict;
	char by[BACKEND_NAME_MAX + 1];
	char why[BACKENDS_WHY];
	/* Of backends.c. */
	struct backends *backends;
	struct backend *at;               /* that it is put to now */
	struct backend_ask *next, **link; /* in its queue; link NULL: it does not wait */
	struct timer *timer;
	uint64_t round;
	size_t position; /* of the back end in the configuration */
};

struct backends *backends_new(struct auth *auth);
void backends_free(struct backends **backends); /* nobody may be asking any more */
/* The configuration in force now: those that changed are cut off, and get new processes. */
void backends_configure(struct backends *backends, const struct config *config);
/* The channel to a process of a back end, which replaces the one before. */
void backends_process(struct backends *backends, uint16_t index, int fd);
size_t backends_count(const struct backends *backends);
/* How long a yes of this back end is remembered, in ms. */
uint64_t backends_cache(const struct backends *backends, const char *name);

struct backend_ask *backend_ask_new(void);
void backend_ask_free(struct backend_ask **ask); /* wipes; it must not be under way */
void backends_ask(struct backends *backends, struct backend_ask *ask);
void backends_cancel(struct backend_ask **ask); /* takes it back, without done, and frees it */

struct backends_row { /* for postern status */
	const char *name, *type;
	bool down;
	int64_t since; /* ms since 1970; 0: not asked yet */
	const char *why;
	size_t processes, waiting;
	uint64_t yes, no, unavailable;
};
void backends_rows(const struct backends *backends,
		   void (*row)(void *arg, const struct backends_row *row), void *arg);

#endif
