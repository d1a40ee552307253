/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/anomaly.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct place {
	struct network network;
	int64_t at; /* of the last login */
};

struct entry {
	UT_hash_handle hh; /* in order of use, the oldest first */
	int64_t account;
	struct place places[ANOMALY_NETWORKS_MAX];
	uint32_t count;
	/* Recipients, as a bucket: it drains by the limit in an hour. */
	double level;
	int64_t level_at;
};

struct anomaly {
	struct anomaly_rules rules;
	struct entry *table;
};

struct anomaly *anomaly_new(void)
{
	return mem_alloc(sizeof(struct anomaly));
}

static void forget(struct anomaly *anomaly, struct entry *entry)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever is known is in it */
	HASH_DEL(anomaly->table, entry);
	mem_free(entry);
}

void anomaly_free(struct anomaly **anomaly)
{
	if (*anomaly == NULL)
		return;
	while ((*anomaly)->table != NULL)
		forget(*anomaly, (*anomaly)->table);
	MEM_FREE(*anomaly);
}

void anomaly_set_rules(struct anomaly *anomaly, const struct anomaly_rules *rules)
{
	anomaly->rules = *rules;
}

static struct entry *of(struct anomaly *anomaly, int64_t account)
{
	struct entry *entry = NULL;

	HASH_FIND(hh, anomaly->table, &account, sizeof(account), entry);
	if (entry == NULL) {
		if (HASH_COUNT(anomaly->table) >= ANOMALY_MAX)
			forget(anomaly, anomaly->table);
		entry = mem_alloc(sizeof(*entry));
		entry->account = account;
	} else {
		HASH_DEL(anomaly->table, entry);
	}
	HASH_ADD(hh, anomaly->table, account, sizeof(entry->account), entry);
	return entry;
}

/* Those of more than an hour ago are gone. */
static void drop_old(struct entry *entry, int64_t now)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < entry->count; i++)
		if (now - entry->places[i].at < ANOMALY_TIME)
			entry->places[kept++] = entry->places[i];
	entry->count = kept;
}

static void add_place(struct entry *entry, const unsigned char source[SOURCE_BYTES], int64_t now)
{
	struct place place = {.at = now};

	source_network(source, SOURCE_WIDE, &place.network);
	for (uint32_t i = 0; i < entry->count; i++)
		if (memcmp(&entry->places[i].network, &place.network, sizeof(place.network)) == 0) {
			entry->places[i].at = now;
			return;
		}
	if (entry->count == ANOMALY_NETWORKS_MAX) {
		memmove(&entry->places[0], &entry->places[1],
			(ANOMALY_NETWORKS_MAX - 1) * sizeof(entry->places[0]));
		entry->count--;
	}
	entry->places[entry->count++] = place;
}

/* "...: 192.0.2.0/24, 2001:db8::/48, ..." */
static void append_places(const struct entry *entry, char why[ANOMALY_WHY])
{
	for (uint32_t i = 0; i < entry->count; i++) {
		size_t len = strlen(why);
		char text[NETWORK_TEXT_MAX];

		network_print(&entry->places[i].network, text);
		if (len + strlen(text) + 8 > ANOMALY_WHY) {
			(void)snprintf(why + len, ANOMALY_WHY - len, ", ...");
			return;
		}
		(void)snprintf(why + len, ANOMALY_WHY - len, "%s%s", i == 0 ? ": " : ", ", text);
	}
}

bool anomaly_login(struct anomaly *anomaly, int64_t account,
		   const unsigned char source[SOURCE_BYTES], int64_t now, char why_out[ANOMALY_WHY])
{
	struct entry *entry = of(anomaly, account);

	drop_old(entry, now);
	add_place(entry, source, now);
	if (anomaly->rules.networks == 0 || entry->count <= anomaly->rules.networks)
		return false;
	(void)snprintf(why_out, ANOMALY_WHY,
		       "logins within an hour from %u networks that it never used before",
		       entry->count);
	append_places(entry, why_out);
	forget(anomaly, entry);
	return true;
}

bool anomaly_sent(struct anomaly *anomaly, int64_t account, uint32_t recipients, int64_t now,
		  char why_out[ANOMALY_WHY])
{
	double limit = anomaly->rules.recipients;
	struct entry *entry;

	if (anomaly->rules.recipients == 0)
		return false;
	entry = of(anomaly, account);
	drop_old(entry, now);
	entry->level -= limit * (double)(now - entry->level_at) / ANOMALY_TIME;
	if (entry->level < 0)
		entry->level = 0;
	entry->level_at = now;
	entry->level += recipients;
	if (entry->level <= limit)
		return false;
	(void)snprintf(why_out, ANOMALY_WHY,
		       "mail to %.0f recipients within an hour from networks that it never used "
		       "before",
		       entry->level);
	append_places(entry, why_out);
	forget(anomaly, entry);
	return true;
}
