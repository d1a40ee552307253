/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/retry.h"

enum { JITTER_PERCENT = 10 };

uint64_t retry_pause(const struct retry_schedule *schedule, uint32_t attempt, uint64_t random)
{
	uint64_t pause = schedule->first_ms, spread;

	for (uint32_t i = 1; i < attempt && pause < schedule->max_ms; i++) {
		/* A factor that does not grow would go round for each of a million attempts. */
		if (schedule->factor_percent <= 100)
			break;
		if (pause > UINT64_MAX / schedule->factor_percent)
			pause = schedule->max_ms;
		else
			pause = pause * schedule->factor_percent / 100 + 1;
	}
	if (pause > schedule->max_ms)
		pause = schedule->max_ms;
	spread = pause / 100 * (2 * JITTER_PERCENT) + 1;
	return pause - spread / 2 + random % spread;
}

bool retry_expired(const struct retry_schedule *schedule, int64_t arrived, int64_t now)
{
	return now > arrived && (uint64_t)(now - arrived) >= schedule->expire_ms;
}
