/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator asks: channels from control (or from the CLI when the server is down), and
 * operations on the queue. An operation reads in short steps on a thread of its own and sends a
 * bounded number of rows at a time, so a queue of a million does not hold up mail.
 */
#ifndef POSTERN_QUEUE_OPERATOR_H
#define POSTERN_QUEUE_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

struct frozen_set;
struct operators;
struct queue;

struct operators *operators_new(struct queue *queue);
void operators_free(struct operators **operators);
void operators_connect(struct operators *operators, int fd); /* takes fd */
/*
 * Holds the mail of these accounts, and releases what was held for being frozen of others; over is
 * called when that is on disk, or the queue cannot be read (which is said).
 */
struct operators_tally {
	uint64_t held, released; /* recipients */
};
typedef void operators_over_fn(void *arg, const struct operators_tally *tally);
void operators_freeze(struct operators *operators, const struct frozen_set *set,
		      operators_over_fn *over, void *arg);
bool operators_idle(const struct operators *operators);

#endif
