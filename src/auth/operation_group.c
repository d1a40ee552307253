/* SPDX-License-Identifier: Apache-2.0 */
/* Groups: addresses that several accounts may send as. */
#include "store/account_groups.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "operation_internal.h"

static void change(struct operation *operation, struct accounts *accounts, int64_t now, bool join)
{
	char pattern[ACCOUNT_PATTERN_MAX + 1];
	struct account account = {0};
	enum err err;

	if (!operation_pattern(operation, operation->args.pattern, pattern) ||
	    !operation_find(operation, accounts, &account))
		return;
	err = join ? accounts_join(accounts, pattern, account.id, now)
		   : accounts_leave(accounts, pattern, account.id, now);
	if (err == ERR_EXISTS) {
		operation_say(operation, "%s: may send as %s already", account.name, pattern);
	} else if (err == ERR_NOT_FOUND && !join) {
		operation_refuse(operation,
				 "%s is not in the group %s; \"postern group list\" shows all",
				 account.name, pattern);
	} else if (err != ERR_OK) {
		operation_refuse(operation, "%s: %s", account.name, accounts_why(accounts));
	} else {
		operation_say(operation, join ? "%s: may send as %s" : "%s: out of the group %s",
			      account.name, pattern);
		operation->changed = account.id;
		operation->end_sessions = true; /* its rights are those of its grants */
	}
	account_release(&account);
}

void operation_group_add(struct operation *operation, struct accounts *accounts, int64_t now)
{
	change(operation, accounts, now, true);
}

void operation_group_remove(struct operation *operation, struct accounts *accounts, int64_t now)
{
	change(operation, accounts, now, false);
}

void operation_group_list(struct operation *operation, struct accounts *accounts)
{
	char only[ACCOUNT_PATTERN_MAX + 1] = "";
	struct account_member *page = mem_array(OPERATION_PAGE, sizeof(*page));
	size_t count = 0;

	operation->more = false;
	if (operation->subject[0] != '\0' &&
	    !operation_pattern(operation, operation->subject, only))
		goto out;
	if (accounts_members(accounts, only, operation->after_pattern, operation->after,
			     OPERATION_PAGE, page, &count) != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	for (size_t i = 0; i < count; i++) {
		struct ipc_list_builder *row = operation_row(operation);

		row_text(row, "address", page[i].pattern);
		row_text(row, "name", page[i].name);
		(void)snprintf(operation->after_pattern, sizeof(operation->after_pattern), "%s",
			       page[i].pattern);
		(void)snprintf(operation->after, sizeof(operation->after), "%s", page[i].name);
		account_member_release(&page[i]);
	}
	operation->accounts += count;
	operation->more = count == OPERATION_PAGE;
	if (!operation->more && !operation->failed)
		operation_say(operation, "%" PRIu64 " member%s", operation->accounts,
			      operation->accounts == 1 ? "" : "s");
out:
	mem_free(page);
}
