/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: adding, changing, closing, freezing and deleting them. */
#include <stdio.h>
#include <string.h>

#include "operation_internal.h"
#include "store/account_certificates.h"
#include "store/account_volume.h"
#include "words.h"

static const char *const *patterns(const struct operation *operation)
{
	return (const char *const *)operation->args.send_as;
}

static void changed(struct operation *operation, int64_t id, bool end_sessions)
{
	operation->changed = id;
	operation->end_sessions = end_sessions;
}

void operation_user_add(struct operation *operation, struct accounts *accounts, int64_t now)
{
	char name[ACCOUNT_NAME_MAX + 1], password[PASSWORD_GENERATED + 1];
	struct account_new new = {.name = name};
	struct account account = {0};
	struct verifier verifier;
	int64_t id = 0;

	if (!operation_read_name(operation, name) || !operation_senders_ok(operation) ||
	    !operation_sizes_ok(operation) || !operation_sending_limits(operation, &new.limits) ||
	    !operation_expires(operation, now, &new.expires))
		return;
	if (accounts_find(accounts, name, operation->domain, &account) == ERR_OK) {
		operation_refuse(operation,
				 "there is an account %s already; \"postern user password\" sets a "
				 "new password",
				 account.name);
		account_release(&account);
		return;
	}
	if (!operation_password(operation, name, password, &verifier))
		return;
	new.verifier = &verifier;
	new.send_as = patterns(operation);
	new.send_as_count = operation->args.send_as_count;
	new.message_size = operation->args.message_size;
	if (accounts_add(accounts, &new, now, &id) != ERR_OK) {
		operation_refuse(operation, "%s", accounts_why(accounts));
	} else if (accounts_find(accounts, name, operation->domain, &account) == ERR_OK) {
		char senders[ACCOUNT_PATTERNS_TEXT + 1];
		struct ipc_list_builder *row = operation_row(operation);

		operation_senders(operation, &account, senders);
		row_name(operation, row, name);
		if (operation->args.generate)
			row_text(row, "password", password);
		row_text(row, "send_as", senders);
		operation_say(operation, "%s: added; may send as %.1500s", name, senders);
		account_release(&account);
		changed(operation, id, false);
		operation_extras(operation, accounts, id, 0, secret_value(&operation->secret));
	}
	explicit_bzero(password, sizeof(password));
	verifier_wipe(&verifier);
}

void operation_user_password(struct operation *operation, struct accounts *accounts, int64_t now)
{
	char password[PASSWORD_GENERATED + 1];
	struct account account = {0};
	struct verifier verifier;

	if (!operation_find(operation, accounts, &account))
		return;
	if (operation_password(operation, account.name, password, &verifier)) {
		if (accounts_set_verifier(accounts, account.id, &verifier, now) != ERR_OK) {
			operation_refuse(operation, "%s", accounts_why(accounts));
		} else {
			struct ipc_list_builder *row = operation_row(operation);

			row_name(operation, row, account.name);
			if (operation->args.generate)
				row_text(row, "password", password);
			operation_say(operation, "%s: new password set%s%s", account.name,
				      account.source[0] != '\0'
					      ? "; it counts from now on, not that of "
					      : "",
				      account.source);
			changed(operation, account.id, true);
			operation_extras(operation, accounts, account.id, 0,
					 secret_value(&operation->secret));
		}
		explicit_bzero(password, sizeof(password));
		verifier_wipe(&verifier);
	}
	account_release(&account);
}

void operation_user_enable(struct operation *operation, struct accounts *accounts, int64_t now,
			   bool enable)
{
	const char *word = enable ? "enabled" : "disabled";
	struct account account = {0};

	if (!operation_find(operation, accounts, &account))
		return;
	if (account.enabled == enable) {
		operation_say(operation, "%s: is %s already", account.name, word);
	} else if (accounts_set_enabled(accounts, account.id, enable, now) != ERR_OK) {
		operation_refuse(operation, "%s", accounts_why(accounts));
	} else {
		operation_say(operation, "%s: %s%s", account.name, word,
			      enable && account.frozen != 0
				      ? ", but frozen: \"postern user thaw\" lets it in"
				      : "");
		changed(operation, account.id, !enable);
	}
	account_release(&account);
}

