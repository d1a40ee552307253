/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of tokens.h share. */
#ifndef POSTERN_AUTH_TOKENS_INTERNAL_H
#define POSTERN_AUTH_TOKENS_INTERNAL_H

#include "base/secret.h"
#include "tokens.h"

struct channel;
struct token_memory;

enum { TOKENS_WHY = 512 };

struct section {
	const struct config_token *config;
	struct token_keys *keys; /* NULL: none yet, or it asks */
	int64_t fetched;
	bool asked, down;
	char why[TOKENS_WHY];
	bool wanted; /* the agent was asked for keys, and has not answered */
};

/* Keys out of a file, for the configuration that is being prepared. */
struct prepared {
	struct prepared *next;
	char *title;
	struct token_keys *keys;
};

struct token_check {
	struct token_check *prev, *next;
	struct tokens *tokens;
	struct section *section; /* whose answer it waits for */
	uint64_t id;             /* of the question to an issuer; 0: it waits for keys */
	bool any;                /* of no issuer: all sections that ask are asked in turn */
	bool was_down;           /* one of them */
	struct timer *timer;     /* the agent itself may say nothing */
	struct secret token;
	tokens_fn *fn;
	void *arg;
};

struct tokens {
	struct loop *loop;
	struct section *sections;
	size_t count;
	struct prepared *prepared;
	struct token_check *checks;
	struct token_memory *memory;
	struct channel *agent;
	uint64_t last_id;
};

/* ---- token_check.c ---- */
/* Ends all checks as unavailable. */
void tokens_end_checks(struct tokens *tokens, const char *why);
/* What is missing is asked for before anybody needs it. */
void tokens_want_missing(struct tokens *tokens);

#endif
