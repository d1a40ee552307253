/* SPDX-License-Identifier: Apache-2.0 */
#include "proven.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/hash.h"
#include "base/mem.h"
#include "os/os.h"
#include "store/accounts.h"

enum { TAG = 32 };

struct entry {
	UT_hash_handle hh; /* in order of proof, the oldest first */
	int64_t id;
	int64_t until;
	unsigned char tag[TAG];
};

struct proven {
	struct entry *table;
	EVP_MAC_CTX *mac; /* keyed once; each use starts it anew */
	size_t max;
};

enum err proven_new(size_t max, struct proven **proven_out)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	struct proven *proven = mem_alloc(sizeof(*proven));
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	unsigned char key[TAG];
	bool ok;

	proven->max = max;
	proven->mac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	os_random(key, sizeof(key));
	ok = proven->mac != NULL && EVP_MAC_init(proven->mac, key, sizeof(key), params) == 1;
	explicit_bzero(key, sizeof(key));
	if (!ok) {
		proven_free(&proven);
		return ERR_INTERNAL;
	}
	*proven_out = proven;
	return ERR_OK;
}

static void remove_entry(struct proven *proven, struct entry *entry)
{
	HASH_DEL(proven->table, entry);
	explicit_bzero(entry, sizeof(*entry));
	mem_free(entry);
}

void proven_free(struct proven **proven)
{
	if (*proven == NULL)
		return;
	while ((*proven)->table != NULL)
		remove_entry(*proven, (*proven)->table);
	EVP_MAC_CTX_free((*proven)->mac);
	MEM_FREE(*proven);
}

/* Each part is of fixed size or comes with its length, so no two inputs run together. */
static bool make_tag(struct proven *proven, const struct account *account, struct slice password,
		     unsigned char tag[TAG])
{
	uint64_t head[4] = {(uint64_t)account->id, account->generation,
			    account->key != NULL ? (uint64_t)account->key->id : 0,
			    strlen(account->name)};
	size_t len = 0;

	return EVP_MAC_init(proven->mac, NULL, 0, NULL) == 1 &&
	       EVP_MAC_update(proven->mac, (const unsigned char *)head, sizeof(head)) == 1 &&
	       EVP_MAC_update(proven->mac, (const unsigned char *)account->name, head[3]) == 1 &&
	       EVP_MAC_update(proven->mac, (const unsigned char *)password.ptr, password.len) ==
		       1 &&
	       EVP_MAC_final(proven->mac, tag, &len, TAG) == 1 && len == TAG;
}

static struct entry *find(struct proven *proven, const unsigned char tag[TAG])
{
	struct entry *entry = NULL;

	/* Tags are HMACs under a secret key: how far two of them agree tells nobody anything. */
	HASH_FIND(hh, proven->table, tag, TAG, entry);
	return entry;
}

bool proven_knows(struct proven *proven, const struct account *account, struct slice password,
		  int64_t now)
{
	unsigned char tag[TAG];
	struct entry *entry;

	if (!make_tag(proven, account, password, tag) || (entry = find(proven, tag)) == NULL)
		return false;
	if (entry->until > now)
		return true;
	remove_entry(proven, entry);
	return false;
}

void proven_remember(struct proven *proven, const struct account *account, struct slice password,
		     int64_t until)
{
	unsigned char tag[TAG];
	struct entry *entry;

	if (!make_tag(proven, account, password, tag))
		return;
	if ((entry = find(proven, tag)) != NULL)
		remove_entry(proven, entry);
	while (proven->table != NULL && HASH_COUNT(proven->table) >= proven->max)
		remove_entry(proven, proven->table);
	entry = mem_alloc(sizeof(*entry));
	entry->id = account->id;
	entry->until = until;
	memcpy(entry->tag, tag, TAG);
	HASH_ADD(hh, proven->table, tag, TAG, entry);
}

void proven_forget(struct proven *proven, int64_t id)
{
	struct entry *entry, *next;

	HASH_ITER (hh, proven->table, entry, next)
		if (entry->id == id)
			remove_entry(proven, entry);
}

size_t proven_count(const struct proven *proven)
{
	return HASH_COUNT(proven->table);
}
