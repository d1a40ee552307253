/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destinations that may have something to do stand in a ring and take turns; those that wait for
 * a time stand in a heap. Whether one really has something to do is looked at when its turn
 * comes, so nothing needs to be kept exact in between:
 *
 *	ring --(nothing to do before T)--> heap --(T passed)--> ring
 *	ring --(window full, or the store is being read)--> neither, until finish or loaded
 */
#include "policy/dispatch.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "policy/dispatch_private.h"

enum {
	LOAD_MIN = 16, /* deliveries: a read of the store is worth that many */
	LOAD_MAX = 256,
	FULL_PAUSE_MS = 100,
};

/* ---- deliveries -------------------------------------------------------------------------- */
static struct delivery *find_delivery(const struct dispatch *dispatch, int64_t destination,
				      uint64_t key)
{
	struct id id = {.destination = destination, .key = key};
	struct delivery *delivery;

	HASH_FIND(hh, dispatch->deliveries, &id, sizeof(id), delivery);
	return delivery;
}

static struct delivery *new_delivery(struct dispatch *dispatch, struct destination *d, uint64_t key,
				     void *data)
{
	struct delivery *delivery = mem_alloc(sizeof(*delivery));

	delivery->id = (struct id){.destination = d->id, .key = key};
	delivery->data = data;
	HASH_ADD(hh, dispatch->deliveries, id, sizeof(delivery->id), delivery);
	return delivery;
}

static void make_ready(struct dispatch *dispatch, struct destination *d, uint64_t key,
		       struct dispatch_rank rank, void *data)
{
	struct delivery *delivery = new_delivery(dispatch, d, key, data), *after;

	delivery->rank = rank;
	/* From the end: nearly always that is its place. In an utlist the head's prev is the tail.
	 */
	after = d->ready != NULL ? d->ready->prev : NULL;
	while (after != NULL && after->rank.since > rank.since)
		after = after != d->ready ? after->prev : NULL;
	if (after != NULL)
		DL_APPEND_ELEM(d->ready, after, delivery);
	else
		DL_PREPEND(d->ready, delivery);
	d->ready_count++;
	dispatch->ready++;
	dispatch_enter_ring(dispatch, d);
}

static void unready(struct dispatch *dispatch, struct destination *d, struct delivery *delivery)
{
	DL_DELETE(d->ready, delivery);
	d->ready_count--;
	dispatch->ready--;
}

static void begin(struct dispatch *dispatch, struct destination *d, struct delivery *delivery)
{
	delivery->under_way = true;
	d->under_way++;
	dispatch->under_way++;
	d->probing = d->down;
}

static void free_delivery(struct dispatch *dispatch, struct delivery *delivery)
{
	HASH_DEL(dispatch->deliveries, delivery);
	mem_free(delivery);
}

/* ---- life -------------------------------------------------------------------------------- */
struct dispatch *dispatch_new(const struct dispatch_options *options)
{
	struct dispatch *dispatch = mem_alloc(sizeof(*dispatch));

	dispatch->options = *options;
	dispatch->window = options->window;
	return dispatch;
}

void dispatch_free(struct dispatch **dispatch, void (*drop)(void *arg, void *data), void *arg)
{
	struct delivery *delivery, *next_delivery;
	struct destination *d, *next;

	if (*dispatch == NULL)
		return;
	HASH_ITER (hh, (*dispatch)->deliveries, delivery, next_delivery) {
		drop(arg, delivery->data);
		free_delivery(*dispatch, delivery);
	}
	while ((delivery = (*dispatch)->drops) != NULL) {
		DL_DELETE((*dispatch)->drops, delivery);
		drop(arg, delivery->data);
		mem_free(delivery);
	}
	HASH_ITER (hh, (*dispatch)->destinations, d, next)
		dispatch_forget(*dispatch, d);
	mem_free((*dispatch)->heap);
	MEM_FREE(*dispatch);
}

void dispatch_set_window(struct dispatch *dispatch, uint32_t window)
{
	uint32_t least = dispatch->options.window / 10 != 0 ? dispatch->options.window / 10 : 1;
	uint32_t before = dispatch->window;
	struct destination *d, *next;

	if (window < least)
		window = least;
	if (window > dispatch->options.window)
		window = dispatch->options.window;
	dispatch->window = window;
	if (window <= before)
		return;
	/* Those that had reached their quarter of the old one. */
	HASH_ITER (hh, dispatch->destinations, d, next) {
		if (d->under_way != 0)
			dispatch_enter_ring(dispatch, d);
	}
}

void dispatch_destination(struct dispatch *dispatch, int64_t destination, int64_t due,
			  int64_t down_until, uint32_t failures)
{
	struct destination *d = dispatch_get_place(dispatch, destination);

	dispatch_due_at(d, due);
	if (failures != 0 && !d->down) {
		d->down = true;
		dispatch->down++;
		d->down_until = down_until;
		d->failures = failures;
	}
	dispatch_enter_ring(dispatch, d);
}

enum err dispatch_fresh(struct dispatch *dispatch, int64_t destination, uint64_t key,
			struct dispatch_rank rank, void *data)
{
	struct destination *d = dispatch_get_place(dispatch, destination);

