/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the account store share; nobody else includes this. */
#ifndef POSTERN_STORE_ACCOUNTS_INTERNAL_H
#define POSTERN_STORE_ACCOUNTS_INTERNAL_H

#include <limits.h>
#include <sqlite3.h>

#include "store/accounts.h"

enum accounts_statement {
#define STATEMENT(name, sql) ACCOUNTS_##name,
#include "store/accounts_statements.def"
#undef STATEMENT
	ACCOUNTS_STATEMENTS,
};

struct accounts {
	sqlite3 *db;
	sqlite3_stmt *statements[ACCOUNTS_STATEMENTS];
	unsigned char key[VERIFIER_KEY];
	char path[PATH_MAX];
	char why[ACCOUNT_WHY];
};

void accounts_explain(struct accounts *accounts, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The error of errno, of an SQLite result code, of the last call to SQLite; all explain. */
enum err accounts_fail_file(struct accounts *accounts, int error);
enum err accounts_fail(struct accounts *accounts, int code);
enum err accounts_fail_last(struct accounts *accounts);

/* accounts_statement.c */

/* limit_message and what follows, from this column on. */
void accounts_bind_limits(sqlite3_stmt *stmt, int at, const struct account_limits *limits);
void accounts_read_limits(sqlite3_stmt *stmt, int at, struct account_limits *limits_out);
/* Ready to be bound; ERR_OK or why not. */
enum err accounts_prepare(struct accounts *accounts, enum accounts_statement number,
			  sqlite3_stmt **stmt_out);
/* Binds text that outlives the statement's run. */
void accounts_bind(sqlite3_stmt *stmt, int at, const char *text);
/* Runs a statement that gives no rows, and resets it. ERR_EXISTS: it hurts a UNIQUE. */
enum err accounts_finish(struct accounts *accounts, sqlite3_stmt *stmt);
/* The same; ERR_NOT_FOUND, explained as what is not there any more, when it changed no row. */
enum err accounts_finish_change(struct accounts *accounts, sqlite3_stmt *stmt, const char *what);
/* The next row: ERR_OK, ERR_EOF when there are no more, or why not. Reset by accounts_done. */
enum err accounts_row(struct accounts *accounts, sqlite3_stmt *stmt);
void accounts_done(sqlite3_stmt *stmt);
struct slice accounts_slice(sqlite3_stmt *stmt, int at);
char *accounts_text(sqlite3_stmt *stmt, int at);
/* Runs a statement without values and rows. */
enum err accounts_run(struct accounts *accounts, enum accounts_statement number);
/* One that takes up to two numbers and gives none, or one number. */
enum err accounts_run_with(struct accounts *accounts, enum accounts_statement number, int64_t a,
			   int64_t b);
enum err accounts_number(struct accounts *accounts, enum accounts_statement number, int64_t a,
			 int64_t *value_out);
/* Ends the transaction: commits if all went well, else undoes it. */
enum err accounts_end(struct accounts *accounts, enum err err);
/* Texts, in order, that belong to the row of number id if the statement asks for one: at most max.
 */
enum err accounts_read_texts(struct accounts *accounts, enum accounts_statement number, int64_t id,
			     size_t max, char ***texts_out, size_t *count_out);
enum err accounts_add_texts(struct accounts *accounts, enum accounts_statement number, int64_t id,
			    const char *const *texts, size_t count);
/* Raises the generation. ERR_NOT_FOUND. */
enum err accounts_touch(struct accounts *accounts, int64_t id, int64_t now);

/* accounts.c: within a transaction; as accounts_add without senders, and accounts_set_verifier. */
enum err accounts_insert(struct accounts *accounts, const struct account_new *account, int64_t now,
			 int64_t *id_out);
enum err accounts_put_verifier(struct accounts *accounts, int64_t id,
			       const struct verifier *verifier, int64_t now);

/* accounts_keys.c: the key that the login means. ERR_NOT_FOUND: it names one that is not there. */
enum err accounts_find_key(struct accounts *accounts, const struct account_login *login,
			   struct account *account);

/* accounts_schema.c: within a transaction; makes the tables, or brings them to this version. */
enum err accounts_check_schema(struct accounts *accounts);
enum err accounts_query_number(struct accounts *accounts, const char *sql, int64_t *number_out);
enum err accounts_execute(struct accounts *accounts, const char *sql);

#endif
