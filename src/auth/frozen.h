/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts that are frozen: queue is told all of them, by each change and as soon as it is there,
 * and holds their mail.
 */
#ifndef POSTERN_AUTH_FROZEN_H
#define POSTERN_AUTH_FROZEN_H

#include "store/accounts.h"

struct auth;
struct channel;
struct frozen;
struct msg_frozen_done;

enum { FROZEN_PATIENCE = 10000 /* ms until somebody is told that queue has not answered */ };

struct frozen *frozen_new(struct auth *auth);
void frozen_free(struct frozen **frozen);
/* Reads who is; before the loop runs. */
enum err frozen_open(struct frozen *frozen, struct accounts *accounts);

/* queue was asked, and has answered; told false: it is not there, or takes long. */
typedef void frozen_done_fn(void *arg, bool told, uint64_t held, uint64_t released);
/* These are frozen now: takes the names. done is called in any case, never from within. */
void frozen_set(struct frozen *frozen, char **names, size_t count, frozen_done_fn *done, void *arg);
/* A new queue. */
void frozen_queue(struct frozen *frozen, struct channel *queue);
void frozen_queue_lost(struct frozen *frozen);
enum err frozen_answer(struct frozen *frozen, const struct msg_frozen_done *msg);

#endif
