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

#include "base/hash.h"
#include "base/mem.h"
#include <utlist.h>

enum {
	LOAD_MIN = 16, /* deliveries: a read of the store is worth that many */
	LOAD_MAX = 256,
	IDLE_MAX = 1024, /* destinations remembered for their window alone */
	FULL_PAUSE_MS = 100,
};

/* Rings, by what the first delivery of a destination is. */
enum ring { URGENT, ORDINARY, PATIENT, RINGS };

struct id {
	int64_t destination;
	uint64_t key;
};

struct delivery {
	UT_hash_handle hh;
	struct id id;
	void *data;
	struct dispatch_rank rank;
	bool under_way;
	bool seized; /* under way, but not at the destination */
	bool again;
	struct delivery *prev, *next; /* in the ready list, or in that of those to drop */
};

struct changed {
	UT_hash_handle hh;
	uint64_t key;
};

struct destination {
	UT_hash_handle hh;
	int64_t id;
	int64_t due;        /* of the first row that is on disk only; while loading: of new ones */
	int64_t down_until; /* of use only while down */
	uint32_t failures;
	uint32_t window;
	uint32_t under_way, ready_count, seized;
	enum ring ring; /* that it stands in, if it does */
	bool down, probing, loading, in_ring, idle;
	size_t heap_at; /* 1 + index; 0: not there */
	int64_t wake;   /* the heap's key */
	struct delivery *ready;
	struct changed *changed;         /* while loading: keys that a load must not bring back */
	struct destination *prev, *next; /* in the ring, or among the idle */
};

struct dispatch {
	struct dispatch_options options;
	struct destination *destinations;
	struct delivery *deliveries;
	struct delivery *drops;
	struct destination *rings[RINGS], *idle;
	unsigned passed[RINGS]; /* turns of rings before it since it had one */
	struct destination **heap;
	size_t heap_count, heap_size;
	uint32_t window, under_way, ready, idle_count, down;
};

/* ---- the heap ---------------------------------------------------------------------------- */
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

static void heap_remove(struct dispatch *dispatch, struct destination *d)
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

static void heap_add(struct dispatch *dispatch, struct destination *d, int64_t wake)
{
	size_t size;

	heap_remove(dispatch, d);
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

/* ---- destinations ------------------------------------------------------------------------ */
static struct destination *find(const struct dispatch *dispatch, int64_t id)
{
	struct destination *d;

	HASH_FIND(hh, dispatch->destinations, &id, sizeof(id), d);
	return d;
}

static void leave_ring(struct dispatch *dispatch, struct destination *d)
{
	if (d->in_ring)
		DL_DELETE(dispatch->rings[d->ring], d);
	d->in_ring = false;
}

static void leave_idle(struct dispatch *dispatch, struct destination *d)
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

static void enter_ring(struct dispatch *dispatch, struct destination *d)
{
	enum ring ring = ring_of(d);

	leave_idle(dispatch, d);
	if (d->in_ring && d->ring != ring)
		leave_ring(dispatch, d);
	if (!d->in_ring)
		DL_APPEND(dispatch->rings[ring], d);
	d->in_ring = true;
	d->ring = ring;
}

/* Whose turn it is; NULL: nobody has anything to do. */
static struct destination *first_in_turn(const struct dispatch *dispatch)
{
	struct destination *first = NULL;

	for (int ring = 0; ring < RINGS; ring++) {
		struct destination *d = dispatch->rings[ring];

		if (d != NULL && (first == NULL || dispatch->passed[ring] + 1 >= DISPATCH_TURNS))
			first = d;
	}
	return first;
}

static struct destination *get(struct dispatch *dispatch, int64_t id)
{
	struct destination *d = find(dispatch, id);

	if (d != NULL)
		return d;
	d = mem_alloc(sizeof(*d));
	d->id = id;
	d->due = INT64_MAX;
	d->window = dispatch->options.first_window;
	HASH_ADD(hh, dispatch->destinations, id, sizeof(d->id), d);
	return d;
}

static void forget_changed(struct destination *d)
{
	struct changed *changed, *next;

	HASH_ITER (hh, d->changed, changed, next) {
		HASH_DEL(d->changed, changed);
		mem_free(changed);
	}
}

static void forget(struct dispatch *dispatch, struct destination *d)
{
	leave_ring(dispatch, d);
	leave_idle(dispatch, d);
	heap_remove(dispatch, d);
	forget_changed(d);
	dispatch->down -= d->down;
	HASH_DEL(dispatch->destinations, d);
	mem_free(d);
}

/* Nothing is left of it but how well it worked: that is kept for a while. */
static void rest(struct dispatch *dispatch, struct destination *d)
{
	leave_ring(dispatch, d);
	heap_remove(dispatch, d);
	if (d->down) {
		forget(dispatch, d);
		return;
	}
	if (!d->idle) {
		DL_APPEND(dispatch->idle, d);
		d->idle = true;
		dispatch->idle_count++;
	}
	if (dispatch->idle_count > IDLE_MAX)
		forget(dispatch, dispatch->idle);
}

static void due_at(struct destination *d, int64_t due)
{
	if (due < d->due)
		d->due = due;
}

/* While the store is being read: what it says about this key is old. */
static void changed(struct destination *d, uint64_t key)
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

static uint32_t window_of(const struct dispatch *dispatch, const struct destination *d)
{
	uint32_t quarter = dispatch->window / 4 != 0 ? dispatch->window / 4 : 1;

	if (d->down)
		return 1;
	return d->window < quarter ? d->window : quarter;
}

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
	enter_ring(dispatch, d);
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
		forget(*dispatch, d);
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
			enter_ring(dispatch, d);
	}
}

