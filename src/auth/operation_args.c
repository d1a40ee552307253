/* SPDX-License-Identifier: Apache-2.0 */
/* What operations were given: names, rights, times, passwords, and what is wrong with them. */
#include "operation_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/network.h"
#include "mechanism.h"
#include "os/os.h"
#include "policy/rights.h"
#include "store/account_verifiers.h"

enum { LIMIT_MAX = 100000000 /* recipients, as of limits { } */ };

bool operation_read_name(struct operation *operation, char name[ACCOUNT_NAME_MAX + 1])
{
	char why[ACCOUNT_WHY];

	if (operation->subject_too_long) {
		operation_refuse(operation, "the login name is longer than %d bytes",
				 ACCOUNT_NAME_MAX);
		return false;
	}
	if (account_name_read(slice_str(operation->subject), operation->domain, name, why) ==
	    ERR_OK)
		return true;
	operation_refuse(operation, "%s: %s", operation->subject, why);
	return false;
}

/* The host name of a server that moved, the realm of an old one: the usual way to miss. */
static bool found_without_domain(struct operation *operation, struct accounts *accounts,
				 const char *name)
{
	struct account bare = {0};
	const char *at = strchr(name, '@');
	char local[ACCOUNT_NAME_MAX + 1];

	if (at == NULL)
		return false;
	(void)snprintf(local, sizeof(local), "%.*s", (int)(at - name), name);
	if (accounts_find(accounts, local, operation->domain, &bare) != ERR_OK)
		return false;
	operation_refuse(
		operation,
		"there is no account %s, but there is %s; names without a domain belong to %s",
		name, bare.name, operation->domain);
	account_release(&bare);
	return true;
}

/*
 * A device is an account of a name that none can be given; what is not to be found in its section
 * of the configuration is done to it as to all. false: it is refused.
 */
static bool read_device(struct operation *operation, char name[ACCOUNT_NAME_MAX + 1])
{
	static const uint16_t OPS[] = {IPC_OP_USER_SHOW,   IPC_OP_USER_ENABLE, IPC_OP_USER_DISABLE,
				       IPC_OP_USER_FREEZE, IPC_OP_USER_THAW,   IPC_OP_USER_DELETE};

	(void)snprintf(name, ACCOUNT_NAME_MAX + 1, "%s", operation->subject);
	for (size_t i = 0; i < sizeof(OPS) / sizeof(OPS[0]); i++)
		if (operation->op == OPS[i])
			return true;
	operation_refuse(
		operation,
		"%s is known by its address, and has no password: what it may do stands in "
		"its device section of the configuration",
		operation->subject);
	return false;
}

bool operation_find(struct operation *operation, struct accounts *accounts,
		    struct account *account_out)
{
	char name[ACCOUNT_NAME_MAX + 1];
	enum err err;

	if (account_is_device(operation->subject)
		    ? !read_device(operation, name)
		    : !operation_read_name(operation, name))
		return false;
	err = accounts_find(accounts, name, operation->domain, account_out);
	if (err == ERR_OK)
		return true;
	if (err == ERR_NOT_FOUND && found_without_domain(operation, accounts, name))
		return false;
	operation_refuse(operation, "%s%s", accounts_why(accounts),
			 err == ERR_NOT_FOUND ? "; \"postern user list\" shows all" : "");
	return false;
}

bool operation_sizes_ok(struct operation *operation)
{
	if (operation->args.bad_message_size)
		operation_refuse(operation,
				 "--message-size: expected a size from 1K to 4G, such as 100M, or "
				 "\"default\" for that of all others (limits.message_size)");
	return !operation->args.bad_message_size;
}

static bool read_limit(struct slice word, struct account_limits *limits)
{
	static const struct {
		const char *name;
		size_t at;
	} NAMES[] = {{"message", offsetof(struct account_limits, message)},
		     {"hour", offsetof(struct account_limits, hour)},
		     {"day", offsetof(struct account_limits, day)},
		     {"new", offsetof(struct account_limits, strangers)}};
	struct slice name;
	uint64_t number = 0;
	int64_t value;

	if (!slice_split(&word, '=', &name))
		return false;
	if (!slice_is(word, "none") && !slice_is(word, "default") &&
	    (slice_number(word, LIMIT_MAX, &number) != ERR_OK || number == 0))
		return false; /* to let nothing out, disable the account */
	value = slice_is(word, "none") ? ACCOUNT_NO_LIMIT : (int64_t)number;
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		if (slice_is(name, NAMES[i].name)) {
			*(int64_t *)(void *)((char *)limits + NAMES[i].at) = value;
			return true;
		}
	return false;
}

