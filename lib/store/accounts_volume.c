/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_volume.h"

#include "store/accounts_internal.h"

enum { HOURS_KEPT = 48 };

static enum err load_hours(struct accounts *accounts, int64_t account, int64_t key, int64_t since,
			   const struct accounts_volume_reader *reader)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_VOLUME_HOURS, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, key);
	(void)sqlite3_bind_int64(stmt, 3, since - VOLUME_HOUR_MS);
	while ((err = accounts_row(accounts, stmt)) == ERR_OK)
		reader->hour(reader->arg,
			     &(struct volume_hour){
				     .hour = sqlite3_column_int64(stmt, 0),
				     .recipients = (uint32_t)sqlite3_column_int64(stmt, 1),
				     .strangers = (uint32_t)sqlite3_column_int64(stmt, 2)});
	accounts_done(stmt);
	return err == ERR_EOF ? ERR_OK : err;
}

enum err accounts_load_volume(struct accounts *accounts, int64_t account, int64_t key,
			      int64_t since, const struct accounts_volume_reader *reader)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = load_hours(accounts, account, key, since, reader);

	if (err == ERR_OK)
		err = accounts_prepare(accounts, ACCOUNTS_VOLUME_KNOWN, &stmt);
	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, key);
	(void)sqlite3_bind_int64(stmt, 3, VOLUME_KNOWN_MAX);
	while ((err = accounts_row(accounts, stmt)) == ERR_OK)
		reader->known(
			reader->arg,
			&(struct volume_known){.recipient = (uint64_t)sqlite3_column_int64(stmt, 0),
					       .day = (uint32_t)sqlite3_column_int64(stmt, 1)});
	accounts_done(stmt);
	return err == ERR_EOF ? ERR_OK : err;
}

/* Rows are of accounts that are there: one that was deleted meanwhile gets none. */
static enum err save_row(struct accounts *accounts, enum accounts_statement number, int64_t account,
			 int64_t key, const int64_t values[3], int count)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, key);
	for (int i = 0; i < count; i++)
		(void)sqlite3_bind_int64(stmt, 3 + i, values[i]);
	return accounts_finish(accounts, stmt);
}

static enum err save(struct accounts *accounts, const struct account_volume *volume)
{
	int64_t account = volume->account, key = volume->key;
	int64_t oldest = volume->hours[0].hour - HOURS_KEPT * (int64_t)VOLUME_HOUR_MS;
	enum err err = ERR_OK;

	for (size_t i = 0; i < 2 && err == ERR_OK; i++) {
		const struct volume_hour *hour = &volume->hours[i];

		if (hour->recipients > 0 || hour->strangers > 0)
			err = save_row(
				accounts, ACCOUNTS_SAVE_HOUR, account, key,
				(const int64_t[3]){hour->hour, hour->recipients, hour->strangers},
				3);
	}
	for (size_t i = 0; i < volume->known_count && err == ERR_OK; i++)
		err = save_row(accounts, ACCOUNTS_SAVE_KNOWN, account, key,
			       (const int64_t[3]){(int64_t)volume->known[i].recipient,
						  volume->known[i].day},
			       2);
	if (err == ERR_OK)
		err = save_row(accounts, ACCOUNTS_DROP_HOURS, account, key,
			       (const int64_t[3]){oldest}, 1);
	if (err == ERR_OK && volume->known_count > 0)
		err = save_row(accounts, ACCOUNTS_DROP_KNOWN, account, key,
			       (const int64_t[3]){VOLUME_KNOWN_MAX}, 1);
	return err;
}

enum err accounts_save_volumes(struct accounts *accounts, const struct account_volume *volumes,
			       size_t count)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	for (size_t i = 0; i < count && err == ERR_OK; i++)
		err = save(accounts, &volumes[i]);
	return accounts_end(accounts, err);
}

enum err accounts_set_limits(struct accounts *accounts, int64_t account,
			     const struct account_limits *limits, int64_t now)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_SET_LIMITS, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, account);
	(void)sqlite3_bind_int64(stmt, 2, now);
	accounts_bind_limits(stmt, 3, limits);
	return accounts_finish_change(accounts, stmt, "account");
}
