/* SPDX-License-Identifier: Apache-2.0 */
#include "store/accounts.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/mem.h"
#include "store/accounts_internal.h"

/*
 * Statements are prepared once, on first use. Every value is bound; no text is ever pasted into
 * a statement.
 */
#define COLUMNS                                                                                    \
	"id, name, enabled, verifier, generation, created, changed, password_changed, "            \
	"message_size "                                                                            \
	"FROM account "

static const char *const SQL[ACCOUNTS_STATEMENTS] = {
	[ACCOUNTS_BEGIN] = "BEGIN IMMEDIATE",
	[ACCOUNTS_COMMIT] = "COMMIT",
	[ACCOUNTS_ROLLBACK] = "ROLLBACK",
	/* The exact name wins over the one with a domain. */
	[ACCOUNTS_FIND] = "SELECT " COLUMNS "WHERE name IN (?1, ?2) ORDER BY length(name) LIMIT 1",
	[ACCOUNTS_LIST] = "SELECT " COLUMNS "WHERE name > ?1 ORDER BY name LIMIT ?2",
	[ACCOUNTS_COUNT] = "SELECT count(*), coalesce(sum(enabled), 0) FROM account",
	[ACCOUNTS_LARGEST] = "SELECT coalesce(max(message_size), 0) FROM account WHERE enabled = 1",
	[ACCOUNTS_SEND_AS] = "SELECT pattern FROM send_as WHERE account = ?1 ORDER BY position",
	[ACCOUNTS_ADD] =
		"INSERT INTO account (name, enabled, verifier, generation, created, changed, "
		"password_changed) VALUES (?1, 1, ?2, 1, ?3, ?3, ?3)",
	[ACCOUNTS_ADD_SEND_AS] =
		"INSERT INTO send_as (account, position, pattern) VALUES (?1, ?2, ?3)",
	[ACCOUNTS_CLEAR_SEND_AS] = "DELETE FROM send_as WHERE account = ?1",
	[ACCOUNTS_SET_VERIFIER] = "UPDATE account SET verifier = ?2, generation = generation + 1, "
				  "changed = ?3, password_changed = ?3 WHERE id = ?1",
	[ACCOUNTS_SET_ENABLED] = "UPDATE account SET enabled = ?2, generation = generation + 1, "
				 "changed = ?3 WHERE id = ?1",
	[ACCOUNTS_TOUCH] =
		"UPDATE account SET generation = generation + 1, changed = ?2 WHERE id = ?1",
	[ACCOUNTS_SET_MESSAGE_SIZE] = "UPDATE account SET message_size = ?2, generation = "
				      "generation + 1, changed = ?3 WHERE id = ?1",
	[ACCOUNTS_DELETE] = "DELETE FROM account WHERE id = ?1",
};

/* ---- statements ----------------------------------------------------------------------------- */

/* Ready to be bound, or NULL. */
static sqlite3_stmt *statement(struct accounts *accounts, enum accounts_statement number)
{
	sqlite3_stmt **stmt = &accounts->statements[number];

	if (*stmt == NULL && sqlite3_prepare_v3(accounts->db, SQL[number], -1,
						SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
		return NULL;
	return *stmt;
}

static void done(sqlite3_stmt *stmt)
{
	(void)sqlite3_reset(stmt); /* repeats the error that step has given */
	(void)sqlite3_clear_bindings(stmt);
}

/* Runs a statement that gives no rows. */
static enum err finish(struct accounts *accounts, sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);
	enum err err = ERR_OK;

	if (code == SQLITE_CONSTRAINT_UNIQUE) {
		accounts_explain(accounts, "there is one already");
		err = ERR_EXISTS;
	} else if (code != SQLITE_DONE) {
		err = accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	}
	done(stmt);
	return err;
}

enum err accounts_run(struct accounts *accounts, enum accounts_statement number)
{
	sqlite3_stmt *stmt = statement(accounts, number);

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	return finish(accounts, stmt);
}

/* Binds text that outlives the statement's run. */
static int bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	return sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

/* ---- rows ----------------------------------------------------------------------------------- */

void account_release(struct account *account)
{
	for (size_t i = 0; i < account->send_as_count; i++)
		mem_free(account->send_as[i]);
	mem_free(account->send_as);
	mem_free(account->name);
	verifier_wipe(&account->verifier);
	*account = (struct account){0};
}

void account_copy(const struct account *from, struct account *to_out)
{
	*to_out = *from;
	to_out->name = mem_strdup(from->name);
	to_out->send_as = mem_array(from->send_as_count, sizeof(char *));
	for (size_t i = 0; i < from->send_as_count; i++)
		to_out->send_as[i] = mem_strdup(from->send_as[i]);
}

static struct slice column_slice(sqlite3_stmt *stmt, int at)
{
	const unsigned char *text = sqlite3_column_text(stmt, at);

	return slice_of(text != NULL ? (const char *)text : "",
			(size_t)sqlite3_column_bytes(stmt, at));
}

static char *column_text(sqlite3_stmt *stmt, int at)
{
	struct slice text = column_slice(stmt, at);

	return mem_strndup(text.ptr, text.len);
}

static void read_row(sqlite3_stmt *stmt, struct account *account)
{
	*account = (struct account){
		.id = sqlite3_column_int64(stmt, 0),
		.name = column_text(stmt, 1),
		.enabled = sqlite3_column_int(stmt, 2) == 1,
		.generation = (uint64_t)sqlite3_column_int64(stmt, 4),
		.created = sqlite3_column_int64(stmt, 5),
		.changed = sqlite3_column_int64(stmt, 6),
		.password_changed = sqlite3_column_int64(stmt, 7),
		.message_size = (uint64_t)sqlite3_column_int64(stmt, 8),
	};
	if (verifier_read(column_slice(stmt, 3), &account->verifier) != ERR_OK) {
		account->verifier = (struct verifier){0};
		account->damaged = true;
	}
}

static enum err read_send_as(struct accounts *accounts, struct account *account)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_SEND_AS);
	int code = SQLITE_ERROR;

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	(void)sqlite3_bind_int64(stmt, 1, account->id);
	while (account->send_as_count < ACCOUNT_PATTERNS &&
	       (code = sqlite3_step(stmt)) == SQLITE_ROW) {
		account->send_as =
			mem_resize(account->send_as, (account->send_as_count + 1) * sizeof(char *));
		account->send_as[account->send_as_count++] = column_text(stmt, 0);
	}
	done(stmt);
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	return ERR_OK;
}

