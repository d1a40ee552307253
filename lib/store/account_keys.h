/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of accounts: passwords of single applications and devices, each with rights of its own, so
 * that one of them can be taken back alone. Each change raises the generation of the account.
 * Errors as in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_KEYS_H
#define POSTERN_STORE_ACCOUNT_KEYS_H

#include "store/accounts.h"

/* All keys of an account, by name; *keys_out is freed by account_keys_free. */
enum err accounts_keys(struct accounts *accounts, int64_t account, struct account_key **keys_out,
		       size_t *count_out);
void account_keys_free(struct account_key *keys, size_t count);
/*
 * Adds a key. What is read of it: name, tag, verifier, send_as, networks, message_size, expires.
 * ERR_EXISTS: there is one of that name, or tag; ERR_FULL: ACCOUNT_KEYS are there already;
 * ERR_RANGE: too many patterns or networks.
 */
enum err accounts_add_key(struct accounts *accounts, int64_t account, const struct account_key *key,
			  int64_t now, int64_t *id_out);
enum err accounts_remove_key(struct accounts *accounts, int64_t account, int64_t key, int64_t now);

#endif
