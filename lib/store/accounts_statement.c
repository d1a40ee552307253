/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of the account store: preparing, binding, running, reading. */
#include "store/accounts_internal.h"

#include <string.h>

#include "base/mem.h"

static const char *const SQL[ACCOUNTS_STATEMENTS] = {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): pieces of text that are one string */
#define STATEMENT(name, sql) [ACCOUNTS_##name] = sql,
#include "store/accounts_statements.def"
#undef STATEMENT
};

enum err accounts_fail_last(struct accounts *accounts)
{
	return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
}

void accounts_bind_limits(sqlite3_stmt *stmt, int at, const struct account_limits *limits)
{
	(void)sqlite3_bind_int64(stmt, at, limits->message);
	(void)sqlite3_bind_int64(stmt, at + 1, limits->hour);
	(void)sqlite3_bind_int64(stmt, at + 2, limits->day);
	(void)sqlite3_bind_int64(stmt, at + 3, limits->strangers);
}

void accounts_read_limits(sqlite3_stmt *stmt, int at, struct account_limits *limits_out)
{
	*limits_out = (struct account_limits){
		.message = sqlite3_column_int64(stmt, at),
		.hour = sqlite3_column_int64(stmt, at + 1),
		.day = sqlite3_column_int64(stmt, at + 2),
		.strangers = sqlite3_column_int64(stmt, at + 3),
	};
}

enum err accounts_prepare(struct accounts *accounts, enum accounts_statement number,
			  sqlite3_stmt **stmt_out)
{
	sqlite3_stmt **stmt = &accounts->statements[number];

	if (*stmt == NULL && sqlite3_prepare_v3(accounts->db, SQL[number], -1,
						SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
		return accounts_fail_last(accounts);
	*stmt_out = *stmt;
	return ERR_OK;
}

void accounts_bind(sqlite3_stmt *stmt, int at, const char *text)
{
	(void)sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

void accounts_done(sqlite3_stmt *stmt)
{
	(void)sqlite3_reset(stmt); /* repeats the error that step has given */
	(void)sqlite3_clear_bindings(stmt);
}

enum err accounts_row(struct accounts *accounts, sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);

	return code == SQLITE_ROW    ? ERR_OK
	       : code == SQLITE_DONE ? ERR_EOF
				     : accounts_fail_last(accounts);
}

enum err accounts_finish(struct accounts *accounts, sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);
	enum err err = ERR_OK;

	if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
		accounts_explain(accounts, "there is one already");
		err = ERR_EXISTS;
	} else if (code == SQLITE_CONSTRAINT_FOREIGNKEY) {
		accounts_explain(accounts, "there is no such account any more");
		err = ERR_NOT_FOUND;
	} else if (code != SQLITE_DONE) {
		err = accounts_fail_last(accounts);
	}
	accounts_done(stmt);
	return err;
}

enum err accounts_finish_change(struct accounts *accounts, sqlite3_stmt *stmt, const char *what)
{
	enum err err = accounts_finish(accounts, stmt);

	if (err == ERR_OK && sqlite3_changes(accounts->db) == 0) {
		accounts_explain(accounts, "there is no such %s any more", what);
		return ERR_NOT_FOUND;
	}
	return err;
}

struct slice accounts_slice(sqlite3_stmt *stmt, int at)
{
	const unsigned char *text = sqlite3_column_text(stmt, at);

	return slice_of(text != NULL ? (const char *)text : "",
			(size_t)sqlite3_column_bytes(stmt, at));
}

char *accounts_text(sqlite3_stmt *stmt, int at)
{
	struct slice text = accounts_slice(stmt, at);

	return mem_strndup(text.ptr, text.len);
}

enum err accounts_run(struct accounts *accounts, enum accounts_statement number)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	return err != ERR_OK ? err : accounts_finish(accounts, stmt);
}

enum err accounts_run_with(struct accounts *accounts, enum accounts_statement number, int64_t a,
			   int64_t b)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, a);
	if (sqlite3_bind_parameter_count(stmt) > 1)
		(void)sqlite3_bind_int64(stmt, 2, b);
	return accounts_finish(accounts, stmt);
}

enum err accounts_number(struct accounts *accounts, enum accounts_statement number, int64_t a,
			 int64_t *value_out)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	if (sqlite3_bind_parameter_count(stmt) > 0)
		(void)sqlite3_bind_int64(stmt, 1, a);
	if ((err = accounts_row(accounts, stmt)) == ERR_OK)
		*value_out = sqlite3_column_int64(stmt, 0);
	accounts_done(stmt);
	return err == ERR_EOF ? ERR_INTERNAL : err;
}

enum err accounts_end(struct accounts *accounts, enum err err)
{
	char why[ACCOUNT_WHY];

	if (err == ERR_OK)
		err = accounts_run(accounts, ACCOUNTS_COMMIT);
	if (err != ERR_OK && sqlite3_get_autocommit(accounts->db) == 0) {
		/* What went wrong before it is what is told. */
		memcpy(why, accounts->why, sizeof(why));
		(void)accounts_run(accounts, ACCOUNTS_ROLLBACK);
		memcpy(accounts->why, why, sizeof(why));
	}
	return err;
}

enum err accounts_read_texts(struct accounts *accounts, enum accounts_statement number, int64_t id,
			     size_t max, char ***texts_out, size_t *count_out)
{
	sqlite3_stmt *stmt = NULL;
	char **texts = NULL;
	size_t count = 0;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	if (sqlite3_bind_parameter_count(stmt) > 0)
		(void)sqlite3_bind_int64(stmt, 1, id);
	while (count < max && (err = accounts_row(accounts, stmt)) == ERR_OK) {
		texts = mem_resize(texts, (count + 1) * sizeof(char *));
		texts[count++] = accounts_text(stmt, 0);
	}
	accounts_done(stmt);
	if (err != ERR_OK && err != ERR_EOF) {
		account_texts_free(texts, count);
		return err;
	}
	*texts_out = texts;
	*count_out = count;
	return ERR_OK;
}

enum err accounts_add_texts(struct accounts *accounts, enum accounts_statement number, int64_t id,
			    const char *const *texts, size_t count)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	for (size_t i = 0; err == ERR_OK && i < count; i++) {
		(void)sqlite3_bind_int64(stmt, 1, id);
		(void)sqlite3_bind_int64(stmt, 2, (int64_t)i);
		accounts_bind(stmt, 3, texts[i]);
		err = accounts_finish(accounts, stmt);
	}
	return err;
}

enum err accounts_touch(struct accounts *accounts, int64_t id, int64_t now)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_TOUCH, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int64(stmt, 2, now);
	return accounts_finish_change(accounts, stmt, "account");
}
