/* SPDX-License-Identifier: Apache-2.0 */
#include "operation.h"

#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "operation_internal.h"
#include "store/account_import.h"
#include "store/account_verifiers.h"

enum { MESSAGE_LEAST = 1024 /* bytes, as of limits.message_size */ };

/* ---- what is asked -------------------------------------------------------------------------- */

/* One of many; beyond them *too_many_out is set. */
static void keep(struct slice value, char **texts, size_t *count, size_t max, bool *too_many_out)
{
	if (value.len == 0)
		return;
	if (*count < max)
		texts[(*count)++] = mem_strndup(value.ptr, value.len);
	else
		*too_many_out = true;
}

static void take_size(struct operation_args *args, struct slice value)
{
	args->has_message_size = true;
	args->bad_message_size =
		!slice_is(value, "default") &&
		(config_read_size(value, &args->message_size) != ERR_OK ||
		 args->message_size < MESSAGE_LEAST || args->message_size > ACCOUNT_MESSAGE_MAX);
}

static void take_argument(struct operation_args *args, const struct rec_field *field)
{
	static const struct {
		const char *key;
		size_t at, size;
	} TEXTS[] = {
		{"expires", offsetof(struct operation_args, expires), sizeof(args->expires)},
		{"key", offsetof(struct operation_args, key), sizeof(args->key)},
		{"pattern", offsetof(struct operation_args, pattern), sizeof(args->pattern)},
		{"sending_limit", offsetof(struct operation_args, sending_limit),
		 sizeof(args->sending_limit)},
		{"source", offsetof(struct operation_args, source), sizeof(args->source)},
		{"reason", offsetof(struct operation_args, reason), sizeof(args->reason)},
		{"certificate", offsetof(struct operation_args, certificate),
		 sizeof(args->certificate)},
		{"no_certificate", offsetof(struct operation_args, no_certificate),
		 sizeof(args->no_certificate)},
	};

	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		if (slice_is(field->key, TEXTS[i].key) &&
		    slice_copy(field->value, (char *)args + TEXTS[i].at, TEXTS[i].size) != ERR_OK)
			args->too_long = TEXTS[i].key;
	if (slice_is(field->key, "generate")) {
		args->generate = slice_is(field->value, "true");
	} else if (slice_is(field->key, "replace")) {
		args->replace = slice_is(field->value, "true");
	} else if (slice_is(field->key, "dry_run")) {
		args->dry_run = slice_is(field->value, "true");
	} else if (slice_is(field->key, "message_size")) {
		take_size(args, field->value);
	} else if (slice_is(field->key, "sending_limit")) {
		args->has_sending_limit = true;
	} else if (slice_is(field->key, "expires")) {
		args->has_expires = true;
	} else if (slice_is(field->key, "main_password")) {
		args->has_main_password = true;
		args->main_password = slice_is(field->value, "on");
		args->bad_main_password = !args->main_password && !slice_is(field->value, "off");
	} else if (slice_is(field->key, "send_as")) {
		keep(field->value, args->send_as, &args->send_as_count, ACCOUNT_PATTERNS,
		     &args->too_many_send_as);
	} else if (slice_is(field->key, "network")) {
		keep(field->value, args->networks, &args->network_count, ACCOUNT_NETWORKS,
		     &args->too_many_networks);
	}
}

static void take_credentials(struct operation *operation, struct ipc_list list)
{
	struct rec_credential from;

	operation->credentials = mem_array(list.count, sizeof(*operation->credentials));
	while (ipc_list_next(&list, IPC_REC_credential, &from)) {
		struct operation_credential *to =
			&operation->credentials[operation->credential_count++];

		to->line = from.line;
		to->name = mem_strndup(from.name.ptr, from.name.len);
		secret_set(&to->secret, from.secret);
		to->expires = from.expires;
	}
}

struct operation *operation_new(const struct msg_op *msg)
{
	struct operation *operation = mem_alloc(sizeof(*operation));
	struct ipc_list args = msg->args;
	struct rec_field field;

	operation->id = msg->id;
	operation->op = msg->op;
	operation->end_reason = "account-changed";
	operation->subject_too_long =
		slice_copy(msg->subject, operation->subject, sizeof(operation->subject)) != ERR_OK;
	while (ipc_list_next(&args, IPC_REC_field, &field))
		take_argument(&operation->args, &field);
	secret_set(&operation->secret, msg->secret);
	take_credentials(operation, msg->credentials);
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
	struct operation_args *args;

