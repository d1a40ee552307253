/* SPDX-License-Identifier: Apache-2.0 */
#include "store/accounts.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <xxhash.h>

#include "store/accounts_internal.h"

/* ---- rows ----------------------------------------------------------------------------------- */

/* In the order of ACCOUNT_COLUMNS. */
static void read_row(sqlite3_stmt *stmt, struct account *account)
{
	struct slice verifier = accounts_slice(stmt, 3);

	*account = (struct account){
		.id = sqlite3_column_int64(stmt, 0),
		.name = accounts_text(stmt, 1),
		.enabled = sqlite3_column_int(stmt, 2) == 1,
		.generation = (uint64_t)sqlite3_column_int64(stmt, 4),
		.created = sqlite3_column_int64(stmt, 5),
		.changed = sqlite3_column_int64(stmt, 6),
		.password_changed = sqlite3_column_int64(stmt, 7),
		.message_size = (uint64_t)sqlite3_column_int64(stmt, 8),
		.source = accounts_text(stmt, 9),
		.hash = accounts_text(stmt, 10),
		.main_password = sqlite3_column_int(stmt, 11) == 1,
		.expires = sqlite3_column_int64(stmt, 12),
		.frozen = sqlite3_column_int64(stmt, 13),
		.frozen_why = accounts_text(stmt, 14),
	};
	accounts_read_limits(stmt, 15, &account->limits);
	if (verifier.len == 0 && (account->source[0] != '\0' || account->hash[0] != '\0'))
		return;
	if (verifier_read(verifier, &account->verifier) != ERR_OK) {
		account->verifier = (struct verifier){0};
		account->damaged = true;
	}
}

static enum err read_senders(struct accounts *accounts, struct account *account)
{
	enum err err =
		accounts_read_texts(accounts, ACCOUNTS_SEND_AS, account->id, ACCOUNT_PATTERNS,
				    &account->send_as, &account->send_as_count);

	if (err == ERR_OK)
		err = accounts_read_texts(accounts, ACCOUNTS_GROUPS, account->id, ACCOUNT_PATTERNS,
					  &account->groups, &account->group_count);
	return err;
}

enum err accounts_find(struct accounts *accounts, const char *name, const char *domain,
		       struct account *account_out)
{
	char address[ACCOUNT_NAME_MAX + 1];
	struct account found = {0};
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_FIND, &stmt);

	if (err != ERR_OK)
		return err;
	if (account_address(name, domain, address) != ERR_OK)
		(void)snprintf(address, sizeof(address), "%s", name);
	accounts_bind(stmt, 1, name);
	accounts_bind(stmt, 2, address);
	if ((err = accounts_row(accounts, stmt)) == ERR_OK)
		read_row(stmt, &found);
	accounts_done(stmt);
	if (err == ERR_EOF) {
		accounts_explain(accounts, "there is no account %s", name);
		return ERR_NOT_FOUND;
	}
	if (err == ERR_OK && (err = read_senders(accounts, &found)) != ERR_OK)
		account_release(&found);
	if (err == ERR_OK)
		*account_out = found;
	return err;
}

/*
 * For a name that has no account: reads all of one that there is, always the same one for the
 * same name, so that the time tells nothing (C9).
 */
static void find_another(struct accounts *accounts, const struct account_login *login)
{
	struct slice name = slice_str(login->name);
	struct account found = {0};
	sqlite3_stmt *stmt = NULL;
	uint64_t seed, which;

	if (accounts_prepare(accounts, ACCOUNTS_ANY, &stmt) != ERR_OK)
		return;
	memcpy(&seed, accounts_key(accounts), sizeof(seed));
	which = XXH3_64bits_withSeed(name.ptr, name.len, seed);
	(void)sqlite3_bind_int64(stmt, 1, (int64_t)(which >> 1));
	if (accounts_row(accounts, stmt) == ERR_OK)
		read_row(stmt, &found);
	accounts_done(stmt);
	if (found.id != 0 && read_senders(accounts, &found) == ERR_OK)
		(void)accounts_find_key(accounts, login, &found);
	account_release(&found);
}

