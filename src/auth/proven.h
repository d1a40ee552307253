/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords that were proven a short while ago, so that a client that logs in for each message
 * does not cost a slow hash each time (C13). What is kept is an HMAC, under a key that lives and
 * dies with the process, of the whole identity (id, generation, key, name) and the password. It
 * only ever says "yes, this was right"; a no comes from the verifier alone. Bounded, the oldest go
 * first, and an account that changes loses its entries (its generation has changed besides).
 */
#ifndef POSTERN_AUTH_PROVEN_H
#define POSTERN_AUTH_PROVEN_H

#include "base/slice.h"

struct account;
struct proven;

/* ERR_INTERNAL: OpenSSL has no HMAC. */
enum err proven_new(size_t max, struct proven **proven_out);
void proven_free(struct proven **proven);
/* now, until: monotonic ms. */
bool proven_knows(struct proven *proven, const struct account *account, struct slice password,
		  int64_t now);
void proven_remember(struct proven *proven, const struct account *account, struct slice password,
		     int64_t until);
void proven_forget(struct proven *proven, int64_t id);
size_t proven_count(const struct proven *proven);

#endif