enum err accounts_find(struct accounts *accounts, const char *name, const char *domain,
		       struct account *account_out)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_FIND);
	char address[ACCOUNT_NAME_MAX + 1];
	struct account found = {0};
	enum err err;
	int code;

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	if (account_address(name, domain, address) != ERR_OK)
		(void)snprintf(address, sizeof(address), "%s", name);
	(void)bind_text(stmt, 1, name);
	(void)bind_text(stmt, 2, address);
	code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		read_row(stmt, &found);
	else if (code != SQLITE_DONE)
		err = accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	done(stmt);
	if (code == SQLITE_DONE) {
		accounts_explain(accounts, "there is no account %s", name);
		return ERR_NOT_FOUND;
	}
	if (code != SQLITE_ROW)
		return err;
	if ((err = read_send_as(accounts, &found)) != ERR_OK) {
		account_release(&found);
		return err;
	}
	*account_out = found;
	return ERR_OK;
}

enum err accounts_list(struct accounts *accounts, const char *after, size_t max,
		       struct account *accounts_out, size_t *count_out)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_LIST);
	enum err err = ERR_OK;
	size_t count = 0;
	int code = SQLITE_DONE;

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	(void)bind_text(stmt, 1, after);
	(void)sqlite3_bind_int64(stmt, 2, (int64_t)max);
	while (count < max && (code = sqlite3_step(stmt)) == SQLITE_ROW)
		read_row(stmt, &accounts_out[count++]);
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		err = accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	done(stmt);
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = read_send_as(accounts, &accounts_out[i]);
	if (err != ERR_OK) {
		while (count > 0)
			account_release(&accounts_out[--count]);
		return err;
	}
	*count_out = count;
	return ERR_OK;
}

enum err accounts_count(struct accounts *accounts, uint64_t *count_out, uint64_t *enabled_out)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_COUNT);
	enum err err = ERR_OK;

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		*count_out = (uint64_t)sqlite3_column_int64(stmt, 0);
		*enabled_out = (uint64_t)sqlite3_column_int64(stmt, 1);
	} else {
		err = accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	}
	done(stmt);
	return err;
}

enum err accounts_largest(struct accounts *accounts, uint64_t *bytes_out)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_LARGEST);
	enum err err = ERR_OK;

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*bytes_out = (uint64_t)sqlite3_column_int64(stmt, 0);
	else
		err = accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	done(stmt);
	return err;
}

/* ---- changes -------------------------------------------------------------------------------- */

/* Ends the transaction: commits if all went well, else undoes it. */
enum err accounts_end(struct accounts *accounts, enum err err)
{
	char why[ACCOUNT_WHY];

	if (err == ERR_OK)
		err = accounts_run(accounts, ACCOUNTS_COMMIT);
	if (err != ERR_OK && sqlite3_get_autocommit(accounts->db) == 0) {
		memcpy(why, accounts->why, sizeof(why));
		(void)accounts_run(
			accounts,
			ACCOUNTS_ROLLBACK); /* what went wrong before it is what is told */
		memcpy(accounts->why, why, sizeof(why));
	}
	return err;
}

