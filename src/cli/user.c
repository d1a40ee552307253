/* SPDX-License-Identifier: Apache-2.0 */
/* postern user, key and group ... */
#include <stdio.h>

#include "base/secret.h"
#include "cli/common.h"
#include "cli/terminal.h"

enum { ARGS_MAX = 256 * 1024 };

/* A question about the account that the command names. */
static struct question about(const struct invocation *invocation, enum ipc_op op)
{
	return (struct question){
		.op = op,
		.subject = invocation->argument_count != 0 ? invocation->arguments[0] : "",
		.owner = IPC_AUTH,
	};
}

static int simple(const struct invocation *invocation, enum ipc_op op, enum show_form form,
		  const char *nothing)
{
	struct question question = about(invocation, op);

	return ask_and_show(invocation, &question, form, nothing);
}

static int with_password(const struct invocation *invocation, enum ipc_op op, bool twice,
			 struct ipc_list_builder *args)
{
	struct question question = about(invocation, op);
	struct secret password = {0};
	char why[256], prompt[512];
	int status = EXIT_DONE;

	if (invocation_has(invocation, OPTION_generate)) {
		add_argument(args, "generate", IPC_FIELD_BOOL, "true");
	} else {
		snprintf(prompt, sizeof(prompt), "%s for %s", twice ? "New password" : "Password",
			 invocation->arguments[0]);
		if (terminal_password(prompt, twice, &password, why) != ERR_OK)
			status = complain("%s", why);
	}
	question.args = ipc_list_view(args);
	question.secret = secret_value(&password);
	if (status == EXIT_DONE)
		status = ask_and_show(invocation, &question,
				      op == IPC_OP_USER_TEST ? SHOW_ANSWERS : SHOW_PASSWORD, "");
	secret_clear(&password);
	return status;
}

static void add_rights(const struct invocation *invocation, struct ipc_list_builder *args)
{
	static const struct {
		enum option_id option;
		const char *key;
	} TEXTS[] = {
		{OPTION_message_size, "message_size"},   {OPTION_expires, "expires"},
		{OPTION_main_password, "main_password"}, {OPTION_reason, "reason"},
		{OPTION_certificate, "certificate"},     {OPTION_no_certificate, "no_certificate"},
		{OPTION_sending_limit, "sending_limit"},
	};

	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		if (invocation_has(invocation, TEXTS[i].option))
			add_argument(args, TEXTS[i].key, IPC_FIELD_TEXT,
				     invocation->values[TEXTS[i].option]);
	for (size_t i = 0; i < invocation->network_count; i++)
		add_argument(args, "network", IPC_FIELD_TEXT, invocation->networks[i]);
	for (size_t i = 0; i < invocation->send_as_count; i++)
		add_argument(args, "send_as", IPC_FIELD_TEXT, invocation->send_as[i]);
}

int cmd_user_add(const struct invocation *invocation)
{
	struct ipc_list_builder args;
	int status;

	ipc_list_begin(&args, ARGS_MAX);
	add_rights(invocation, &args);
	status = with_password(invocation, IPC_OP_USER_ADD, true, &args);
	ipc_list_release(&args);
	return status;
}

int cmd_user_password(const struct invocation *invocation)
{
	struct ipc_list_builder args;
	int status;

	ipc_list_begin(&args, ARGS_MAX);
	status = with_password(invocation, IPC_OP_USER_PASSWORD, true, &args);
	ipc_list_release(&args);
	return status;
}

int cmd_user_test(const struct invocation *invocation)
{
	struct ipc_list_builder args;
	int status;

	ipc_list_begin(&args, ARGS_MAX);
	status = with_password(invocation, IPC_OP_USER_TEST, false, &args);
	ipc_list_release(&args);
	return status;
}

/* With the options, and one more argument unless key is NULL. */
static int with_rights(const struct invocation *invocation, enum ipc_op op, const char *subject,
		       const char *key, const char *value)
{
	struct question question = {.op = op, .subject = subject, .owner = IPC_AUTH};
	struct ipc_list_builder args;
	int status;

	ipc_list_begin(&args, ARGS_MAX);
	add_rights(invocation, &args);
	if (key != NULL)
		add_argument(&args, key, IPC_FIELD_TEXT, value);
	question.args = ipc_list_view(&args);
	status = ask_and_show(invocation, &question, SHOW_PASSWORD, "");
	ipc_list_release(&args);
	return status;
}

int cmd_user_set(const struct invocation *invocation)
{
	return with_rights(invocation, IPC_OP_USER_SET, invocation->arguments[0], NULL, NULL);
}

int cmd_user_freeze(const struct invocation *invocation)
{
	return with_rights(invocation, IPC_OP_USER_FREEZE, invocation->arguments[0], NULL, NULL);
}

int cmd_user_thaw(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_THAW, SHOW_PASSWORD, "");
}

int cmd_key_add(const struct invocation *invocation)
{
	return with_rights(invocation, IPC_OP_KEY_ADD, invocation->arguments[0], "key",
			   invocation->arguments[1]);
}

int cmd_key_list(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_KEY_LIST, SHOW_TABLE, "");
}

int cmd_key_remove(const struct invocation *invocation)
{
	return with_rights(invocation, IPC_OP_KEY_REMOVE, invocation->arguments[0], "key",
			   invocation->arguments[1]);
}

int cmd_group_add(const struct invocation *invocation)
{
	return with_rights(invocation, IPC_OP_GROUP_ADD, invocation->arguments[1], "pattern",
			   invocation->arguments[0]);
}

int cmd_group_remove(const struct invocation *invocation)
{
	return with_rights(invocation, IPC_OP_GROUP_REMOVE, invocation->arguments[1], "pattern",
			   invocation->arguments[0]);
}

int cmd_report_senders(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_REPORT_SENDERS, SHOW_TABLE,
		      "No account has used an address that it may not use. That is seen while "
		      "submission.sender_check is log or rewrite.");
}

int cmd_report_mechs(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_REPORT_MECHS, SHOW_TABLE, "Nobody has logged in yet.");
}

int cmd_group_list(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_GROUP_LIST, SHOW_TABLE, "");
}

int cmd_user_list(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_LIST, SHOW_TABLE,
		      "There are no accounts; postern user add NAME makes one.");
}

int cmd_user_show(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_SHOW, SHOW_DETAILS, "");
}

int cmd_user_disable(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_DISABLE, SHOW_PASSWORD, "");
}

int cmd_user_enable(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_ENABLE, SHOW_PASSWORD, "");
}

int cmd_user_delete(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_DELETE, SHOW_PASSWORD, "");
}
