/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_keys.h"

#include <openssl/crypto.h>

#include "base/mem.h"
#include "store/accounts_internal.h"
#include "store/password.h"

_Static_assert((int)ACCOUNT_KEY_TAG == (int)PASSWORD_KEY_TAG,
	       "the tag in the table is that of the secret");

/* In the order of KEY_COLUMNS. */
static void read_row(sqlite3_stmt *stmt, struct account_key *key)
{
	*key = (struct account_key){
		.id = sqlite3_column_int64(stmt, 0),
		.message_size = (uint64_t)sqlite3_column_int64(stmt, 4),
		.created = sqlite3_column_int64(stmt, 5),
		.expires = sqlite3_column_int64(stmt, 6),
	};
	accounts_read_limits(stmt, 7, &key->limits);
	if (slice_copy(accounts_slice(stmt, 1), key->name, sizeof(key->name)) != ERR_OK ||
	    slice_copy(accounts_slice(stmt, 2), key->tag, sizeof(key->tag)) != ERR_OK ||
	    verifier_read(accounts_slice(stmt, 3), &key->verifier) != ERR_OK) {
		key->verifier = (struct verifier){0};
		key->damaged = true;
	}
}

static enum err read_rights(struct accounts *accounts, struct account_key *key)
{
	enum err err = accounts_read_texts(accounts, ACCOUNTS_KEY_SEND_AS, key->id,
					   ACCOUNT_PATTERNS, &key->send_as, &key->send_as_count);

	if (err == ERR_OK)
		err = accounts_read_texts(accounts, ACCOUNTS_KEY_NETWORKS, key->id,
					  ACCOUNT_NETWORKS, &key->networks, &key->network_count);
	return err;
}

/* ERR_EOF: there is none. */
static enum err read_one(struct accounts *accounts, enum accounts_statement number, int64_t account,
			 const char *text, struct account_key *key_out)
{
	struct account_key key = {0};
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, account);
	accounts_bind(stmt, 2, text);
	if ((err = accounts_row(accounts, stmt)) == ERR_OK)
		read_row(stmt, &key);
	accounts_done(stmt);
	if (err == ERR_OK && (err = read_rights(accounts, &key)) != ERR_OK)
		account_key_release(&key);
	if (err == ERR_OK)
		*key_out = key;
	return err;
}

enum err accounts_find_key(struct accounts *accounts, const struct account_login *login,
			   struct account *account)
{
	bool named = login->key[0] != '\0';
	struct account_key key;
	enum err err;

	if (!named && login->tag[0] == '\0')
		return ERR_OK;
	err = read_one(accounts, named ? ACCOUNTS_KEY_NAMED : ACCOUNTS_KEY_TAGGED, account->id,
		       named ? login->key : login->tag, &key);
	if (err == ERR_EOF && !named)
		return ERR_OK;
	if (err == ERR_EOF) {
		accounts_explain(accounts, "%s has no key %s", login->name, login->key);
		return ERR_NOT_FOUND;
	}
	if (err != ERR_OK)
		return err;
	account->key = mem_alloc(sizeof(*account->key));
	*account->key = key;
	return ERR_OK;
}

void account_keys_free(struct account_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		account_key_release(&keys[i]);
	mem_free(keys);
}

enum err accounts_keys(struct accounts *accounts, int64_t account, struct account_key **keys_out,
		       size_t *count_out)
{
	struct account_key *keys;
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	enum err err = accounts_prepare(accounts, ACCOUNTS_KEYS, &stmt);

	if (err != ERR_OK)
		return err;
	keys = mem_array(ACCOUNT_KEYS, sizeof(*keys));
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, ACCOUNT_KEYS);
	while (count < ACCOUNT_KEYS && (err = accounts_row(accounts, stmt)) == ERR_OK)
		read_row(stmt, &keys[count++]);
	accounts_done(stmt);
	if (err == ERR_EOF)
		err = ERR_OK;
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = read_rights(accounts, &keys[i]);
	if (err != ERR_OK) {
		account_keys_free(keys, count);
		return err;
	}
	*keys_out = keys;
	*count_out = count;
	return ERR_OK;
}

