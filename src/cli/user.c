/* SPDX-License-Identifier: Apache-2.0 */
/* postern user ... */
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
		status = ask_and_show(invocation, &question, SHOW_PASSWORD, "");
	secret_clear(&password);
	return status;
}

static void add_rights(const struct invocation *invocation, struct ipc_list_builder *args)
{
	if (invocation_has(invocation, OPTION_message_size))
		add_argument(args, "message_size", IPC_FIELD_TEXT,
			     invocation->values[OPTION_message_size]);
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

int cmd_user_set(const struct invocation *invocation)
{
	struct question question = about(invocation, IPC_OP_USER_SET);
	struct ipc_list_builder args;
	int status;

	ipc_list_begin(&args, ARGS_MAX);
	add_rights(invocation, &args);
	question.args = ipc_list_view(&args);
	status = ask_and_show(invocation, &question, SHOW_PASSWORD, "");
	ipc_list_release(&args);
	return status;
}

int cmd_user_list(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_LIST, SHOW_TABLE,
		      "There are no accounts; postern user add NAME makes one.");
}

int cmd_user_show(const struct invocation *invocation)
{
	return simple(invocation, IPC_OP_USER_SHOW, SHOW_RECORD, "");
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
