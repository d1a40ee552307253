/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destinations whose mail somebody asked to be tried now (TRY_AGAIN). What they are served by is
 * known only when their mail comes by: a host that was found unusable before it was asked is tried
 * for it once more. They are forgotten when no host is remembered for that long; of too many the
 * oldest goes, and its mail waits for as long as a host is remembered.
 */
#ifndef POSTERN_RELAY_AGAIN_H
#define POSTERN_RELAY_AGAIN_H

#include "base/slice.h"

enum {
	AGAIN_KEPT_MS = 30000, /* a host is down in our memory for no longer */
	AGAIN_MAX = 4096,
};

struct again;

struct again *again_new(void);
void again_free(struct again **again);
/* now: the loop's time, as all times here; it does not go back. */
void again_note(struct again *again, struct slice destination, int64_t now);
/* Whether it was asked for the destination at or after that time. */
bool again_asked(struct again *again, struct slice destination, int64_t since, int64_t now);

#endif
