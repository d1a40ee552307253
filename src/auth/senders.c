/* SPDX-License-Identifier: Apache-2.0 */
#include "senders.h"

#include "store/accounts.h"

/* Those of the key or of the account, else its own address; behind them the groups it is in. */
struct senders {
	char *const *own;
	size_t own_count, group_count;
	const struct account *account;
};

static struct senders of(const struct account *account)
{
	const struct account_key *key = account->key;

	if (key != NULL && key->send_as_count > 0)
		return (struct senders){key->send_as, key->send_as_count, 0, account};
	return (struct senders){account->send_as, account->send_as_count, account->group_count,
				account};
}

static size_t count(const struct senders *senders)
{
	return (senders->own_count > 0 ? senders->own_count : 1) + senders->group_count;
}

static const char *pattern(const struct senders *senders, const char *address, size_t i)
{
	size_t own = count(senders) - senders->group_count;

	if (i >= own)
		return senders->account->groups[i - own];
	return senders->own_count > 0 ? senders->own[i] : address;
}

enum err senders_list(const struct account *account, const char *address,
		      struct ipc_list_builder *list_out)
{
	struct senders senders = of(account);
	enum err err = ERR_OK;

	ipc_list_begin(list_out, (size_t)2 * ACCOUNT_PATTERNS * (ACCOUNT_PATTERN_MAX + 16));
	for (size_t i = 0; err == ERR_OK && i < count(&senders); i++)
		err = ipc_list_add(list_out, IPC_REC_pattern,
				   &(struct rec_pattern){slice_str(pattern(&senders, address, i))});
	return err;
}

enum err senders_text(const struct account *account, const char *address, struct buf *out)
{
	struct senders senders = of(account);
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < count(&senders); i++)
		if (i == 0 || (err = buf_append_str(out, ", ")) == ERR_OK)
			err = buf_append_str(out, pattern(&senders, address, i));
	return err;
}
