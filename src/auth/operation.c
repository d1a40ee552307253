/* SPDX-License-Identifier: Apache-2.0 */
#include "operation.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "mechanism.h"
#include "os/os.h"
#include "policy/rights.h"
#include "senders.h"
#include "store/password.h"

enum { MESSAGE_LEAST = 1024 /* bytes, as of limits.message_size */ };

/* ---- what is asked -------------------------------------------------------------------------- */

static void take_argument(struct operation *operation, const struct rec_field *field)
{
	if (slice_is(field->key, "generate")) {
		operation->generate = slice_is(field->value, "true");
	} else if (slice_is(field->key, "message_size")) {
		operation->has_message_size = true;
		operation->bad_message_size =
			!slice_is(field->value, "default") &&
			(config_read_size(field->value, &operation->message_size) != ERR_OK ||
			 operation->message_size < MESSAGE_LEAST ||
			 operation->message_size > ACCOUNT_MESSAGE_MAX);
	} else if (slice_is(field->key, "send_as") && field->value.len > 0) {
		if (operation->send_as_count < ACCOUNT_PATTERNS)
			operation->send_as[operation->send_as_count++] =
				mem_strndup(field->value.ptr, field->value.len);
		else
			operation->too_many_send_as = true;
	}
}

struct operation *operation_new(const struct msg_op *msg)
{
	struct operation *operation = mem_alloc(sizeof(*operation));
	struct ipc_list args = msg->args;
	struct rec_field field;

	operation->id = msg->id;
	operation->op = msg->op;
	operation->subject_too_long =
		slice_copy(msg->subject, operation->subject, sizeof(operation->subject)) != ERR_OK;
	while (ipc_list_next(&args, IPC_REC_field, &field))
		take_argument(operation, &field);
	secret_set(&operation->secret, msg->secret);
	return operation;
}

void operation_drop_rows(struct operation *operation)
{
	for (size_t i = 0; i < operation->row_count; i++) {
		buf_wipe(&operation->rows[i].bytes); /* one may hold a password that was made */
		ipc_list_release(&operation->rows[i]);
	}
	MEM_FREE(operation->rows);
	operation->row_count = 0;
}

void operation_free(struct operation **operation)
{
	if (*operation == NULL)
		return;
	operation_drop_rows(*operation);
	for (size_t i = 0; i < (*operation)->send_as_count; i++)
		mem_free((*operation)->send_as[i]);
	secret_clear(&(*operation)->secret);
	MEM_FREE(*operation);
}

/* ---- answers -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say(struct operation *operation,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(operation->text, sizeof(operation->text), format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void refuse(struct operation *operation,
							 const char *format, ...)
{
	va_list args;

	operation->failed = true;
	va_start(args, format);
	(void)vsnprintf(operation->text, sizeof(operation->text), format, args);
	va_end(args);
}

static struct ipc_list_builder *new_row(struct operation *operation)
{
	struct ipc_list_builder *row;

	operation->rows =
		mem_resize(operation->rows, (operation->row_count + 1) * sizeof(*operation->rows));
	row = &operation->rows[operation->row_count++];
	ipc_list_begin(row, OPERATION_ROW_MAX);
	return row;
}

/* Rows are far below their maximum by the bounds of what goes into them. */
static void add_field(struct ipc_list_builder *row, const char *key, enum ipc_field_kind kind,
		      const char *value)
{
	(void)ipc_list_add(row, IPC_REC_field,
			   &(struct rec_field){slice_str(key), (uint8_t)kind, slice_str(value)});
}

static void add_bool(struct ipc_list_builder *row, const char *key, bool value)
{
	add_field(row, key, IPC_FIELD_BOOL, value ? "true" : "false");
}

static void add_time(struct ipc_list_builder *row, const char *key, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	add_field(row, key, IPC_FIELD_TIME, text);
}

