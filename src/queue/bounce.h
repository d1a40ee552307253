/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message that tells a sender what could not be delivered. It goes to the bounce address of
 * the grant under which the message came, never to an address out of the message; never for a
 * bounce; one for all that failed together.
 */
#ifndef POSTERN_QUEUE_BOUNCE_H
#define POSTERN_QUEUE_BOUNCE_H

#include "message/bounce.h"
#include "store/queue.h"

struct queue;

/* Whether a failure of this recipient is told to anybody. */
bool bounce_wanted(const struct queue_mail *mail, const struct queue_envelope *envelope,
		   const struct queue_recipient *recipient);
/* How much of the message bounce_send wants to quote from. */
enum { BOUNCE_HEAD = 32768 };
/*
 * Hands the bounce for these recipients to the writer, into the commit that is being gathered.
 * head: the start of the message, "" if it cannot be read. ERR_FULL: no key can be had now.
 */
enum err bounce_send(struct queue *queue, const struct queue_mail *mail,
		     const struct queue_envelope *envelope,
		     const struct bounce_recipient *recipients, size_t count, struct slice head);

#endif
