/* SPDX-License-Identifier: Apache-2.0 */
/* Which account a client's certificate was registered for, in memory: they are few. */
#ifndef POSTERN_AUTH_CERTIFICATES_H
#define POSTERN_AUTH_CERTIFICATES_H

#include "store/account_certificates.h"

struct certificates;

enum { CERTIFICATES_SHA_256 = 32 };

struct certificates *certificates_new(void);
void certificates_free(struct certificates **certificates);
/* Reads them from the store; errors as in store/accounts.h. */
enum err certificates_open(struct certificates *certificates, struct accounts *accounts);
/* Takes what accounts_all_certificates says now. */
void certificates_set(struct certificates *certificates, char **texts, size_t count);
/* Whether there are any. */
bool certificates_any(const struct certificates *certificates);
/* The account that a certificate with this SHA-256 logs in as; NULL: it is nobody's. */
const char *certificates_find(const struct certificates *certificates, struct slice sha_256);

#endif
