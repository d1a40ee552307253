/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens.h"

#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "base/mem.h"
#include "config/config.h"
#include "ipc/message.h"
#include "os/log.h"
#include "os/os.h"

struct section {
	const struct config_token *config;
	struct token_keys *keys;
};

/* Keys out of a file, for the configuration that is being prepared. */
struct prepared {
	struct prepared *next;
	char *title;
	struct token_keys *keys;
};

struct tokens {
	struct section *sections;
	size_t count;
	struct prepared *prepared;
};

/* ---- a check -------------------------------------------------------------------------------- */

static const struct section *of_issuer(const struct tokens *tokens, const char *issuer)
{
	for (size_t i = 0; i < tokens->count; i++)
		if (slice_equal(slice_str(issuer), slice_str(tokens->sections[i].config->issuer)))
			return &tokens->sections[i];
	return NULL;
}

static void check(const struct section *section, struct slice token,
		  struct tokens_answer *answer_out)
{
	const struct config_token *config = section->config;
	const struct token_rules rules = {
		.issuer = config->issuer,
		.audience = config->audience.items,
		.audience_count = config->audience.count,
		.scope = config->scope,
		.user_claim = config->user_claim,
	};
	const char *why = "";
	struct token_who who;

	answer_out->section = config;
	answer_out->good =
		token_verify(&rules, section->keys, token, os_wall_ms(), &who, &why) == TOKEN_GOOD;
	answer_out->why = why;
	if (answer_out->good)
		memcpy(answer_out->user, who.user, sizeof(who.user));
}

void tokens_check(const struct tokens *tokens, struct slice token, struct tokens_answer *answer_out)
{
	char issuer[TOKEN_ISSUER_MAX + 1];
	const struct section *section;

	*answer_out = (struct tokens_answer){.why = "token-malformed"};
	if (token.len == 0) {
		answer_out->why = "token-missing";
	} else if (token_claimed_issuer(token, issuer)) {
		section = of_issuer(tokens, issuer);
		if (section != NULL)
			check(section, token, answer_out);
		else
			answer_out->why = "token-issuer";
	}
}

/* ---- configurations ------------------------------------------------------------------------- */

static void free_prepared(struct tokens *tokens)
{
	while (tokens->prepared != NULL) {
		struct prepared *prepared = tokens->prepared;

		tokens->prepared = prepared->next;
		token_keys_free(&prepared->keys);
		mem_free(prepared->title);
		mem_free(prepared);
	}
}

enum err tokens_file(struct tokens *tokens, const struct msg_file *msg, char *why)
{
	struct prepared *prepared;
	struct token_keys *keys;
	char reason[TOKEN_WHY];
	enum err err;

	if (!slice_is(msg->section, "token") || !slice_is(msg->setting, "jwks_file"))
		return ERR_SYNTAX;
	if ((err = token_keys_read(msg->value, &keys, reason)) != ERR_OK) {
		(void)snprintf(why, 512,
			       "token \"%.*s\": jwks_file cannot be used: %s; it is the file that "
			       "the issuer publishes as its jwks_uri",
			       SLICE_ARG(msg->title), reason);
		return err;
	}
	if (reason[0] != '\0')
		log_note(LOG_WARNING, "token \"%.*s\": jwks_file: %s", SLICE_ARG(msg->title),
			 reason);
	prepared = mem_alloc(sizeof(*prepared));
	prepared->title = mem_strndup(msg->title.ptr, msg->title.len);
	prepared->keys = keys;
	LL_PREPEND(tokens->prepared, prepared);
	return ERR_OK;
}

static void take_prepared(struct tokens *tokens, struct section *section)
{
	struct prepared *prepared;

	LL_FOREACH (tokens->prepared, prepared)
		if (slice_equal(slice_str(prepared->title), slice_str(section->config->name))) {
			section->keys = prepared->keys;
			prepared->keys = NULL;
		}
}

static void free_sections(struct tokens *tokens)
{
	for (size_t i = 0; i < tokens->count; i++)
		token_keys_free(&tokens->sections[i].keys);
	MEM_FREE(tokens->sections);
}

void tokens_commit(struct tokens *tokens, const struct config *config)
{
	free_sections(tokens);
	tokens->sections = mem_array(config->token_count, sizeof(*tokens->sections));
	tokens->count = config->token_count;
	for (size_t i = 0; i < tokens->count; i++) {
		tokens->sections[i].config = &config->tokens[i];
		take_prepared(tokens, &tokens->sections[i]);
	}
	free_prepared(tokens);
}

void tokens_rollback(struct tokens *tokens)
{
	free_prepared(tokens);
}

struct tokens *tokens_new(void)
{
	token_seed((uint32_t)os_random_u64() | 1);
	return mem_alloc(sizeof(struct tokens));
}

void tokens_free(struct tokens **tokens)
{
	if (*tokens == NULL)
		return;
	free_prepared(*tokens);
	free_sections(*tokens);
	MEM_FREE(*tokens);
}
