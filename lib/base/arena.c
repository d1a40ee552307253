/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#include "base/mem.h"

enum { ARENA_BLOCK = 1024 };

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t max)
{
	*arena = (struct arena){.max = max};
}

void arena_release(struct arena *arena)
{
	while (arena->blocks != NULL) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		mem_free(block);
	}
	arena->used = 0;
}

enum err arena_alloc(struct arena *arena, size_t size, void **ptr_out)
{
	struct arena_block *block = arena->blocks;

	if (size > arena->max)
		return ERR_FULL;
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (size > arena->max - arena->used)
		return ERR_FULL;
	if (block == NULL || block->size - block->used < size) {
		size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;

		block = mem_alloc(sizeof(*block) + room);
		block->size = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	*ptr_out = block->data + block->used;
	block->used += size;
	arena->used += size;
	return ERR_OK;
}

enum err arena_copy(struct arena *arena, struct slice s, struct slice *copy_out)
{
	void *mem;
	enum err err = arena_alloc(arena, s.len + 1, &mem);

	if (err != ERR_OK)
		return err;
	if (s.len != 0)
		memcpy(mem, s.ptr, s.len);
	*copy_out = slice_of(mem, s.len);
	return ERR_OK;
}
