/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens.h"

#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "base/mem.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/os.h"
#include "token_memory.h"
#include "tokens_internal.h"

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

/* Keys of an address stay as long as the address does. */
static void take_before(struct section *sections, size_t count, struct section *section)
{
	for (size_t i = 0; i < count; i++) {
		const struct config_token *before = sections[i].config;

		if (before->jwks_url == NULL || section->config->jwks_url == NULL ||
		    !slice_equal(slice_str(before->name), slice_str(section->config->name)) ||
		    !slice_equal(slice_str(before->jwks_url), slice_str(section->config->jwks_url)))
			continue;
		section->keys = sections[i].keys;
		section->fetched = sections[i].fetched;
		section->asked = sections[i].asked;
		section->down = sections[i].down;
		memcpy(section->why, sections[i].why, sizeof(section->why));
		sections[i].keys = NULL;
	}
}

static void free_sections(struct section *sections, size_t count)
{
	for (size_t i = 0; i < count; i++)
		token_keys_free(&sections[i].keys);
	mem_free(sections);
}

void tokens_commit(struct tokens *tokens, const struct config *config)
{
	struct section *before = tokens->sections;
	size_t count = tokens->count;

	tokens_end_checks(tokens, "configuration-changed");
	token_memory_clear(tokens->memory);
	tokens->sections = mem_array(config->token_count, sizeof(*tokens->sections));
	tokens->count = config->token_count;
	for (size_t i = 0; i < tokens->count; i++) {
		tokens->sections[i].config = &config->tokens[i];
		take_prepared(tokens, &tokens->sections[i]);
		take_before(before, count, &tokens->sections[i]);
	}
	free_sections(before, count);
	free_prepared(tokens);
	tokens_want_missing(tokens);
}

void tokens_rollback(struct tokens *tokens)
{
	free_prepared(tokens);
}

struct tokens *tokens_new(struct loop *loop)
{
	struct tokens *tokens = mem_alloc(sizeof(*tokens));

	tokens->loop = loop;
	tokens->memory = token_memory_new();
	token_seed((uint32_t)os_random_u64() | 1);
	return tokens;
}

void tokens_free(struct tokens **tokens)
{
	struct tokens *gone = *tokens;

	*tokens = NULL;
	if (gone == NULL)
		return;
	while (gone->checks != NULL) {
		struct token_check *check = gone->checks;

		tokens_cancel(&check);
	}
	channel_free(&gone->agent);
	free_prepared(gone);
	free_sections(gone->sections, gone->count);
	token_memory_free(&gone->memory);
	mem_free(gone);
}

bool tokens_state(const struct tokens *tokens, size_t index, struct tokens_state *state_out)
{
	const struct section *section = tokens->sections + index;

	if (index >= tokens->count)
		return false;
	*state_out = (struct tokens_state){.section = section->config,
					   .keys = token_keys_count(section->keys),
					   .fetched = section->fetched,
					   .asked = section->asked,
					   .down = section->down,
					   .why = section->why};
	return true;
}