static void add_name(struct operation *operation, struct ipc_list_builder *row, const char *name)
{
	char address[ACCOUNT_NAME_MAX + 1] = "";

	(void)account_address(name, operation->domain, address);
	add_field(row, "name", IPC_FIELD_TEXT, name);
	add_field(row, "address", IPC_FIELD_TEXT, address);
}

/* "alice@example.org, *@lab.example.org" */
static void describe_senders(struct operation *operation, const struct account *account,
			     char text_out[ACCOUNT_PATTERNS_TEXT + 1])
{
	char address[ACCOUNT_NAME_MAX + 1] = "";
	struct buf text;

	(void)account_address(account->name, operation->domain, address);
	buf_init(&text, ACCOUNT_PATTERNS_TEXT);
	(void)senders_text(account, address, &text); /* bounded when they were set */
	if (slice_copy(buf_data(&text), text_out, ACCOUNT_PATTERNS_TEXT + 1) != ERR_OK)
		text_out[0] = '\0';
	buf_release(&text);
}

static void add_message_size(struct ipc_list_builder *row, const struct account *account)
{
	struct buf size;
	char text[32] = "default";

	buf_init(&size, sizeof(text) - 1);
	if (account->message_size != 0) {
		config_print_size(account->message_size, &size);
		(void)slice_copy(buf_data(&size), text, sizeof(text));
	}
	add_field(row, "message_size", IPC_FIELD_TEXT, text);
	buf_release(&size);
}

static void add_account(struct operation *operation, const struct account *account, bool whole)
{
	struct ipc_list_builder *row = new_row(operation);
	char senders[ACCOUNT_PATTERNS_TEXT + 1], verifier[64];

	describe_senders(operation, account, senders);
	add_name(operation, row, account->name);
	add_bool(row, "enabled", account->enabled);
	add_field(row, "send_as", IPC_FIELD_TEXT, senders);
	add_message_size(row, account);
	add_time(row, "created", account->created);
	add_time(row, "changed", account->changed);
	add_time(row, "password_changed", account->password_changed);
	if (!whole)
		return;
	(void)snprintf(verifier, sizeof(verifier), "SCRAM-SHA-256, %u iterations",
		       account->verifier.iterations);
	add_field(row, "verifier", IPC_FIELD_TEXT,
		  account->damaged ? "cannot be read: set a new password" : verifier);
}

/* ---- parts of operations -------------------------------------------------------------------- */

static bool read_name(struct operation *operation, char name[ACCOUNT_NAME_MAX + 1])
{
	char why[ACCOUNT_WHY];

	if (operation->subject_too_long) {
		refuse(operation, "the login name is longer than %d bytes", ACCOUNT_NAME_MAX);
		return false;
	}
	if (account_name_read(slice_str(operation->subject), operation->domain, name, why) ==
	    ERR_OK)
		return true;
	refuse(operation, "%s: %s", operation->subject, why);
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
	refuse(operation,
	       "there is no account %s, but there is %s; names without a domain belong to %s", name,
	       bare.name, operation->domain);
	account_release(&bare);
	return true;
}

static bool find(struct operation *operation, struct accounts *accounts,
		 struct account *account_out)
{
	char name[ACCOUNT_NAME_MAX + 1];
	enum err err;

	if (!read_name(operation, name))
		return false;
	err = accounts_find(accounts, name, operation->domain, account_out);
	if (err == ERR_OK)
		return true;
	if (err == ERR_NOT_FOUND && found_without_domain(operation, accounts, name))
		return false;
	refuse(operation, "%s%s", accounts_why(accounts),
	       err == ERR_NOT_FOUND ? "; \"postern user list\" shows all" : "");
	return false;
}

static bool message_size_ok(struct operation *operation)
{
	if (operation->bad_message_size)
		refuse(operation, "--message-size: expected a size from 1K to 4G, such as 100M, or "
				  "\"default\" for that of all others (limits.message_size)");
	return !operation->bad_message_size;
}