void dispatch_destination(struct dispatch *dispatch, int64_t destination, int64_t due,
			  int64_t down_until, uint32_t failures)
{
	struct destination *d = get(dispatch, destination);

	due_at(d, due);
	if (failures != 0 && !d->down) {
		d->down = true;
		dispatch->down++;
		d->down_until = down_until;
		d->failures = failures;
	}
	enter_ring(dispatch, d);
}

enum err dispatch_fresh(struct dispatch *dispatch, int64_t destination, uint64_t key,
			struct dispatch_rank rank, void *data)
{
	struct destination *d = get(dispatch, destination);

	if (d->down || dispatch->ready >= dispatch->options.ready_max ||
	    d->ready_count >= dispatch->options.ready_max / 4 + 1 ||
	    find_delivery(dispatch, destination, key) != NULL) {
		due_at(d, 0);
		enter_ring(dispatch, d);
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
	leave_ring(dispatch, d);
	enter_ring(dispatch, d);
}

static void start_load(struct dispatch *dispatch, struct destination *d, struct dispatch_next *next)
{
	uint32_t want = window_of(dispatch, d) * 2;

	want = want < LOAD_MIN ? LOAD_MIN : want > LOAD_MAX ? LOAD_MAX : want;
	d->loading = true;
	d->due = INT64_MAX;
	*next = (struct dispatch_next){.action = DISPATCH_LOAD,
				       .destination = d->id,
				       .limit = want + d->under_way + d->seized + d->ready_count};
	if (d->ready_count == 0)
		leave_ring(dispatch, d);
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
	uint32_t window = window_of(dispatch, d);
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
	leave_ring(dispatch, d);
	if (from == INT64_MAX) {
		if (d->under_way == 0 && d->seized == 0 && !d->loading)
			rest(dispatch, d);
	} else if (room) {
		/* Due, but memory is full of others' mail: look again soon. */
		heap_add(dispatch, d, from > now ? from : now + FULL_PAUSE_MS);
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
		heap_remove(dispatch, d);
		enter_ring(dispatch, d);
	}
	while ((d = first_in_turn(dispatch)) != NULL && dispatch->under_way < dispatch->window) {
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
	struct destination *d = get(dispatch, destination);
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
		due_at(d, 0);
	}
}

void dispatch_loaded(struct dispatch *dispatch, int64_t destination, int64_t next_due)
{
	struct destination *d = get(dispatch, destination);

	d->loading = false;
	forget_changed(d);
	due_at(d, next_due);
	enter_ring(dispatch, d);
}

void dispatch_again(struct dispatch *dispatch, int64_t destination, uint64_t key)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);

	if (delivery != NULL)
		delivery->again = true;
}

bool dispatch_adopt(struct dispatch *dispatch, int64_t destination, uint64_t key, void *data)
{
	struct destination *d = get(dispatch, destination);

	if (find_delivery(dispatch, destination, key) != NULL)
		return false;
	leave_idle(dispatch, d);
	begin(dispatch, d, new_delivery(dispatch, d, key, data));
	return true;
}

bool dispatch_seize(struct dispatch *dispatch, int64_t destination, uint64_t key, void *data)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);
	struct destination *d = get(dispatch, destination);
	bool again = false;

	if (delivery != NULL && delivery->under_way)
		return false;
	if (delivery != NULL) {
		again = delivery->again;
		unready(dispatch, d, delivery);
		HASH_DEL(dispatch->deliveries, delivery);
		DL_APPEND(dispatch->drops, delivery);
	}
	leave_idle(dispatch, d);
	changed(d, key);
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
	struct destination *d = find(dispatch, destination);

	if (delivery == NULL || !delivery->under_way || d == NULL)
		return;
	due_at(d, delivery->again ? 0 : next_due);
	changed(d, key);
	if (delivery->seized) {
		d->seized--;
		free_delivery(dispatch, delivery);
		enter_ring(dispatch, d);
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
	enter_ring(dispatch, d);
}

void dispatch_wake(struct dispatch *dispatch, int64_t destination, int64_t due)
{
	struct destination *d = get(dispatch, destination);

	due_at(d, due);
	d->down_until = 0;
	heap_remove(dispatch, d);
	enter_ring(dispatch, d);
}

void *dispatch_take(struct dispatch *dispatch, int64_t destination, uint64_t key)
{
	struct delivery *delivery = find_delivery(dispatch, destination, key);
	struct destination *d = find(dispatch, destination);
	void *data;

	if (d == NULL)
		return NULL;
	changed(d, key);
	if (delivery == NULL || delivery->under_way)
		return NULL;
	unready(dispatch, d, delivery);
	data = delivery->data;
	if (delivery->again)
		due_at(d, 0);
	free_delivery(dispatch, delivery);
	enter_ring(dispatch, d);
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
	struct destination *d = find(dispatch, destination);

	return d != NULL ? d->failures : 0;
}
