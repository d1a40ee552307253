/* SPDX-License-Identifier: Apache-2.0 */
/* All limits as the operator sees them in `postern status`: value, use now, how often each struck.
 */
#ifndef POSTERN_AUTH_LIMITS_H
#define POSTERN_AUTH_LIMITS_H

#include <stdint.h>

struct auth;

struct limit_row {
	const char *limit;
	char value[64];  /* as configured, or what it comes to */
	char now[24];    /* how much of it is used; "": that cannot be said */
	uint64_t struck; /* how often since the start */
};
void limits_rows(const struct auth *auth, void (*row)(void *arg, const struct limit_row *row),
		 void *arg);

#endif
