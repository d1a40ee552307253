/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_verifiers.h"

#include <string.h>

#include "store/accounts_internal.h"

enum err accounts_set_extra(struct accounts *accounts, int64_t account, int64_t key,
			    const char *scheme, const char *text)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_SET_EXTRA, &stmt);

	if (err != ERR_OK)
		return err;
	if (strlen(scheme) > ACCOUNT_SCHEME_MAX || strlen(text) > ACCOUNT_VERIFIER_MAX) {
		accounts_explain(accounts, "a verifier for %.32s is too long", scheme);
		return ERR_RANGE;
	}
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, key);
	accounts_bind(stmt, 3, scheme);
	accounts_bind(stmt, 4, text);
	return accounts_finish(accounts, stmt);
}

enum err accounts_extra(struct accounts *accounts, int64_t account, int64_t key, const char *scheme,
			char text_out[ACCOUNT_VERIFIER_MAX + 1])
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_EXTRA, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, key);
	accounts_bind(stmt, 3, scheme);
	if ((err = accounts_row(accounts, stmt)) == ERR_OK &&
	    slice_copy(accounts_slice(stmt, 0), text_out, ACCOUNT_VERIFIER_MAX + 1) != ERR_OK) {
		accounts_explain(accounts, "a verifier for %.32s is damaged", scheme);
		err = ERR_CORRUPT;
	}
	accounts_done(stmt);
	if (err == ERR_EOF) {
		accounts_explain(accounts, "there is no verifier for %.32s", scheme);
		return ERR_NOT_FOUND;
	}
	return err;
}

enum err accounts_without_scram(struct accounts *accounts, uint64_t *count_out)
{
	int64_t count = 0;
	enum err err = accounts_number(accounts, ACCOUNTS_WITHOUT_SCRAM, 0, &count);

	if (err == ERR_OK)
		*count_out = (uint64_t)count;
	return err;
}

enum err accounts_without_extra(struct accounts *accounts, const char *scheme, uint64_t *count_out)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_WITHOUT_EXTRA, &stmt);

	if (err != ERR_OK)
		return err;
	accounts_bind(stmt, 1, scheme);
	if ((err = accounts_row(accounts, stmt)) == ERR_OK)
		*count_out = (uint64_t)sqlite3_column_int64(stmt, 0);
	accounts_done(stmt);
	return err;
}
