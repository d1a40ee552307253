/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: which token section a token belongs to, and what comes of it. The keys of files
 * are master's to read, those of addresses and the answers of issuers come from the agent process.
 * A token is checked by its issuer's section and by no other; one that names no issuer is shown to
 * those sections that ask (introspect_url), in the order of the file.
 *
 * What an issuer answered is remembered for a minute at most, under a keyed hash of the token.
 *
 *	tokens.c       sections, their keys, the configuration
 *	token_check.c  a check, and what the agent says
 *	token_memory.c what issuers answered
 */
#ifndef POSTERN_AUTH_TOKENS_H
#define POSTERN_AUTH_TOKENS_H

#include <stdint.h>

#include "base/slice.h"
#include "token/token.h"

struct config;
struct config_token;
struct loop;
struct msg_file;
struct token_check;
struct tokens;

enum tokens_verdict {
	TOKENS_YES,
	TOKENS_NO,
	TOKENS_UNAVAILABLE, /* it could not be checked: 454, never 535 */
};

struct tokens_answer {
	enum tokens_verdict verdict;
	const char *why; /* for the log; with YES "" */
	/* Whose token it is; NULL: no section's. Valid in the callback, or until the next event. */
	const struct config_token *section;
	char user[TOKEN_USER_MAX + 1]; /* with YES: as the token names him */
};

typedef void tokens_fn(void *arg, const struct tokens_answer *answer);

struct tokens *tokens_new(struct loop *loop);
void tokens_free(struct tokens **tokens);

/* ---- configurations: what the files hold comes before commit or rollback ---- */
enum err tokens_file(struct tokens *tokens, const struct msg_file *msg, char *why); /* 512 bytes */
/* Checks under way end as unavailable. config must live until the next commit. */
void tokens_commit(struct tokens *tokens, const struct config *config);
void tokens_rollback(struct tokens *tokens);

/* A channel to the agent; takes the descriptor. Checks that waited for the one before end. */
void tokens_agent(struct tokens *tokens, int fd);

/*
 * Checks a token. ERR_OK: *answer_out is the answer. ERR_AGAIN: *check_out is under way, and fn is
 * called later, once, unless it is cancelled; the check is gone when it is called.
 */
enum err tokens_check(struct tokens *tokens, struct slice token, tokens_fn *fn, void *arg,
		      struct token_check **check_out, struct tokens_answer *answer_out);
void tokens_cancel(struct token_check **check); /* may be NULL */

/* For status: section number index, in the order of the file. false: there is none. */
struct tokens_state {
	const struct config_token *section;
	size_t keys;     /* 0 also for those that ask */
	int64_t fetched; /* ms since 1970; 0: from a file, or never */
	bool asked;      /* by the agent, that we know of */
	bool down;       /* when it was asked last, and why */
	const char *why;
};
bool tokens_state(const struct tokens *tokens, size_t index, struct tokens_state *state_out);

#endif
