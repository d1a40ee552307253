/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results: what relay reports, what expired, what was lost with relay. Each recipient's result is
 * written in one commit together with the report that it causes; only when that is on disk is it
 * logged, confirmed to relay and forgotten.
 */
#ifndef POSTERN_QUEUE_SETTLE_H
#define POSTERN_QUEUE_SETTLE_H

#include "ipc/message.h"
#include "message/report.h"

struct delivery;
struct queue;

/* RESULTS. */
enum err settle_results(struct queue *queue, struct slice payload);
/* Its time is over without an attempt: too old (and its host is down), or late for its sender. */
void settle_over(struct delivery *delivery, enum report_cause cause);
/* relay is gone with it: what was at the dot is uncertain, the rest is due at once. */
void settle_lost(struct delivery *delivery);

#endif