	if (d->down || dispatch->ready >= dispatch->options.ready_max ||
	    d->ready_count >= dispatch->options.ready_max / 4 + 1 ||
	    find_delivery(dispatch, destination, key) != NULL) {
		dispatch_due_at(d, 0);
		dispatch_enter_ring(dispatch, d);
		return ERR_FULL;
	}
	make_ready(dispatch, d, key, rank, data);
	return ERR_OK;
}

/* ---- what to do next --------------------------------------------------------------------- */
static void start_first(struct dispatch *dispatch, struct destination *d,
			struct dispatch_next *next)
{
	struct delivery *delivery = d->ready;

	unready(dispatch, d, delivery);
	begin(dispatch, d, delivery);
	*next = (struct dispatch_next){.action = DISPATCH_START,
				       .destination = d->id,
				       .key = delivery->id.key,
				       .data = delivery->data};
	dispatch->passed[d->ring] = 0;
	for (int ring = (int)d->ring + 1; ring < RINGS; ring++)
		dispatch->passed[ring] += dispatch->rings[ring] != NULL;
	/* To the end of the ring: the others' turn. */
	dispatch_leave_ring(dispatch, d);
	dispatch_enter_ring(dispatch, d);
}

static void start_load(struct dispatch *dispatch, struct destination *d, struct dispatch_next *next)
{
	uint32_t want = dispatch_window_of(dispatch, d) * 2;

	want = want < LOAD_MIN ? LOAD_MIN : want > LOAD_MAX ? LOAD_MAX : want;
	d->loading = true;
	d->due = INT64_MAX;
	*next = (struct dispatch_next){.action = DISPATCH_LOAD,
				       .destination = d->id,
				       .limit = want + d->under_way + d->seized + d->ready_count};
	if (d->ready_count == 0)
		dispatch_leave_ring(dispatch, d);
}

/* When this one has something to do; the past: now. */
static int64_t when(const struct destination *d)
{
	int64_t due = d->ready_count != 0 ? 0 : d->loading ? INT64_MAX : d->due;

	return d->down && due != INT64_MAX && d->down_until > due ? d->down_until : due;
}

/* True: *next is what to do. False: this one has nothing to do now, and has left the ring. */
static bool turn(struct dispatch *dispatch, struct destination *d, int64_t now,
		 struct dispatch_next *next)
{
	uint32_t window = dispatch_window_of(dispatch, d);
	bool room = d->under_way < window;
	int64_t from = when(d);

	if (room && from <= now && !d->loading && d->due <= now &&
	    d->ready_count < window / 2 + 1 && dispatch->ready < dispatch->options.ready_max) {
		start_load(dispatch, d, next);
		return true;
	}
	if (room && from <= now && d->ready_count != 0) {
		start_first(dispatch, d, next);
		return true;
	}
	dispatch_leave_ring(dispatch, d);
	if (from == INT64_MAX) {
		if (d->under_way == 0 && d->seized == 0 && !d->loading)
			dispatch_rest(dispatch, d);
	} else if (room) {
		/* Due, but memory is full of others' mail: look again soon. */
		dispatch_heap_add(dispatch, d, from > now ? from : now + FULL_PAUSE_MS);
	}
	return false;
}

void dispatch_next(struct dispatch *dispatch, int64_t now, struct dispatch_next *next_out)
{
	struct destination *d;

	if (dispatch->drops != NULL) {
		struct delivery *delivery = dispatch->drops;

		DL_DELETE(dispatch->drops, delivery);
		*next_out = (struct dispatch_next){.action = DISPATCH_DROP,
						   .destination = delivery->id.destination,
						   .key = delivery->id.key,
						   .data = delivery->data};
		mem_free(delivery);
		return;
	}
	while (dispatch->heap_count != 0 && dispatch->heap[0]->wake <= now) {
		d = dispatch->heap[0];
		dispatch_heap_remove(dispatch, d);
		dispatch_enter_ring(dispatch, d);
	}
	while ((d = dispatch_first_in_turn(dispatch)) != NULL &&
	       dispatch->under_way < dispatch->window) {
		if (turn(dispatch, d, now, next_out))
			return;
	}
	*next_out = (struct dispatch_next){
		.action = DISPATCH_NOTHING,
		.wake = dispatch->heap_count != 0 ? dispatch->heap[0]->wake : INT64_MAX};
}

void *dispatch_find(const struct dispatch *dispatch, int64_t destination, uint64_t key)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);

	return delivery != NULL ? delivery->data : NULL;
}

bool dispatch_add(struct dispatch *dispatch, int64_t destination, uint64_t key,
		  struct dispatch_rank rank, void *data)
{
	struct destination *d = dispatch_get_place(dispatch, destination);
	struct changed *entry;

	HASH_FIND(hh, d->changed, &key, sizeof(key), entry);
	if (entry != NULL || find_delivery(dispatch, destination, key) != NULL)
		return false;
	make_ready(dispatch, d, key, rank, data);
	return true;
}

