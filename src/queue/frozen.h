/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts that are frozen, as auth says: their mail is held, apart from what the operator holds,
 * and goes on when they are thawed. Each time auth tells who is frozen the whole queue is looked
 * through, so that it does not matter what either process missed of the other. Mail that is
 * committed or read meanwhile is not handed to relay.
 */
#ifndef POSTERN_QUEUE_FROZEN_H
#define POSTERN_QUEUE_FROZEN_H

#include "base/slice.h"
#include "store/queue.h"

struct channel;
struct frozen;
struct frozen_set;
struct queue;

struct frozen *frozen_new(struct queue *queue);
void frozen_free(struct frozen **frozen);

/* From auth. Errors: it sent what it must not. */
enum err frozen_name(struct frozen *frozen, struct slice payload);
enum err frozen_end(struct frozen *frozen, struct channel *auth, struct slice payload);
/* The channel to auth is gone: who is frozen stays so. */
void frozen_lost(struct frozen *frozen);

/* Whether the account is; if so the queue is looked through once more. */
bool frozen_has(struct frozen *frozen, struct slice account);
/* Whether this row is to be held, or let go. On any thread. */
bool frozen_set_wants(const struct frozen_set *set, struct slice account,
		      const struct queue_row *row);

#endif
