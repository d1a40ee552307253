/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What issuers answered a short while ago, so that a client that logs in for each message does not
 * ask them each time. Kept under a hash of the token with a key that dies with the process; a
 * minute at most, and never past the end of the token. Bounded, the oldest go first.
 */
#ifndef POSTERN_AUTH_TOKEN_MEMORY_H
#define POSTERN_AUTH_TOKEN_MEMORY_H

#include "token/token.h"

enum { TOKEN_MEMORY_MS = 60 * 1000 };

struct token_memory;

struct token_memory *token_memory_new(void);
void token_memory_free(struct token_memory **memory);
void token_memory_clear(struct token_memory *memory);
/* section: the caller's number for it. Only what has an end of its own is kept. now: wall clock. */
void token_memory_put(struct token_memory *memory, struct slice token, size_t section,
		      const struct token_who *who, int64_t now);
bool token_memory_get(struct token_memory *memory, struct slice token, int64_t now,
		      size_t *section_out, struct token_who *who_out);

#endif
