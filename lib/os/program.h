/* SPDX-License-Identifier: Apache-2.0 */
/* Running programs for the operator's commands; the server itself starts only its own (os.h). */
#ifndef POSTERN_OS_PROGRAM_H
#define POSTERN_OS_PROGRAM_H

#include <sys/types.h>

#include "base/buf.h"

enum { PROGRAM_ARGUMENTS_MAX = 16 };

/*
 * Runs a program (argv[0]: its path) to its end, with what it prints going to our standard
 * error. Its exit status; -1 if it could not be run or a signal ended it.
 */
int program_run(const char *const argv[]);
/* As os_spawn, but its standard error is kept in memory: *log_out, to be closed (net_close). */
enum err program_spawn_quietly(const char *path, char *const argv[], int channel_fd, pid_t *pid_out,
			       int *log_out);
/* Appends the last bytes of what it said that fit into out. */
void program_said(int log, struct buf *out);

#endif