	if (*operation == NULL)
		return;
	args = &(*operation)->args;
	operation_drop_rows(*operation);
	for (size_t i = 0; i < args->send_as_count; i++)
		mem_free(args->send_as[i]);
	for (size_t i = 0; i < args->network_count; i++)
		mem_free(args->networks[i]);
	for (size_t i = 0; i < (*operation)->credential_count; i++) {
		mem_free((*operation)->credentials[i].name);
		secret_clear(&(*operation)->credentials[i].secret);
	}
	mem_free((*operation)->credentials);
	mem_free((*operation)->replaced);
	account_texts_free((*operation)->frozen, (*operation)->frozen_count);
	account_texts_free((*operation)->certificates, (*operation)->certificate_count);
	secret_clear(&(*operation)->secret);
	MEM_FREE(*operation);
}

/* ---- doing it ------------------------------------------------------------------------------- */

static void status(struct operation *operation, struct accounts *accounts)
{
	if (accounts_count(accounts, &operation->accounts, &operation->enabled) != ERR_OK ||
	    accounts_hashes(accounts, &operation->hashes) != ERR_OK ||
	    (operation->sha_1 && accounts_without_extra(accounts, verifier_scheme(VERIFIER_SHA_1),
							&operation->without_sha_1) != ERR_OK) ||
	    (operation->cram_md5 &&
	     accounts_without_extra(accounts, verifier_scheme(VERIFIER_CRAM_MD5),
				    &operation->without_cram_md5) != ERR_OK))
		operation_refuse(operation, "%s", accounts_why(accounts));
}

/* Those about one account. */
static bool run_user(struct operation *operation, struct accounts *accounts, int64_t now)
{
	switch ((enum ipc_op)operation->op) {
	case IPC_OP_USER_ADD:
		operation_user_add(operation, accounts, now);
		return true;
	case IPC_OP_USER_LIST:
		operation_user_list(operation, accounts);
		return true;
	case IPC_OP_USER_SHOW:
		operation_user_show(operation, accounts, now);
		return true;
	case IPC_OP_USER_PASSWORD:
		operation_user_password(operation, accounts, now);
		return true;
	case IPC_OP_USER_DISABLE:
	case IPC_OP_USER_ENABLE:
		operation_user_enable(operation, accounts, now,
				      operation->op == IPC_OP_USER_ENABLE);
		return true;
	case IPC_OP_USER_DELETE:
		operation_user_delete(operation, accounts);
		return true;
	case IPC_OP_USER_TEST:
		operation_user_test(operation, accounts, now);
		return true;
	case IPC_OP_USER_SET:
		operation_user_set(operation, accounts, now);
		return true;
	case IPC_OP_USER_FREEZE:
		operation_user_freeze(operation, accounts, now);
		return true;
	case IPC_OP_USER_THAW:
		operation_user_thaw(operation, accounts, now);
		return true;
	default:
		return false;
	}
}

static void run(struct operation *operation, struct accounts *accounts, int64_t now)
{
	switch ((enum ipc_op)operation->op) {
	case IPC_OP_STATUS:
		status(operation, accounts);
		break;
	case IPC_OP_USER_IMPORT:
		operation_user_import(operation, accounts, now);
		break;
	case IPC_OP_KEY_ADD:
		operation_key_add(operation, accounts, now);
		break;
	case IPC_OP_KEY_LIST:
		operation_key_list(operation, accounts);
		break;
	case IPC_OP_KEY_REMOVE:
		operation_key_remove(operation, accounts, now);
		break;
	case IPC_OP_GROUP_ADD:
		operation_group_add(operation, accounts, now);
		break;
	case IPC_OP_GROUP_REMOVE:
		operation_group_remove(operation, accounts, now);
		break;
	case IPC_OP_GROUP_LIST:
		operation_group_list(operation, accounts);
		break;
	case IPC_OP_REPORT_SENDERS:
	case IPC_OP_REPORT_MECHS:
		operation_report(operation, accounts);
		break;
	default:
		if (!run_user(operation, accounts, now))
			operation_refuse(operation, "auth does not know operation %u",
					 operation->op);
		break;
	}
}

void operation_run(struct operation *operation, struct accounts *accounts, int64_t now)
{
	if (operation->args.too_long != NULL) {
		operation_refuse(operation, "the %s is too long", operation->args.too_long);
		return;
	}
	run(operation, accounts, now);
	operation->has_largest =
		operation->changed != 0 && !operation->failed &&
		accounts_largest(accounts, &operation->largest) == ERR_OK &&
		accounts_without_scram(accounts, &operation->without_scram) == ERR_OK;
}
