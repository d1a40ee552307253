/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries: the recipients of one message at one destination, from the moment they are in
 * memory. policy/dispatch decides which start; here they are read from the store, handed to
 * relay, and settled when relay reports.
 *
 * A delivery is owned by dispatch while it is ready, by the table of claims while it is under
 * way, and by a settlement until that is on disk.
 */
#ifndef POSTERN_QUEUE_DELIVERY_H
#define POSTERN_QUEUE_DELIVERY_H

#include "base/hash.h"
#include "ipc/message.h"
#include "policy/dispatch.h"
#include "store/queue.h"

struct body_feed;
struct channel;
struct deliveries;
struct hook;
struct queue;
struct timer;

struct delivery_row {
	int64_t due;
	uint32_t n, attempts;
	uint8_t state;
	bool at_dot;  /* the final dot is on its way */
	bool settled; /* it has a result */
	bool dropped; /* the operator dropped it meanwhile: nothing is said about it any more */
};

struct delivery {
	UT_hash_handle hh; /* by claim */
	uint64_t claim;
	struct queue *queue;
	struct queue_mail *mail;
	int64_t destination;
	int64_t lease;    /* end of it, of the loop's clock */
	int64_t next_due; /* of the rows that remain, as settled so far */
	int64_t retry_at; /* the destination is down until then; 0: it is not */
	uint32_t unsettled;
	uint32_t settling;      /* settlements on their way to disk */
	bool in_dispatch;       /* dispatch counts it as under way */
	bool worked;            /* the destination said something about mail */
	bool over;              /* no more results will come */
	struct body_feed *feed; /* what relay wants of the body */
	uint32_t row_count;
	struct delivery_row rows[];
};

struct deliveries *deliveries_new(struct queue *queue);
void deliveries_free(struct deliveries **deliveries);
/* Learns of all destinations in the store; before the loop runs. */
enum err deliveries_open(struct deliveries *deliveries);
/* A channel to relay, which replaces the one before. Takes fd. */
void deliveries_connect(struct deliveries *deliveries, int fd);
/* A message that is on disk now. */
void deliveries_fresh(struct deliveries *deliveries, struct queue_mail *mail);
/* Nothing more is started. */
void deliveries_stop(struct deliveries *deliveries);
bool deliveries_idle(const struct deliveries *deliveries);
struct dispatch *deliveries_dispatch(struct deliveries *deliveries);
/* The rows of this message at this destination were changed by the operator: nothing of it starts.
 */
void deliveries_withdraw(struct deliveries *deliveries, int64_t destination, uint64_t key);
/* Recipient n of it was dropped: a result that is on its way, or being settled, makes no report. */
void deliveries_dropped(struct deliveries *deliveries, int64_t destination, uint64_t key,
			uint32_t n);
/* What is woken next for this domain, "" for all, is tried even where relay holds the server for
 * down. */
void deliveries_try_again(struct deliveries *deliveries, struct slice domain);
/* Looks for something to do at the end of this iteration. */
void deliveries_poke(struct deliveries *deliveries);

/* ---- for the parts of this subject ---- */

/* Takes a reference to mail. */
struct delivery *delivery_new(struct queue *queue, struct queue_mail *mail, int64_t destination,
			      size_t rows);
/* Of what the store loaded: takes the mail. */
struct delivery *delivery_of(struct queue *queue, struct queue_loaded *loaded);
/* Where its deliveries stand among others: by arrival, moved by its priority (RFC 6710). */
struct dispatch_rank delivery_rank(const struct queue_mail *mail,
				   const struct queue_envelope *envelope);
/* Its sender wants it back rather than late, and it is late (RFC 2852, mode R). */
bool delivery_late(const struct queue_envelope *envelope, int64_t now);
void delivery_free(struct delivery *delivery);
struct queue_row delivery_row(const struct delivery *delivery, const struct delivery_row *row);
struct delivery *deliveries_claim(struct deliveries *deliveries, uint64_t claim);
/* Puts a delivery under this claim number; false: it is in use. */
bool deliveries_add_claim(struct deliveries *deliveries, struct delivery *delivery, uint64_t claim);
/*
 * A settlement of it is on disk, or it was given back: if nothing is outstanding it leaves the
 * claims and dispatch, and is freed.
 */
void delivery_settled(struct delivery *delivery);
struct channel *deliveries_relay(struct deliveries *deliveries); /* NULL: there is none */
struct queue *deliveries_queue(struct deliveries *deliveries);
/* Memory of bodies that deliveries hold. */
size_t deliveries_memory(const struct deliveries *deliveries);
void deliveries_count_memory(struct deliveries *deliveries, int64_t bytes);
/* One more, one less, question to the store that must be answered before anything is claimed. */
void deliveries_adopting(struct deliveries *deliveries, int change);

#endif
