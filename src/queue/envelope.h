/* SPDX-License-Identifier: Apache-2.0 */
/* From what smtpd sends and what the grant says to the envelope that is stored. */
#ifndef POSTERN_QUEUE_ENVELOPE_H
#define POSTERN_QUEUE_ENVELOPE_H

#include "store/queue.h"

struct grant_view;
struct rec_submission;

/*
 * Encodes it into out, which is emptied first. Recipients without a domain are given ours. False:
 * a field is not what it must be: numbers that do not count upwards, an empty address or domain.
 */
bool envelope_make(struct buf *out, const char *hostname, const struct rec_submission *submission,
		   const struct grant_view *grant);

#endif
