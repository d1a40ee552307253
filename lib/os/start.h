/* SPDX-License-Identifier: Apache-2.0 */
/* How a program is started; within lib/os. */
#ifndef POSTERN_OS_START_H
#define POSTERN_OS_START_H

#include <sys/types.h>

#include "base/err.h"

struct start {
	const char *path;
	char *const *argv;
	char *const *environment; /* NULL: ours, but for what only we tell systemd */
	int input;                /* becomes 0; -1: /dev/null */
	int output;               /* becomes 1 and 2; -1: ours */
	int channel;              /* becomes 3; -1: there is none */
	bool apart;               /* in a process group of its own, in the folder / */
	bool change_user;         /* to uid and gid, without other groups */
	uid_t uid;
	gid_t gid;
};

/* ERR_NOT_FOUND, ERR_DENIED, ERR_IO: errno says why it cannot be run. */
enum err start_program(const struct start *start, pid_t *pid_out);

#endif
