/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each source has two entries, one for itself and one for the network around it. Entries are in the
 * order in which they were seen, the oldest first.
 */
#include "policy/known.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct key {
	uint64_t account; /* keyed hash of the name */
	unsigned char network[SOURCE_BYTES];
	uint64_t width;
};

struct entry {
	UT_hash_handle hh;
	struct key key;
	int64_t seen, kept;
};

struct known {
	struct entry *table;
	size_t max;
};

struct known *known_new(size_t max)
{
	struct known *known = mem_alloc(sizeof(*known));

	known->max = 2 * max;
	return known;
}

static void forget(struct known *known, struct entry *entry)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever is known is in it */
	HASH_DEL(known->table, entry);
	mem_free(entry);
}

void known_free(struct known **known)
{
	if (*known == NULL)
		return;
	while ((*known)->table != NULL)
		forget(*known, (*known)->table);
	MEM_FREE(*known);
}

static void make_key(const char *account, const unsigned char source[SOURCE_BYTES],
		     enum source_width width, struct key *key_out)
{
	struct network network;

	source_network(source, width, &network);
	memset(key_out, 0, sizeof(*key_out));
	key_out->account = hash_bytes(account, strlen(account));
	memcpy(key_out->network, network.bytes, SOURCE_BYTES);
	key_out->width = width;
}

static struct entry *find(const struct known *known, const struct key *key)
{
	struct entry *entry = NULL;

	HASH_FIND(hh, known->table, key, sizeof(*key), entry);
	return entry;
}

enum known_degree known_find(const struct known *known, const char *account,
			     const unsigned char source[SOURCE_BYTES], int64_t now)
{
	struct entry *entry;
	struct key key;

	make_key(account, source, SOURCE_NARROW, &key);
	if ((entry = find(known, &key)) != NULL && now - entry->seen < KNOWN_TIME)
		return KNOWN_HERE;
	make_key(account, source, SOURCE_WIDE, &key);
	if ((entry = find(known, &key)) != NULL && now - entry->seen < KNOWN_TIME)
		return KNOWN_NEAR;
	return KNOWN_NEVER;
}

/* Puts it at the end of the order. */
static struct entry *renew(struct known *known, const struct key *key, int64_t seen)
{
	struct entry *entry = find(known, key);

	if (entry == NULL) {
		while (known->table != NULL && HASH_COUNT(known->table) >= known->max)
			forget(known, known->table);
		entry = mem_alloc(sizeof(*entry));
		entry->key = *key;
		entry->kept = INT64_MIN / 2;
	} else {
		HASH_DEL(known->table, entry);
	}
	HASH_ADD(hh, known->table, key, sizeof(entry->key), entry);
	entry->seen = seen;
	return entry;
}

bool known_seen(struct known *known, const char *account, const unsigned char source[SOURCE_BYTES],
		int64_t now)
{
	struct entry *entry;
	struct key key;

	while (known->table != NULL && now - known->table->seen >= KNOWN_TIME)
		forget(known, known->table);
	make_key(account, source, SOURCE_WIDE, &key);
	(void)renew(known, &key, now);
	make_key(account, source, SOURCE_NARROW, &key);
	entry = renew(known, &key, now);
	if (now - entry->kept < KNOWN_KEEP)
		return false;
	entry->kept = now;
	return true;
}

void known_load(struct known *known, const char *account, const unsigned char source[SOURCE_BYTES],
		int64_t seen)
{
	struct key key;

	make_key(account, source, SOURCE_WIDE, &key);
	(void)renew(known, &key, seen);
	make_key(account, source, SOURCE_NARROW, &key);
	renew(known, &key, seen)->kept = seen;
}