static bool senders_ok(struct operation *operation)
{
	size_t len = 0;

	for (size_t i = 0; i < operation->send_as_count; i++) {
		struct slice pattern = slice_str(operation->send_as[i]);

		if (pattern.len > ACCOUNT_PATTERN_MAX || !rights_pattern_valid(pattern)) {
			refuse(operation,
			       "%.*s: not a sender pattern; write alice@example.org, "
			       "*@example.org, *@*.example.org, or * for any sender",
			       (int)slice_head(pattern, 200).len, pattern.ptr);
			return false;
		}
		len += pattern.len + 2;
	}
	if (operation->too_many_send_as || len > ACCOUNT_PATTERNS_TEXT) {
		refuse(operation, "more than %d sender patterns, or %d bytes of them; use *@domain",
		       ACCOUNT_PATTERNS, ACCOUNT_PATTERNS_TEXT);
		return false;
	}
	return true;
}

/* The password that was given, or one that is made here and told in text_out. */
static bool make_verifier(struct operation *operation, const char *name,
			  char text_out[PASSWORD_GENERATED + 1], struct verifier *verifier_out)
{
	unsigned char salt[VERIFIER_SALT];
	struct secret prepared = {0};
	char why[PASSWORD_WHY];
	enum err err;

	text_out[0] = '\0';
	if (operation->generate) {
		password_generate(text_out);
		secret_set(&operation->secret, slice_str(text_out));
	} else if (password_acceptable(secret_value(&operation->secret), slice_str(name), why) !=
		   ERR_OK) {
		refuse(operation, "%s: %s", name, why);
		return false;
	}
	os_random(salt, sizeof(salt));
	err = password_prepare(secret_value(&operation->secret), &prepared);
	if (err != ERR_OK)
		refuse(operation,
		       "%s: the password holds characters that mail programs send in more than one "
		       "way; choose others",
		       name);
	else if ((err = verifier_make(secret_value(&prepared), salt, operation->iterations,
				      verifier_out)) != ERR_OK)
		refuse(operation, "%s: cannot make a verifier with %u iterations: %s", name,
		       operation->iterations, err_name(err));
	secret_clear(&prepared);
	return err == ERR_OK;
}

static const char *const *patterns(const struct operation *operation)
{
	return (const char *const *)operation->send_as;
}

/* ---- operations ----------------------------------------------------------------------------- */

static void user_add(struct operation *operation, struct accounts *accounts, int64_t now)
{
	char name[ACCOUNT_NAME_MAX + 1], password[PASSWORD_GENERATED + 1];
	struct account account = {0};
	struct verifier verifier;
	int64_t id = 0;

	if (!read_name(operation, name) || !senders_ok(operation) || !message_size_ok(operation))
		return;
	if (accounts_find(accounts, name, operation->domain, &account) == ERR_OK) {
		refuse(operation,
		       "there is an account %s already; \"postern user password\" sets a new "
		       "password",
		       account.name);
		account_release(&account);
		return;
	}
	if (!make_verifier(operation, name, password, &verifier))
		return;
	if (accounts_add(accounts,
			 &(struct account_new){.name = name,
					       .verifier = &verifier,
					       .send_as = patterns(operation),
					       .send_as_count = operation->send_as_count,
					       .message_size = operation->message_size},
			 now, &id) != ERR_OK) {
		refuse(operation, "%s", accounts_why(accounts));
	} else if (accounts_find(accounts, name, operation->domain, &account) == ERR_OK) {
		char senders[ACCOUNT_PATTERNS_TEXT + 1];
		struct ipc_list_builder *row = new_row(operation);

		describe_senders(operation, &account, senders);
		add_name(operation, row, name);
		if (operation->generate)
			add_field(row, "password", IPC_FIELD_TEXT, password);
		add_field(row, "send_as", IPC_FIELD_TEXT, senders);
		say(operation, "%s: added; may send as %.1500s", name, senders);
		account_release(&account);
		operation->changed = id;
	}
	explicit_bzero(password, sizeof(password));
	verifier_wipe(&verifier);
}

