/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether mail can be taken: room and inodes on disk and memory beyond the reserves, a store that
 * can be written; and whether the load lets deliveries be started. All of it is looked at every two
 * seconds, so it recovers by itself.
 */
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
/* The load is above limits.queue_load: no delivery is started. */
bool space_overloaded(const struct space *space);
uint32_t space_load(const struct space *space);       /* in hundredths, as the next */
uint32_t space_load_limit(const struct space *space); /* 0: none */
uint64_t space_bytes(const struct space *space);
uint64_t space_inodes(const struct space *space); /* 0: not counted there */
uint64_t space_memory(const struct space *space); /* UINT64_MAX: not known */
/* How often each became short. */
struct space_strikes {
	uint64_t disk, inodes, memory, load;
};
struct space_strikes space_strikes(const struct space *space);

#endif
