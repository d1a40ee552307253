/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/volume.h"

#include <string.h>

#include "base/mem.h"

enum {
	DAY_MS = 24 * 60 * 60 * 1000,
	FRESH = 1 << 30, /* in struct known.day: not told by volume_save_known yet */
};

struct slot {
	uint32_t recipients, strangers;
};

struct volume {
	int64_t newest; /* number of the slot that is current: ms / VOLUME_SLOT_MS */
	struct slot slots[VOLUME_SLOTS_DAY]; /* by number modulo VOLUME_SLOTS_DAY */
	struct volume_known *known;          /* by recipient, ascending */
	size_t known_count, known_room;
	bool unsaved;
};

struct volume *volume_new(void)
{
	return mem_alloc(sizeof(struct volume));
}

void volume_free(struct volume **volume)
{
	if (*volume == NULL)
		return;
	mem_free((*volume)->known);
	MEM_FREE(*volume);
}

/* ---- slots ---------------------------------------------------------------------------------- */

static struct slot *slot_at(struct volume *volume, int64_t number)
{
	return &volume->slots[number % VOLUME_SLOTS_DAY];
}

/* Slots that began since are empty. */
static void turn(struct volume *volume, int64_t now)
{
	int64_t number = now / VOLUME_SLOT_MS;

	if (number - volume->newest >= VOLUME_SLOTS_DAY) {
		memset(volume->slots, 0, sizeof(volume->slots));
		volume->newest = number;
	}
	while (volume->newest < number)
		*slot_at(volume, ++volume->newest) = (struct slot){0};
}

static void sum(struct volume *volume, int64_t slots, uint32_t *recipients_out,
		uint32_t *strangers_out)
{
	uint32_t recipients = 0, strangers = 0;

	for (int64_t n = volume->newest; n > volume->newest - slots && n >= 0; n--) {
		recipients += slot_at(volume, n)->recipients;
		strangers += slot_at(volume, n)->strangers;
	}
	*recipients_out = recipients;
	if (strangers_out != NULL)
		*strangers_out = strangers;
}

void volume_sums(struct volume *volume, int64_t now, struct volume_sums *sums_out)
{
	turn(volume, now);
	sum(volume, VOLUME_SLOTS_HOUR, &sums_out->hour, NULL);
	sum(volume, VOLUME_SLOTS_DAY, &sums_out->day, &sums_out->strangers);
}

/* When so few are left of the last slots that one more is below the limit. */
static int64_t free_at(struct volume *volume, int64_t slots, uint32_t limit, bool strangers)
{
	uint32_t left = 0;
	int64_t n = volume->newest;

	/* From the newest back: the first slot with which the limit is reached must go. */
	while (n > volume->newest - slots && n >= 0) {
		const struct slot *slot = slot_at(volume, n);

		left += strangers ? slot->strangers : slot->recipients;
		if (left >= limit)
			break;
		n--;
	}
	return (n + slots) * VOLUME_SLOT_MS;
}

/* ---- recipients ----------------------------------------------------------------------------- */

