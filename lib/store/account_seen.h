/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From where each account has logged in, as sources (policy/source.h). Gathered in memory and added
 * now and then. Errors as in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_SEEN_H
#define POSTERN_STORE_ACCOUNT_SEEN_H

#include "store/accounts.h"

enum {
	ACCOUNT_SOURCE_BYTES = 16, /* an IPv4 address mapped into IPv6, or the /64 of an IPv6 one */
	ACCOUNT_SEEN_MAX = 64,     /* sources of one account that are kept, the last ones */
};

struct account_sighting {
	int64_t account;
	unsigned char source[ACCOUNT_SOURCE_BYTES];
	int64_t seen; /* ms since 1970 */
};

/* Adds them, all or nothing; of accounts that are gone nothing is kept. */
enum err accounts_add_seen(struct accounts *accounts, const struct account_sighting *sightings,
			   size_t count);
/* All that were seen since then, the oldest first. */
typedef void account_seen_fn(void *arg, const char *name, const unsigned char *source,
			     int64_t first, int64_t last);
enum err accounts_each_seen(struct accounts *accounts, int64_t since, account_seen_fn *fn,
			    void *arg);

#endif
