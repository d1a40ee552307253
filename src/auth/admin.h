/* SPDX-License-Identifier: Apache-2.0 */
/* The channel to control (or, when the server is down, to the CLI): takes operations, runs them
 * one after the other on a thread, and answers when their effects are in force. */
#ifndef POSTERN_AUTH_ADMIN_H
#define POSTERN_AUTH_ADMIN_H

#include "store/accounts.h"

struct admin;
struct auth;

enum { ADMIN_WAITING_MAX = 64 }; /* operations that may wait for the thread */

struct admin *admin_new(struct auth *auth); /* starts the thread: before the sandbox closes */
/* Opens the store, and reads from it what others remember. domain: of bare names. */
enum err admin_open(struct admin *admin, const char *path, const char *domain,
		    char why[ACCOUNT_WHY]);
void admin_free(struct admin **admin);
void admin_control(struct admin *admin, int fd); /* a channel, which replaces the one before */
/*
 * Freezes an account as an operator would, for a reason that was found here; its sessions end and
 * its mail is held as then, and the log has what came of it.
 */
void admin_freeze(struct admin *admin, const char *name, const char *why);
/*
 * Runs work on the thread, with its store, after all that was asked before; then done on the
 * loop's. The errand is the caller's, and so is what is to be freed if the process ends before it
 * was run. ERR_FULL: nothing is called.
 */
struct admin_errand {
	void (*work)(void *arg, struct accounts *accounts);
	void (*done)(void *arg);
	void *arg;
	struct admin *admin; /* admin's own */
};
enum err admin_submit(struct admin *admin, struct admin_errand *errand);
/* An account can use SCRAM that could not: counts anew who cannot, and offers what that allows. */
void admin_recount(struct admin *admin);

#endif
