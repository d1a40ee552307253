/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an account and each of its keys was used for, and when and where last. Gathered in memory
 * and added now and then: not for decisions that must hold over a crash. Errors as in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_USE_H
#define POSTERN_STORE_ACCOUNT_USE_H

#include "store/accounts.h"

enum { ACCOUNT_CLIENT_MAX = 63 };

struct account_use {
	int64_t account, key;                /* key 0: the main password */
	int64_t last;                        /* login, ms since 1970; 0: none */
	char client[ACCOUNT_CLIENT_MAX + 1]; /* of the last login; "" */
	uint64_t logins, messages, recipients;
	int64_t day; /* since 1970, UTC, that the next two are about */
	uint64_t day_messages, day_recipients;
};

/* Adds to what is there, all or nothing; of accounts and keys that are gone nothing is kept. */
enum err accounts_add_use(struct accounts *accounts, const struct account_use *uses, size_t count);
/* All zero if it was never used. */
enum err accounts_use(struct accounts *accounts, int64_t account, int64_t key,
		      struct account_use *use_out);

#endif
