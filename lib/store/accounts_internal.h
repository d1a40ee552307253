/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the account store share; nobody else includes this. */
#ifndef POSTERN_STORE_ACCOUNTS_INTERNAL_H
#define POSTERN_STORE_ACCOUNTS_INTERNAL_H

#include <limits.h>
#include <sqlite3.h>

#include "store/accounts.h"

enum accounts_statement {
	ACCOUNTS_BEGIN,
	ACCOUNTS_COMMIT,
	ACCOUNTS_ROLLBACK,
	ACCOUNTS_FIND,
	ACCOUNTS_LIST,
	ACCOUNTS_COUNT,
	ACCOUNTS_LARGEST,
	ACCOUNTS_SEND_AS,
	ACCOUNTS_ADD,
	ACCOUNTS_ADD_SEND_AS,
	ACCOUNTS_CLEAR_SEND_AS,
	ACCOUNTS_SET_VERIFIER,
	ACCOUNTS_SET_ENABLED,
	ACCOUNTS_TOUCH,
	ACCOUNTS_SET_MESSAGE_SIZE,
	ACCOUNTS_DELETE,
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
/* The error of errno, of an SQLite result code; both explain. */
enum err accounts_fail_file(struct accounts *accounts, int error);
enum err accounts_fail(struct accounts *accounts, int code);
/* Runs a statement without values and rows. */
enum err accounts_run(struct accounts *accounts, enum accounts_statement number);
/* Ends the transaction: commits if all went well, else undoes it. */
enum err accounts_end(struct accounts *accounts, enum err err);

#endif