static enum err check(struct accounts *accounts, int64_t account, const struct account_key *key)
{
	int64_t count = 0;
	enum err err = accounts_number(accounts, ACCOUNTS_KEY_COUNT, account, &count);

	if (err != ERR_OK)
		return err;
	if (count >= ACCOUNT_KEYS) {
		accounts_explain(accounts, "there are %d keys already; remove some", ACCOUNT_KEYS);
		return ERR_FULL;
	}
	if (key->send_as_count > ACCOUNT_PATTERNS || key->network_count > ACCOUNT_NETWORKS) {
		accounts_explain(accounts, "more than %d sender patterns or %d networks",
				 ACCOUNT_PATTERNS, ACCOUNT_NETWORKS);
		return ERR_RANGE;
	}
	if (key->message_size > ACCOUNT_MESSAGE_MAX) {
		accounts_explain(accounts, "messages of more than 4G cannot be taken");
		return ERR_RANGE;
	}
	return ERR_OK;
}

static enum err insert(struct accounts *accounts, int64_t account, const struct account_key *key,
		       int64_t now, int64_t *id_out)
{
	char text[VERIFIER_TEXT_MAX + 1];
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_ADD_KEY, &stmt);

	if (err != ERR_OK)
		return err;
	verifier_print(&key->verifier, text);
	(void)sqlite3_bind_int64(stmt, 1, account);
	accounts_bind(stmt, 2, key->name);
	accounts_bind(stmt, 3, key->tag);
	accounts_bind(stmt, 4, text);
	(void)sqlite3_bind_int64(stmt, 5, (int64_t)key->message_size);
	(void)sqlite3_bind_int64(stmt, 6, now);
	(void)sqlite3_bind_int64(stmt, 7, key->expires);
	accounts_bind_limits(stmt, 8, &key->limits);
	err = accounts_finish(accounts, stmt);
	OPENSSL_cleanse(text, sizeof(text));
	if (err == ERR_EXISTS)
		accounts_explain(accounts, "there is a key %s already", key->name);
	if (err == ERR_OK)
		*id_out = sqlite3_last_insert_rowid(accounts->db);
	return err;
}

enum err accounts_add_key(struct accounts *accounts, int64_t account, const struct account_key *key,
			  int64_t now, int64_t *id_out)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);
	int64_t id = 0;

	if (err != ERR_OK)
		return err;
	if ((err = accounts_touch(accounts, account, now)) == ERR_OK &&
	    (err = check(accounts, account, key)) == ERR_OK &&
	    (err = insert(accounts, account, key, now, &id)) == ERR_OK &&
	    (err = accounts_add_texts(accounts, ACCOUNTS_ADD_KEY_SEND_AS, id,
				      (const char *const *)key->send_as, key->send_as_count)) ==
		    ERR_OK)
		err = accounts_add_texts(accounts, ACCOUNTS_ADD_KEY_NETWORK, id,
					 (const char *const *)key->networks, key->network_count);
	err = accounts_end(accounts, err);
	if (err == ERR_OK)
		*id_out = id;
	return err;
}

enum err accounts_remove_key(struct accounts *accounts, int64_t account, int64_t key, int64_t now)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_touch(accounts, account, now)) == ERR_OK &&
	    (err = accounts_prepare(accounts, ACCOUNTS_REMOVE_KEY, &stmt)) == ERR_OK) {
		(void)sqlite3_bind_int64(stmt, 1, account);
		(void)sqlite3_bind_int64(stmt, 2, key);
		err = accounts_finish_change(accounts, stmt, "key");
	}
	if (err == ERR_OK && (err = accounts_run_with(accounts, ACCOUNTS_REMOVE_KEY_VERIFIERS,
						      account, key)) == ERR_OK)
		err = accounts_run_with(accounts, ACCOUNTS_REMOVE_KEY_USE, account, key);
	return accounts_end(accounts, err);
}
