/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: which token section a token belongs to, and what comes of it. A token is checked
 * by its issuer's section and by no other. The files with keys are master's to read.
 */
#ifndef POSTERN_AUTH_TOKENS_H
#define POSTERN_AUTH_TOKENS_H

#include "token/token.h"

struct config;
struct config_token;
struct msg_file;
struct tokens;

struct tokens_answer {
	bool good;
	const char *why; /* for the log; "" if it is good */
	/* Whose token it is; NULL: no section's. Valid until the next commit. */
	const struct config_token *section;
	char user[TOKEN_USER_MAX + 1]; /* if it is good: as the token names him */
};

struct tokens *tokens_new(void);
void tokens_free(struct tokens **tokens);

/* ---- configurations: what the files hold comes before commit or rollback ---- */
enum err tokens_file(struct tokens *tokens, const struct msg_file *msg, char *why); /* 512 bytes */
/* config must live until the next commit. */
void tokens_commit(struct tokens *tokens, const struct config *config);
void tokens_rollback(struct tokens *tokens);

void tokens_check(const struct tokens *tokens, struct slice token,
		  struct tokens_answer *answer_out);

#endif
