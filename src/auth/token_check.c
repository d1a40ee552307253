/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check by keys that are there ends at once. One that needs newer keys, or an issuer's answer,
 * waits for the agent, each within a time. That something cannot be found out is never a no.
 */
#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "base/mem.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "token_memory.h"
#include "tokens_internal.h"

/* Beyond the issuer's time: the agent tells itself that it took too long, in better words. */
enum { PATIENCE_MS = 1000 };

static struct token_rules rules_of(const struct section *section)
{
	const struct config_token *config = section->config;

	return (struct token_rules){
		.issuer = config->issuer,
		.audience = config->audience.items,
		.audience_count = config->audience.count,
		.scope = config->scope,
		.user_claim = config->user_claim,
	};
}

/* ---- the end of a check --------------------------------------------------------------------- */

static struct tokens_answer answer_of(enum tokens_verdict verdict, const char *why,
				      const struct section *section)
{
	return (struct tokens_answer){.verdict = verdict,
				      .why = why,
				      .section = section != NULL ? section->config : NULL};
}

void tokens_cancel(struct token_check **check)
{
	struct token_check *gone = *check;

	*check = NULL;
	if (gone == NULL)
		return;
	DL_DELETE(gone->tokens->checks, gone);
	timer_free(&gone->timer);
	secret_clear(&gone->token);
	mem_free(gone);
}

static void finish(struct token_check *check, const struct tokens_answer *answer)
{
	tokens_fn *fn = check->fn;
	void *arg = check->arg;

	tokens_cancel(&check);
	fn(arg, answer);
}