static void user_password(struct operation *operation, struct accounts *accounts, int64_t now)
{
	char password[PASSWORD_GENERATED + 1];
	struct account account = {0};
	struct verifier verifier;

	if (!find(operation, accounts, &account))
		return;
	if (make_verifier(operation, account.name, password, &verifier)) {
		if (accounts_set_verifier(accounts, account.id, &verifier, now) != ERR_OK) {
			refuse(operation, "%s", accounts_why(accounts));
		} else {
			struct ipc_list_builder *row = new_row(operation);

			add_name(operation, row, account.name);
			if (operation->generate)
				add_field(row, "password", IPC_FIELD_TEXT, password);
			say(operation, "%s: new password set", account.name);
			operation->changed = account.id;
			operation->end_sessions = true;
		}
		explicit_bzero(password, sizeof(password));
		verifier_wipe(&verifier);
	}
	account_release(&account);
}

static void user_enable(struct operation *operation, struct accounts *accounts, int64_t now,
			bool enable)
{
	const char *word = enable ? "enabled" : "disabled";
	struct account account = {0};

	if (!find(operation, accounts, &account))
		return;
	if (account.enabled == enable) {
		say(operation, "%s: is %s already", account.name, word);
	} else if (accounts_set_enabled(accounts, account.id, enable, now) != ERR_OK) {
		refuse(operation, "%s", accounts_why(accounts));
	} else {
		say(operation, "%s: %s", account.name, word);
		operation->changed = account.id;
		operation->end_sessions = !enable;
	}
	account_release(&account);
}

static void user_delete(struct operation *operation, struct accounts *accounts)
{
	struct account account = {0};

	if (!find(operation, accounts, &account))
		return;
	if (accounts_delete(accounts, account.id) != ERR_OK) {
		refuse(operation, "%s", accounts_why(accounts));
	} else {
		say(operation, "%s: deleted; mail that was accepted from it is still delivered",
		    account.name);
		operation->changed = account.id;
		operation->end_sessions = true;
	}
	account_release(&account);
}

/* What is not given stays; with nothing given at all the senders become the default. */
static bool change(struct operation *operation, struct accounts *accounts, int64_t id, int64_t now)
{
	if ((operation->send_as_count > 0 || !operation->has_message_size) &&
	    accounts_set_send_as(accounts, id, patterns(operation), operation->send_as_count,
				 now) != ERR_OK)
		return false;
	return !operation->has_message_size ||
	       accounts_set_message_size(accounts, id, operation->message_size, now) == ERR_OK;
}

static void user_set(struct operation *operation, struct accounts *accounts, int64_t now)
{
	struct account account = {0};
	char name[ACCOUNT_NAME_MAX + 1];

	if (!senders_ok(operation) || !message_size_ok(operation) ||
	    !find(operation, accounts, &account))
		return;
	if (!change(operation, accounts, account.id, now)) {
		refuse(operation, "%s", accounts_why(accounts));
		account_release(&account);
		return;
	}
	operation->changed = account.id;
	operation->end_sessions = true;
	(void)snprintf(name, sizeof(name), "%s", account.name);
	account_release(&account);
	if (accounts_find(accounts, name, operation->domain, &account) == ERR_OK) {
		char senders[ACCOUNT_PATTERNS_TEXT + 1];
		struct ipc_list_builder *row = new_row(operation);

		describe_senders(operation, &account, senders);
		add_name(operation, row, account.name);
		add_field(row, "send_as", IPC_FIELD_TEXT, senders);
		add_message_size(row, &account);
		say(operation, "%s: may send as %.1500s", name, senders);
		account_release(&account);
	}
}

static void user_show(struct operation *operation, struct accounts *accounts)
{
	struct account account = {0};

	if (!find(operation, accounts, &account))
		return;
	add_account(operation, &account, true);
	account_release(&account);
}

