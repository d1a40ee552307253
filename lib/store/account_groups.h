/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that several accounts may send as: office@example.org, *@lists.example.org. A group is
 * its pattern and the accounts in it; it is there as long as somebody is. Errors as in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_GROUPS_H
#define POSTERN_STORE_ACCOUNT_GROUPS_H

#include "store/accounts.h"

/*
 * Puts an account in a group, takes it out. pattern: in lower case. ERR_EXISTS: it is in it;
 * ERR_NOT_FOUND: it is not, or there is no such account; ERR_FULL: it is in ACCOUNT_PATTERNS.
 */
enum err accounts_join(struct accounts *accounts, const char *pattern, int64_t account,
		       int64_t now);
enum err accounts_leave(struct accounts *accounts, const char *pattern, int64_t account,
			int64_t now);

struct account_member {
	char *pattern;
	char *name; /* of the account */
};
/*
 * The first max members in order of pattern and name, after the given ones ("" at first); only of
 * one pattern unless that is "". account_member_release frees each.
 */
enum err accounts_members(struct accounts *accounts, const char *only, const char *after_pattern,
			  const char *after_name, size_t max, struct account_member *members_out,
			  size_t *count_out);
void account_member_release(struct account_member *member);

#endif
