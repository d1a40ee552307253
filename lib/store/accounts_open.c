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

enum { SCHEMA_VERSION = 2, APPLICATION_ID = 0x706f7361 /* "posa" */, BUSY_MS = 5000 };

static const char SCHEMA[] = "CREATE TABLE account ("
			     " id INTEGER PRIMARY KEY AUTOINCREMENT," /* never used again */
			     " name TEXT NOT NULL UNIQUE,"
			     " enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
			     " verifier TEXT NOT NULL,"
			     " generation INTEGER NOT NULL,"
			     " created INTEGER NOT NULL,"
			     " changed INTEGER NOT NULL,"
			     " password_changed INTEGER NOT NULL,"
			     " message_size INTEGER NOT NULL DEFAULT 0) STRICT;"
			     "CREATE TABLE send_as ("
			     " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			     " position INTEGER NOT NULL,"
			     " pattern TEXT NOT NULL,"
			     " PRIMARY KEY (account, position)) STRICT, WITHOUT ROWID;"
			     "CREATE TABLE secret ("
			     " name TEXT PRIMARY KEY,"
			     " value BLOB NOT NULL) STRICT;";

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

static enum err execute(struct accounts *accounts, const char *sql)
{
	int code = sqlite3_exec(accounts->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? ERR_OK
				 : accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
}

static enum err query(struct accounts *accounts, const char *sql, void *blob_out, size_t blob_len,
		      int64_t *number_out)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = ERR_OK;
	int code = sqlite3_prepare_v2(accounts->db, sql, -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	/* NOLINTNEXTLINE(bugprone-branch-clone): no row, then an error, then a row of no use */
	if (code == SQLITE_DONE) {
		err = ERR_NOT_FOUND;
	} else if (code != SQLITE_ROW) {
		err = accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	} else if (blob_out == NULL) {
		*number_out = sqlite3_column_int64(stmt, 0);
	} else if (sqlite3_column_bytes(stmt, 0) != (int)blob_len) {
		err = ERR_NOT_FOUND;
	} else {
		memcpy(blob_out, sqlite3_column_blob(stmt, 0), blob_len);
	}
	(void)sqlite3_finalize(stmt);
	return err;
}

/* Tables and key of a new store, in one transaction. */
static enum err make_schema(struct accounts *accounts)
{
	static const char INSERT[] = "INSERT INTO secret (name, value) VALUES ('unknown-user', ?1)";
	unsigned char key[VERIFIER_KEY];
	sqlite3_stmt *stmt = NULL;
	enum err err = execute(accounts, SCHEMA);

	if (err != ERR_OK)
		return err;
	os_random(key, sizeof(key));
	if (sqlite3_prepare_v2(accounts->db, INSERT, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_bind_blob(stmt, 1, key, sizeof(key), SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_DONE)
		err = accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	(void)sqlite3_finalize(stmt);
	OPENSSL_cleanse(key, sizeof(key));
	if (err == ERR_OK)
		err = execute(accounts, "PRAGMA application_id = 1886352225;"
					"PRAGMA user_version = 2;");
	return err;
}

/* Takes a store of an earlier version to this one; within the transaction. */
static enum err migrate(struct accounts *accounts, int64_t version)
{
	if (version >= SCHEMA_VERSION)
		return ERR_OK;
	return execute(accounts, "ALTER TABLE account ADD COLUMN message_size INTEGER NOT NULL "
				 "DEFAULT 0; PRAGMA user_version = 2;");
}

static enum err check_schema(struct accounts *accounts)
{
	int64_t version = 0, application = 0, tables = 0;
	enum err err;

	if ((err = query(accounts, "PRAGMA user_version", NULL, 0, &version)) != ERR_OK ||
	    (err = query(accounts, "PRAGMA application_id", NULL, 0, &application)) != ERR_OK ||
	    (err = query(accounts, "SELECT count(*) FROM sqlite_schema", NULL, 0, &tables)) !=
		    ERR_OK)
		return err;
	if (version == 0 && application == 0 && tables == 0)
		return make_schema(accounts);
	if (application != APPLICATION_ID || version < 1) {
		accounts_explain(
			accounts,
			"account store %s: this SQLite file is not an account store; fix: move it "
			"away, or set state_dir to another folder",
			accounts->path);
		return ERR_CORRUPT;
	}
	if (version > SCHEMA_VERSION) {
		accounts_explain(
			accounts,
			"account store %s: version %lld, but this postern knows up to %d; fix: "
			"install the newer postern again",
			accounts->path, (long long)version, SCHEMA_VERSION);
		return ERR_CORRUPT;
	}
	return migrate(accounts, version);
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
	if ((err = execute(accounts, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				     "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
				     "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;")) !=
		    ERR_OK ||
	    (err = accounts_run(accounts, ACCOUNTS_BEGIN)) != ERR_OK ||
	    (err = accounts_end(accounts, check_schema(accounts))) != ERR_OK)
		return err;
	err = query(accounts, "SELECT value FROM secret WHERE name = 'unknown-user'", accounts->key,
		    sizeof(accounts->key), NULL);
	if (err == ERR_NOT_FOUND) {
		accounts_explain(accounts,
				 "account store %s: its key is missing; fix: put a backup in place",
				 accounts->path);
		err = ERR_CORRUPT;
	}
	return err;
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
