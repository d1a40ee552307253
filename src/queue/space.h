/* SPDX-License-Identifier: Apache-2.0 */
/* Whether mail can be taken: room on disk beyond the reserve, and a store that can be written. */
#ifndef POSTERN_QUEUE_SPACE_H
#define POSTERN_QUEUE_SPACE_H

#include "ipc/message.h"

struct queue;
struct space;

/* Looks every few seconds; space_look looks at once, before the loop runs. */
struct space *space_new(struct queue *queue);
void space_look(struct space *space);
void space_free(struct space **space);
struct msg_accepting space_accepting(const struct space *space);
/* A write found no room: nothing is taken until a look finds some. */
void space_full(struct space *space);
uint64_t space_bytes(const struct space *space);

#endif
