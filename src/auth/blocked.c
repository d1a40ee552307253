/* SPDX-License-Identifier: Apache-2.0 */
#include "blocked.h"

#include <stdio.h>

#include "defence.h"
#include "fields.h"

struct listing {
	void (*row)(void *arg, struct ipc_list fields);
	void *arg;
	size_t count;
};

static void list_one(void *arg, const struct penalties_row *blocked)
{
	struct listing *listing = arg;
	char source[NETWORK_TEXT_MAX] = "strangers";
	struct ipc_list_builder row;

	if (++listing->count > BLOCKED_ROWS_MAX)
		return;
	if (blocked->network != NULL)
		network_print(blocked->network, source);
	ipc_list_begin(&row, ROW_MAX);
	row_text(&row, "source", source);
	row_text(&row, "account", blocked->account);
	row_time(&row, "since", blocked->since);
	row_time(&row, "until", blocked->until);
	row_number(&row, "failures", blocked->failures);
	row_text(&row, "reason", blocked->reason);
	listing->row(listing->arg, ipc_list_view(&row));
	ipc_list_release(&row);
}

static bool unblock(struct defence *defence, struct slice subject, char text_out[BLOCKED_TEXT])
{
	char name[ACCOUNT_NAME_MAX + 1];
	size_t count;

	if (slice_copy(subject, name, sizeof(name)) != ERR_OK ||
	    defence_unblock(defence, name, &count) != ERR_OK) {
		(void)snprintf(text_out, BLOCKED_TEXT,
			       "expected an address (192.0.2.7, 2001:db8::1), a network "
			       "(192.0.2.0/24) or a login name");
		return false;
	}
	if (count == 0)
		(void)snprintf(text_out, BLOCKED_TEXT,
			       "%s: was not blocked; what failed before is forgotten", name);
	else
		(void)snprintf(text_out, BLOCKED_TEXT, "%s: unblocked", name);
	return true;
}

bool blocked_is(uint16_t op)
{
	return op == IPC_OP_AUTH_BLOCKED || op == IPC_OP_AUTH_UNBLOCK;
}

bool blocked_run(struct defence *defence, const struct msg_op *msg,
		 void (*row)(void *arg, struct ipc_list fields), void *arg,
		 char text_out[BLOCKED_TEXT])
{
	struct listing listing = {row, arg, 0};

	text_out[0] = '\0';
	if (msg->op == IPC_OP_AUTH_UNBLOCK)
		return unblock(defence, msg->subject, text_out);
	defence_each(defence, list_one, &listing);
	if (listing.count > BLOCKED_ROWS_MAX)
		(void)snprintf(text_out, BLOCKED_TEXT, "and %zu more",
			       listing.count - BLOCKED_ROWS_MAX);
	return true;
}
