/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/unknowns.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { SLOTS = 12, SLOT_MS = UNKNOWNS_TIME / SLOTS };

struct slot {
	int64_t number; /* time / SLOT_MS */
	uint64_t ended, refused;
};

struct entry {
	UT_hash_handle hh; /* in order of use, the oldest first */
	struct slot slots[SLOTS];
	char name[];
};

struct unknowns {
	uint32_t percent;
	struct entry *table;
};

struct unknowns *unknowns_new(void)
{
	return mem_alloc(sizeof(struct unknowns));
}

static void forget(struct unknowns *unknowns, struct entry *entry)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever is known is in it */
	HASH_DEL(unknowns->table, entry);
	mem_free(entry);
}

void unknowns_free(struct unknowns **unknowns)
{
	if (*unknowns == NULL)
		return;
	while ((*unknowns)->table != NULL)
		forget(*unknowns, (*unknowns)->table);
	MEM_FREE(*unknowns);
}

void unknowns_set_share(struct unknowns *unknowns, uint32_t percent)
{
	unknowns->percent = percent;
}

static struct entry *of(struct unknowns *unknowns, struct slice account)
{
	struct entry *entry = NULL;

	HASH_FIND(hh, unknowns->table, account.ptr, account.len, entry);
	if (entry == NULL) {
		if (HASH_COUNT(unknowns->table) >= UNKNOWNS_MAX)
			forget(unknowns, unknowns->table);
		entry = mem_alloc(sizeof(*entry) + account.len + 1);
		memcpy(entry->name, account.ptr, account.len);
	} else {
		HASH_DEL(unknowns->table, entry);
	}
	HASH_ADD_KEYPTR(hh, unknowns->table, entry->name, account.len, entry);
	return entry;
}

bool unknowns_count(struct unknowns *unknowns, struct slice account, uint32_t ended,
		    uint32_t refused, int64_t now, char why_out[UNKNOWNS_WHY])
{
	int64_t number = now / SLOT_MS;
	uint64_t all = 0, bad = 0;
	struct entry *entry;
	struct slot *slot;

	if (unknowns->percent == 0 || ended == 0 || refused > ended || account.len == 0 ||
	    account.len > UNKNOWNS_NAME_MAX)
		return false;
	entry = of(unknowns, account);
	slot = &entry->slots[number % SLOTS];
	if (slot->number != number)
		*slot = (struct slot){.number = number};
	slot->ended += ended;
	slot->refused += refused;
	for (int i = 0; i < SLOTS; i++) {
		if (entry->slots[i].number + SLOTS <= number)
			continue;
		all += entry->slots[i].ended;
		bad += entry->slots[i].refused;
	}
	if (refused == 0 || all < UNKNOWNS_LEAST || bad * 100 <= all * unknowns->percent)
		return false;
	(void)snprintf(why_out, UNKNOWNS_WHY,
		       "%" PRIu64 " of %" PRIu64 " recipients within an hour (%" PRIu64
		       " percent) were refused as unknown",
		       bad, all, bad * 100 / all);
	forget(unknowns, entry);
	return true;
}
