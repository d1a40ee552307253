/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include "base/mem.h"

enum { RUNS = 4, LOW = 131072 };

struct keys {
	struct {
		uint64_t first, count;
	} runs[RUNS]; /* used from the front */
};

struct keys *keys_new(void)
{
	return mem_alloc(sizeof(struct keys));
}

void keys_free(struct keys **keys)
{
	MEM_FREE(*keys);
}

void keys_add(struct keys *keys, uint64_t first, uint64_t count)
{
	for (int i = 0; i < RUNS; i++) {
		if (keys->runs[i].count == 0) {
			keys->runs[i].first = first;
			keys->runs[i].count = count;
			return;
		}
	}
}

bool keys_wanted(const struct keys *keys)
{
	uint64_t left = 0;

	for (int i = 0; i < RUNS; i++)
		left += keys->runs[i].count;
	return left < LOW;
}

uint32_t keys_take(struct keys *keys, uint32_t count, uint64_t *first_out)
{
	if (count > keys->runs[0].count)
		count = (uint32_t)keys->runs[0].count;
	*first_out = keys->runs[0].first;
	keys->runs[0].first += count;
	keys->runs[0].count -= count;
	if (keys->runs[0].count == 0) {
		for (int i = 1; i < RUNS; i++)
			keys->runs[i - 1] = keys->runs[i];
		keys->runs[RUNS - 1].count = 0;
	}
	return count;
}
