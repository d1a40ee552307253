/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results: what relay reports, what expired, what was lost with relay, and what follows from each;
 * settlement.h brings it to disk.
 */
#ifndef POSTERN_QUEUE_SETTLE_H
#define POSTERN_QUEUE_SETTLE_H

#include "ipc/message.h"
#include "message/report.h"

struct delivery;
struct queue;

/* RESULTS. */
enum err settle_results(struct queue *queue, struct slice payload);
/*
 * Their time is over without an attempt: too old (and the host is down), or late for the sender.
 * All are of one message, whose sender gets one report.
 */
void settle_over(struct delivery *const *deliveries, size_t count, enum report_cause cause);
/* relay is gone with it: what was at the dot is uncertain, the rest is due at once. */
void settle_lost(struct delivery *delivery);

#endif
