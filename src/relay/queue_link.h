/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel to queue. Deliveries come in and hold the sender's credit until they end; results
 * go out and are kept until queue has them on disk. When queue dies, deliveries whose bodies are
 * here go on; a new queue is told of those and of unconfirmed results before it claims anything.
 */
#ifndef POSTERN_RELAY_QUEUE_LINK_H
#define POSTERN_RELAY_QUEUE_LINK_H

#include "base/slice.h"

struct delivery;
struct job;
struct operator_rows;
struct queue_link;
struct relay;

struct queue_link *queue_link_new(struct relay *relay);
void queue_link_free(struct queue_link **link);
/* A channel to a new queue; takes fd. */
void queue_link_connect(struct queue_link *link, int fd);
/* Takes nothing new; what has not reached a connection is forgotten. */
void queue_link_stop(struct queue_link *link);
/* Nothing is in transfer, and no result waits to be confirmed. */
bool queue_link_is_quiet(const struct queue_link *link);
void queue_link_status(const struct queue_link *link, struct operator_rows *rows);

/* ---- for delivery.c ---- */

void queue_link_want(struct queue_link *link, uint64_t claim, uint64_t offset, uint32_t length);
void queue_link_at_dot(struct queue_link *link, const struct job *job);
/* Each recipient of the job has an outcome. */
void queue_link_results(struct queue_link *link, const struct job *job, const char *host,
			const char *tls, bool down);
/* No job of it is left: frees the delivery. */
void queue_link_over(struct queue_link *link, struct delivery *delivery);

#endif
