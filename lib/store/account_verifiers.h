/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifiers besides SCRAM-SHA-256, for mechanisms that need one of their own. They can only be made
 * when a password is set; a new password takes those of the one before away. Errors as in
 * accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_VERIFIERS_H
#define POSTERN_STORE_ACCOUNT_VERIFIERS_H

#include "store/accounts.h"

enum { ACCOUNT_SCHEME_MAX = 32, ACCOUNT_VERIFIER_MAX = 512 };

/* scheme: "SCRAM-SHA-1", ...; key 0: of the main password. text is what the scheme needs. */
enum err accounts_set_extra(struct accounts *accounts, int64_t account, int64_t key,
			    const char *scheme, const char *text);
/* ERR_NOT_FOUND: none was made. The caller wipes text_out. */
enum err accounts_extra(struct accounts *accounts, int64_t account, int64_t key, const char *scheme,
			char text_out[ACCOUNT_VERIFIER_MAX + 1]);
/* How many main passwords of enabled accounts are proven by something else than a verifier. */
enum err accounts_without_scram(struct accounts *accounts, uint64_t *count_out);
/* How many passwords of enabled accounts, keys included, that the store proves are without it. */
enum err accounts_without_extra(struct accounts *accounts, const char *scheme, uint64_t *count_out);

#endif
