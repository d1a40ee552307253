/* SPDX-License-Identifier: Apache-2.0 */
/* postern auth ... */
#include "cli/common.h"

int cmd_auth_blocked(const struct invocation *invocation)
{
	struct question question = {.op = IPC_OP_AUTH_BLOCKED, .subject = ""};

	return ask_and_show(invocation, &question, SHOW_TABLE, "Nobody is blocked.");
}

int cmd_auth_unblock(const struct invocation *invocation)
{
	struct question question = {.op = IPC_OP_AUTH_UNBLOCK, .subject = invocation->arguments[0]};

	return ask_and_show(invocation, &question, SHOW_RECORD, "");
}
