/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to queue.db: how they are opened, what its tables are, and SQLite's errors in ours.
 */
#include "store/queue_internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#ifdef POSTERN_UNSAFE_SYNC
#define SYNCHRONOUS "OFF"
#else
#define SYNCHRONOUS "FULL"
#endif

/* Of the file: an administrator's "file queue.db" says what it is ("PstQ"). */
#define APPLICATION_ID "1349743697"

static const char schema[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE destination(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" due INTEGER NOT NULL, failures INTEGER NOT NULL, last TEXT NOT NULL);"
	"CREATE TABLE message(key INTEGER PRIMARY KEY, random BLOB NOT NULL, arrived INTEGER NOT "
	"NULL,"
	" expires INTEGER NOT NULL, size INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" recipients INTEGER NOT NULL, in_file INTEGER NOT NULL, envelope BLOB NOT NULL,"
	" checksum INTEGER NOT NULL, body BLOB NOT NULL);"
	"CREATE TABLE progress(key INTEGER PRIMARY KEY, ended INTEGER NOT NULL);"
	"CREATE TABLE recipient(destination INTEGER NOT NULL, due INTEGER NOT NULL,"
	" key INTEGER NOT NULL, n INTEGER NOT NULL, attempts INTEGER NOT NULL, state INTEGER NOT "
	"NULL,"
	" last TEXT NOT NULL, notice INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY(destination, due, key, n)) WITHOUT ROWID;"
	"CREATE TABLE deadline(at INTEGER NOT NULL, key INTEGER NOT NULL,"
	" PRIMARY KEY(at, key)) WITHOUT ROWID;"
	"CREATE TABLE damaged(key INTEGER PRIMARY KEY, found INTEGER NOT NULL, reason TEXT NOT "
	"NULL,"
	" random BLOB, arrived INTEGER, expires INTEGER, size INTEGER, flags INTEGER,"
	" recipients INTEGER, in_file INTEGER, envelope BLOB, checksum INTEGER, body BLOB);"
	"CREATE TABLE damaged_recipient(key INTEGER NOT NULL, destination INTEGER NOT NULL,"
	" n INTEGER NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY(key, destination, n)) WITHOUT "
	"ROWID;"
	"PRAGMA application_id=" APPLICATION_ID ";";

/* From version 1: a column and a table, in no time however much waits. */
static const char from_1[] = "BEGIN IMMEDIATE;"
			     "ALTER TABLE recipient ADD COLUMN notice INTEGER NOT NULL DEFAULT 0;"
			     "CREATE TABLE deadline(at INTEGER NOT NULL, key INTEGER NOT NULL,"
			     " PRIMARY KEY(at, key)) WITHOUT ROWID;"
			     "UPDATE meta SET value=2 WHERE name='schema';"
			     "COMMIT;";

enum err queue_db_error(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
		return ERR_OK;
	case SQLITE_DONE:
		return ERR_EOF;
	case SQLITE_FULL:
		return ERR_NO_SPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_MISMATCH: /* a column of another type than we ever write */
		return ERR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return ERR_DENIED;
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	case SQLITE_IOERR:
		return rc == SQLITE_IOERR_CORRUPTFS ? ERR_CORRUPT : ERR_IO;
	case SQLITE_CANTOPEN:
		return ERR_IO;
	default:
		/* A table that is not there: the schema is damaged. */
		return rc == SQLITE_ERROR ? ERR_CORRUPT : ERR_INTERNAL;
	}
}

enum err queue_db_run(struct queue_db *db, const char *sql)
{
	return queue_db_error(sqlite3_exec(db->db, sql, NULL, NULL, NULL));
}

enum err queue_db_pragma(struct queue_db *db, const char *sql, int64_t *value_out)
{
	sqlite3_stmt *statement;
	enum err err = queue_db_error(sqlite3_prepare_v2(db->db, sql, -1, &statement, NULL));

	if (err != ERR_OK)
		return err;
	if ((err = queue_db_row(statement)) == ERR_OK)
		*value_out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return err == ERR_EOF ? ERR_NOT_FOUND : err;
}

enum err queue_db_open(struct queue_db *db, const char *path, bool create)
{
	static const char both[] = "PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF;"
				   "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;";
	char sizes[64];
	int flags = create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE;
	enum err err;

	*db = (struct queue_db){0};
	err = queue_db_error(sqlite3_open_v2(
		path, &db->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL));
	if (err != ERR_OK)
		goto out;
	sqlite3_extended_result_codes(db->db, 1);
	sqlite3_busy_timeout(db->db, QUEUE_BUSY_MS);
	snprintf(sizes, sizeof(sizes), "PRAGMA page_size=%d; PRAGMA cache_size=%d;",
		 QUEUE_PAGE_SIZE, create ? -65536 : -8192);
	if ((err = queue_db_run(db, sizes)) != ERR_OK || (err = queue_db_run(db, both)) != ERR_OK)
		goto out;
	if (create && ((err = queue_db_run(db, "PRAGMA journal_mode=WAL;")) != ERR_OK ||
		       (err = queue_db_run(db, "PRAGMA synchronous=" SYNCHRONOUS ";")) != ERR_OK))
		goto out;
	/* The writer alone checkpoints, when it wants to. */
	err = queue_db_run(db, "PRAGMA wal_autocheckpoint=0;");
out:
	if (err != ERR_OK)
		queue_db_close(db);
	return err;
}

enum err queue_db_open_damaged(struct queue_db *db, const char *path)
{
	enum err err;

	*db = (struct queue_db){0};
	err = queue_db_error(
		sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
	if (err == ERR_OK) {
		/* What an administrator may want to look into later stays as it is. */
		sqlite3_db_config(db->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		err = queue_db_run(db, "PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
				       "PRAGMA wal_autocheckpoint=0;");
	}
	if (err != ERR_OK)
		queue_db_close(db);
	return err;
}

enum err queue_db_prepare(struct queue_db *db, const char *const *sql, size_t count)
{
	enum err err = ERR_OK;

	db->statements = mem_array(count, sizeof(sqlite3_stmt *));
	db->count = count;
	for (size_t i = 0; i < count && err == ERR_OK; i++)
		err = queue_db_error(sqlite3_prepare_v3(
			db->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL));
	return err;
}

void queue_db_close(struct queue_db *db)
{
	for (size_t i = 0; i < db->count; i++)
		sqlite3_finalize(db->statements[i]);
	MEM_FREE(db->statements);
	db->count = 0;
	sqlite3_close(db->db);
	db->db = NULL;
}

enum err queue_db_create_schema(struct queue_db *db)
{
	char version[128];
	enum err err;

	snprintf(version, sizeof(version),
		 "INSERT INTO meta VALUES('schema', %d), ('next_key', 1), ('overwritten', 0);",
		 QUEUE_SCHEMA);
	if ((err = queue_db_run(db, "BEGIN IMMEDIATE;")) != ERR_OK)
		return err;
	if ((err = queue_db_run(db, schema)) != ERR_OK ||
	    (err = queue_db_run(db, version)) != ERR_OK ||
	    (err = queue_db_run(db, "COMMIT;")) != ERR_OK) {
		(void)queue_db_run(db, "ROLLBACK;");
		return err;
	}
	return ERR_OK;
}

enum err queue_db_check_schema(struct queue_db *db, int64_t *version_out)
{
	int64_t tables;
	enum err err = queue_db_pragma(db, "SELECT count(*) FROM sqlite_schema;", &tables);

	if (err != ERR_OK)
		return err;
	if (tables == 0)
		return ERR_NOT_FOUND;
	err = queue_db_pragma(db, "SELECT value FROM meta WHERE name='schema';", version_out);
	if (err == ERR_NOT_FOUND)
		return ERR_CORRUPT;
	if (err == ERR_OK && *version_out != QUEUE_SCHEMA)
		return ERR_RANGE;
	return err;
}

enum err queue_db_upgrade(struct queue_db *db)
{
	enum err err = queue_db_run(db, from_1);

	if (err != ERR_OK && sqlite3_get_autocommit(db->db) == 0)
		(void)queue_db_run(db, "ROLLBACK;");
	return err;
}

enum err queue_db_step(sqlite3_stmt *statement)
{
	int rc = sqlite3_step(statement);

	sqlite3_reset(statement);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_OK : queue_db_error(rc);
}

enum err queue_db_row(sqlite3_stmt *statement)
{
	return queue_db_error(sqlite3_step(statement));
}

void queue_db_bind_slice(sqlite3_stmt *statement, int index, struct slice s, bool text)
{
	int len = s.len > INT_MAX ? INT_MAX : (int)s.len;
	const char *ptr = s.ptr != NULL ? s.ptr : "";

	if (text)
		sqlite3_bind_text(statement, index, ptr, len, SQLITE_STATIC);
	else
		sqlite3_bind_blob(statement, index, ptr, len, SQLITE_STATIC);
}

struct slice queue_db_slice(sqlite3_stmt *statement, int column)
{
	const void *ptr = sqlite3_column_blob(statement, column);
	int len = sqlite3_column_bytes(statement, column);

	return slice_of(ptr != NULL ? ptr : "", ptr != NULL && len > 0 ? (size_t)len : 0);
}

void queue_path(const char *folder, const char *name, char path_out[QUEUE_PATH_MAX])
{
	snprintf(path_out, QUEUE_PATH_MAX, "%s/%s", folder, name);
}

void queue_body_path(const char *folder, uint64_t key, const char *suffix,
		     char path_out[QUEUE_PATH_MAX])
{
	snprintf(path_out, QUEUE_PATH_MAX, "%s/bodies/%016llx%s", folder, (unsigned long long)key,
		 suffix);
}

bool queue_body_name(const char *name, uint64_t *key_out)
{
	uint64_t key = 0;

	if (strlen(name) != 16)
		return false;
	for (size_t i = 0; i < 16; i++) {
		const char *digit = strchr("0123456789abcdef", name[i]);

		if (digit == NULL)
			return false;
		key = key << 4 | (uint64_t)(digit - "0123456789abcdef");
	}
	*key_out = key;
	return true;
}
