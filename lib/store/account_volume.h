/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What accounts have sent in the last two days, and to whom they ever wrote, so that limits hold
 * over a restart. key: of the key that has limits of its own; 0: the account and all others.
 * Errors as in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_VOLUME_H
#define POSTERN_STORE_ACCOUNT_VOLUME_H

#include "policy/volume.h"
#include "store/accounts.h"

struct accounts_volume_reader {
	void (*hour)(void *arg, const struct volume_hour *hour);
	void (*known)(void *arg, const struct volume_known *known);
	void *arg;
};
/* Hours from since on (ms since 1970), and the VOLUME_KNOWN_MAX latest recipients. */
enum err accounts_load_volume(struct accounts *accounts, int64_t account, int64_t key,
			      int64_t since, const struct accounts_volume_reader *reader);
/* What is new of one account since it was last written. */
struct account_volume {
	int64_t account, key;
	struct volume_hour hours[2]; /* the hour that it is, and the one before */
	const struct volume_known *known;
	size_t known_count;
};
/* All of them or none, but for accounts that are gone. What is old is thrown away. */
enum err accounts_save_volumes(struct accounts *accounts, const struct account_volume *volumes,
			       size_t count);

/* All four. ERR_NOT_FOUND. */
enum err accounts_set_limits(struct accounts *accounts, int64_t account,
			     const struct account_limits *limits, int64_t now);

#endif