/* A change of one row: ERR_NOT_FOUND when there was none. */
static enum err finish_change(struct accounts *accounts, sqlite3_stmt *stmt)
{
	enum err err = finish(accounts, stmt);

	if (err == ERR_OK && sqlite3_changes(accounts->db) == 0) {
		accounts_explain(accounts, "there is no such account any more");
		return ERR_NOT_FOUND;
	}
	return err;
}

static enum err insert_send_as(struct accounts *accounts, int64_t id, const char *const *send_as,
			       size_t count)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_ADD_SEND_AS);
	enum err err = ERR_OK;

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	if (count > ACCOUNT_PATTERNS) {
		accounts_explain(accounts, "more than %d sender patterns", ACCOUNT_PATTERNS);
		return ERR_RANGE;
	}
	for (size_t i = 0; err == ERR_OK && i < count; i++) {
		(void)sqlite3_bind_int64(stmt, 1, id);
		(void)sqlite3_bind_int64(stmt, 2, (int64_t)i);
		(void)bind_text(stmt, 3, send_as[i]);
		err = finish(accounts, stmt);
	}
	return err;
}

enum err accounts_add(struct accounts *accounts, const char *name, const struct verifier *verifier,
		      const char *const *send_as, size_t send_as_count, int64_t now,
		      int64_t *id_out)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_ADD);
	char text[VERIFIER_TEXT_MAX + 1];
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);
	int64_t id = 0;

	if (err != ERR_OK)
		return err;
	if (stmt == NULL)
		return accounts_end(
			accounts, accounts_fail(accounts, sqlite3_extended_errcode(accounts->db)));
	verifier_print(verifier, text);
	(void)bind_text(stmt, 1, name);
	(void)bind_text(stmt, 2, text);
	(void)sqlite3_bind_int64(stmt, 3, now);
	err = finish(accounts, stmt);
	OPENSSL_cleanse(text, sizeof(text));
	if (err == ERR_EXISTS)
		accounts_explain(accounts, "there is an account %s already", name);
	if (err == ERR_OK) {
		id = sqlite3_last_insert_rowid(accounts->db);
		err = insert_send_as(accounts, id, send_as, send_as_count);
	}
	err = accounts_end(accounts, err);
	if (err == ERR_OK)
		*id_out = id;
	return err;
}

enum err accounts_set_verifier(struct accounts *accounts, int64_t id,
			       const struct verifier *verifier, int64_t now)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_SET_VERIFIER);
	char text[VERIFIER_TEXT_MAX + 1];
	enum err err;

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	verifier_print(verifier, text);
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)bind_text(stmt, 2, text);
	(void)sqlite3_bind_int64(stmt, 3, now);
	err = finish_change(accounts, stmt);
	OPENSSL_cleanse(text, sizeof(text));
	return err;
}

enum err accounts_set_enabled(struct accounts *accounts, int64_t id, bool enabled, int64_t now)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_SET_ENABLED);

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int(stmt, 2, enabled ? 1 : 0);
	(void)sqlite3_bind_int64(stmt, 3, now);
	return finish_change(accounts, stmt);
}

static enum err clear_send_as(struct accounts *accounts, int64_t id)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_CLEAR_SEND_AS);

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	(void)sqlite3_bind_int64(stmt, 1, id);
	return finish(accounts, stmt);
}

enum err accounts_set_send_as(struct accounts *accounts, int64_t id, const char *const *send_as,
			      size_t send_as_count, int64_t now)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_TOUCH);
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	if (stmt == NULL)
		return accounts_end(
			accounts, accounts_fail(accounts, sqlite3_extended_errcode(accounts->db)));
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int64(stmt, 2, now);
	if ((err = finish_change(accounts, stmt)) == ERR_OK &&
	    (err = clear_send_as(accounts, id)) == ERR_OK)
		err = insert_send_as(accounts, id, send_as, send_as_count);
	return accounts_end(accounts, err);
}

enum err accounts_set_message_size(struct accounts *accounts, int64_t id, uint64_t bytes,
				   int64_t now)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_SET_MESSAGE_SIZE);

	if (bytes > ACCOUNT_MESSAGE_MAX) {
		accounts_explain(accounts, "messages of more than 4G cannot be taken");
		return ERR_RANGE;
	}
	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int64(stmt, 2, (int64_t)bytes);
	(void)sqlite3_bind_int64(stmt, 3, now);
	return finish_change(accounts, stmt);
}

enum err accounts_delete(struct accounts *accounts, int64_t id)
{
	sqlite3_stmt *stmt = statement(accounts, ACCOUNTS_DELETE);

	if (stmt == NULL)
		return accounts_fail(accounts, sqlite3_extended_errcode(accounts->db));
	(void)sqlite3_bind_int64(stmt, 1, id);
	return finish_change(accounts, stmt);
}
