/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much one account has sent: recipients in the last hour and the last day, and how many of
 * these it had never written to before; and whether it may have one more. What a stolen password
 * is worth to a sender of spam is bounded by this.
 *
 * Time is cut into slots of five minutes, so an hour is the last twelve of them, the current one
 * included. The recipients it has written to are kept as 64-bit hashes, at most VOLUME_KNOWN_MAX;
 * then those are forgotten that were not written to for longest. Fixed slots (2.3 KiB) and 16
 * bytes for each of these recipients is what an account costs.
 *
 * now: ms since 1970 everywhere. A clock that is set back starts no new slots until it has caught
 * up, so nobody gains by it.
 */
#ifndef POSTERN_POLICY_VOLUME_H
#define POSTERN_POLICY_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	VOLUME_SLOT_MS = 5 * 60 * 1000,
	VOLUME_SLOTS_HOUR = 12,
	VOLUME_SLOTS_DAY = 288,
	VOLUME_HOUR_MS = VOLUME_SLOTS_HOUR * VOLUME_SLOT_MS,
	VOLUME_KNOWN_MAX = 5000,
};

struct volume;

/* 0: no such limit. */
struct volume_limits {
	uint32_t message;   /* recipients of one message */
	uint32_t hour, day; /* recipients */
	uint32_t strangers; /* recipients of a day that it never wrote to before */
};

enum volume_limit { VOLUME_NO_LIMIT, VOLUME_MESSAGE, VOLUME_HOUR, VOLUME_DAY, VOLUME_STRANGERS };

struct volume_refusal {
	enum volume_limit limit;
	uint32_t most;
	int64_t until; /* when one more will be possible; 0: never in this message */
};

struct volume *volume_new(void);
void volume_free(struct volume **volume);

/*
 * One more recipient, after in_message others of the same message. true: it is counted. false: it
 * is not, and refusal_out says why; of several limits the one that ends last.
 */
bool volume_take(struct volume *volume, const struct volume_limits *limits, uint32_t in_message,
		 uint64_t recipient, int64_t now, struct volume_refusal *refusal_out);
/*
 * So many that were counted were not mailed after all. The last ones of the day are uncounted;
 * that they were strangers is not, since it is they that may be guesses.
 */
void volume_give_back(struct volume *volume, uint32_t recipients, int64_t now);

struct volume_sums {
	uint32_t hour, day, strangers;
};
void volume_sums(struct volume *volume, int64_t now, struct volume_sums *sums_out);

/* ---- what outlives the process ------------------------------------------------------------- */

/* The recipients of a whole hour; hour: its begin. */
struct volume_hour {
	int64_t hour;
	uint32_t recipients, strangers;
};
/* day: of the last mail, days since 1970. */
struct volume_known {
	uint64_t recipient;
	uint32_t day;
};

/* Both add to what is there; what is too old to matter is passed over. */
void volume_load_hour(struct volume *volume, const struct volume_hour *hour, int64_t now);
void volume_load_known(struct volume *volume, const struct volume_known *known);

/* Whether something was counted since the last volume_saved. */
bool volume_unsaved(const struct volume *volume);
/* The hour of now and the one before, as they stand. */
void volume_save_hours(struct volume *volume, int64_t now, struct volume_hour hours_out[2]);
/* At most max recipients that are new, or that have a new day, since they were last told here. */
size_t volume_save_known(struct volume *volume, struct volume_known *known_out, size_t max);
void volume_saved(struct volume *volume);
/* What was told could not be written: it will be told again. */
void volume_not_saved(struct volume *volume, const struct volume_known *known, size_t count);

#endif
