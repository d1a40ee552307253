/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What accounts do that an administrator wants to know before he tightens a setting: whose
 * addresses they use beside their own, and how they log in. Gathered in memory and added now and
 * then: not for decisions. Bounded for each account; what was not seen for a year goes. Errors as
 * in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_HABITS_H
#define POSTERN_STORE_ACCOUNT_HABITS_H

#include "store/accounts.h"

enum {
	HABIT_VALUE_MAX = 320, /* an address; longer ones are not kept */
	HABITS_OF_ACCOUNT = 300,
};

/* As stored. ENVELOPE, FROM: the value is an address; TLS, CLEAR: a mechanism. */
enum habit_kind { HABIT_ENVELOPE = 1, HABIT_FROM, HABIT_TLS, HABIT_CLEAR };

struct account_habit {
	int64_t account;
	enum habit_kind kind;
	const char *value;
	uint64_t count;
	int64_t first, last; /* ms since 1970 */
};

/* Adds to what is there, all or nothing; of accounts that are gone nothing is kept. */
enum err accounts_add_habits(struct accounts *accounts, const struct account_habit *habits,
			     size_t count, int64_t now);

/* One value of one account, its two kinds together. */
struct account_habit_row {
	char *name;  /* of the account */
	char *value; /* in either kind */
	uint64_t counts[2];
	int64_t first, last;
};
void account_habit_row_release(struct account_habit_row *row);
/*
 * Those of kind and the one after it, by account and value, behind the given ones ("" for the
 * first); freed by the caller.
 */
enum err accounts_habits(struct accounts *accounts, enum habit_kind kind, const char *after_name,
			 const char *after_value, size_t max, struct account_habit_row *rows_out,
			 size_t *count_out);

#endif