/* What waits in memory for a destination that went down waits on disk instead. */
static void drop_ready(struct dispatch *dispatch, struct destination *d)
{
	struct delivery *delivery;

	while ((delivery = d->ready) != NULL) {
		unready(dispatch, d, delivery);
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what is ready is in it */
		HASH_DEL(dispatch->deliveries, delivery);
		DL_APPEND(dispatch->drops, delivery);
		dispatch_due_at(d, 0);
	}
}

void dispatch_loaded(struct dispatch *dispatch, int64_t destination, int64_t next_due)
{
	struct destination *d = dispatch_get_place(dispatch, destination);

	d->loading = false;
	dispatch_forget_changed(d);
	dispatch_due_at(d, next_due);
	dispatch_enter_ring(dispatch, d);
}

void dispatch_again(struct dispatch *dispatch, int64_t destination, uint64_t key)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);

	if (delivery != NULL)
		delivery->again = true;
}

bool dispatch_adopt(struct dispatch *dispatch, int64_t destination, uint64_t key, void *data)
{
	struct destination *d = dispatch_get_place(dispatch, destination);

	if (find_delivery(dispatch, destination, key) != NULL)
		return false;
	dispatch_leave_idle(dispatch, d);
	begin(dispatch, d, new_delivery(dispatch, d, key, data));
	return true;
}

bool dispatch_seize(struct dispatch *dispatch, int64_t destination, uint64_t key, void *data)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);
	struct destination *d = dispatch_get_place(dispatch, destination);
	bool again = false;

	if (delivery != NULL && delivery->under_way)
		return false;
	if (delivery != NULL) {
		again = delivery->again;
		unready(dispatch, d, delivery);
		HASH_DEL(dispatch->deliveries, delivery);
		DL_APPEND(dispatch->drops, delivery);
	}
	dispatch_leave_idle(dispatch, d);
	dispatch_changed(d, key);
	delivery = new_delivery(dispatch, d, key, data);
	delivery->under_way = delivery->seized = true;
	delivery->again = again;
	d->seized++;
	return true;
}

/* ---- how it ended ------------------------------------------------------------------------ */
static void worked(struct dispatch *dispatch, struct destination *d)
{
	if (d->down) {
		dispatch->down--;
		d->window = dispatch->options.first_window;
	} else if (d->window < dispatch->options.window / 4) {
		d->window++; /* one more for each that ends: it doubles with each round */
	}
	d->down = d->probing = false;
	d->failures = 0;
}

static void went_down(struct dispatch *dispatch, struct destination *d, int64_t retry_at)
{
	/* Those that were under way when it went down are one failure together. */
	if (!d->down || d->probing) {
		d->failures++;
		d->down_until = retry_at;
	}
	dispatch->down += !d->down;
	d->down = true;
	d->probing = false;
	d->window = dispatch->options.first_window;
	drop_ready(dispatch, d);
}

void dispatch_finish(struct dispatch *dispatch, int64_t destination, uint64_t key,
		     enum dispatch_outcome outcome, int64_t retry_at, int64_t next_due)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);
	struct destination *d = dispatch_place(dispatch, destination);

	if (delivery == NULL || !delivery->under_way || d == NULL)
		return;
	dispatch_due_at(d, delivery->again ? 0 : next_due);
	dispatch_changed(d, key);
	if (delivery->seized) {
		d->seized--;
		free_delivery(dispatch, delivery);
		dispatch_enter_ring(dispatch, d);
		return;
	}
	d->under_way--;
	dispatch->under_way--;
	free_delivery(dispatch, delivery);
	if (outcome == DISPATCH_WORKED)
		worked(dispatch, d);
	else if (outcome == DISPATCH_DOWN)
		went_down(dispatch, d, retry_at);
	else
		d->probing = false;
	dispatch_enter_ring(dispatch, d);
}

void dispatch_wake(struct dispatch *dispatch, int64_t destination, int64_t due)
{
	struct destination *d = dispatch_get_place(dispatch, destination);

	dispatch_due_at(d, due);
	d->down_until = 0;
	dispatch_heap_remove(dispatch, d);
	dispatch_enter_ring(dispatch, d);
}

void *dispatch_take(struct dispatch *dispatch, int64_t destination, uint64_t key)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);
	struct destination *d = dispatch_place(dispatch, destination);
	void *data;

	if (d == NULL)
		return NULL;
	dispatch_changed(d, key);
	if (delivery == NULL || delivery->under_way)
		return NULL;
	unready(dispatch, d, delivery);
	data = delivery->data;
	if (delivery->again)
		dispatch_due_at(d, 0);
	free_delivery(dispatch, delivery);
	dispatch_enter_ring(dispatch, d);
	return data;
}

struct dispatch_totals dispatch_totals(const struct dispatch *dispatch)
{
	return (struct dispatch_totals){.under_way = dispatch->under_way,
					.ready = dispatch->ready,
					.destinations = HASH_COUNT(dispatch->destinations),
					.down = dispatch->down};
}

uint32_t dispatch_failures(const struct dispatch *dispatch, int64_t destination)
{
	struct destination *d = dispatch_place(dispatch, destination);

	return d != NULL ? d->failures : 0;
}