enum err accounts_find_login(struct accounts *accounts, const struct account_login *login,
			     const char *domain, struct account *account_out)
{
	struct account found = {0};
	enum err err = accounts_find(accounts, login->name, domain, &found);

	if (err == ERR_NOT_FOUND)
		find_another(accounts, login);
	if (err != ERR_OK)
		return err;
	if ((err = accounts_find_key(accounts, login, &found)) != ERR_OK)
		account_release(&found);
	else
		*account_out = found;
	return err;
}

enum err accounts_list(struct accounts *accounts, const char *after, size_t max,
		       struct account *accounts_out, size_t *count_out)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_LIST, &stmt);
	size_t count = 0;

	if (err != ERR_OK)
		return err;
	accounts_bind(stmt, 1, after);
	(void)sqlite3_bind_int64(stmt, 2, (int64_t)max);
	while (count < max && (err = accounts_row(accounts, stmt)) == ERR_OK)
		read_row(stmt, &accounts_out[count++]);
	accounts_done(stmt);
	if (err == ERR_EOF)
		err = ERR_OK;
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = read_senders(accounts, &accounts_out[i]);
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
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_COUNT, &stmt);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_row(accounts, stmt)) == ERR_OK) {
		*count_out = (uint64_t)sqlite3_column_int64(stmt, 0);
		*enabled_out = (uint64_t)sqlite3_column_int64(stmt, 1);
	}
	accounts_done(stmt);
	return err;
}

enum err accounts_largest(struct accounts *accounts, uint64_t *bytes_out)
{
	int64_t bytes = 0;
	enum err err = accounts_number(accounts, ACCOUNTS_LARGEST, 0, &bytes);

	if (err == ERR_OK)
		*bytes_out = (uint64_t)bytes;
	return err;
}

enum err accounts_frozen(struct accounts *accounts, char ***names_out, size_t *count_out)
{
	return accounts_read_texts(accounts, ACCOUNTS_FROZEN, 0, SIZE_MAX, names_out, count_out);
}

/* ---- changes -------------------------------------------------------------------------------- */

static enum err check_size(struct accounts *accounts, uint64_t bytes)
{
	if (bytes <= ACCOUNT_MESSAGE_MAX)
		return ERR_OK;
	accounts_explain(accounts, "messages of more than 4G cannot be taken");
	return ERR_RANGE;
}

static enum err insert_send_as(struct accounts *accounts, int64_t id, const char *const *send_as,
			       size_t count)
{
	if (count > ACCOUNT_PATTERNS) {
		accounts_explain(accounts, "more than %d sender patterns", ACCOUNT_PATTERNS);
		return ERR_RANGE;
	}
	return accounts_add_texts(accounts, ACCOUNTS_ADD_SEND_AS, id, send_as, count);
}

enum err accounts_insert(struct accounts *accounts, const struct account_new *account, int64_t now,
			 int64_t *id_out)
{
	char text[VERIFIER_TEXT_MAX + 1] = "";
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_ADD, &stmt);

	if (err != ERR_OK || (err = check_size(accounts, account->message_size)) != ERR_OK)
		return err;
	if (account->verifier != NULL)
		verifier_print(account->verifier, text);
	accounts_bind(stmt, 1, account->name);
	accounts_bind(stmt, 2, text);
	(void)sqlite3_bind_int64(stmt, 3, now);
	(void)sqlite3_bind_int64(stmt, 4, (int64_t)account->message_size);
	accounts_bind(stmt, 5, account->source != NULL ? account->source : "");
	accounts_bind(stmt, 6, account->hash != NULL ? account->hash : "");
	(void)sqlite3_bind_int64(stmt, 7, account->expires);
	accounts_bind_limits(stmt, 8, &account->limits);
	err = accounts_finish(accounts, stmt);
	OPENSSL_cleanse(text, sizeof(text));
	if (err == ERR_EXISTS)
		accounts_explain(accounts, "there is an account %s already", account->name);
	if (err == ERR_OK)
		*id_out = sqlite3_last_insert_rowid(accounts->db);
	return err;
}

