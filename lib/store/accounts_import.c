/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_import.h"

#include <openssl/crypto.h>

#include "store/accounts_internal.h"

static enum err put_hash(struct accounts *accounts, int64_t id, const char *hash, int64_t now)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_SET_HASH, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, id);
	accounts_bind(stmt, 2, hash);
	(void)sqlite3_bind_int64(stmt, 3, now);
	err = accounts_finish_change(accounts, stmt, "account");
	return err == ERR_OK ? accounts_run_with(accounts, ACCOUNTS_CLEAR_EXTRAS, id, 0) : err;
}

static enum err put(struct accounts *accounts, const struct account_import *import, int64_t now,
		    int64_t *id_out)
{
	const struct account_new new = {
		.name = import->name,
		.verifier = import->has_verifier ? &import->verifier : NULL,
		.hash = import->hash,
		.source = import->source,
		.expires = import->expires,
	};

	if (import->id == 0)
		return accounts_insert(accounts, &new, now, id_out);
	*id_out = import->id;
	return import->has_verifier
		       ? accounts_put_verifier(accounts, import->id, &import->verifier, now)
		       : put_hash(accounts, import->id, import->hash, now);
}

enum err accounts_import(struct accounts *accounts, struct account_import *imports, size_t count,
			 int64_t now)
{
	int64_t ids[ACCOUNT_IMPORTS] = {0};
	enum err err;

	if (count > ACCOUNT_IMPORTS) {
		accounts_explain(accounts, "more than %d accounts at a time", ACCOUNT_IMPORTS);
		return ERR_RANGE;
	}
	if ((err = accounts_run(accounts, ACCOUNTS_BEGIN)) != ERR_OK)
		return err;
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = put(accounts, &imports[i], now, &ids[i]);
	err = accounts_end(accounts, err);
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		imports[i].id = ids[i];
	return err;
}

enum err accounts_replace_hash(struct accounts *accounts, int64_t id, const char *hash,
			       const struct verifier *verifier)
{
	char text[VERIFIER_TEXT_MAX + 1];
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_REPLACE_HASH, &stmt);

	if (err != ERR_OK)
		return err;
	verifier_print(verifier, text);
	(void)sqlite3_bind_int64(stmt, 1, id);
	accounts_bind(stmt, 2, text);
	accounts_bind(stmt, 3, hash);
	err = accounts_finish_change(accounts, stmt, "hash");
	OPENSSL_cleanse(text, sizeof(text));
	return err;
}

enum err accounts_some_hash(struct accounts *accounts, char hash_out[ACCOUNT_HASH_MAX + 1])
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_SOME_HASH, &stmt);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_row(accounts, stmt)) == ERR_OK &&
	    slice_copy(accounts_slice(stmt, 0), hash_out, ACCOUNT_HASH_MAX + 1) != ERR_OK)
		err = ERR_EOF; /* it is of no use to its account either */
	accounts_done(stmt);
	return err == ERR_EOF ? ERR_NOT_FOUND : err;
}

enum err accounts_hashes(struct accounts *accounts, uint64_t *count_out)
{
	int64_t count = 0;
	enum err err = accounts_number(accounts, ACCOUNTS_HASHES, 0, &count);

	if (err == ERR_OK)
		*count_out = (uint64_t)count;
	return err;
}
