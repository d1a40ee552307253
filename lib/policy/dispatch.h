/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue's scheduler, without I/O and without a clock: which deliveries to start next. It
 * knows destinations (recipient domains), each with a due time of its own, a small list of
 * deliveries that are in memory and ready, how many are under way, and whether the store holds
 * more. 100 000 messages for a dead host are one destination that waits, and one probe.
 *
 * A delivery is the recipients of one message at one destination. Invariants:
 *  1. A delivery is in exactly one place: on disk only, ready in memory, or under way (claimed).
 *  2. Of one destination at most its window is under way; a window starts small, doubles while
 *     deliveries succeed, falls to one probe when the destination is down, and is never more
 *     than a quarter of the whole (at least one).
 *  3. Of all destinations at most the total window is under way.
 *  4. Destinations take turns; a dead one never holds up another. Those whose first delivery is
 *     urgent (MT-PRIORITY above 0, RFC 6710) take theirs before ordinary ones, those below 0 after
 *     them; but of DISPATCH_TURNS turns one goes to those that the others have kept waiting.
 *     Within a destination the order is that of struct dispatch_rank: time of arrival, moved by
 *     the priority, so that nothing waits for ever.
 *  5. What the store read is older than what happened since it was asked: a delivery that ended
 *     or was taken out meanwhile does not come back by a load.
 */
#ifndef POSTERN_POLICY_DISPATCH_H
#define POSTERN_POLICY_DISPATCH_H

#include "base/err.h"
#include "base/slice.h"

struct dispatch; /* what the queue attaches to a delivery is opaque here: data */

struct dispatch_options {
	uint32_t window;       /* deliveries under way in total */
	uint32_t first_window; /* of a destination not known to work: 4 */
	uint32_t ready_max;    /* deliveries kept ready in memory over all; more stay on disk */
};

enum { DISPATCH_TURNS = 8 };

/* Where a delivery stands among those that are ready. */
struct dispatch_rank {
	int64_t since; /* ms: smaller goes first; arrival, less so much for each step of priority */
	int priority;  /* above 0 urgent, below 0 can wait */
};

struct dispatch *dispatch_new(const struct dispatch_options *options);
/* Calls drop(arg, data) for every delivery still held. */
void dispatch_free(struct dispatch **dispatch, void (*drop)(void *arg, void *data), void *arg);
/* Narrower when the cores are saturated; at least window / 10. */
void dispatch_set_window(struct dispatch *dispatch, uint32_t window);

/*
 * A destination that the store knows: its first row is due at due, and, if it is down after
 * failures attempts in a row, nothing is tried before down_until (else 0). Wall times.
 */
void dispatch_destination(struct dispatch *dispatch, int64_t destination, int64_t due,
			  int64_t down_until, uint32_t failures);
/*
 * A message that was just committed. ERR_OK: it is ready in memory and data belongs to dispatch;
 * ERR_FULL: it stays on disk only (the destination remembers that there is more); data is the
 * caller's.
 */
enum err dispatch_fresh(struct dispatch *dispatch, int64_t destination, uint64_t key,
			struct dispatch_rank rank, void *data);

/* What to do next. */
enum dispatch_action {
	DISPATCH_NOTHING, /* until *wake_out (wall ms; INT64_MAX: until something happens) */
	DISPATCH_START,   /* start this delivery: now under way */
	DISPATCH_LOAD,    /* read at most limit due deliveries of this destination from the store */
	DISPATCH_DROP, /* its destination is down: this one is on disk only, data is the caller's */
};
struct dispatch_next {
	enum dispatch_action action;
	int64_t destination;
	uint64_t key;   /* START, DROP */
	void *data;     /* START, DROP */
	uint32_t limit; /* LOAD; those that are in memory already count */
	int64_t wake;   /* NOTHING */
};
void dispatch_next(struct dispatch *dispatch, int64_t now, struct dispatch_next *next_out);
/* The data of what is ready or under way; NULL if it is neither. */
void *dispatch_find(const struct dispatch *dispatch, int64_t destination, uint64_t key);
/*
 * A LOAD came back: one call per delivery, then loaded with next_due, the due time of the first
 * that remains on disk after them (INT64_MAX: none remains). False: it is in memory already or
 * has ended meanwhile; data is the caller's.
 */
bool dispatch_add(struct dispatch *dispatch, int64_t destination, uint64_t key,
		  struct dispatch_rank rank, void *data);
void dispatch_loaded(struct dispatch *dispatch, int64_t destination, int64_t next_due);
/* Of what is in memory: there is more of this message on disk, to be read when it ended. */
void dispatch_again(struct dispatch *dispatch, int64_t destination, uint64_t key);
/* A delivery that somebody else began: under way now. False as for dispatch_add. */
bool dispatch_adopt(struct dispatch *dispatch, int64_t destination, uint64_t key, void *data);
/*
 * A delivery that ends without relay (it expired, its time has passed): it is nobody's to start
 * until dispatch_finish, counts for no window, and says nothing about its destination. What was
 * ready of it goes to DROP. False if it is under way.
 */
bool dispatch_seize(struct dispatch *dispatch, int64_t destination, uint64_t key, void *data);

/* How a delivery under way ended. Its data is the caller's again. */
enum dispatch_outcome {
	DISPATCH_WORKED,  /* the destination took it, or refused it for a reason of its own */
	DISPATCH_DOWN,    /* the destination cannot be reached: it waits until retry_at */
	DISPATCH_UNKNOWN, /* given back without being tried */
};
/*
 * next_due: when this delivery's recipients that remain are due again (INT64_MAX: none remain);
 * they are on disk.
 */
void dispatch_finish(struct dispatch *dispatch, int64_t destination, uint64_t key,
		     enum dispatch_outcome outcome, int64_t retry_at, int64_t next_due);
/* The operator wants it tried now; it stops waiting even if it is down. */
void dispatch_wake(struct dispatch *dispatch, int64_t destination, int64_t due);
/*
 * Takes a delivery that is ready out, its data is the caller's: its rows changed on disk
 * (dropped, held). NULL if it is not there or under way.
 */
void *dispatch_take(struct dispatch *dispatch, int64_t destination, uint64_t key);

struct dispatch_totals {
	uint32_t under_way, ready, destinations, down;
};
struct dispatch_totals dispatch_totals(const struct dispatch *dispatch);
/* The destination's failures in a row since it last worked: for the retry schedule. */
uint32_t dispatch_failures(const struct dispatch *dispatch, int64_t destination);

#endif
