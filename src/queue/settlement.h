/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of some recipients of a delivery, on its way to disk: their rows and the report that
 * they cause are handed to the writer in one commit. Only then is it logged, confirmed to relay and
 * forgotten.
 */
#ifndef POSTERN_QUEUE_SETTLEMENT_H
#define POSTERN_QUEUE_SETTLEMENT_H

#include "base/buf.h"
#include "ipc/message.h"
#include "message/report.h"
#include "store/queue.h"

struct delivery;
struct delivery_row;
struct queue;

/* What becomes of one recipient. */
struct settlement_item {
	struct delivery_row *row;
	enum ipc_outcome outcome;
	enum report_action action;
	enum report_cause cause; /* of a failure */
	bool report;             /* the sender is told */
	uint16_t code;
	struct slice status, text;
	int64_t due;
	char last[QUEUE_LAST_MAX];
};

struct settlement {
	struct settlement *next; /* its recipients are told of in the same report */
	struct queue *queue;
	struct delivery *delivery;
	uint64_t ack;  /* claim to confirm; 0: none */
	char *payload; /* what the slices point into */
	struct slice host, tls;
	struct queue_mail *mail; /* the delivery's when it began: envelope points into it */
	struct queue_envelope envelope;
	struct queue_mail *loaded; /* the message with its body, or with its sums */
	struct buf head;           /* start of a message in a file */
	enum err head_err;
	bool down;
	size_t count;
	struct settlement_item *items;
};

/* With room for so many items; the delivery lives until it is on disk. */
struct settlement *settlement_new(struct queue *queue, struct delivery *delivery, size_t items);
struct settlement_item *settlement_add(struct settlement *s, struct delivery_row *row);
/* All items are there. Takes it, and those that hang on it: all of one message, in one commit. */
void settlement_commit(struct settlement *s);

#endif
