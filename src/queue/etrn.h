/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ETRN (RFC 1985): the mail for one domain is tried now. Only that destination's rows are looked
 * at. What an operator holds, what waits for its release and what is uncertain stays as it is.
 */
#ifndef POSTERN_QUEUE_ETRN_H
#define POSTERN_QUEUE_ETRN_H

#include "base/slice.h"

struct front;
struct queue;

/* The answer goes to front (front_etrn_done) when it is known how much waits. ERR_RANGE. */
enum err etrn_start(struct queue *queue, struct front *front, uint64_t session,
		    struct slice domain);

#endif
