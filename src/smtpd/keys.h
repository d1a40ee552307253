/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that queue gave for messages to come: ranges, used in the order in which they came. */
#ifndef POSTERN_SMTPD_KEYS_H
#define POSTERN_SMTPD_KEYS_H

#include <stdbool.h>
#include <stdint.h>

enum { KEYS_RANGES = 16 };

struct keys {
	struct key_range {
		uint64_t first;
		uint32_t count;
	} ranges[KEYS_RANGES];
	unsigned range_count;
	uint64_t left;
};

/* A range too many is left unused. */
void keys_add(struct keys *keys, uint64_t first, uint32_t count);
bool keys_take(struct keys *keys, uint64_t *key_out); /* false: none left */
void keys_clear(struct keys *keys);                   /* they were a queue's that is gone */

#endif
