/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: passwords of single applications and devices of an account. */
#include "store/account_keys.h"

#include <stdio.h>
#include <string.h>

#include "operation_internal.h"

/* "alice#scanner" */
static void print_login(const struct account *account, const char *key, char *text, size_t size)
{
	(void)snprintf(text, size, "%s#%s", account->name, key);
}

void row_key(struct ipc_list_builder *row, const struct account *account,
	     const struct account_key *key)
{
	char login[ACCOUNT_NAME_MAX + ACCOUNT_KEY_NAME_MAX + 2];

	print_login(account, key->name, login, sizeof(login));
	row_text(row, "key", key->name);
	row_text(row, "login", login);
	row_texts(row, "send_as", key->send_as, key->send_as_count, "as the account");
	row_texts(row, "networks", key->networks, key->network_count, "any");
	row_size(row, "message_size", key->message_size);
	row_limits(row, &key->limits);
	row_time(row, "created", key->created);
	row_time(row, "expires", key->expires);
}

/* A secret whose tag no other key of the account has is found at once, or nearly so. */
enum { TAG_TRIES = 20 };

static bool add(struct operation *operation, struct accounts *accounts,
		const struct account *account, struct account_key *key, int64_t now,
		char secret[PASSWORD_KEY + 1])
{
	struct account_login login = {0};
	enum err err = ERR_EXISTS;
	int64_t id = 0;

	(void)snprintf(login.name, sizeof(login.name), "%s", account->name);
	(void)snprintf(login.key, sizeof(login.key), "%s", key->name);
	for (int i = 0; err == ERR_EXISTS && i < TAG_TRIES; i++) {
		struct account taken = {0};

		if (accounts_find_login(accounts, &login, operation->domain, &taken) == ERR_OK) {
			account_release(&taken);
			operation_refuse(operation,
					 "%s has a key %s already; remove it first, or choose "
					 "another name",
					 account->name, key->name);
			return false;
		}
		password_generate_key(secret);
		(void)password_key_tag(slice_str(secret), key->tag);
		if (!operation_verifier(operation, account->name, slice_str(secret),
					&key->verifier))
			return false;
		err = accounts_add_key(accounts, account->id, key, now, &id);
	}
	if (err != ERR_OK)
		operation_refuse(operation, "%s: %s", account->name, accounts_why(accounts));
	else
		operation_extras(operation, accounts, account->id, id, slice_str(secret));
	return err == ERR_OK;
}

static void tell_added(struct operation *operation, const struct account *account,
		       struct account_key *key, const char *secret)
{
	struct account with = *account;
	struct ipc_list_builder *row = operation_row(operation);
	char senders[ACCOUNT_PATTERNS_TEXT + 1];
	char login[ACCOUNT_NAME_MAX + ACCOUNT_KEY_NAME_MAX + 2];

	with.key = key;
	operation_senders(operation, &with, senders);
	print_login(account, key->name, login, sizeof(login));
	row_name(operation, row, account->name);
	row_text(row, "key", key->name);
	row_text(row, "login", login);
	row_text(row, "password", secret);
	row_text(row, "send_as", senders);
	operation_say(operation,
		      "%s: key %s added; log in as %s, or as %s: the password tells which key it "
		      "is; may send as %.1000s%s",
		      account->name, key->name, login, account->name, senders,
		      account->enabled ? "" : "; the account is disabled");
	operation->changed = account->id;
}

void operation_key_add(struct operation *operation, struct accounts *accounts, int64_t now)
{
	struct operation_args *args = &operation->args;
	char secret[PASSWORD_KEY + 1] = "";
	struct account account = {0};
	struct account_key key = {
		.send_as = args->send_as,
		.send_as_count = args->send_as_count,
		.networks = args->networks,
		.network_count = args->network_count,
		.message_size = args->message_size,
	};

	if (!operation_key_name(operation, key.name) || !operation_senders_ok(operation) ||
	    !operation_sizes_ok(operation) || !operation_networks_ok(operation) ||
	    !operation_sending_limits(operation, &key.limits) ||
	    !operation_expires(operation, now, &key.expires) ||
	    !operation_find(operation, accounts, &account))
		return;
	if (add(operation, accounts, &account, &key, now, secret))
		tell_added(operation, &account, &key, secret);
	explicit_bzero(secret, sizeof(secret));
	verifier_wipe(&key.verifier);
	account_release(&account);
}

void operation_key_list(struct operation *operation, struct accounts *accounts)
{
	struct account account = {0};
	struct account_key *keys = NULL;
	struct account_use use;
	size_t count = 0;

	if (!operation_find(operation, accounts, &account))
		return;
	if (accounts_keys(accounts, account.id, &keys, &count) != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	for (size_t i = 0; i < count; i++) {
		struct ipc_list_builder *row = operation_row(operation);

		row_key(row, &account, &keys[i]);
		if (accounts_use(accounts, account.id, keys[i].id, &use) == ERR_OK)
			row_use(row, &use);
	}
	if (!operation->failed)
		operation_say(operation, "%s: %zu key%s", account.name, count,
			      count == 1 ? "" : "s");
	account_keys_free(keys, count);
	account_release(&account);
}

void operation_key_remove(struct operation *operation, struct accounts *accounts, int64_t now)
{
	struct account account = {0};
	struct account_login login = {0};
	char name[ACCOUNT_NAME_MAX + 1];

	if (!operation_key_name(operation, login.key) ||
	    !operation_find(operation, accounts, &account))
		return;
	(void)snprintf(name, sizeof(name), "%s", account.name);
	(void)snprintf(login.name, sizeof(login.name), "%s", account.name);
	account_release(&account);
	if (accounts_find_login(accounts, &login, operation->domain, &account) != ERR_OK) {
		operation_refuse(operation, "%s; \"postern key list %s\" shows those there are",
				 accounts_why(accounts), name);
	} else if (accounts_remove_key(accounts, account.id, account.key->id, now) != ERR_OK) {
		operation_refuse(operation, "%s", accounts_why(accounts));
	} else {
		operation_say(operation, "%s: key %s removed", name, login.key);
		operation->changed = account.id;
		operation->end_sessions = true;
		operation->key = account.key->id;
		operation->end_reason = "key-removed";
	}
	account_release(&account);
}
