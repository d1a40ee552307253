/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From where each account has logged in during the last weeks: what strangers do must never keep
 * those out, and what comes from elsewhere is worth a second look. No I/O: the caller loads what
 * was kept and is told what is worth keeping. Times are wall ms, since they outlive the process.
 *
 * Bounded: beyond the maximum the longest unseen goes first; whoever is forgotten is a stranger.
 */
#ifndef POSTERN_POLICY_KNOWN_H
#define POSTERN_POLICY_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/source.h"

struct known;

#define KNOWN_TIME INT64_C(2592000000) /* 30 days: a source not seen for so long is forgotten */
#define KNOWN_NEW  INT64_C(86400000)   /* a day: what was seen first since then is new */
#define KNOWN_KEEP INT64_C(86400000)   /* what was kept less than a day ago need not be again */

enum known_degree {
	KNOWN_NEVER,
	KNOWN_NEAR, /* from the same /24 or /48 */
	KNOWN_HERE, /* from this very source */
};

struct known *known_new(size_t max);
void known_free(struct known **known);
/* account: its canonical name. */
enum known_degree known_find(const struct known *known, const char *account,
			     const unsigned char source[SOURCE_BYTES], int64_t now);
/*
 * Whether the network around the source is new to the account: it logged in from there for the
 * first time less than KNOWN_NEW ago, or never, though it has logged in from elsewhere for longer
 * than that.
 */
bool known_elsewhere(const struct known *known, const char *account,
		     const unsigned char source[SOURCE_BYTES], int64_t now);
/* It has logged in from there. true: that is to be kept. */
bool known_seen(struct known *known, const char *account, const unsigned char source[SOURCE_BYTES],
		int64_t now);
/* What was kept: when it was seen first, and last. */
void known_load(struct known *known, const char *account, const unsigned char source[SOURCE_BYTES],
		int64_t first, int64_t last);

#endif
