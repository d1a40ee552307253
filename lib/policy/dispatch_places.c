/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations: the rings in which they take turns, and what is remembered of those at rest. */
#include "policy/dispatch_private.h"

#include <utlist.h>

#include "base/mem.h"

enum { IDLE_MAX = 1024 /* destinations remembered for their window alone */ };

struct destination *dispatch_place(const struct dispatch *dispatch, int64_t id)
{
	struct destination *d;

	HASH_FIND(hh, dispatch->destinations, &id, sizeof(id), d);
	return d;
}

void dispatch_leave_ring(struct dispatch *dispatch, struct destination *d)
{
	if (d->in_ring)
		DL_DELETE(dispatch->rings[d->ring], d);
	d->in_ring = false;
}

void dispatch_leave_idle(struct dispatch *dispatch, struct destination *d)
{
	if (!d->idle)
		return;
	DL_DELETE(dispatch->idle, d);
	d->idle = false;
	dispatch->idle_count--;
}

static enum ring ring_of(const struct destination *d)
{
	int priority = d->ready != NULL ? d->ready->rank.priority : 0;

	return priority > 0 ? URGENT : priority < 0 ? PATIENT : ORDINARY;
}

void dispatch_enter_ring(struct dispatch *dispatch, struct destination *d)
{
	enum ring ring = ring_of(d);

	dispatch_leave_idle(dispatch, d);
	if (d->in_ring && d->ring != ring)
		dispatch_leave_ring(dispatch, d);
	if (!d->in_ring)
		DL_APPEND(dispatch->rings[ring], d);
	d->in_ring = true;
	d->ring = ring;
}

struct destination *dispatch_first_in_turn(const struct dispatch *dispatch)
{
	struct destination *first = NULL;

	for (int ring = 0; ring < RINGS; ring++) {
		struct destination *d = dispatch->rings[ring];

		if (d != NULL && (first == NULL || dispatch->passed[ring] + 1 >= DISPATCH_TURNS))
			first = d;
	}
	return first;
}

struct destination *dispatch_get_place(struct dispatch *dispatch, int64_t id)
{
	struct destination *d = dispatch_place(dispatch, id);

	if (d != NULL)
		return d;
	d = mem_alloc(sizeof(*d));
	d->id = id;
	d->due = INT64_MAX;
	d->window = dispatch->options.first_window;
	HASH_ADD(hh, dispatch->destinations, id, sizeof(d->id), d);
	return d;
}

void dispatch_forget_changed(struct destination *d)
{
	struct changed *changed, *next;

	HASH_ITER (hh, d->changed, changed, next) {
		HASH_DEL(d->changed, changed);
		mem_free(changed);
	}
}

void dispatch_forget(struct dispatch *dispatch, struct destination *d)
{
	dispatch_leave_ring(dispatch, d);
	dispatch_leave_idle(dispatch, d);
	dispatch_heap_remove(dispatch, d);
	dispatch_forget_changed(d);
	dispatch->down -= d->down;
	HASH_DEL(dispatch->destinations, d);
	mem_free(d);
}

void dispatch_rest(struct dispatch *dispatch, struct destination *d)
{
	dispatch_leave_ring(dispatch, d);
	dispatch_heap_remove(dispatch, d);
	if (d->down) {
		dispatch_forget(dispatch, d);
		return;
	}
	if (!d->idle) {
		DL_APPEND(dispatch->idle, d);
		d->idle = true;
		dispatch->idle_count++;
	}
	if (dispatch->idle_count > IDLE_MAX)
		dispatch_forget(dispatch, dispatch->idle);
}

void dispatch_due_at(struct destination *d, int64_t due)
{
	if (due < d->due)
		d->due = due;
}

void dispatch_changed(struct destination *d, uint64_t key)
{
	struct changed *entry;

	if (!d->loading)
		return;
	HASH_FIND(hh, d->changed, &key, sizeof(key), entry);
	if (entry != NULL)
		return;
	entry = mem_alloc(sizeof(*entry));
	entry->key = key;
	HASH_ADD(hh, d->changed, key, sizeof(entry->key), entry);
}

uint32_t dispatch_window_of(const struct dispatch *dispatch, const struct destination *d)
{
	uint32_t quarter = dispatch->window / 4 != 0 ? dispatch->window / 4 : 1;

	if (d->down)
		return 1;
	return d->window < quarter ? d->window : quarter;
}