/* Callbacks may end other checks, so each round begins anew. */
static void finish_all(struct tokens *tokens, const struct section *section, const char *why)
{
	struct token_check *check;

	do {
		DL_FOREACH (tokens->checks, check)
			if (section == NULL || (check->section == section && check->id == 0))
				break;
		if (check != NULL) {
			struct tokens_answer answer =
				answer_of(TOKENS_UNAVAILABLE, why, check->section);

			finish(check, &answer);
		}
	} while (check != NULL);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static struct section *find(struct tokens *tokens, struct slice title)
{
	for (size_t i = 0; i < tokens->count; i++)
		if (slice_is(title, tokens->sections[i].config->name))
			return &tokens->sections[i];
	return NULL;
}

static void note(struct section *section, bool down, struct slice why)
{
	section->asked = true;
	section->down = down;
	(void)snprintf(section->why, sizeof(section->why), "%.*s", down ? (int)why.len : 0,
		       why.ptr);
}

/* false: there is no agent to ask. */
static bool want_keys(struct tokens *tokens, struct section *section)
{
	struct msg_token_keys_wanted msg = {slice_str(section->config->name), section->fetched};

	if (section->wanted)
		return true;
	section->wanted = tokens->agent != NULL &&
			  channel_send(tokens->agent, IPC_TOKEN_KEYS_WANTED, &msg) == ERR_OK;
	return section->wanted;
}

/* By the keys that are there; ERR_AGAIN: newer ones might help. */
static enum err try_keys(const struct section *section, struct slice token,
			 struct tokens_answer *answer_out)
{
	struct token_rules rules = rules_of(section);
	const char *why = "";
	struct token_who who;

	switch (token_verify(&rules, section->keys, token, os_wall_ms(), &who, &why)) {
	case TOKEN_GOOD:
		*answer_out = answer_of(TOKENS_YES, "", section);
		memcpy(answer_out->user, who.user, sizeof(who.user));
		return ERR_OK;
	case TOKEN_UNKNOWN_KEY:
		*answer_out = answer_of(TOKENS_NO, why, section);
		return section->config->jwks_url != NULL ? ERR_AGAIN : ERR_OK;
	case TOKEN_BAD:
	default:
		*answer_out = answer_of(TOKENS_NO, why, section);
		return ERR_OK;
	}
}

/* The agent has answered: those that waited for these keys are judged by what there is. */
static void judge_waiting(struct tokens *tokens, const struct section *section)
{
	struct token_check *check;

	do {
		struct tokens_answer answer;

		DL_FOREACH (tokens->checks, check)
			if (check->section == section && check->id == 0)
				break;
		if (check != NULL) {
			(void)try_keys(section, secret_value(&check->token), &answer);
			finish(check, &answer);
		}
	} while (check != NULL);
}

static enum err on_keys(struct tokens *tokens, const struct msg_token_keys *msg)
{
	struct section *section = find(tokens, msg->title);
	struct token_keys *keys = NULL;
	char why[TOKEN_WHY];
	enum err err;

	/* Of a configuration that is not ours yet, or no longer. */
	if (section == NULL || section->config->jwks_url == NULL)
		return ERR_OK;
	if ((err = token_keys_read(msg->keys, &keys, why)) != ERR_OK)
		return err;
	token_keys_free(&section->keys);
	section->keys = keys;
	section->fetched = msg->fetched;
	section->wanted = false;
	note(section, false, slice_of("", 0));
	judge_waiting(tokens, section);
	return ERR_OK;
}

static enum err on_keys_same(struct tokens *tokens, const struct msg_token_keys_same *msg)
{
	struct section *section = find(tokens, msg->title);

	if (section == NULL || section->config->jwks_url == NULL)
		return ERR_OK;
	section->wanted = false;
	if (msg->fetched > section->fetched && section->keys != NULL)
		section->fetched = msg->fetched;
	note(section, msg->down, msg->why);
	/* Without its newest keys nobody can say that a token is bad. */
	if (msg->down)
		finish_all(tokens, section, "issuer-unreachable");
	else
		judge_waiting(tokens, section);
	return ERR_OK;
}

/* ---- asking issuers ------------------------------------------------------------------------- */

static struct section *next_asking(struct tokens *tokens, const struct section *after)
{
	size_t i = after != NULL ? (size_t)(after - tokens->sections) + 1 : 0;

	while (i < tokens->count && tokens->sections[i].config->introspect_url == NULL)
		i++;
	return i < tokens->count ? &tokens->sections[i] : NULL;
}

static bool ask(struct tokens *tokens, struct token_check *check)
{
	struct msg_introspect msg = {++tokens->last_id, slice_str(check->section->config->name),
				     secret_value(&check->token)};

	check->id = msg.id;
	timer_set(check->timer, check->section->config->timeout + PATIENCE_MS);
	return tokens->agent != NULL && channel_send(tokens->agent, IPC_INTROSPECT, &msg) == ERR_OK;
}

/* What the issuer said. ERR_AGAIN: another section may know the token. */
static enum err judge_answer(struct token_check *check, struct slice text,
			     struct tokens_answer *answer_out)
{
	const struct section *section = check->section;
	struct token_rules rules = rules_of(section);
	int64_t now = os_wall_ms();
	const char *why = "";
	struct token_who who;

	if (token_verify_answer(&rules, text, now, &who, &why) != TOKEN_GOOD) {
		*answer_out = answer_of(TOKENS_NO, why, section);
		/* An issuer that talks nonsense is out of order, the token may be well. */
		if (slice_is(slice_str(why), "token-answer-malformed"))
			answer_out->verdict = TOKENS_UNAVAILABLE;
		return ERR_AGAIN;
	}
	*answer_out = answer_of(TOKENS_YES, "", section);
	memcpy(answer_out->user, who.user, sizeof(who.user));
	token_memory_put(check->tokens->memory, secret_value(&check->token),
			 (size_t)(section - check->tokens->sections), &who, now);
	return ERR_OK;
}

static void ask_next(struct token_check *check, struct tokens_answer *answer)
{
	struct tokens *tokens = check->tokens;
	struct section *next = check->any ? next_asking(tokens, check->section) : NULL;

	check->was_down = check->was_down || answer->verdict == TOKENS_UNAVAILABLE;
	if (next != NULL) {
		check->section = next;
		if (ask(tokens, check))
			return;
		*answer = answer_of(TOKENS_UNAVAILABLE, "no-agent", next);
	}
	if (check->was_down && answer->verdict == TOKENS_NO)
		*answer = answer_of(TOKENS_UNAVAILABLE, "issuer-unreachable", check->section);
	finish(check, answer);
}

static enum err on_introspected(struct tokens *tokens, const struct msg_introspected *msg)
{
	struct tokens_answer answer;
	struct token_check *check;

	DL_SEARCH_SCALAR(tokens->checks, check, id, msg->id);
	if (check == NULL || msg->id == 0) /* cancelled meanwhile */
		return ERR_OK;
	note(check->section, msg->down, msg->why);
	if (msg->down)
		answer = answer_of(TOKENS_UNAVAILABLE, "issuer-unreachable", check->section);
	else if (judge_answer(check, msg->answer, &answer) == ERR_OK) {
		finish(check, &answer);
		return ERR_OK;
	}
	ask_next(check, &answer);
	return ERR_OK;
}

/* ---- the agent ------------------------------------------------------------------------------ */

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct tokens *tokens = arg;
	union {
		struct msg_token_keys keys;
		struct msg_token_keys_same same;
		struct msg_introspected introspected;
	} msg;
	enum err err;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_TOKEN_KEYS:
		err = ipc_decode(type, payload, &msg.keys);
		return err != ERR_OK ? err : on_keys(tokens, &msg.keys);
	case IPC_TOKEN_KEYS_SAME:
		err = ipc_decode(type, payload, &msg.same);
		return err != ERR_OK ? err : on_keys_same(tokens, &msg.same);
	case IPC_INTROSPECTED:
		err = ipc_decode(type, payload, &msg.introspected);
		return err != ERR_OK ? err : on_introspected(tokens, &msg.introspected);
	default:
		return ERR_SYNTAX;
	}
}

