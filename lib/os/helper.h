/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a program of the administrator's beside the server: without a shell, with nothing in its
 * environment but what is given, as another user, in a process group of its own, and with what it
 * says kept. It never blocks its caller, but for helper_run.
 */
#ifndef POSTERN_OS_HELPER_H
#define POSTERN_OS_HELPER_H

#include <sys/types.h>

#include "base/buf.h"

enum { HELPER_ARGUMENTS_MAX = 16 };

struct helper {
	char *path;
	char *const *arguments;   /* after the path, ended by NULL; NULL: none */
	char *const *environment; /* "NAME=value", ended by NULL */
	struct slice input;       /* on its descriptor 0 */
	bool input_on_3;          /* on descriptor 3 instead, and 0 is /dev/null */
	bool change_user;         /* to uid and gid, without other groups: needs root */
	uid_t uid;
	gid_t gid;
};

/*
 * Starts it in the folder /. What it prints (1 and 2) comes out of *said_out, which is the caller's
 * and does not block. ERR_NOT_FOUND, ERR_DENIED, ERR_IO: errno says why it cannot be run.
 */
enum err helper_start(const struct helper *helper, pid_t *pid_out, int *said_out);
/* Appends what it has said; what is beyond the bound of out is read and dropped. ERR_EOF: no more
 * comes. */
enum err helper_read(int said, struct buf *out);
/* Ends it and all that it started in its group. */
void helper_kill(pid_t pid);
/*
 * Whether it has ended by itself; what it left running in its group is ended too. Then its exit
 * status, or the signal that ended it (else 0).
 */
bool helper_ended(pid_t pid, int *status_out, int *signal_out);
/*
 * All of it, for worker threads: starts it, waits for its end, and ends it with its group when it is
 * still there at until (monotonic ms): ERR_TIMEOUT. What it said is appended to said; running is its
 * number meanwhile, else 0. Else as helper_start and helper_ended.
 */
enum err helper_run(const struct helper *helper, int64_t until, struct buf *said,
		    _Atomic pid_t *running, int *status_out, int *signal_out);

#endif
