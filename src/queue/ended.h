/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipients that ended a moment ago. Who reads rows from the store and tells a sender that they
 * wait asks here whether that is still so: what was read may be older than a delivery. The last few
 * thousand are remembered; of more it counts as ended, and is looked at once more later.
 */
#ifndef POSTERN_QUEUE_ENDED_H
#define POSTERN_QUEUE_ENDED_H

#include "store/queue.h"

enum { ENDED_KEPT = 4096 };

struct ended;
struct queue;

struct ended *ended_new(void);
void ended_free(struct ended **ended);
/* The row is gone from the store. */
void ended_note(struct ended *ended, uint64_t key, uint32_t n);
/* How many have so far: to be taken before the store is read. */
uint64_t ended_count(const struct ended *ended);
/* Whether the row, read since then, has ended, or has a result that is on its way to disk. */
bool ended_since(const struct queue *queue, uint64_t count, const struct queue_row *row);

#endif
