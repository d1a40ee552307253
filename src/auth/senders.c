/* SPDX-License-Identifier: Apache-2.0 */
#include "senders.h"

#include "store/accounts.h"

static size_t count(const struct account *account)
{
	return account->send_as_count > 0 ? account->send_as_count : 1;
}

static const char *pattern(const struct account *account, const char *address, size_t i)
{
	return account->send_as_count > 0 ? account->send_as[i] : address;
}

enum err senders_list(const struct account *account, const char *address,
		      struct ipc_list_builder *list_out)
{
	enum err err = ERR_OK;

	ipc_list_begin(list_out, (size_t)ACCOUNT_PATTERNS * (ACCOUNT_PATTERN_MAX + 16));
	for (size_t i = 0; err == ERR_OK && i < count(account); i++)
		err = ipc_list_add(list_out, IPC_REC_pattern,
				   &(struct rec_pattern){slice_str(pattern(account, address, i))});
	return err;
}

enum err senders_text(const struct account *account, const char *address, struct buf *out)
{
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < count(account); i++)
		if (i == 0 || (err = buf_append_str(out, ", ")) == ERR_OK)
			err = buf_append_str(out, pattern(account, address, i));
	return err;
}
