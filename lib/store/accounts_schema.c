/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of the account store, and how one of an earlier version comes to have them: one step
 * for each version. A step that was released once is never changed.
 */
#include "store/accounts_internal.h"

#include <stdio.h>

#include <openssl/crypto.h>

#include "os/os.h"

enum { APPLICATION_ID = 0x706f7361 /* "posa" */ };

/* Of version 1: what a new store begins with, too, before it takes all the steps. */
static const char VERSION_1[] =
	"CREATE TABLE account ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT," /* never used again */
	" name TEXT NOT NULL UNIQUE,"
	" enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
	" verifier TEXT NOT NULL,"
	" generation INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" changed INTEGER NOT NULL,"
	" password_changed INTEGER NOT NULL) STRICT;"
	"CREATE TABLE send_as ("
	" account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
	" position INTEGER NOT NULL,"
	" pattern TEXT NOT NULL,"
	" PRIMARY KEY (account, position)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE secret ("
	" name TEXT PRIMARY KEY,"
	" value BLOB NOT NULL) STRICT;"
	"PRAGMA application_id = 1886352225;"
	"PRAGMA user_version = 1;";

static const char TO_2[] = "ALTER TABLE account ADD COLUMN message_size INTEGER NOT NULL DEFAULT 0;"
			   "PRAGMA user_version = 2;";

/*
 * frozen, expires: ms since 1970, 0 for not and never. Of "used" and "verifier" key 0 is the main
 * password; an id of a key is never used again, so what is left of one that is gone means nobody.
 */
static const char TO_3[] = "ALTER TABLE account ADD COLUMN source TEXT NOT NULL DEFAULT '';"
			   "ALTER TABLE account ADD COLUMN hash TEXT NOT NULL DEFAULT '';"
			   "ALTER TABLE account ADD COLUMN main_password INTEGER NOT NULL DEFAULT 1"
			   " CHECK (main_password IN (0, 1));"
			   "ALTER TABLE account ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;"
			   "ALTER TABLE account ADD COLUMN frozen INTEGER NOT NULL DEFAULT 0;"
			   "ALTER TABLE account ADD COLUMN frozen_why TEXT NOT NULL DEFAULT '';"
			   "CREATE TABLE key ("
			   " id INTEGER PRIMARY KEY AUTOINCREMENT,"
			   " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			   " name TEXT NOT NULL,"
			   " tag TEXT NOT NULL,"
			   " verifier TEXT NOT NULL,"
			   " message_size INTEGER NOT NULL,"
			   " created INTEGER NOT NULL,"
			   " expires INTEGER NOT NULL,"
			   " UNIQUE (account, name), UNIQUE (account, tag)) STRICT;"
			   "CREATE TABLE key_send_as ("
			   " key INTEGER NOT NULL REFERENCES key (id) ON DELETE CASCADE,"
			   " position INTEGER NOT NULL,"
			   " pattern TEXT NOT NULL,"
			   " PRIMARY KEY (key, position)) STRICT, WITHOUT ROWID;"
			   "CREATE TABLE key_network ("
			   " key INTEGER NOT NULL REFERENCES key (id) ON DELETE CASCADE,"
			   " position INTEGER NOT NULL,"
			   " network TEXT NOT NULL,"
			   " PRIMARY KEY (key, position)) STRICT, WITHOUT ROWID;"
			   "CREATE TABLE member ("
			   " pattern TEXT NOT NULL,"
			   " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			   " PRIMARY KEY (pattern, account)) STRICT, WITHOUT ROWID;"
			   "CREATE INDEX member_account ON member (account);"
			   "CREATE TABLE verifier ("
			   " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			   " key INTEGER NOT NULL,"
			   " scheme TEXT NOT NULL,"
			   " text TEXT NOT NULL,"
			   " PRIMARY KEY (account, key, scheme)) STRICT, WITHOUT ROWID;"
			   "CREATE TABLE used ("
			   " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			   " key INTEGER NOT NULL,"
			   " last INTEGER NOT NULL,"
			   " client TEXT NOT NULL,"
			   " logins INTEGER NOT NULL,"
			   " messages INTEGER NOT NULL,"
			   " recipients INTEGER NOT NULL,"
			   " day INTEGER NOT NULL,"
			   " day_messages INTEGER NOT NULL,"
			   " day_recipients INTEGER NOT NULL,"
			   " PRIMARY KEY (account, key)) STRICT, WITHOUT ROWID;"
			   "PRAGMA user_version = 3;";

/* source: 16 bytes, an IPv4 address mapped into IPv6, or the /64 of an IPv6 address. */
static const char TO_4[] = "CREATE TABLE seen ("
			   " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			   " source BLOB NOT NULL CHECK (length(source) = 16),"
			   " first INTEGER NOT NULL,"
			   " last INTEGER NOT NULL,"
			   " PRIMARY KEY (account, source)) STRICT, WITHOUT ROWID;"
			   "PRAGMA user_version = 4;";