/* All of them, for those who log in from now on. */
static void read_certificates(struct operation *operation, struct accounts *accounts)
{
	operation->has_certificates =
		accounts_all_certificates(accounts, &operation->certificates,
					  &operation->certificate_count) == ERR_OK;
	if (!operation->has_certificates)
		operation_refuse(operation, "%s", accounts_why(accounts));
}

void operation_user_delete(struct operation *operation, struct accounts *accounts)
{
	struct account account = {0};

	if (!operation_find(operation, accounts, &account))
		return;
	if (account.frozen != 0) {
		operation_refuse(
			operation,
			"%s is frozen, and its mail is held: throw that away (postern queue "
			"drop --user %s) or not, thaw the account, and then delete it",
			account.name, account.name);
	} else if (accounts_delete(accounts, account.id) != ERR_OK) {
		operation_refuse(operation, "%s", accounts_why(accounts));
	} else {
		operation_say(operation,
			      "%s: deleted; mail that was accepted from it is still delivered",
			      account.name);
		changed(operation, account.id, true);
		read_certificates(operation, accounts);
	}
	account_release(&account);
}

/* The fingerprints of --certificate and --no-certificate, as they are kept. */
static bool fingerprints(struct operation *operation)
{
	struct {
		const char *option;
		char *text;
		size_t size;
	} given[] = {
		{"--certificate", operation->args.certificate, sizeof(operation->args.certificate)},
		{"--no-certificate", operation->args.no_certificate,
		 sizeof(operation->args.no_certificate)},
	};
	char read[ACCOUNT_FINGERPRINT + 1];

	for (size_t i = 0; i < 2; i++) {
		if (given[i].text[0] == '\0')
			continue;
		if (account_fingerprint_read(slice_str(given[i].text), read) != ERR_OK) {
			operation_refuse(operation,
					 "%s: expected the SHA-256 of a certificate, as openssl "
					 "x509 -noout -fingerprint -sha256 -in FILE prints it",
					 given[i].option);
			return false;
		}
		(void)snprintf(given[i].text, given[i].size, "%s", read);
	}
	return true;
}

static bool set_certificates(struct operation *operation, struct accounts *accounts, int64_t id,
			     int64_t now)
{
	const char *fresh = operation->args.certificate, *gone = operation->args.no_certificate;
	enum err err = ERR_OK;

	if (gone[0] != '\0')
		err = accounts_remove_certificate(accounts, id, gone, now);
	if (err == ERR_OK && fresh[0] != '\0')
		err = accounts_add_certificate(accounts, id, fresh, now);
	if (fresh[0] != '\0' || gone[0] != '\0')
		read_certificates(operation, accounts);
	return err == ERR_OK;
}

/* What is not given stays; with nothing given at all the senders become the default. */
static bool change(struct operation *operation, struct accounts *accounts, int64_t id,
		   int64_t expires, const struct account_limits *limits, int64_t now)
{
	const struct operation_args *args = &operation->args;
	bool senders = args->send_as_count > 0 ||
		       (!args->has_message_size && !args->has_expires && !args->has_main_password &&
			!args->has_sending_limit && args->certificate[0] == '\0' &&
			args->no_certificate[0] == '\0');

	return set_certificates(operation, accounts, id, now) &&
	       (!senders || accounts_set_send_as(accounts, id, patterns(operation),
						 args->send_as_count, now) == ERR_OK) &&
	       (!args->has_message_size ||
		accounts_set_message_size(accounts, id, args->message_size, now) == ERR_OK) &&
	       (!args->has_expires || accounts_set_expires(accounts, id, expires, now) == ERR_OK) &&
	       (!args->has_sending_limit ||
		accounts_set_limits(accounts, id, limits, now) == ERR_OK) &&
	       (!args->has_main_password ||
		accounts_set_main_password(accounts, id, args->main_password, now) == ERR_OK);
}

