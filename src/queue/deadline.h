/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times to deliver by (RFC 2852 4.1.4). At each the recipients that are still waiting fail (mode
 * R), or their sender is told that they wait (mode N); also while their destination is down. The
 * times stand in the store: a restart loses none, and one that passed meanwhile is dealt with at
 * once. What is under way then is decided by its result.
 */
#ifndef POSTERN_QUEUE_DEADLINE_H
#define POSTERN_QUEUE_DEADLINE_H

#include <stdint.h>

#include "base/err.h"

struct deadlines;
struct queue;

struct deadlines *deadlines_new(struct queue *queue);
void deadlines_free(struct deadlines **deadlines);
/* Learns of the first in the store; before the loop runs. */
enum err deadlines_open(struct deadlines *deadlines);
/* A message with this one (queue_envelope_deadline) is on disk. */
void deadlines_note(struct deadlines *deadlines, int64_t at);

#endif
