/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of accounts, and what a login to one would meet. */
#include "operation_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mechanism.h"
#include "store/account_certificates.h"
#include "store/account_keys.h"
#include "store/foreign.h"
#include "words.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

/* What a device may do. */
static const char ELSEWHERE[] = "as its device section says";

/* What both a list and a look at one account show. */
static struct ipc_list_builder *add_account(struct operation *operation,
					    const struct account *account)
{
	struct ipc_list_builder *row = operation_row(operation);
	char senders[ACCOUNT_PATTERNS_TEXT + 1];

	row_name(operation, row, account->name);
	row_bool(row, "enabled", account->enabled);
	row_bool(row, "frozen", account->frozen != 0);
	if (account_is_device(account->name)) {
		row_text(row, "send_as", ELSEWHERE);
		row_size(row, "message_size", 0);
		row_text(row, "sending_limits", ELSEWHERE);
	} else {
		operation_senders(operation, account, senders);
		row_text(row, "send_as", senders);
		row_size(row, "message_size", account->message_size);
		row_limits(row, &account->limits);
	}
	row_time(row, "created", account->created);
	row_time(row, "changed", account->changed);
	row_time(row, "password_changed", account->password_changed);
	row_time(row, "expires", account->expires);
	return row;
}

static void add_proof(struct ipc_list_builder *row, const struct account *account)
{
	char text[FOREIGN_WHY + 64], why[FOREIGN_WHY];
	struct foreign foreign = {0};

	if (account_is_device(account->name))
		(void)snprintf(text, sizeof(text), "none: it is known by its address");
	else if (account->damaged)
		(void)snprintf(text, sizeof(text), "cannot be read: set a new password");
	else if (account->source[0] != '\0')
		(void)snprintf(text, sizeof(text), "none: %.*s proves the password",
			       ACCOUNT_SOURCE_MAX, account->source);
	else if (account->hash[0] == '\0')
		(void)snprintf(text, sizeof(text), "SCRAM-SHA-256, %u iterations",
			       account->verifier.iterations);
	else if (foreign_read(slice_str(account->hash), "", &foreign, why) == ERR_OK)
		(void)snprintf(text, sizeof(text),
			       "imported hash (%s), becomes SCRAM-SHA-256 at the next login",
			       foreign_name(foreign.scheme));
	else
		(void)snprintf(text, sizeof(text),
			       "imported hash of no use: %s; set a new password", why);
	foreign_wipe(&foreign);
	row_text(row, "verifier", text);
	row_bool(row, "main_password", account->main_password);
}

/* Of main password and keys together; the latest login counts. */
static void add_up(struct account_use *sum, const struct account_use *use, int64_t today)
{
	if (use->last >= sum->last) {
		sum->last = use->last;
		memcpy(sum->client, use->client, sizeof(sum->client));
	}
	sum->logins += use->logins;
	sum->messages += use->messages;
	sum->recipients += use->recipients;
	if (use->day == today) {
		sum->day_messages += use->day_messages;
		sum->day_recipients += use->day_recipients;
	}
}

static void add_certificates(struct operation *operation, struct accounts *accounts, int64_t id,
			     struct ipc_list_builder *row)
{
	char **texts = NULL;
	size_t count = 0;

