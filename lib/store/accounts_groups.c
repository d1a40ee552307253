/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_groups.h"

#include "base/mem.h"
#include "store/accounts_internal.h"

static enum err put(struct accounts *accounts, enum accounts_statement number, const char *pattern,
		    int64_t account, const char *what)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	accounts_bind(stmt, 1, pattern);
	(void)sqlite3_bind_int64(stmt, 2, account);
	return accounts_finish_change(accounts, stmt, what);
}

enum err accounts_join(struct accounts *accounts, const char *pattern, int64_t account, int64_t now)
{
	int64_t count = 0;
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_touch(accounts, account, now)) == ERR_OK &&
	    (err = accounts_number(accounts, ACCOUNTS_GROUP_COUNT, account, &count)) == ERR_OK &&
	    count >= ACCOUNT_PATTERNS) {
		accounts_explain(accounts, "the account is in %d groups already; use *@domain",
				 ACCOUNT_PATTERNS);
		err = ERR_FULL;
	}
	if (err == ERR_OK)
		err = put(accounts, ACCOUNTS_JOIN, pattern, account, "group");
	return accounts_end(accounts, err);
}

enum err accounts_leave(struct accounts *accounts, const char *pattern, int64_t account,
			int64_t now)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_touch(accounts, account, now)) == ERR_OK)
		err = put(accounts, ACCOUNTS_LEAVE, pattern, account, "member of the group");
	return accounts_end(accounts, err);
}

void account_member_release(struct account_member *member)
{
	MEM_FREE(member->pattern);
	MEM_FREE(member->name);
}

enum err accounts_members(struct accounts *accounts, const char *only, const char *after_pattern,
			  const char *after_name, size_t max, struct account_member *members_out,
			  size_t *count_out)
{
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	enum err err = accounts_prepare(accounts, ACCOUNTS_MEMBERS, &stmt);

	if (err != ERR_OK)
		return err;
	accounts_bind(stmt, 1, only);
	accounts_bind(stmt, 2, after_pattern);
	accounts_bind(stmt, 3, after_name);
	(void)sqlite3_bind_int64(stmt, 4, (int64_t)max);
	while (count < max && (err = accounts_row(accounts, stmt)) == ERR_OK) {
		members_out[count].pattern = accounts_text(stmt, 0);
		members_out[count++].name = accounts_text(stmt, 1);
	}
	accounts_done(stmt);
	if (err != ERR_OK && err != ERR_EOF) {
		while (count > 0)
			account_member_release(&members_out[--count]);
		return err;
	}
	*count_out = count;
	return ERR_OK;
}
