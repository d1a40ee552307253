/* SPDX-License-Identifier: Apache-2.0 */
/* What accounts do, for who wants to tighten a setting: whose addresses they use, how they log in.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "operation_internal.h"
#include "policy/rights.h"
#include "store/account_habits.h"

static bool any_matches(char *const *patterns, size_t count, struct slice address)
{
	for (size_t i = 0; i < count; i++)
		if (rights_match(slice_str(patterns[i]), address))
			return true;
	return false;
}

/* By what its rights are now: they may be others since. */
static bool may_send_as(const struct operation *operation, const struct account *account,
			struct slice address)
{
	char own[ACCOUNT_NAME_MAX + 1];

	if (slice_is(address, "<>"))
		address = SLICE_LIT("");
	if (any_matches(account->groups, account->group_count, address))
		return true;
	if (account->send_as_count > 0)
		return any_matches(account->send_as, account->send_as_count, address);
	return account_address(account->name, operation->domain, own) == ERR_OK &&
	       rights_match(slice_str(own), address);
}

/* Nothing of it means anything to a shell. */
static bool is_plain(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]) &&
		    !slice_has_byte(SLICE_LIT("@._+=-"), text.ptr[i]))
			return false;
	return text.len > 0 && text.ptr[0] != '-';
}

/* The command that gives the address to the account; "": there is none to copy. */
static void allow_text(const struct account_habit_row *habit, char *text, size_t size)
{
	if (account_is_device(habit->name))
		(void)snprintf(text, size, "(add it to send_as of its device section)");
	else if (is_plain(slice_str(habit->value)) && is_plain(slice_str(habit->name)) &&
		 rights_pattern_valid(slice_str(habit->value)))
		(void)snprintf(text, size, "postern group add %s %s", habit->value, habit->name);
	else
		(void)snprintf(text, size, "(none: look at it first)");
}

static void add_sender(struct operation *operation, struct accounts *accounts,
		       const struct account_habit_row *habit)
{
	char allow[2 * ACCOUNT_NAME_MAX + 32];
	struct ipc_list_builder *row;
	struct account account = {0};
	bool allowed = false;

	if (accounts_find(accounts, habit->name, operation->domain, &account) == ERR_OK) {
		allowed = !account_is_device(habit->name) &&
			  may_send_as(operation, &account, slice_str(habit->value));
		account_release(&account);
	}
	if (allowed)
		return;
	allow_text(habit, allow, sizeof(allow));
	row = operation_row(operation);
	row_text(row, "name", habit->name);
	row_text(row, "sent_as", habit->value);
	row_number(row, "envelope", habit->counts[0]);
	row_number(row, "from", habit->counts[1]);
	row_time(row, "first", habit->first);
	row_time(row, "last", habit->last);
	row_text(row, "allow", allow);
	operation->accounts++;
}

static void add_mechanism(struct operation *operation, const struct account_habit_row *habit)
{
	struct ipc_list_builder *row = operation_row(operation);

	row_text(row, "name", habit->name);
	row_text(row, "mechanism", habit->value);
	row_number(row, "with_tls", habit->counts[0]);
	row_number(row, "in_clear", habit->counts[1]);
	row_time(row, "first", habit->first);
	row_time(row, "last", habit->last);
	operation->accounts++;
}

void operation_report(struct operation *operation, struct accounts *accounts)
{
	struct account_habit_row *page = mem_array(OPERATION_PAGE, sizeof(*page));
	bool senders = operation->op == IPC_OP_REPORT_SENDERS;
	size_t count = 0;

	if (accounts_habits(accounts, senders ? HABIT_ENVELOPE : HABIT_TLS, operation->after,
			    operation->after_pattern, OPERATION_PAGE, page, &count) != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	for (size_t i = 0; i < count; i++) {
		if (senders)
			add_sender(operation, accounts, &page[i]);
		else
			add_mechanism(operation, &page[i]);
		(void)snprintf(operation->after, sizeof(operation->after), "%s", page[i].name);
		(void)snprintf(operation->after_pattern, sizeof(operation->after_pattern), "%s",
			       page[i].value);
		account_habit_row_release(&page[i]);
	}
	operation->more = count == OPERATION_PAGE;
	mem_free(page);
}
