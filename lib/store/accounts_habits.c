/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_habits.h"

#include "base/mem.h"
#include "store/accounts_internal.h"

#define YEAR_MS (INT64_C(365) * 24 * 60 * 60 * 1000)

static enum err add(struct accounts *accounts, const struct account_habit *habit)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_ADD_HABIT, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, habit->account);
	(void)sqlite3_bind_int64(stmt, 2, habit->kind);
	accounts_bind(stmt, 3, habit->value);
	(void)sqlite3_bind_int64(stmt, 4, (int64_t)habit->count);
	(void)sqlite3_bind_int64(stmt, 5, habit->first);
	(void)sqlite3_bind_int64(stmt, 6, habit->last);
	(void)sqlite3_bind_int64(stmt, 7, HABITS_OF_ACCOUNT);
	return accounts_finish(accounts, stmt);
}

static enum err forget_old(struct accounts *accounts, int64_t now)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_FORGET_HABITS, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, now - YEAR_MS);
	return accounts_finish(accounts, stmt);
}

enum err accounts_add_habits(struct accounts *accounts, const struct account_habit *habits,
			     size_t count, int64_t now)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	err = forget_old(accounts, now);
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = add(accounts, &habits[i]);
	return accounts_end(accounts, err);
}

void account_habit_row_release(struct account_habit_row *row)
{
	MEM_FREE(row->name);
	MEM_FREE(row->value);
}

static char *text_at(sqlite3_stmt *stmt, int column)
{
	struct slice text = accounts_slice(stmt, column);

	return mem_strndup(text.len > 0 ? text.ptr : "", text.len);
}

enum err accounts_habits(struct accounts *accounts, enum habit_kind kind, const char *after_name,
			 const char *after_value, size_t max, struct account_habit_row *rows_out,
			 size_t *count_out)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_HABITS, &stmt);
	size_t count = 0;

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, kind);
	accounts_bind(stmt, 2, after_name);
	accounts_bind(stmt, 3, after_value);
	(void)sqlite3_bind_int64(stmt, 4, (int64_t)max);
	while (count < max && (err = accounts_row(accounts, stmt)) == ERR_OK)
		rows_out[count++] = (struct account_habit_row){
			.name = text_at(stmt, 0),
			.value = text_at(stmt, 1),
			.counts = {(uint64_t)sqlite3_column_int64(stmt, 2),
				   (uint64_t)sqlite3_column_int64(stmt, 3)},
			.first = sqlite3_column_int64(stmt, 4),
			.last = sqlite3_column_int64(stmt, 5),
		};
	accounts_done(stmt);
	if (err == ERR_EOF)
		err = ERR_OK;
	if (err != ERR_OK) {
		while (count > 0)
			account_habit_row_release(&rows_out[--count]);
		return err;
	}
	*count_out = count;
	return ERR_OK;
}