/* How much may be sent, and was. limit_*: 0 as configured, -1 any number. */
#define LIMITS_OF(table)                                                                           \
	"ALTER TABLE " table " ADD COLUMN limit_message INTEGER NOT NULL DEFAULT 0;"               \
	"ALTER TABLE " table " ADD COLUMN limit_hour INTEGER NOT NULL DEFAULT 0;"                  \
	"ALTER TABLE " table " ADD COLUMN limit_day INTEGER NOT NULL DEFAULT 0;"                   \
	"ALTER TABLE " table " ADD COLUMN limit_strangers INTEGER NOT NULL DEFAULT 0;"
static const char TO_5[] = LIMITS_OF("account")
	LIMITS_OF("key") "CREATE TABLE volume ("
			 " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			 " key INTEGER NOT NULL,"
			 " hour INTEGER NOT NULL," /* its begin, ms since 1970 */
			 " recipients INTEGER NOT NULL,"
			 " strangers INTEGER NOT NULL,"
			 " PRIMARY KEY (account, key, hour)) STRICT, WITHOUT ROWID;"
			 "CREATE TABLE correspondent ("
			 " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			 " key INTEGER NOT NULL,"
			 " recipient INTEGER NOT NULL," /* keyed hash of the address */
			 " day INTEGER NOT NULL,"       /* of the last mail, since 1970 */
			 " PRIMARY KEY (account, key, recipient)) STRICT, WITHOUT ROWID;"
			 "PRAGMA user_version = 5;";

/* For those few, whatever the number of accounts: each login that fails looks for one. */
static const char TO_6[] = "CREATE INDEX account_hash ON account (id) WHERE hash <> '';"
			   "PRAGMA user_version = 6;";

/* kind: enum habit_kind. */
static const char TO_7[] = "CREATE TABLE habit ("
			   " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
			   " kind INTEGER NOT NULL,"
			   " value TEXT NOT NULL,"
			   " count INTEGER NOT NULL,"
			   " first INTEGER NOT NULL,"
			   " last INTEGER NOT NULL,"
			   " PRIMARY KEY (account, kind, value)) STRICT, WITHOUT ROWID;"
			   "PRAGMA user_version = 7;";

/* Client certificates that log in as an account: SHA-256, in hexadecimal digits. */
static const char TO_8[] = "CREATE TABLE certificate ("
			   " fingerprint TEXT PRIMARY KEY,"
			   " account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE)"
			   " STRICT, WITHOUT ROWID;"
			   "CREATE INDEX certificate_account ON certificate (account);"
			   "PRAGMA user_version = 8;";

/* STEPS[n] takes a store of version n + 1 to the next. */
static const char *const STEPS[] = {TO_2, TO_3, TO_4, TO_5, TO_6, TO_7, TO_8};
enum { SCHEMA_VERSION = 1 + sizeof(STEPS) / sizeof(STEPS[0]) };

enum err accounts_execute(struct accounts *accounts, const char *sql)
{
	int code = sqlite3_exec(accounts->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? ERR_OK : accounts_fail_last(accounts);
}

enum err accounts_query_number(struct accounts *accounts, const char *sql, int64_t *number_out)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = ERR_OK;
	int code = sqlite3_prepare_v2(accounts->db, sql, -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		*number_out = sqlite3_column_int64(stmt, 0);
	else
		err = accounts_fail_last(accounts);
	(void)sqlite3_finalize(stmt);
	return err;
}

static enum err migrate(struct accounts *accounts, int64_t version)
{
	enum err err = ERR_OK;

	for (; err == ERR_OK && version < SCHEMA_VERSION; version++)
		err = accounts_execute(accounts, STEPS[version - 1]);
	return err;
}

/* Tables and key of a new store. */
static enum err make_schema(struct accounts *accounts)
{
	static const char INSERT[] = "INSERT INTO secret (name, value) VALUES ('unknown-user', ?1)";
	unsigned char key[VERIFIER_KEY];
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_execute(accounts, VERSION_1);

	if (err == ERR_OK)
		err = migrate(accounts, 1);
	if (err != ERR_OK)
		return err;
	os_random(key, sizeof(key));
	if (sqlite3_prepare_v2(accounts->db, INSERT, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_bind_blob(stmt, 1, key, sizeof(key), SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_DONE)
		err = accounts_fail_last(accounts);
	(void)sqlite3_finalize(stmt);
	OPENSSL_cleanse(key, sizeof(key));
	return err;
}

enum err accounts_check_schema(struct accounts *accounts)
{
	int64_t version = 0, application = 0, tables = 0;
	enum err err;

	if ((err = accounts_query_number(accounts, "PRAGMA user_version", &version)) != ERR_OK ||
	    (err = accounts_query_number(accounts, "PRAGMA application_id", &application)) !=
		    ERR_OK ||
	    (err = accounts_query_number(accounts, "SELECT count(*) FROM sqlite_schema",
					 &tables)) != ERR_OK)
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
			accounts->path, (long long)version, (int)SCHEMA_VERSION);
		return ERR_CORRUPT;
	}
	return migrate(accounts, version);
}
