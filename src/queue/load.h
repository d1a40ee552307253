/* SPDX-License-Identifier: Apache-2.0 */
/* Reads due deliveries of a destination from the store, for dispatch. */
#ifndef POSTERN_QUEUE_LOAD_H
#define POSTERN_QUEUE_LOAD_H

#include <stdint.h>

struct queue;

void load_start(struct queue *queue, int64_t destination, uint32_t limit);
unsigned load_count(const struct queue *queue);

#endif
