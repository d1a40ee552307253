/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process may still ask of the kernel once it is set up: a seccomp list (anything else
 * kills the process) and, where it needs files, Landlock for the folders it owns. On a kernel
 * that lacks one of them the others still hold, and the log says what is missing.
 */
#ifndef POSTERN_OS_SANDBOX_H
#define POSTERN_OS_SANDBOX_H

#include "base/err.h"
#include <stdbool.h>

enum sandbox_power {
	SANDBOX_ACCEPT = 1 << 0,  /* accept connections on listeners it was given */
	SANDBOX_CONNECT = 1 << 1, /* make sockets and connect */
	SANDBOX_FILES = 1 << 2,   /* open, write, rename below the folders */
};

struct sandbox {
	int powers;
	const char *const *folders;      /* may be read and written; NULL-terminated, or NULL */
	const char *const *read_folders; /* may be read */
};

/* why: 256 bytes, also set on ERR_OK when something is missing (empty otherwise). */
enum err sandbox_enter(const struct sandbox *sandbox, char *why);

#endif