void tokens_end_checks(struct tokens *tokens, const char *why)
{
	finish_all(tokens, NULL, why);
}

static void lose_agent(struct tokens *tokens)
{
	channel_free(&tokens->agent);
	for (size_t i = 0; i < tokens->count; i++)
		tokens->sections[i].wanted = false;
	finish_all(tokens, NULL, "no-agent");
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel to agent is broken: %s", why);
	lose_agent(arg);
}

void tokens_want_missing(struct tokens *tokens)
{
	for (size_t i = 0; i < tokens->count; i++)
		if (tokens->sections[i].config->jwks_url != NULL &&
		    tokens->sections[i].keys == NULL)
			(void)want_keys(tokens, &tokens->sections[i]);
}

void tokens_agent(struct tokens *tokens, int fd)
{
	static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

	if (tokens->agent != NULL)
		lose_agent(tokens);
	tokens->agent = channel_new(tokens->loop, fd, "agent", &handlers, tokens);
	tokens_want_missing(tokens);
}

/* ---- a check -------------------------------------------------------------------------------- */

static struct section *of_issuer(struct tokens *tokens, const char *issuer)
{
	for (size_t i = 0; i < tokens->count; i++)
		if (slice_equal(slice_str(issuer), slice_str(tokens->sections[i].config->issuer)))
			return &tokens->sections[i];
	return NULL;
}

static void on_silence(void *arg)
{
	struct token_check *check = arg;
	struct section *section = check->section;
	struct tokens_answer answer = answer_of(TOKENS_UNAVAILABLE, "agent-silent", NULL);

	section->wanted = false; /* the next one asks again */
	finish(check, &answer);
}

static struct token_check *start(struct tokens *tokens, struct section *section, bool any,
				 struct slice token, tokens_fn *fn, void *arg)
{
	struct token_check *check = mem_alloc(sizeof(*check));

	check->tokens = tokens;
	check->section = section;
	check->any = any;
	check->fn = fn;
	check->arg = arg;
	secret_set(&check->token, token);
	check->timer = timer_new(tokens->loop, on_silence, check);
	timer_set(check->timer, section->config->timeout + PATIENCE_MS);
	DL_APPEND(tokens->checks, check);
	return check;
}

static enum err check_by_keys(struct tokens *tokens, struct section *section, struct slice token,
			      tokens_fn *fn, void *arg, struct token_check **check_out,
			      struct tokens_answer *answer_out)
{
	if (try_keys(section, token, answer_out) == ERR_OK)
		return ERR_OK;
	if (!want_keys(tokens, section)) {
		*answer_out = answer_of(TOKENS_UNAVAILABLE, "no-agent", section);
		return ERR_OK;
	}
	*check_out = start(tokens, section, false, token, fn, arg);
	return ERR_AGAIN;
}

static enum err check_by_asking(struct tokens *tokens, struct section *section, bool any,
				struct slice token, tokens_fn *fn, void *arg,
				struct token_check **check_out, struct tokens_answer *answer_out)
{
	struct token_check *check;
	struct token_who who;
	size_t index;

	if (token_memory_get(tokens->memory, token, os_wall_ms(), &index, &who)) {
		*answer_out = answer_of(TOKENS_YES, "", &tokens->sections[index]);
		memcpy(answer_out->user, who.user, sizeof(who.user));
		return ERR_OK;
	}
	if (tokens->agent == NULL) {
		*answer_out = answer_of(TOKENS_UNAVAILABLE, "no-agent", section);
		return ERR_OK;
	}
	check = start(tokens, section, any, token, fn, arg);
	/* A channel that has ended says so next, and ends the checks. */
	(void)ask(tokens, check);
	*check_out = check;
	return ERR_AGAIN;
}

enum err tokens_check(struct tokens *tokens, struct slice token, tokens_fn *fn, void *arg,
		      struct token_check **check_out, struct tokens_answer *answer_out)
{
	char issuer[TOKEN_ISSUER_MAX + 1];
	struct section *section;

	if (token_claimed_issuer(token, issuer)) {
		section = of_issuer(tokens, issuer);
		if (section == NULL) {
			*answer_out = answer_of(TOKENS_NO, "token-issuer", NULL);
			return ERR_OK;
		}
		if (section->config->introspect_url == NULL)
			return check_by_keys(tokens, section, token, fn, arg, check_out,
					     answer_out);
		return check_by_asking(tokens, section, false, token, fn, arg, check_out,
				       answer_out);
	}
	section = next_asking(tokens, NULL);
	if (section == NULL || token.len == 0) {
		*answer_out = answer_of(TOKENS_NO,
					token.len == 0 ? "token-missing" : "token-malformed", NULL);
		return ERR_OK;
	}
	return check_by_asking(tokens, section, true, token, fn, arg, check_out, answer_out);
}
