/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message that tells a sender what became of recipients (RFC 3461, 3464). It goes to the bounce
 * address of the grant under which the message came, never to an address out of the message; never
 * for a report; one for all that is told together. Of a message that requires TLS all the way the
 * report does too, and quotes no more than the header (RFC 8689 5).
 */
#ifndef POSTERN_QUEUE_REPORT_H
#define POSTERN_QUEUE_REPORT_H

#include "message/report.h"
#include "store/queue.h"

struct queue;

/* Whether the sender may be told anything of the recipient; NOTIFY=NEVER says no. */
bool report_allowed(const struct queue_mail *mail, const struct queue_envelope *envelope,
		    const struct queue_recipient *recipient);
/* Whether NOTIFY asks for this (RFC 3461 4.1); without it for failure and delay. */
bool report_wanted(const struct queue_mail *mail, const struct queue_envelope *envelope,
		   const struct queue_recipient *recipient, enum report_action action);
/* How much of the message report_send wants to quote from. */
enum { REPORT_HEAD = 65536 };
/* The part of a loaded message that a report quotes from; of one in a file head was read. */
struct report_quote {
	struct slice text;
	bool whole;
};
struct report_quote report_quote(const struct queue_mail *mail, struct slice head);
/*
 * Hands the report on these recipients to the writer, into the commit that is being gathered.
 * ERR_FULL: no key can be had now.
 */
enum err report_send(struct queue *queue, const struct queue_mail *mail,
		     const struct queue_envelope *envelope,
		     const struct report_recipient *recipients, size_t count,
		     struct report_quote quote);

#endif
