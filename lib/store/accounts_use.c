/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_use.h"

#include "store/accounts_internal.h"

static enum err add(struct accounts *accounts, const struct account_use *use)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_ADD_USE, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, use->account);
	(void)sqlite3_bind_int64(stmt, 2, use->key);
	(void)sqlite3_bind_int64(stmt, 3, use->last);
	accounts_bind(stmt, 4, use->client);
	(void)sqlite3_bind_int64(stmt, 5, (int64_t)use->logins);
	(void)sqlite3_bind_int64(stmt, 6, (int64_t)use->messages);
	(void)sqlite3_bind_int64(stmt, 7, (int64_t)use->recipients);
	(void)sqlite3_bind_int64(stmt, 8, use->day);
	(void)sqlite3_bind_int64(stmt, 9, (int64_t)use->day_messages);
	(void)sqlite3_bind_int64(stmt, 10, (int64_t)use->day_recipients);
	return accounts_finish(accounts, stmt);
}

enum err accounts_add_use(struct accounts *accounts, const struct account_use *uses, size_t count)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = add(accounts, &uses[i]);
	return accounts_end(accounts, err);
}

enum err accounts_use(struct accounts *accounts, int64_t account, int64_t key,
		      struct account_use *use_out)
{
	struct account_use use = {.account = account, .key = key};
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_USE, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, key);
	if ((err = accounts_row(accounts, stmt)) == ERR_OK) {
		use.last = sqlite3_column_int64(stmt, 0);
		(void)slice_copy(accounts_slice(stmt, 1), use.client, sizeof(use.client));
		use.logins = (uint64_t)sqlite3_column_int64(stmt, 2);
		use.messages = (uint64_t)sqlite3_column_int64(stmt, 3);
		use.recipients = (uint64_t)sqlite3_column_int64(stmt, 4);
		use.day = sqlite3_column_int64(stmt, 5);
		use.day_messages = (uint64_t)sqlite3_column_int64(stmt, 6);
		use.day_recipients = (uint64_t)sqlite3_column_int64(stmt, 7);
	}
	accounts_done(stmt);
	if (err == ERR_EOF)
		err = ERR_OK;
	if (err == ERR_OK)
		*use_out = use;
	return err;
}
