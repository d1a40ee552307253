/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ETRN (RFC 1985): the mail for one domain is tried now, once in a minute: what came or was
 * deferred since has been tried in that minute. Only that destination's rows are looked at. What an
 * operator holds, what waits for its release and what is uncertain stays as it is.
 */
#ifndef POSTERN_QUEUE_ETRN_H
#define POSTERN_QUEUE_ETRN_H

#include "base/slice.h"

struct etrns;
struct front;
struct queue;

struct etrns *etrns_new(void);
void etrns_free(struct etrns **etrns);
/*
 * The answer goes to front (front_etrn_done) when it is known how much waits; front_etrn_end when
 * it is all done. ERR_RANGE.
 */
enum err etrn_start(struct queue *queue, struct front *front, uint64_t session,
		    struct slice domain);

#endif
