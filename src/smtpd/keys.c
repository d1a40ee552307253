/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <string.h>

void keys_add(struct keys *keys, uint64_t first, uint32_t count)
{
	if (count == 0 || keys->range_count == KEYS_RANGES)
		return;
	keys->ranges[keys->range_count++] = (struct key_range){first, count};
	keys->left += count;
}

bool keys_take(struct keys *keys, uint64_t *key_out)
{
	struct key_range *range = &keys->ranges[0];

	if (keys->range_count == 0)
		return false;
	*key_out = range->first++;
	keys->left--;
	if (--range->count == 0) {
		keys->range_count--;
		memmove(&keys->ranges[0], &keys->ranges[1], keys->range_count * sizeof(*range));
	}
	return true;
}

void keys_clear(struct keys *keys)
{
	*keys = (struct keys){.left = 0};
}