static size_t place_of(const struct volume *volume, uint64_t recipient)
{
	size_t low = 0, high = volume->known_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (volume->known[middle].recipient < recipient)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* NULL: the account never wrote to it. */
static struct volume_known *find_known(const struct volume *volume, uint64_t recipient)
{
	size_t at = place_of(volume, recipient);

	return at < volume->known_count && volume->known[at].recipient == recipient
		       ? &volume->known[at]
		       : NULL;
}

static uint32_t day_of(uint32_t day)
{
	return day & ~(uint32_t)FRESH;
}

static void forget_oldest(struct volume *volume)
{
	size_t oldest = 0;

	for (size_t i = 1; i < volume->known_count; i++)
		if (day_of(volume->known[i].day) < day_of(volume->known[oldest].day))
			oldest = i;
	volume->known_count--;
	memmove(&volume->known[oldest], &volume->known[oldest + 1],
		(volume->known_count - oldest) * sizeof(*volume->known));
}

/* day may carry FRESH. */
static void remember(struct volume *volume, uint64_t recipient, uint32_t day)
{
	struct volume_known *known = find_known(volume, recipient);
	size_t at;

	if (known != NULL) {
		if (day_of(known->day) < day_of(day))
			known->day = day;
		return;
	}
	if (volume->known_count == VOLUME_KNOWN_MAX)
		forget_oldest(volume);
	if (volume->known_count == volume->known_room) {
		volume->known_room = volume->known_room == 0 ? 16 : volume->known_room * 2;
		volume->known =
			mem_resize(volume->known, volume->known_room * sizeof(*volume->known));
	}
	at = place_of(volume, recipient);
	memmove(&volume->known[at + 1], &volume->known[at],
		(volume->known_count - at) * sizeof(*volume->known));
	volume->known[at] = (struct volume_known){recipient, day};
	volume->known_count++;
}

/* ---- one more ------------------------------------------------------------------------------- */

/* Keeps the limit that ends last. */
static void refuse(struct volume_refusal *refusal, enum volume_limit limit, uint32_t most,
		   int64_t until)
{
	if (refusal->limit == VOLUME_NO_LIMIT || until > refusal->until)
		*refusal = (struct volume_refusal){limit, most, until};
}

bool volume_take(struct volume *volume, const struct volume_limits *limits, uint32_t in_message,
		 uint64_t recipient, int64_t now, struct volume_refusal *refusal_out)
{
	bool stranger = find_known(volume, recipient) == NULL;
	struct volume_sums sums;
	struct slot *slot;

	*refusal_out = (struct volume_refusal){0};
	volume_sums(volume, now, &sums);
	if (limits->message != 0 && in_message >= limits->message)
		refuse(refusal_out, VOLUME_MESSAGE, limits->message, 0);
	if (limits->hour != 0 && sums.hour >= limits->hour)
		refuse(refusal_out, VOLUME_HOUR, limits->hour,
		       free_at(volume, VOLUME_SLOTS_HOUR, limits->hour, false));
	if (limits->day != 0 && sums.day >= limits->day)
		refuse(refusal_out, VOLUME_DAY, limits->day,
		       free_at(volume, VOLUME_SLOTS_DAY, limits->day, false));
	if (limits->strangers != 0 && stranger && sums.strangers >= limits->strangers)
		refuse(refusal_out, VOLUME_STRANGERS, limits->strangers,
		       free_at(volume, VOLUME_SLOTS_DAY, limits->strangers, true));
	if (refusal_out->limit != VOLUME_NO_LIMIT)
		return false;
	slot = slot_at(volume, volume->newest);
	slot->recipients++;
	slot->strangers += stranger;
	remember(volume, recipient, (uint32_t)(now / DAY_MS) | FRESH);
	volume->unsaved = true;
	return true;
}

void volume_give_back(struct volume *volume, uint32_t recipients, int64_t now)
{
	turn(volume, now);
	for (int64_t n = volume->newest;
	     recipients > 0 && n > volume->newest - VOLUME_SLOTS_DAY && n >= 0; n--) {
		struct slot *slot = slot_at(volume, n);
		uint32_t part = recipients < slot->recipients ? recipients : slot->recipients;

		slot->recipients -= part;
		recipients -= part;
		volume->unsaved = true;
	}
}

/* ---- what outlives the process ------------------------------------------------------------- */

void volume_load_hour(struct volume *volume, const struct volume_hour *hour, int64_t now)
{
	/* Nobody knows when in that hour; its end is the safe side. */
	int64_t number = (hour->hour + VOLUME_HOUR_MS) / VOLUME_SLOT_MS - 1;

	turn(volume, now);
	if (number > volume->newest)
		number = volume->newest; /* it is the hour we are in */
	if (number <= volume->newest - VOLUME_SLOTS_DAY || number < 0)
		return;
	slot_at(volume, number)->recipients += hour->recipients;
	slot_at(volume, number)->strangers += hour->strangers;
}

void volume_load_known(struct volume *volume, const struct volume_known *known)
{
	remember(volume, known->recipient, day_of(known->day));
}

bool volume_unsaved(const struct volume *volume)
{
	return volume->unsaved;
}

void volume_save_hours(struct volume *volume, int64_t now, struct volume_hour hours_out[2])
{
	int64_t hour;

	turn(volume, now);
	hour = volume->newest / VOLUME_SLOTS_HOUR;
	for (int i = 0; i < 2; i++, hour--) {
		hours_out[i] = (struct volume_hour){.hour = hour * VOLUME_HOUR_MS};
		for (int64_t n = hour * VOLUME_SLOTS_HOUR;
		     n < (hour + 1) * VOLUME_SLOTS_HOUR && n <= volume->newest; n++) {
			hours_out[i].recipients += slot_at(volume, n)->recipients;
			hours_out[i].strangers += slot_at(volume, n)->strangers;
		}
	}
}

size_t volume_save_known(struct volume *volume, struct volume_known *known_out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < volume->known_count && count < max; i++) {
		if ((volume->known[i].day & FRESH) == 0)
			continue;
		volume->known[i].day = day_of(volume->known[i].day);
		known_out[count++] = volume->known[i];
	}
	return count;
}

void volume_saved(struct volume *volume)
{
	volume->unsaved = false;
}

void volume_not_saved(struct volume *volume, const struct volume_known *known, size_t count)
{
	volume->unsaved = true;
	for (size_t i = 0; i < count; i++) {
		struct volume_known *again = find_known(volume, known[i].recipient);

		if (again != NULL)
			again->day |= FRESH;
	}
}
