/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many lines the log has for what one source does wrong, so that nobody fills a disk by being
 * refused (threats M8). A source is an IPv4 address or the /64 of an IPv6 address. Each has a
 * number of lines at once and then some a second, all together likewise; what is left out is
 * counted and told later. What succeeds is not asked about here and always has its line.
 *
 * Of fixed size: when more sources come than are remembered, the one that was quiet longest is
 * forgotten, and what it had left out is counted with those of all.
 */
#ifndef POSTERN_POLICY_QUIET_H
#define POSTERN_POLICY_QUIET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
	QUIET_BURST = 1000, /* lines of a source at once: more than people ever cause */
	QUIET_RATE = 10,    /* and then a second */
	QUIET_ALL_BURST = 10000,
	QUIET_ALL_RATE = 100,
	QUIET_SETS = 256, /* sources that are remembered: in sets of */
	QUIET_WAYS = 4,
	QUIET_CLIENT_MAX = 64,
};

struct quiet;

struct quiet *quiet_new(void);
void quiet_free(struct quiet **quiet);
/* May a line about this client (numeric address) be written? now: ms, monotonic. */
bool quiet_allows(struct quiet *quiet, struct slice client, int64_t now);
/*
 * Takes what was left out, source by source: false when there is nothing (more). client_out: the
 * last address of the source; "" for all whose source is not remembered. A source that still goes
 * on is passed over until it has its lines again, so that it has one summary for its whole attack.
 * all: told at the end, whatever goes on.
 */
bool quiet_take(struct quiet *quiet, int64_t now, bool all, char client_out[QUIET_CLIENT_MAX],
		uint64_t *lines_out);
/* Whether quiet_take has something now or later. */
bool quiet_pending(const struct quiet *quiet);

#endif
