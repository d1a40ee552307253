/* SPDX-License-Identifier: Apache-2.0 */
/* From what smtpd sends and what the grant says to the envelope that is stored. */
#ifndef POSTERN_QUEUE_ENVELOPE_H
#define POSTERN_QUEUE_ENVELOPE_H

#include "store/queue.h"

struct grant_view;
struct rec_mail;
struct rec_submission;

/*
 * Encodes it into out, which is emptied first. Recipients without a domain are given ours. False:
 * a field is not what it must be: numbers that do not count upwards, an empty address or domain,
 * terms out of their range. smtpd has checked all that: if it is not so, it is not itself.
 */
bool envelope_make(struct buf *out, const char *hostname, const struct rec_submission *submission,
		   const struct grant_view *grant, int64_t now);
/* What is asked for in MAIL can have been asked for. now: wall ms. */
bool envelope_terms_valid(const struct rec_mail *mail, int64_t now);

#endif
