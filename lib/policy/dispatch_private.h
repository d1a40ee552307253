/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the scheduler share; nobody else includes it. dispatch.c says how it works. */
#ifndef POSTERN_POLICY_DISPATCH_PRIVATE_H
#define POSTERN_POLICY_DISPATCH_PRIVATE_H

#include "base/hash.h"
#include "policy/dispatch.h"

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

/* ---- dispatch_heap.c: destinations that wait for a time ---- */
void dispatch_heap_add(struct dispatch *dispatch, struct destination *d, int64_t wake);
void dispatch_heap_remove(struct dispatch *dispatch, struct destination *d); /* if it is there */

/* ---- dispatch_places.c: destinations, their rings, what is known of those at rest ---- */
/* NULL: it is not known. */
struct destination *dispatch_place(const struct dispatch *dispatch, int64_t id);
struct destination *dispatch_get_place(struct dispatch *dispatch, int64_t id);
void dispatch_forget(struct dispatch *dispatch, struct destination *d);
/* At the end of the ring of its first delivery; where it stands already it stays. */
void dispatch_enter_ring(struct dispatch *dispatch, struct destination *d);
void dispatch_leave_ring(struct dispatch *dispatch, struct destination *d);
void dispatch_leave_idle(struct dispatch *dispatch, struct destination *d);
/* Whose turn it is; NULL: nobody has anything to do. */
struct destination *dispatch_first_in_turn(const struct dispatch *dispatch);
/* Nothing is left of it but how well it worked: that is kept for a while. */
void dispatch_rest(struct dispatch *dispatch, struct destination *d);
void dispatch_due_at(struct destination *d, int64_t due); /* or earlier */
/* While the store is being read: what it says about this key is old. */
void dispatch_changed(struct destination *d, uint64_t key);
void dispatch_forget_changed(struct destination *d);
/* Deliveries that may be under way there. */
uint32_t dispatch_window_of(const struct dispatch *dispatch, const struct destination *d);

#endif
