/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do nearly all clients seem to be one? Behind a NAT gateway, a container's port forwarding or a
 * proxy that says nothing, they all have its address, and what goes by addresses (limits, the log)
 * is blind. Counts in rounds of a few hundred connections, in constant space.
 */
#ifndef POSTERN_POLICY_CROWD_H
#define POSTERN_POLICY_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
	CROWD_ROUND = 500,             /* connections until there is a finding */
	CROWD_PERCENT = 90,            /* of them from one address: more than this is a finding */
	CROWD_PAUSE = 24 * 60 * 60000, /* ms between two findings */
	CROWD_CLIENT_MAX = 64,
};

struct crowd {
	char client[CROWD_CLIENT_MAX]; /* the candidate */
	uint32_t same, others;
	int64_t not_before;
};

void crowd_init(struct crowd *crowd);
/*
 * One more connection from this address; now: ms, monotonic. True: crowd->client is nearly
 * everybody, and that was not told lately.
 */
bool crowd_count(struct crowd *crowd, struct slice client, int64_t now);
/* It was worth telling: there is no finding for CROWD_PAUSE. */
void crowd_told(struct crowd *crowd, int64_t now);

#endif
