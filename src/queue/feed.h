/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies that relay fetches: large ones from their files, others from memory or the database.
 * What is wanted of one delivery is answered in the order of the questions.
 */
#ifndef POSTERN_QUEUE_FEED_H
#define POSTERN_QUEUE_FEED_H

#include "base/slice.h"

struct body_feed;
struct deliveries;
struct delivery;

/* BODY_WANT. */
enum err feed_want(struct deliveries *deliveries, struct slice payload);
/* relay has credit again. */
void feed_room(struct delivery *delivery);
void feed_free(struct body_feed **feed);

#endif
