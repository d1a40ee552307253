/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena holds many small things that die together: a session's, or a transaction's. It
 * replaces forty frees by one. It is bounded: past max it returns ERR_FULL.
 */
#ifndef POSTERN_BASE_ARENA_H
#define POSTERN_BASE_ARENA_H

#include "base/err.h"
#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used; /* bytes handed out */
	size_t max;
};

void arena_init(struct arena *arena, size_t max); /* takes no memory */
void arena_release(struct arena *arena);          /* frees all; the arena is empty and usable */
/* Zeroed, aligned for any type. ERR_FULL past the maximum. */
enum err arena_alloc(struct arena *arena, size_t size, void **ptr_out);
/* A copy that lives as long as the arena; a terminator follows it. */
enum err arena_copy(struct arena *arena, struct slice s, struct slice *copy_out);

#endif
