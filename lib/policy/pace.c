/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/pace.h"

static void count(struct pace *pace, int64_t now)
{
	int64_t passed = pace->since != 0 && now > pace->since ? now - pace->since : 0;

	pace->spent += passed < PACE_PAUSE_MAX ? (uint64_t)passed : PACE_PAUSE_MAX;
}

void pace_wait(struct pace *pace, int64_t now)
{
	if (pace->since == 0)
		pace->since = now;
}

void pace_stop(struct pace *pace, int64_t now)
{
	count(pace, now);
	pace->since = 0;
}

bool pace_take(struct pace *pace, int64_t now, uint64_t bytes, uint64_t least)
{
	bool slow;

	count(pace, now);
	pace->since = now;
	pace->bytes += bytes;
	if (pace->spent < PACE_WINDOW)
		return true;
	slow = pace->bytes < least * pace->spent / 1000;
	pace->spent = 0;
	pace->bytes = 0;
	return !slow;
}
