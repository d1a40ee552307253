/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_seen.h"

#include "store/accounts_internal.h"

static enum err add(struct accounts *accounts, const struct account_sighting *sighting)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_ADD_SEEN, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, sighting->account);
	(void)sqlite3_bind_blob(stmt, 2, sighting->source, sizeof(sighting->source),
				SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(stmt, 3, sighting->seen);
	if ((err = accounts_finish(accounts, stmt)) != ERR_OK ||
	    (err = accounts_prepare(accounts, ACCOUNTS_PRUNE_SEEN, &stmt)) != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, sighting->account);
	(void)sqlite3_bind_int(stmt, 2, ACCOUNT_SEEN_MAX);
	return accounts_finish(accounts, stmt);
}

enum err accounts_add_seen(struct accounts *accounts, const struct account_sighting *sightings,
			   size_t count)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = add(accounts, &sightings[i]);
	return accounts_end(accounts, err);
}

enum err accounts_each_seen(struct accounts *accounts, int64_t since, account_seen_fn *fn,
			    void *arg)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_EACH_SEEN, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, since);
	while ((err = accounts_row(accounts, stmt)) == ERR_OK)
		if (sqlite3_column_bytes(stmt, 1) == ACCOUNT_SOURCE_BYTES)
			fn(arg, (const char *)sqlite3_column_text(stmt, 0),
			   sqlite3_column_blob(stmt, 1), sqlite3_column_int64(stmt, 2),
			   sqlite3_column_int64(stmt, 3));
	accounts_done(stmt);
	return err == ERR_EOF ? ERR_OK : err;
}