bool operation_sending_limits(struct operation *operation, struct account_limits *limits)
{
	struct slice text = slice_str(operation->args.sending_limit), word;

	while (operation->args.has_sending_limit && slice_split(&text, ' ', &word)) {
		if (word.len == 0 || read_limit(word, limits))
			continue;
		operation_refuse(operation,
				 "--sending-limit: expected recipients such as \"hour=5000\" or "
				 "\"hour=5000 day=none\": message, hour, day or new (recipients "
				 "that it never wrote to before), with a number, \"none\" or "
				 "\"default\" (see limits { })");
		return false;
	}
	return true;
}

bool operation_senders_ok(struct operation *operation)
{
	size_t len = 0;

	for (size_t i = 0; i < operation->args.send_as_count; i++) {
		struct slice pattern = slice_str(operation->args.send_as[i]);

		if (pattern.len > ACCOUNT_PATTERN_MAX || !rights_pattern_valid(pattern)) {
			operation_refuse(operation,
					 "%.*s: not a sender pattern; write alice@example.org, "
					 "*@example.org, *@*.example.org, or * for any sender",
					 (int)slice_head(pattern, 200).len, pattern.ptr);
			return false;
		}
		len += pattern.len + 2;
	}
	if (operation->args.too_many_send_as || len > ACCOUNT_PATTERNS_TEXT) {
		operation_refuse(operation,
				 "more than %d sender patterns, or %d bytes of them; use *@domain",
				 ACCOUNT_PATTERNS, ACCOUNT_PATTERNS_TEXT);
		return false;
	}
	return true;
}

bool operation_networks_ok(struct operation *operation)
{
	const struct operation_args *args = &operation->args;
	char correct[NETWORK_TEXT_MAX];
	struct network network;

	for (size_t i = 0; i < args->network_count; i++) {
		struct slice text = slice_str(args->networks[i]);
		enum err err = network_read(text, &network);

		if (err == ERR_OK && text.len <= ACCOUNT_NETWORK_MAX)
			continue;
		if (err == ERR_RANGE && network_correct(text, correct) == ERR_OK)
			operation_refuse(operation, "--network %.100s: did you mean %s?",
					 args->networks[i], correct);
		else
			operation_refuse(operation,
					 "--network %.100s: not a network; write 192.0.2.0/24, "
					 "192.0.2.7 or 2001:db8::/32",
					 args->networks[i]);
		return false;
	}
	if (args->too_many_networks)
		operation_refuse(operation, "more than %d networks", ACCOUNT_NETWORKS);
	return !args->too_many_networks;
}

/* "2027-01-31": to its end. */
static bool read_date(const char *text, int64_t *ms_out)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%d", &tm);
	int day = tm.tm_mday;
	time_t seconds;

	if (rest == NULL || *rest != '\0')
		return false;
	seconds = timegm(&tm);
	*ms_out = ((int64_t)seconds + 24 * 60 * 60) * 1000;
	return tm.tm_mday == day; /* no 31st of February */
}

/* "30d", "12h" */
static bool read_span(struct slice text, int64_t *ms_out)
{
	int64_t unit = text.len < 2                    ? 0
		       : text.ptr[text.len - 1] == 'd' ? (int64_t)24 * 60 * 60 * 1000
		       : text.ptr[text.len - 1] == 'h' ? (int64_t)60 * 60 * 1000
						       : 0;
	uint64_t count;

	if (unit == 0 || slice_number(slice_head(text, text.len - 1), 100000, &count) != ERR_OK)
		return false;
	*ms_out = (int64_t)count * unit;
	return true;
}

bool operation_expires(struct operation *operation, int64_t now, int64_t *expires_out)
{
	const char *text = operation->args.expires;
	int64_t ms = 0;

	*expires_out = 0;
	if (!operation->args.has_expires || slice_is(slice_str(text), "never"))
		return true;
	if (read_span(slice_str(text), &ms)) {
		ms += now;
	} else if (!read_date(text, &ms)) {
		operation_refuse(
			operation,
			"--expires: expected a day such as 2027-01-31 (to its end, in UTC), "
			"a time from now such as 30d or 12h, or never");
		return false;
	}
	if (ms <= now) {
		operation_refuse(operation, "--expires: that is over already; to let nobody in, "
					    "disable the account or remove the key");
		return false;
	}
	*expires_out = ms;
	return true;
}

