/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells senders of mail that waits for long (queue.delay_notice and delay_notice_again), also of
 * what stands behind a destination that is down, of which only the probe is ever tried. A slow walk
 * over the rows, page by page on the operators' thread, with pauses: nothing else waits for it.
 */
#ifndef POSTERN_QUEUE_DELAYS_H
#define POSTERN_QUEUE_DELAYS_H

#include "store/queue.h"

struct config;
struct queue;
struct delays;

struct delays *delays_new(struct queue *queue);
void delays_free(struct delays **delays);
/* The configuration is another one: the next walk is due by its times. */
void delays_config(struct delays *delays);

/*
 * Which notices (enum queue_notice) a row is due now; 0: none. first and again: ms after which
 * they are, 0 never. Not for reports, nor for what an operator holds or waits for its release.
 */
uint8_t delays_due(const struct queue_row *row, const struct queue_mail *mail,
		   const struct queue_envelope *envelope, uint64_t first, uint64_t again,
		   int64_t now);

#endif
