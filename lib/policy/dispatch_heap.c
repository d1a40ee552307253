/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations that wait for a time: a binary heap, the earliest first. */
#include "policy/dispatch_private.h"

#include "base/mem.h"

static void heap_place(struct dispatch *dispatch, size_t at, struct destination *d)
{
	dispatch->heap[at] = d;
	d->heap_at = at + 1;
}

static void heap_up(struct dispatch *dispatch, size_t at)
{
	struct destination *d = dispatch->heap[at];

	while (at > 0 && dispatch->heap[(at - 1) / 2]->wake > d->wake) {
		heap_place(dispatch, at, dispatch->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_place(dispatch, at, d);
}

static void heap_down(struct dispatch *dispatch, size_t at)
{
	struct destination *d = dispatch->heap[at];
	size_t child;

	while ((child = 2 * at + 1) < dispatch->heap_count) {
		if (child + 1 < dispatch->heap_count &&
		    dispatch->heap[child + 1]->wake < dispatch->heap[child]->wake)
			child++;
		if (dispatch->heap[child]->wake >= d->wake)
			break;
		heap_place(dispatch, at, dispatch->heap[child]);
		at = child;
	}
	heap_place(dispatch, at, d);
}

void dispatch_heap_remove(struct dispatch *dispatch, struct destination *d)
{
	size_t at = d->heap_at;
	struct destination *last;

	if (at-- == 0)
		return;
	d->heap_at = 0;
	last = dispatch->heap[--dispatch->heap_count];
	if (last == d)
		return;
	heap_place(dispatch, at, last);
	heap_up(dispatch, at);
	heap_down(dispatch, last->heap_at - 1);
}

void dispatch_heap_add(struct dispatch *dispatch, struct destination *d, int64_t wake)
{
	size_t size;

	dispatch_heap_remove(dispatch, d);
	if (dispatch->heap_count == dispatch->heap_size) {
		dispatch->heap_size = dispatch->heap_size == 0 ? 64 : dispatch->heap_size * 2;
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): a table of pointers */
		size = dispatch->heap_size * sizeof(*dispatch->heap);
		dispatch->heap = mem_resize(dispatch->heap, size);
	}
	d->wake = wake;
	heap_place(dispatch, dispatch->heap_count++, d);
	heap_up(dispatch, dispatch->heap_count - 1);
}
