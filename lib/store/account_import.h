/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts that come from elsewhere, with verifiers or with hashes of other programs (foreign.h),
 * which give way to a verifier at the first good login. Errors as in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_IMPORT_H
#define POSTERN_STORE_ACCOUNT_IMPORT_H

#include "store/accounts.h"

enum { ACCOUNT_IMPORTS = 100 /* at a time */ };

struct account_import {
	int64_t id;        /* the account that is there and gets this password; 0: a new one, and
			      then its id */
	const char *name;  /* of a new one */
	bool has_verifier; /* else hash or source says how its password is proven */
	struct verifier verifier;
	const char *hash, *source; /* "": none */
	int64_t expires;           /* of a new one */
};

/* All of them, or none. ERR_EXISTS: a name came to be meanwhile. ids are set on ERR_OK only. */
enum err accounts_import(struct accounts *accounts, struct account_import *imports, size_t count,
			 int64_t now);
/*
 * The verifier of the password that the hash was of. ERR_NOT_FOUND: the account has another one
 * meanwhile.
 */
enum err accounts_replace_hash(struct accounts *accounts, int64_t id, const char *hash,
			       const struct verifier *verifier);
/* One of the hashes that are there. ERR_NOT_FOUND: there is none. The caller wipes hash_out. */
enum err accounts_some_hash(struct accounts *accounts, char hash_out[ACCOUNT_HASH_MAX + 1]);
/* How many enabled accounts have one. */
enum err accounts_hashes(struct accounts *accounts, uint64_t *count_out);

#endif
