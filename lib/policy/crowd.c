/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever has more than 90 % of a round is the candidate after a few attempts: one that fails to
 * have its share is replaced by whoever came last.
 */
#include "policy/crowd.h"

#include <string.h>

void crowd_init(struct crowd *crowd)
{
	*crowd = (struct crowd){.client = ""};
}

static void begin(struct crowd *crowd, struct slice client)
{
	crowd->same = crowd->others = 0;
	if (slice_copy(client, crowd->client, sizeof(crowd->client)) != ERR_OK)
		crowd->client[0] = '\0';
	else
		crowd->same = 1;
}

bool crowd_count(struct crowd *crowd, struct slice client, int64_t now)
{
	bool found;

	if (crowd->client[0] == '\0') {
		begin(crowd, client);
		return false;
	}
	if (slice_is(client, crowd->client))
		crowd->same++;
	else
		crowd->others++;
	if (crowd->others > CROWD_ROUND * (100 - CROWD_PERCENT) / 100) {
		begin(crowd, client);
		return false;
	}
	if (crowd->same + crowd->others < CROWD_ROUND)
		return false;
	found = crowd->same > CROWD_ROUND * CROWD_PERCENT / 100 && now >= crowd->not_before;
	crowd->same = crowd->others = 0;
	return found;
}

void crowd_told(struct crowd *crowd, int64_t now)
{
	crowd->not_before = now + CROWD_PAUSE;
}