static void user_list(struct operation *operation, struct accounts *accounts)
{
	struct account *page = mem_array(OPERATION_PAGE, sizeof(*page));
	size_t count = 0;

	operation->more = false;
	if (accounts_list(accounts, operation->after, OPERATION_PAGE, page, &count) != ERR_OK)
		refuse(operation, "%s", accounts_why(accounts));
	for (size_t i = 0; i < count; i++) {
		add_account(operation, &page[i], false);
		(void)snprintf(operation->after, sizeof(operation->after), "%s", page[i].name);
		account_release(&page[i]);
	}
	operation->accounts += count;
	operation->more = count == OPERATION_PAGE;
	if (!operation->more && !operation->failed)
		say(operation, "%" PRIu64 " account%s", operation->accounts,
		    operation->accounts == 1 ? "" : "s");
	mem_free(page);
}

/* Says in words what a login with this password would meet. */
static void user_test(struct operation *operation, struct accounts *accounts)
{
	bool given = operation->secret.len > 0, correct = false;
	char senders[ACCOUNT_PATTERNS_TEXT + 1];
	struct secret prepared = {0};
	struct ipc_list_builder *row;
	struct account account = {0};

	if (!find(operation, accounts, &account))
		return;
	if (given && password_prepare(secret_value(&operation->secret), &prepared) == ERR_OK)
		correct = !account.damaged &&
			  verifier_check(&account.verifier, secret_value(&prepared));
	secret_clear(&prepared);
	describe_senders(operation, &account, senders);
	row = new_row(operation);
	add_name(operation, row, account.name);
	add_bool(row, "exists", true);
	if (given)
		add_bool(row, "password_correct", correct);
	add_bool(row, "enabled", account.enabled);
	add_field(row, "send_as", IPC_FIELD_TEXT, senders);
	operation->failed = !account.enabled || account.damaged || (given && !correct);
	say(operation, "%s: %s; account %s; may send as %.1500s", account.name,
	    account.damaged ? "the stored verifier cannot be read: set a new password"
	    : !given        ? "no password given, none tested"
	    : correct       ? "password correct"
			    : "password wrong",
	    account.enabled ? "enabled" : "disabled (\"postern user enable\" lets it in)", senders);
	account_release(&account);
}

static void status(struct operation *operation, struct accounts *accounts)
{
	if (accounts_count(accounts, &operation->accounts, &operation->enabled) != ERR_OK)
		refuse(operation, "%s", accounts_why(accounts));
}

static void run(struct operation *operation, struct accounts *accounts, int64_t now)
{
	switch ((enum ipc_op)operation->op) {
	case IPC_OP_STATUS:
		status(operation, accounts);
		break;
	case IPC_OP_USER_ADD:
		user_add(operation, accounts, now);
		break;
	case IPC_OP_USER_LIST:
		user_list(operation, accounts);
		break;
	case IPC_OP_USER_SHOW:
		user_show(operation, accounts);
		break;
	case IPC_OP_USER_PASSWORD:
		user_password(operation, accounts, now);
		break;
	case IPC_OP_USER_DISABLE:
	case IPC_OP_USER_ENABLE:
		user_enable(operation, accounts, now, operation->op == IPC_OP_USER_ENABLE);
		break;
	case IPC_OP_USER_DELETE:
		user_delete(operation, accounts);
		break;
	case IPC_OP_USER_TEST:
		user_test(operation, accounts);
		break;
	case IPC_OP_USER_SET:
		user_set(operation, accounts, now);
		break;
	default:
		refuse(operation, "auth does not know operation %u", operation->op);
		break;
	}
}

void operation_run(struct operation *operation, struct accounts *accounts, int64_t now)
{
	run(operation, accounts, now);
	switch ((enum ipc_op)operation->op) {
	case IPC_OP_USER_ADD:
	case IPC_OP_USER_SET:
	case IPC_OP_USER_ENABLE:
	case IPC_OP_USER_DISABLE:
	case IPC_OP_USER_DELETE:
		operation->has_largest = !operation->failed &&
					 accounts_largest(accounts, &operation->largest) == ERR_OK;
		break;
	default:
		break;
	}
}
