/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again: growing pauses with jitter, until the message expires. */
#ifndef POSTERN_POLICY_RETRY_H
#define POSTERN_POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_schedule {
	uint64_t first_ms;
	uint64_t max_ms;
	uint64_t factor_percent;
	uint64_t expire_ms;
	uint64_t uncertain_ms; /* after a connection that died behind the final dot: 10 minutes */
};

/* Pause after failed attempt number attempt (1 is the first), 10 % either way by random. */
uint64_t retry_pause(const struct retry_schedule *schedule, uint32_t attempt, uint64_t random);
bool retry_expired(const struct retry_schedule *schedule, int64_t arrived, int64_t now);

#endif