bool operation_key_name(struct operation *operation, char name[ACCOUNT_KEY_NAME_MAX + 1])
{
	char why[ACCOUNT_WHY];

	if (account_key_name_read(slice_str(operation->args.key), name, why) == ERR_OK)
		return true;
	operation_refuse(operation, "%s: %s", operation->args.key, why);
	return false;
}

bool operation_pattern(struct operation *operation, const char *text,
		       char pattern[ACCOUNT_PATTERN_MAX + 1])
{
	size_t len = strlen(text);

	if (len > ACCOUNT_PATTERN_MAX || strchr(text, '@') == NULL ||
	    !rights_pattern_valid(slice_str(text))) {
		operation_refuse(operation,
				 "%.200s: not an address that accounts can share; write "
				 "office@example.org or *@lists.example.org",
				 text);
		return false;
	}
	for (size_t i = 0; i <= len; i++)
		pattern[i] = ascii_lower(text[i]);
	return true;
}

bool operation_verifier(struct operation *operation, const char *name, struct slice secret,
			struct verifier *verifier_out)
{
	unsigned char salt[VERIFIER_SALT];
	struct secret prepared = {0};
	enum err err = password_prepare(secret, &prepared);

	os_random(salt, sizeof(salt));
	if (err != ERR_OK)
		operation_refuse(operation,
				 "%s: the password holds characters that mail programs send in "
				 "more than one way; choose others",
				 name);
	else if ((err = verifier_make(secret_value(&prepared), salt, operation->iterations,
				      verifier_out)) != ERR_OK)
		operation_refuse(operation, "%s: cannot make a verifier with %u iterations: %s",
				 name, operation->iterations, err_name(err));
	secret_clear(&prepared);
	return err == ERR_OK;
}

/* One more for the same password, prepared. */
static void add_extra(struct operation *operation, struct accounts *accounts, int64_t account,
		      int64_t key, enum verifier_hash hash, struct slice prepared)
{
	const char *scheme = verifier_scheme(hash);
	unsigned char salt[VERIFIER_SALT];
	char text[VERIFIER_TEXT_MAX + 1];
	struct verifier verifier;

	os_random(salt, sizeof(salt));
	if (verifier_make_hash(hash, prepared, salt, operation->iterations, &verifier) != ERR_OK)
		return;
	verifier_print(&verifier, text);
	if (accounts_set_extra(accounts, account, key, scheme, text) != ERR_OK)
		operation_refuse(operation, "the password is set, but not for %s: %s", scheme,
				 accounts_why(accounts));
	explicit_bzero(text, sizeof(text));
	verifier_wipe(&verifier);
}

void operation_extras(struct operation *operation, struct accounts *accounts, int64_t account,
		      int64_t key, struct slice secret)
{
	struct secret prepared = {0};

	if ((!operation->sha_1 && !operation->cram_md5) ||
	    password_prepare(secret, &prepared) != ERR_OK)
		return; /* the main verifier was made of it, so it can be prepared */
	if (operation->sha_1)
		add_extra(operation, accounts, account, key, VERIFIER_SHA_1,
			  secret_value(&prepared));
	if (operation->cram_md5)
		add_extra(operation, accounts, account, key, VERIFIER_CRAM_MD5,
			  secret_value(&prepared));
	secret_clear(&prepared);
}

bool operation_password(struct operation *operation, const char *name,
			char text_out[PASSWORD_GENERATED + 1], struct verifier *verifier_out)
{
	char why[PASSWORD_WHY];

	text_out[0] = '\0';
	if (operation->args.generate) {
		password_generate(text_out);
		secret_set(&operation->secret, slice_str(text_out));
	} else if (password_acceptable(secret_value(&operation->secret), slice_str(name), why) !=
		   ERR_OK) {
		operation_refuse(operation, "%s: %s", name, why);
		return false;
	}
	return operation_verifier(operation, name, secret_value(&operation->secret), verifier_out);
}