static void tell_set(struct operation *operation, const struct account *account)
{
	struct ipc_list_builder *row = operation_row(operation);
	char senders[ACCOUNT_PATTERNS_TEXT + 1], limits[OPERATION_LIMITS], until[32] = "";

	operation_senders(operation, account, senders);
	operation_limits(&account->limits, limits);
	row_name(operation, row, account->name);
	row_text(row, "send_as", senders);
	row_size(row, "message_size", account->message_size);
	row_limits(row, &account->limits);
	row_time(row, "expires", account->expires);
	row_bool(row, "main_password", account->main_password);
	if (account->expires != 0)
		words_time(account->expires, until);
	operation_say(
		operation, "%s: may send as %.1500s%s%s%s%s%s", account->name, senders,
		operation->args.has_sending_limit ? "; sending limits: " : "",
		operation->args.has_sending_limit ? limits : "", until[0] != '\0' ? ", until " : "",
		until,
		account->main_password ? "" : ", and logs in with its keys only (see postern key)");
}

void operation_user_set(struct operation *operation, struct accounts *accounts, int64_t now)
{
	struct account account = {0};
	char name[ACCOUNT_NAME_MAX + 1];
	int64_t expires = 0;

	if (operation->args.bad_main_password) {
		operation_refuse(operation, "--main-password: expected on or off");
		return;
	}
	if (!operation_senders_ok(operation) || !operation_sizes_ok(operation) ||
	    !operation_expires(operation, now, &expires) || !fingerprints(operation) ||
	    !operation_find(operation, accounts, &account))
		return;
	if (!operation_sending_limits(operation, &account.limits)) {
		account_release(&account);
		return;
	}
	changed(operation, account.id, true); /* even if only the first of several are done */
	if (!change(operation, accounts, account.id, expires, &account.limits, now)) {
		operation_refuse(operation, "%s", accounts_why(accounts));
		account_release(&account);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s", account.name);
	account_release(&account);
	if (accounts_find(accounts, name, operation->domain, &account) == ERR_OK) {
		tell_set(operation, &account);
		account_release(&account);
	}
}

/* ---- freezing ------------------------------------------------------------------------------- */

static bool set_frozen(struct operation *operation, struct accounts *accounts, int64_t id,
		       int64_t since, const char *why, int64_t now)
{
	if (accounts_set_frozen(accounts, id, since, why, now) == ERR_OK) {
		changed(operation, id, since != 0);
		operation->has_frozen = accounts_frozen(accounts, &operation->frozen,
							&operation->frozen_count) == ERR_OK;
	}
	if (!operation->has_frozen)
		operation_refuse(operation, "%s", accounts_why(accounts));
	return operation->has_frozen;
}

void operation_user_freeze(struct operation *operation, struct accounts *accounts, int64_t now)
{
	const char *why =
		operation->args.reason[0] != '\0' ? operation->args.reason : "the operator's wish";
	struct account account = {0};
	char since[32];

	if (!operation_find(operation, accounts, &account))
		return;
	operation->end_reason = "frozen";
	if (account.frozen != 0) {
		words_time(account.frozen, since);
		operation_say(operation, "%s: is frozen already, since %s: %s", account.name, since,
			      account.frozen_why);
	} else if (set_frozen(operation, accounts, account.id, now, why, now)) {
		operation_say(operation,
			      "%s: frozen: it cannot log in, and its queued mail is held",
			      account.name);
	}
	account_release(&account);
}

void operation_user_thaw(struct operation *operation, struct accounts *accounts, int64_t now)
{
	struct account account = {0};

	if (!operation_find(operation, accounts, &account))
		return;
	if (account.frozen == 0)
		operation_say(operation, "%s: is not frozen", account.name);
	else if (set_frozen(operation, accounts, account.id, 0, "", now))
		operation_say(operation, "%s: thawed: the mail that was held for it is delivered%s",
			      account.name,
			      account.enabled ? ""
					      : ". It is disabled: \"postern user enable\" lets "
						"it in");
	account_release(&account);
}
