/* SPDX-License-Identifier: Apache-2.0 */
#include "token_memory.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/hash.h"
#include "base/mem.h"
#include "os/os.h"

enum { TAG = 32, ENTRIES_MAX = 4096 };

struct entry {
	UT_hash_handle hh; /* in order of answer, the oldest first */
	unsigned char tag[TAG];
	size_t section;
	int64_t until;
	struct token_who who;
};

struct token_memory {
	struct entry *table;
	unsigned char key[TAG];
};

struct token_memory *token_memory_new(void)
{
	struct token_memory *memory = mem_alloc(sizeof(*memory));

	os_random(memory->key, sizeof(memory->key));
	return memory;
}

static void drop(struct token_memory *memory, struct entry *entry)
{
	HASH_DEL(memory->table, entry);
	mem_free(entry);
}

void token_memory_clear(struct token_memory *memory)
{
	while (memory->table != NULL)
		drop(memory, memory->table);
}

void token_memory_free(struct token_memory **memory)
{
	if (*memory == NULL)
		return;
	token_memory_clear(*memory);
	explicit_bzero((*memory)->key, TAG);
	MEM_FREE(*memory);
}

/* The entry of the token; NULL if there is none, or no hash. */
static struct entry *find(struct token_memory *memory, struct slice token,
			  unsigned char tag_out[TAG])
{
	struct entry *entry = NULL;
	size_t len = 0;

	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, memory->key, TAG,
		      (const unsigned char *)token.ptr, token.len, tag_out, TAG, &len) == NULL ||
	    len != TAG) {
		memset(tag_out, 0, TAG);
		return NULL;
	}
	HASH_FIND(hh, memory->table, tag_out, TAG, entry);
	return entry;
}

void token_memory_put(struct token_memory *memory, struct slice token, size_t section,
		      const struct token_who *who, int64_t now)
{
	static const unsigned char none[TAG];
	unsigned char tag[TAG];
	struct entry *entry;

	if (who->expires <= now)
		return;
	entry = find(memory, token, tag);
	if (slice_equal(slice_of(tag, TAG), slice_of(none, TAG)))
		return;
	if (entry != NULL)
		drop(memory, entry);
	while (HASH_COUNT(memory->table) >= ENTRIES_MAX)
		drop(memory, memory->table);
	entry = mem_alloc(sizeof(*entry));
	memcpy(entry->tag, tag, TAG);
	entry->section = section;
	entry->who = *who;
	entry->until = now + TOKEN_MEMORY_MS < who->expires ? now + TOKEN_MEMORY_MS : who->expires;
	HASH_ADD(hh, memory->table, tag, TAG, entry);
}

bool token_memory_get(struct token_memory *memory, struct slice token, int64_t now,
		      size_t *section_out, struct token_who *who_out)
{
	unsigned char tag[TAG];
	struct entry *entry = find(memory, token, tag);

	if (entry == NULL)
		return false;
	/* A clock that was set back makes nothing live longer. */
	if (now >= entry->until || entry->until - now > TOKEN_MEMORY_MS) {
		drop(memory, entry);
		return false;
	}
	*section_out = entry->section;
	*who_out = entry->who;
	return true;
}
