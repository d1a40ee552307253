/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What accounts and their keys are used for, gathered in memory and added to the store every few
 * seconds: a write for each login would cost more than the login.
 */
#ifndef POSTERN_AUTH_USAGE_H
#define POSTERN_AUTH_USAGE_H

#include <stddef.h>
#include <stdint.h>

struct accounts;
struct auth;
struct usage;

enum {
	USAGE_PAUSE = 5000, /* ms between two writes */
	USAGE_MAX = 65536,  /* accounts and keys in between: more are not counted */
};

struct usage *usage_new(struct auth *auth);
void usage_free(struct usage **usage);
/* key: 0 for the main password. */
void usage_login(struct usage *usage, int64_t account, int64_t key, const char *client);
void usage_sent(struct usage *usage, int64_t account, int64_t key, uint32_t messages,
		uint32_t recipients);
/* Hands what was gathered to the accounts' thread: what is asked of it after this sees it. */
void usage_flush(struct usage *usage);
/* At the end, when no thread runs any more. */
void usage_save(struct usage *usage, struct accounts *accounts);

#endif
