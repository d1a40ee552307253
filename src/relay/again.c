/* SPDX-License-Identifier: Apache-2.0 */
#include "again.h"

#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"

struct asked {
	UT_hash_handle hh;
	struct asked *prev, *next; /* oldest first */
	int64_t at;
	size_t len;
	char name[];
};

struct again {
	struct asked *table, *list;
};

struct again *again_new(void)
{
	return mem_alloc(sizeof(struct again));
}

static void forget(struct again *again, struct asked *asked)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what is in the list is in it */
	HASH_DEL(again->table, asked);
	DL_DELETE(again->list, asked);
	mem_free(asked);
}

void again_free(struct again **again)
{
	if (*again == NULL)
		return;
	while ((*again)->list != NULL)
		forget(*again, (*again)->list);
	MEM_FREE(*again);
}

static void forget_old(struct again *again, int64_t now)
{
	while (again->list != NULL && again->list->at + AGAIN_KEPT_MS < now)
		forget(again, again->list);
}

static struct asked *find(const struct again *again, struct slice destination)
{
	struct asked *asked;

	HASH_FIND(hh, again->table, destination.ptr, destination.len, asked);
	return asked;
}

void again_note(struct again *again, struct slice destination, int64_t now)
{
	struct asked *asked = find(again, destination);

	if (asked != NULL)
		forget(again, asked);
	forget_old(again, now);
	if (HASH_COUNT(again->table) == AGAIN_MAX)
		forget(again, again->list);
	asked = mem_alloc(sizeof(*asked) + destination.len);
	asked->at = now;
	asked->len = destination.len;
	memcpy(asked->name, destination.ptr, destination.len);
	HASH_ADD(hh, again->table, name, asked->len, asked);
	DL_APPEND(again->list, asked);
}

bool again_asked(struct again *again, struct slice destination, int64_t since, int64_t now)
{
	struct asked *asked;

	forget_old(again, now);
	asked = find(again, destination);
	return asked != NULL && asked->at >= since;
}
