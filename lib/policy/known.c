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
	int64_t first, seen, kept;
};

/* An account that has entries, or had. */
struct person {
	UT_hash_handle hh; /* in order of their last logins, the oldest first */
	uint64_t account;
	int64_t since; /* its first login that is remembered */
};

struct known {
	struct entry *table;
	struct person *people;
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

static void forget_person(struct known *known, struct person *person)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever is known is in it */
	HASH_DEL(known->people, person);
	mem_free(person);
}

void known_free(struct known **known)
{
	if (*known == NULL)
		return;
	while ((*known)->table != NULL)
		forget(*known, (*known)->table);
	while ((*known)->people != NULL)
		forget_person(*known, (*known)->people);
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

static struct person *find_person(const struct known *known, uint64_t account)
{
	struct person *person = NULL;

	HASH_FIND(hh, known->people, &account, sizeof(account), person);
	return person;
}

bool known_elsewhere(const struct known *known, const char *account,
		     const unsigned char source[SOURCE_BYTES], int64_t now)
{
	const struct person *person;
	const struct entry *entry;
	struct key key;

	make_key(account, source, SOURCE_WIDE, &key);
	person = find_person(known, key.account);
	entry = find(known, &key);
	return person != NULL && now - person->since >= KNOWN_NEW &&
	       (entry == NULL || now - entry->seen >= KNOWN_TIME || now - entry->first < KNOWN_NEW);
}

static void renew_person(struct known *known, uint64_t account, int64_t since)
{
	struct person *person = find_person(known, account);

	if (person == NULL) {
		while (known->people != NULL && HASH_COUNT(known->people) >= known->max / 2)
			forget_person(known, known->people);
		person = mem_alloc(sizeof(*person));
		person->account = account;
		person->since = since;
	} else {
		HASH_DEL(known->people, person);
	}
	HASH_ADD(hh, known->people, account, sizeof(person->account), person);
	if (since < person->since)
		person->since = since;
}

/* Puts it at the end of the order. */
static struct entry *renew(struct known *known, const struct key *key, int64_t first, int64_t seen)
{
	struct entry *entry = find(known, key);

	if (entry == NULL) {
		while (known->table != NULL && HASH_COUNT(known->table) >= known->max)
			forget(known, known->table);
		entry = mem_alloc(sizeof(*entry));
		entry->key = *key;
		entry->kept = INT64_MIN / 2;
		entry->first = first;
	} else {
		HASH_DEL(known->table, entry);
		/* Forgotten, though it is still here; or loaded by the first of several sources. */
		if (seen - entry->seen >= KNOWN_TIME || first < entry->first)
			entry->first = first;
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
	(void)renew(known, &key, now, now);
	renew_person(known, key.account, now);
	make_key(account, source, SOURCE_NARROW, &key);
	entry = renew(known, &key, now, now);
	if (now - entry->kept < KNOWN_KEEP)
		return false;
	entry->kept = now;
	return true;
}

void known_load(struct known *known, const char *account, const unsigned char source[SOURCE_BYTES],
		int64_t first, int64_t last)
{
	struct key key;

	make_key(account, source, SOURCE_WIDE, &key);
	(void)renew(known, &key, first, last);
	renew_person(known, key.account, first);
	make_key(account, source, SOURCE_NARROW, &key);
	renew(known, &key, first, last)->kept = last;
}
