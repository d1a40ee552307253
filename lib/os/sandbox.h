/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process may still ask of the kernel once it is set up: a seccomp list (anything else
 * kills the process) and Landlock: no file but below the folders it owns, no TCP port bound, no
 * TCP connection without SANDBOX_CONNECT. On a kernel that lacks one of them the others still
 * hold, and why says what is missing.
 *
 * The seccomp list covers all threads of the process. Landlock covers the calling thread and
 * those that it starts later; a thread that was started before calls sandbox_enter_thread when
 * it next has something to do. No thread can be started once the list is in force.
 */
#ifndef POSTERN_OS_SANDBOX_H
#define POSTERN_OS_SANDBOX_H

#include "base/err.h"
#include <stdbool.h>

enum sandbox_power {
	SANDBOX_ACCEPT = 1 << 0,  /* accept connections on listeners it was given */
	SANDBOX_CONNECT = 1 << 1, /* make sockets and connect */
	SANDBOX_FILES = 1 << 2,   /* open, write, rename below the folders */
	/*
	 * Only that no program it starts gains rights (no_new_privs): for modules of others, whose
	 * needs nobody can list. folders and other powers say nothing then.
	 */
	SANDBOX_OPEN = 1 << 3,
};

struct sandbox {
	int powers;
	const char *const *folders;      /* may be read and written; NULL-terminated, or NULL */
	const char *const *read_folders; /* may be read: folders or files */
};

enum { SANDBOX_WHY_MAX = 256 };

/*
 * For good. why: SANDBOX_WHY_MAX bytes, also set on ERR_OK when something is missing (empty
 * otherwise). ERR_NOT_FOUND, ERR_DENIED: a folder cannot be opened; ERR_IO. Once per process.
 */
enum err sandbox_enter(const struct sandbox *sandbox, char *why);
/* Puts the calling thread under the Landlock rules of sandbox_enter; costs nothing when it is. */
void sandbox_enter_thread(void);
/*
 * Takes all files and listening from the calling thread and those it starts, without a sandbox
 * for the process: for threads of libraries that never need any. false: the kernel has no
 * Landlock.
 */
bool sandbox_thread_without_files(void);

#endif
