/* SPDX-License-Identifier: Apache-2.0 */
/* What passes between queue and relay about claims, but for results and bodies. */
#ifndef POSTERN_QUEUE_CLAIM_H
#define POSTERN_QUEUE_CLAIM_H

#include "base/slice.h"

struct channel;
struct deliveries;
struct delivery;
struct queue;

/* Sends DELIVER, with the body if it is in memory and small. ERR_FULL: no credit now. */
enum err claim_send(struct channel *relay, struct delivery *delivery);
enum err claim_at_dot(struct deliveries *deliveries, struct slice payload);
/* relay goes on with a claim of the queue before this one. */
enum err claim_in_flight(struct deliveries *deliveries, struct slice payload);

/*
 * Finds the rows of a message at a destination, which is not in memory, and makes a delivery of
 * them; fn gets it and owns it, or NULL if there are none any more. ERR_RANGE: no such name.
 */
typedef void claim_fn(void *arg, struct delivery *delivery);
enum err claim_revive(struct queue *queue, uint64_t key, struct slice destination, claim_fn *fn,
		      void *arg);

#endif
