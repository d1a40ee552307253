/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log has of clients as a crowd: how many lines those cause who do wrong (policy/quiet.h),
 * and whether nearly all seem to be one (policy/crowd.h).
 */
#ifndef POSTERN_SMTPD_REFUSALS_H
#define POSTERN_SMTPD_REFUSALS_H

#include <stdbool.h>

struct refusals;
struct smtpd;

struct refusals *refusals_new(struct smtpd *smtpd);
void refusals_free(struct refusals **refusals);
/*
 * Asked before each line about something that a client did wrong or was not let do; false: the
 * line is left out, and counted for the summary that comes when the client is still.
 */
bool refusals_logged(struct refusals *refusals, const char *client);
/* A client has connected. */
void refusals_count(struct refusals *refusals, const char *client);
/* Tells what was left out now: the process ends. */
void refusals_flush(struct refusals *refusals);

#endif
