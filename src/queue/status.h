/* SPDX-License-Identifier: Apache-2.0 */
/* How the queue process does, for "postern status". */
#ifndef POSTERN_QUEUE_STATUS_H
#define POSTERN_QUEUE_STATUS_H

struct queue;
struct rows;

/* Adds one row: what waits and is under way, what was done, and each limit with its use. */
void status_add(const struct queue *queue, struct rows *rows);

#endif
