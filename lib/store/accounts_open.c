/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the account store, and saying in words why it cannot be used. */
#include "store/accounts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/mem.h"
#include "os/os.h"
#include "store/accounts_internal.h"

enum { BUSY_MS = 5000 };

void accounts_explain(struct accounts *accounts, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(accounts->why, sizeof(accounts->why), format, args);
	va_end(args);
}

enum err accounts_fail_file(struct accounts *accounts, int error)
{
	os_explain_file(accounts->path, error, accounts->why, sizeof(accounts->why));
	return error == ENOENT                                       ? ERR_NOT_FOUND
	       : error == EACCES || error == EPERM || error == EROFS ? ERR_DENIED
	       : error == ENOSPC || error == EDQUOT                  ? ERR_NO_SPACE
								     : ERR_IO;
}

enum err accounts_fail(struct accounts *accounts, int code)
{
	int error = accounts->db != NULL ? sqlite3_system_errno(accounts->db) : 0;

	switch (code & 0xff) {
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return accounts_fail_file(accounts, error != 0 ? error : EACCES);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		accounts_explain(accounts, "account store %s: another program is writing to it",
				 accounts->path);
		return ERR_BUSY;
	case SQLITE_FULL:
		accounts_explain(accounts, "account store %s: no space left on the disk; make room",
				 accounts->path);
		return ERR_NO_SPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		accounts_explain(
			accounts,
			"account store %s: damaged, or not an account store (%s); fix: stop "
			"postern and put a backup in its place, or move the file away and add the "
			"accounts anew",
			accounts->path, sqlite3_errmsg(accounts->db));
		return ERR_CORRUPT;
	case SQLITE_NOMEM:
		accounts_explain(accounts, "account store %s: out of memory", accounts->path);
		return ERR_INTERNAL;
	default:
		if ((code & 0xff) == SQLITE_IOERR && error != 0)
			return accounts_fail_file(accounts, error);
		accounts_explain(accounts, "account store %s: %s", accounts->path,
				 sqlite3_errmsg(accounts->db));
		return ERR_IO;
	}
}

/* ---- opening -------------------------------------------------------------------------------- */

/* The key of the store. */
static enum err read_key(struct accounts *accounts)
{
	static const char SELECT[] = "SELECT value FROM secret WHERE name = 'unknown-user'";
	sqlite3_stmt *stmt = NULL;
	enum err err = ERR_OK;
	int code = sqlite3_prepare_v2(accounts->db, SELECT, -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code != SQLITE_ROW && code != SQLITE_DONE) {
		err = accounts_fail_last(accounts);
	} else if (code == SQLITE_DONE ||
		   sqlite3_column_bytes(stmt, 0) != (int)sizeof(accounts->key)) {
		accounts_explain(accounts,
				 "account store %s: its key is missing; fix: put a backup in place",
				 accounts->path);
		err = ERR_CORRUPT;
	} else {
		memcpy(accounts->key, sqlite3_column_blob(stmt, 0), sizeof(accounts->key));
	}
	(void)sqlite3_finalize(stmt);
	return err;
}

static enum err open_db(struct accounts *accounts)
{
	int code = sqlite3_open_v2(accounts->path, &accounts->db,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					   SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
				   NULL);
	enum err err;

	if (code != SQLITE_OK)
		return accounts_fail(accounts, code);
	(void)sqlite3_extended_result_codes(accounts->db, 1);
	(void)sqlite3_busy_timeout(accounts->db, BUSY_MS);
	/* Without the right to write SQLite opens for reading, and tells nobody. */
	if (sqlite3_db_readonly(accounts->db, "main") == 1)
		return accounts_fail_file(accounts, EACCES);
	if ((err = accounts_execute(accounts,
				    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				    "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
				    "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;")) !=
		    ERR_OK ||
	    (err = accounts_run(accounts, ACCOUNTS_BEGIN)) != ERR_OK ||
	    (err = accounts_end(accounts, accounts_check_schema(accounts))) != ERR_OK)
		return err;
	return read_key(accounts);
}

enum err accounts_open(const char *path, struct accounts **accounts_out, char why[ACCOUNT_WHY])
{
	struct accounts *accounts = mem_alloc(sizeof(*accounts));
	enum err err;

	(void)snprintf(accounts->path, sizeof(accounts->path), "%s", path);
	err = open_db(accounts);
	if (err != ERR_OK) {
		(void)snprintf(why, ACCOUNT_WHY, "%s", accounts->why);
		accounts_close(&accounts);
		return err;
	}
	*accounts_out = accounts;
	return ERR_OK;
}

void accounts_close(struct accounts **accounts)
{
	if (*accounts == NULL)
		return;
	for (int i = 0; i < ACCOUNTS_STATEMENTS; i++)
		(void)sqlite3_finalize((*accounts)->statements[i]);
	(void)sqlite3_close((*accounts)->db);
	OPENSSL_cleanse((*accounts)->key, sizeof((*accounts)->key));
	MEM_FREE(*accounts);
}

const char *accounts_why(const struct accounts *accounts)
{
	return accounts->why;
}

const unsigned char *accounts_key(const struct accounts *accounts)
{
	return accounts->key;
}