	if (accounts_certificates(accounts, id, &texts, &count) != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	else
		row_texts(row, "certificates", texts, count, "none");
	account_texts_free(texts, count);
}

static void show(struct operation *operation, struct accounts *accounts,
		 const struct account *account, const struct account_key *keys, size_t count,
		 int64_t now)
{
	struct account_use sum = {0}, *uses = mem_array(count + 1, sizeof(*uses));
	struct ipc_list_builder *row = add_account(operation, account);
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i <= count; i++) {
		err = accounts_use(accounts, account->id, i < count ? keys[i].id : 0, &uses[i]);
		add_up(&sum, &uses[i], now / DAY_MS);
	}
	if (err != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	if (account->frozen != 0) {
		row_time(row, "frozen_since", account->frozen);
		row_text(row, "frozen_because", account->frozen_why);
	}
	row_texts(row, "groups", account->groups, account->group_count, "none");
	add_certificates(operation, accounts, account->id, row);
	add_proof(row, account);
	row_number(row, "keys", count);
	row_use(row, &sum);
	row_number(row, "messages_today", sum.day_messages);
	row_number(row, "recipients_today", sum.day_recipients);
	for (size_t i = 0; i < count; i++) {
		row = operation_row(operation);
		row_key(row, account, &keys[i]);
		row_use(row, &uses[i]);
	}
	mem_free(uses);
}

void operation_user_show(struct operation *operation, struct accounts *accounts, int64_t now)
{
	struct account account = {0};
	struct account_key *keys = NULL;
	size_t count = 0;

	if (!operation_find(operation, accounts, &account))
		return;
	if (accounts_keys(accounts, account.id, &keys, &count) != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	else
		show(operation, accounts, &account, keys, count, now);
	account_keys_free(keys, count);
	account_release(&account);
}

void operation_user_list(struct operation *operation, struct accounts *accounts)
{
	struct account *page = mem_array(OPERATION_PAGE, sizeof(*page));
	size_t count = 0;

	operation->more = false;
	if (accounts_list(accounts, operation->after, OPERATION_PAGE, page, &count) != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	for (size_t i = 0; i < count; i++) {
		(void)add_account(operation, &page[i]);
		(void)snprintf(operation->after, sizeof(operation->after), "%s", page[i].name);
		account_release(&page[i]);
	}
	operation->accounts += count;
	operation->more = count == OPERATION_PAGE;
	if (!operation->more && !operation->failed)
		operation_say(operation, "%" PRIu64 " account%s", operation->accounts,
			      operation->accounts == 1 ? "" : "s");
	mem_free(page);
}

/* ---- what a login would meet ---------------------------------------------------------------- */

/* How the account stands, in words. false: nobody gets in. */
static bool describe_state(const struct account *account, int64_t now, char *text, size_t size)
{
	struct account open = *account;
	struct account_key key = {0};
	struct slice bar;
	char time[32];

	if (open.key != NULL) { /* from where it is asked says nothing about the key's networks */
		key = *open.key;
		key.network_count = 0;
		open.key = &key;
	}
	bar = slice_str(account_barred(&open, SLICE_LIT(""), now));
	words_time(slice_is(bar, "key-expired") ? key.expires : account->expires, time);
	if (bar.len == 0)
		(void)snprintf(text, size, "account enabled");
	else if (slice_is(bar, "disabled"))
		(void)snprintf(text, size, "account disabled (\"postern user enable\" lets it in)");
	else if (slice_is(bar, "frozen"))
		(void)snprintf(text, size,
			       "account frozen: %.300s (\"postern user thaw\" lets it in)",
			       account->frozen_why);
	else if (slice_is(bar, "expired"))
		(void)snprintf(text, size, "account expired on %s (\"postern user set --expires\")",
			       time);
	else if (slice_is(bar, "key-expired"))
		(void)snprintf(text, size, "the key expired on %s", time);
	else
		(void)snprintf(
			text, size,
			"account closed to its main password (\"postern key list\" shows its "
			"keys, \"postern user set --main-password on\" opens it)");
	return bar.len == 0;
}

/* What a login would check, without keeping what it found. false: there is no such hash. */
static bool check_hash(const struct account *account, struct slice password, bool *correct_out)
{
	struct foreign foreign = {0};
	char why[FOREIGN_WHY];

	if (account->key != NULL || account->hash[0] == '\0' ||
	    foreign_read(slice_str(account->hash), "", &foreign, why) != ERR_OK)
		return false;
	*correct_out = foreign_check(&foreign, password);
	foreign_wipe(&foreign);
	return true;
}

/* "password correct"; false: it is not. */
static bool describe_password(struct operation *operation, const struct account *account,
			      struct slice password, const char **text_out)
{
	const struct verifier *verifier = account_verifier(account);
	bool damaged = account->key != NULL ? account->key->damaged : account->damaged;
	bool correct = verifier != NULL && password.len > 0 && verifier_check(verifier, password);
	bool provable = check_hash(account, password, &correct) || verifier != NULL;

	*text_out = damaged ? "the stored verifier cannot be read: set a new password"
		    : operation->secret.len == 0 ? "no password given, none tested"
		    : !provable                  ? "this store has no verifier of its password"
		    : correct                    ? "password correct"
						 : "password wrong";
	return operation->secret.len == 0 ? !damaged : correct;
}

static void tell_test(struct operation *operation, const struct account *account,
		      struct slice password, int64_t now)
{
	char senders[ACCOUNT_PATTERNS_TEXT + 1], state[512];
	struct ipc_list_builder *row = operation_row(operation);
	const struct account_key *key = account->key;
	const char *words;
	bool right = describe_password(operation, account, password, &words);
	bool open = describe_state(account, now, state, sizeof(state));

	operation_senders(operation, account, senders);
	row_name(operation, row, account->name);
	row_bool(row, "exists", true);
	if (key != NULL)
		row_text(row, "key", key->name);
	if (operation->secret.len > 0)
		row_bool(row, "password_correct", right);
	row_bool(row, "enabled", account->enabled);
	row_text(row, "send_as", senders);
	if (key != NULL)
		row_texts(row, "networks", key->networks, key->network_count, "any");
	operation->failed = !right || !open;
	operation_say(operation, "%s%s%s%s: %s; %s; may send as %.1000s", account->name,
		      key != NULL ? " (key " : "", key != NULL ? key->name : "",
		      key != NULL ? ")" : "", words, state, senders);
}

/* Whether the store leaves it to others; then what they need to be asked is in the operation. */
static bool is_elsewhere(struct operation *operation, struct accounts *accounts,
			 const struct account_login *login, const struct secret *prepared,
			 int64_t now)
{
	struct account account = {0};
	const struct verifier *key;
	enum err err;

	if (!operation->may_ask || login->key[0] != '\0' || prepared->len == 0)
		return false;
	err = accounts_find_login(accounts, login, operation->domain, &account);
	key = account.key != NULL ? account_verifier(&account) : NULL;
	operation->elsewhere = err == ERR_NOT_FOUND ||
			       (err == ERR_OK && account.source[0] != '\0' &&
				(key == NULL || !verifier_check(key, secret_value(prepared))));
	if (operation->elsewhere) {
		(void)snprintf(operation->elsewhere_name, sizeof(operation->elsewhere_name), "%s",
			       login->name);
		secret_set(&operation->secret, secret_value(prepared));
		row_name(operation, operation_row(operation), login->name);
		operation->elsewhere_open = true;
		(void)snprintf(operation->elsewhere_state, sizeof(operation->elsewhere_state),
			       "its account is made at the first login");
	}
	if (operation->elsewhere && err == ERR_OK) {
		struct account main = account;

		main.key = NULL; /* it is not that what was tried */
		(void)snprintf(operation->elsewhere_source, sizeof(operation->elsewhere_source),
			       "%s", account.source);
		operation->elsewhere_open = describe_state(&main, now, operation->elsewhere_state,
							   sizeof(operation->elsewhere_state));
	}
	account_release(&account);
	return operation->elsewhere;
}

/* The subject may name a key, and the password may be one's secret, as at a login. */
void operation_user_test(struct operation *operation, struct accounts *accounts, int64_t now)
{
	struct secret prepared = {0};
	struct account account = {0};
	struct account_login login;
	char why[ACCOUNT_WHY] = "too long";
	bool read;

	if (operation->secret.len > 0)
		(void)password_prepare(secret_value(&operation->secret), &prepared);
	read = !operation->subject_too_long &&
	       account_login_read(slice_str(operation->subject), secret_value(&prepared),
				  operation->domain, &login, why) == ERR_OK;
	if (read && is_elsewhere(operation, accounts, &login, &prepared, now))
		goto out;
	if (strchr(operation->subject, '#') == NULL) { /* its complaints are the better ones */
		if (!operation_find(operation, accounts, &account))
			goto out;
		account_release(&account);
	}
	if (!read)
		operation_refuse(operation, "%s: %s", operation->subject, why);
	else if (accounts_find_login(accounts, &login, operation->domain, &account) != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	else
		tell_test(operation, &account, secret_value(&prepared), now);
	account_release(&account);
out:
	secret_clear(&prepared);
}