enum err accounts_add(struct accounts *accounts, const struct account_new *account, int64_t now,
		      int64_t *id_out)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);
	int64_t id = 0;

	if (err != ERR_OK)
		return err;
	if ((err = accounts_insert(accounts, account, now, &id)) == ERR_OK)
		err = insert_send_as(accounts, id, account->send_as, account->send_as_count);
	err = accounts_end(accounts, err);
	if (err == ERR_OK)
		*id_out = id;
	return err;
}

enum err accounts_put_verifier(struct accounts *accounts, int64_t id,
			       const struct verifier *verifier, int64_t now)
{
	char text[VERIFIER_TEXT_MAX + 1];
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_SET_VERIFIER, &stmt);

	if (err != ERR_OK)
		return err;
	verifier_print(verifier, text);
	(void)sqlite3_bind_int64(stmt, 1, id);
	accounts_bind(stmt, 2, text);
	(void)sqlite3_bind_int64(stmt, 3, now);
	err = accounts_finish_change(accounts, stmt, "account");
	OPENSSL_cleanse(text, sizeof(text));
	return err == ERR_OK ? accounts_run_with(accounts, ACCOUNTS_CLEAR_EXTRAS, id, 0) : err;
}

enum err accounts_set_verifier(struct accounts *accounts, int64_t id,
			       const struct verifier *verifier, int64_t now)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	return accounts_end(accounts, accounts_put_verifier(accounts, id, verifier, now));
}

/* Statements that set ?2 of account ?1, at the time ?3; ?4, if it is there, is why. */
static enum err set(struct accounts *accounts, enum accounts_statement number, int64_t id,
		    int64_t value, const char *why, int64_t now)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int64(stmt, 2, value);
	(void)sqlite3_bind_int64(stmt, 3, now);
	if (why != NULL)
		accounts_bind(stmt, 4, why);
	return accounts_finish_change(accounts, stmt, "account");
}

enum err accounts_set_enabled(struct accounts *accounts, int64_t id, bool enabled, int64_t now)
{
	return set(accounts, ACCOUNTS_SET_ENABLED, id, enabled ? 1 : 0, NULL, now);
}

enum err accounts_set_message_size(struct accounts *accounts, int64_t id, uint64_t bytes,
				   int64_t now)
{
	enum err err = check_size(accounts, bytes);

	if (err != ERR_OK)
		return err;
	return set(accounts, ACCOUNTS_SET_MESSAGE_SIZE, id, (int64_t)bytes, NULL, now);
}

enum err accounts_set_expires(struct accounts *accounts, int64_t id, int64_t expires, int64_t now)
{
	return set(accounts, ACCOUNTS_SET_EXPIRES, id, expires, NULL, now);
}

enum err accounts_set_main_password(struct accounts *accounts, int64_t id, bool allowed,
				    int64_t now)
{
	return set(accounts, ACCOUNTS_SET_MAIN_PASSWORD, id, allowed ? 1 : 0, NULL, now);
}

enum err accounts_set_frozen(struct accounts *accounts, int64_t id, int64_t since, const char *why,
			     int64_t now)
{
	char kept[ACCOUNT_REASON_MAX + 1];

	(void)snprintf(kept, sizeof(kept), "%s", why);
	return set(accounts, ACCOUNTS_SET_FROZEN, id, since, kept, now);
}

enum err accounts_set_send_as(struct accounts *accounts, int64_t id, const char *const *send_as,
			      size_t send_as_count, int64_t now)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_touch(accounts, id, now)) == ERR_OK &&
	    (err = accounts_run_with(accounts, ACCOUNTS_CLEAR_SEND_AS, id, 0)) == ERR_OK)
		err = insert_send_as(accounts, id, send_as, send_as_count);
	return accounts_end(accounts, err);
}

enum err accounts_delete(struct accounts *accounts, int64_t id)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, ACCOUNTS_DELETE, &stmt);

	if (err != ERR_OK)
		return err;
	(void)sqlite3_bind_int64(stmt, 1, id);
	return accounts_finish_change(accounts, stmt, "account");
}
