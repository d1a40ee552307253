/* SPDX-License-Identifier: Apache-2.0 */
/* postern queue ... */
#include "cli/common.h"

enum { ARGS_MAX = 65536 };

/* How the options that choose messages are called in a question. */
static const struct {
	enum option_id option;
	const char *key;
	enum ipc_field_kind kind;
} choices[] = {
	{OPTION_user, "account", IPC_FIELD_TEXT}, {OPTION_from, "sender", IPC_FIELD_TEXT},
	{OPTION_to, "recipient", IPC_FIELD_TEXT}, {OPTION_domain, "destination", IPC_FIELD_TEXT},
	{OPTION_older, "older", IPC_FIELD_TEXT},  {OPTION_limit, "limit", IPC_FIELD_NUMBER},
	{OPTION_held, "held", IPC_FIELD_BOOL},    {OPTION_all, "all", IPC_FIELD_BOOL},
};

static int run(const struct invocation *invocation, enum ipc_op op, enum show_form form,
	       const char *nothing)
{
	struct question question = {
		.op = op,
		.subject = invocation->argument_count != 0 ? invocation->arguments[0] : "",
		.owner = IPC_QUEUE,
	};
	struct ipc_list_builder args;
	int status;

	ipc_list_begin(&args, ARGS_MAX);
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		const char *value = invocation->values[choices[i].option];

		if (value != NULL)
			add_argument(&args, choices[i].key, choices[i].kind,
				     choices[i].kind == IPC_FIELD_BOOL ? "true" : value);
	}
	question.args = ipc_list_view(&args);
	status = ask_and_show(invocation, &question, form, nothing);
	ipc_list_release(&args);
	return status;
}

/* Changes need either an ID or a choice: nobody drops the whole queue by a forgotten word. */
static int change(const struct invocation *invocation, enum ipc_op op)
{
	bool chosen = false;

	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		chosen = chosen || invocation_has(invocation, choices[i].option);
	if (chosen == (invocation->argument_count != 0)) {
		complain("postern %s needs either the ID of a message, or options that choose "
			 "messages; --all for "
			 "all of them",
			 invocation->command->name);
		return EXIT_USAGE;
	}
	return run(invocation, op, SHOW_PASSWORD, "");
}

int cmd_queue(const struct invocation *invocation)
{
	return run(invocation, IPC_OP_QUEUE_SUMMARY, SHOW_RECORD, "The queue is empty.");
}

int cmd_queue_list(const struct invocation *invocation)
{
	return run(invocation, IPC_OP_QUEUE_LIST, SHOW_TABLE, "No messages.");
}

int cmd_queue_show(const struct invocation *invocation)
{
	return run(invocation, IPC_OP_QUEUE_SHOW, SHOW_DETAILS, "");
}

int cmd_queue_retry(const struct invocation *invocation)
{
	return change(invocation, IPC_OP_QUEUE_RETRY);
}

int cmd_queue_hold(const struct invocation *invocation)
{
	return change(invocation, IPC_OP_QUEUE_HOLD);
}

int cmd_queue_release(const struct invocation *invocation)
{
	return change(invocation, IPC_OP_QUEUE_RELEASE);
}

int cmd_queue_drop(const struct invocation *invocation)
{
	return change(invocation, IPC_OP_QUEUE_DROP);
}
