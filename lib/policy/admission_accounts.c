/* SPDX-License-Identifier: Apache-2.0 */
/* How many logins each account has now. An account without any is not in the table. */
#include "policy/admission_internal.h"

#include "base/mem.h"

static struct account_logins *find(const struct admission *admission, int64_t id)
{
	struct account_logins *account;

	HASH_FIND(hh, admission->accounts, &id, sizeof(id), account);
	return account;
}

bool admission_account_enter(struct admission *admission, int64_t id)
{
	uint32_t max = admission->limits.sessions_per_account;
	struct account_logins *account = find(admission, id);

	if (account == NULL) {
		account = mem_alloc(sizeof(*account));
		account->id = id;
		HASH_ADD(hh, admission->accounts, id, sizeof(account->id), account);
	} else if (max != 0 && account->logins >= max) {
		admission->struck[ADMISSION_PER_ACCOUNT]++;
		return false;
	}
	account->logins++;
	return true;
}

void admission_account_leave(struct admission *admission, int64_t id)
{
	struct account_logins *account = find(admission, id);

	if (account == NULL || --account->logins > 0)
		return;
	HASH_DEL(admission->accounts, account);
	mem_free(account);
}

void accounts_release(struct admission *admission)
{
	struct account_logins *account, *next;

	HASH_ITER (hh, admission->accounts, account, next) {
		HASH_DEL(admission->accounts, account);
		mem_free(account);
	}
}

uint32_t accounts_highest(const struct admission *admission)
{
	uint32_t highest = 0;

	for (const struct account_logins *account = admission->accounts; account != NULL;
	     account = account->hh.next) {
		if (account->logins > highest)
			highest = account->logins;
	}
	return highest;
}
