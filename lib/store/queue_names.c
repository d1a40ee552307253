/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_writer.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { NAMES_MAX = 4096 };

struct name {
	UT_hash_handle hh;
	int64_t id;
	char text[];
};

struct queue_names {
	struct name *table;
};

struct queue_names *queue_names_new(void)
{
	return mem_alloc(sizeof(struct queue_names));
}

void queue_names_clear(struct queue_names *names)
{
	struct name *name, *next;

	HASH_ITER (hh, names->table, name, next) {
		HASH_DEL(names->table, name);
		mem_free(name);
	}
}

void queue_names_free(struct queue_names **names)
{
	if (*names != NULL)
		queue_names_clear(*names);
	MEM_FREE(*names);
}

bool queue_names_find(const struct queue_names *names, struct slice text, int64_t *id_out)
{
	struct name *name;

	HASH_FIND(hh, names->table, text.ptr, (unsigned)text.len, name);
	if (name != NULL)
		*id_out = name->id;
	return name != NULL;
}

void queue_names_add(struct queue_names *names, struct slice text, int64_t id)
{
	struct name *name;

	/* All at once: those in use come back by themselves. */
	if (HASH_COUNT(names->table) >= NAMES_MAX)
		queue_names_clear(names);
	name = mem_alloc(sizeof(*name) + text.len + 1);
	memcpy(name->text, text.ptr, text.len);
	name->id = id;
	HASH_ADD_KEYPTR(hh, names->table, name->text, (unsigned)text.len, name);
}
