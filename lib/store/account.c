/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account.h"

#include <string.h>

#include "base/mem.h"
#include "base/network.h"

void account_texts_free(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mem_free(texts[i]);
	mem_free(texts);
}

static char **copy_texts(char *const *texts, size_t count)
{
	char **copy = mem_array(count, sizeof(char *));

	for (size_t i = 0; i < count; i++)
		copy[i] = mem_strdup(texts[i]);
	return copy;
}

void account_key_release(struct account_key *key)
{
	account_texts_free(key->send_as, key->send_as_count);
	account_texts_free(key->networks, key->network_count);
	verifier_wipe(&key->verifier);
	*key = (struct account_key){0};
}

void account_release(struct account *account)
{
	account_texts_free(account->send_as, account->send_as_count);
	account_texts_free(account->groups, account->group_count);
	mem_free(account->name);
	mem_free(account->source);
	mem_free(account->hash);
	mem_free(account->frozen_why);
	if (account->key != NULL)
		account_key_release(account->key);
	mem_free(account->key);
	verifier_wipe(&account->verifier);
	*account = (struct account){0};
}

void account_copy(const struct account *from, struct account *to_out)
{
	*to_out = *from;
	to_out->name = mem_strdup(from->name);
	to_out->source = mem_strdup(from->source);
	to_out->hash = mem_strdup(from->hash);
	to_out->frozen_why = mem_strdup(from->frozen_why);
	to_out->send_as = copy_texts(from->send_as, from->send_as_count);
	to_out->groups = copy_texts(from->groups, from->group_count);
	if (from->key == NULL)
		return;
	to_out->key = mem_alloc(sizeof(*to_out->key));
	*to_out->key = *from->key;
	to_out->key->send_as = copy_texts(from->key->send_as, from->key->send_as_count);
	to_out->key->networks = copy_texts(from->key->networks, from->key->network_count);
}

const struct verifier *account_verifier(const struct account *account)
{
	const struct verifier *verifier =
		account->key != NULL ? &account->key->verifier : &account->verifier;

	return verifier->iterations != 0 ? verifier : NULL;
}

static bool in_networks(const struct account_key *key, struct slice client)
{
	struct network network;

	for (size_t i = 0; i < key->network_count; i++)
		if (network_read(slice_str(key->networks[i]), &network) == ERR_OK &&
		    network_has(&network, client))
			return true;
	return key->network_count == 0;
}

static bool is_over(int64_t expires, int64_t now)
{
	return expires != 0 && expires <= now;
}

const char *account_barred(const struct account *account, struct slice client, int64_t now)
{
	if (!account->enabled)
		return "disabled";
	if (account->frozen != 0)
		return "frozen";
	if (is_over(account->expires, now))
		return "expired";
	if (account->key == NULL)
		return account->main_password ? NULL : "main-password-barred";
	if (is_over(account->key->expires, now))
		return "key-expired";
	return in_networks(account->key, client) ? NULL : "key-network";
}

uint64_t account_message_size(const struct account *account)
{
	if (account->key != NULL && account->key->message_size != 0)
		return account->key->message_size;
	return account->message_size;
}

int64_t account_limits(const struct account *account, struct account_limits *limits_out)
{
	const struct account_key *key = account->key;
	const struct account_limits *own = key != NULL ? &key->limits : NULL;

	*limits_out = account->limits;
	if (own == NULL ||
	    (own->message == 0 && own->hour == 0 && own->day == 0 && own->strangers == 0))
		return 0;
	*limits_out = *own;
	return key->id;
}

int64_t account_expires(const struct account *account)
{
	int64_t key = account->key != NULL ? account->key->expires : 0;

	if (key == 0 || (account->expires != 0 && account->expires < key))
		return account->expires;
	return key;
}
