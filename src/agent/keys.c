/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fetch at a time, whoever wants it: the clock, or auth, since a token names a key that is
 * not there. The latter is what strangers can bring about, so it has a budget. Each end of a fetch
 * is told to auth. Keys that are there stay until there are others.
 */
#include "keys.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "https.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "token/token.h"

enum {
	FRESH_S = 3600, /* if the server does not say */
	FRESH_MIN_S = 5 * 60,
	FRESH_MAX_S = 24 * 3600,
	/* While it is down: */
	RETRY_MIN_MS = 5 * 1000,
	RETRY_MAX_MS = 5 * 60 * 1000,
	WANTED_PAUSE_MS = 1000, /* between a try and one that auth wants */
	/* Else auth may want so many at once, and one more each minute. */
	BUDGET = 5,
	BUDGET_MS = 60 * 1000,
};

struct keys {
	struct issuer *issuer;
	struct buf text; /* the set as it came; empty: none yet */
	int64_t fetched; /* ms since 1970 */
	bool saved;
	struct timer *timer; /* the next fetch */
	struct https_request *request;
	uint64_t retry;   /* ms until the next try, if this one fails */
	int64_t tried_at; /* monotonic: the end of the last try */
	unsigned budget;
	int64_t budget_at; /* monotonic: when it was last raised */
};

/* ---- to auth -------------------------------------------------------------------------------- */

void keys_tell(struct keys *keys)
{
	const struct issuer *issuer = keys->issuer;
	struct msg_token_keys msg = {slice_str(issuer->title), keys->fetched,
				     buf_data(&keys->text)};
	struct msg_token_keys_same same = {slice_str(issuer->title), keys->fetched, issuer->down,
					   slice_str(issuer->why)};

	if (buf_len(&keys->text) > 0)
		agent_tell(issuer->agent, IPC_TOKEN_KEYS, &msg);
	if (issuer->down)
		agent_tell(issuer->agent, IPC_TOKEN_KEYS_SAME, &same);
}

static void tell_same(struct keys *keys)
{
	const struct issuer *issuer = keys->issuer;
	struct msg_token_keys_same msg = {slice_str(issuer->title), keys->fetched, issuer->down,
					  slice_str(issuer->why)};

	agent_tell(issuer->agent, IPC_TOKEN_KEYS_SAME, &msg);
}

/* ---- a fetch -------------------------------------------------------------------------------- */

static void failed(struct keys *keys, const char *why)
{
	issuer_note(keys->issuer, why);
	tell_same(keys);
	timer_set(keys->timer, keys->retry);
	keys->retry = keys->retry * 2 < RETRY_MAX_MS ? keys->retry * 2 : RETRY_MAX_MS;
}

static uint64_t fresh_for(struct slice cache_control)
{
	uint64_t seconds = FRESH_S;

	(void)token_fresh_for(cache_control, &seconds);
	if (seconds < FRESH_MIN_S)
		seconds = FRESH_MIN_S;
	return (seconds > FRESH_MAX_S ? FRESH_MAX_S : seconds) * 1000;
}

static void save(struct keys *keys)
{
	keys->saved = keys_file_save(keys->issuer->agent, keys->issuer->url, buf_data(&keys->text),
				     keys->fetched) == ERR_OK;
}

/* ERR_OK: it is a set of keys. */
static enum err take(struct keys *keys, struct slice text, char *why)
{
	struct token_keys *read = NULL;
	char words[TOKEN_WHY];
	bool same = slice_equal(text, buf_data(&keys->text));
	enum err err = token_keys_read(text, &read, words);

	token_keys_free(&read);
	if (err != ERR_OK) {
		(void)snprintf(why, ISSUER_WHY, "its answer has no keys for us: %s", words);
		return err;
	}
	keys->fetched = os_wall_ms();
	issuer_note(keys->issuer, NULL);
	if (same) {
		tell_same(keys);
	} else {
		if (words[0] != '\0')
			log_note(LOG_WARNING, "token \"%s\": jwks_url: %s", keys->issuer->title,
				 words);
		buf_clear(&keys->text);
		(void)buf_append_slice(&keys->text, text);
		keys_tell(keys);
	}
	if (!same || !keys->saved)
		save(keys);
	return ERR_OK;
}

static void on_answer(void *arg, const struct https_answer *answer)
{
	struct keys *keys = arg;
	char why[ISSUER_WHY];

	keys->request = NULL;
	keys->tried_at = os_monotonic_ms();
	if (answer->err != ERR_OK) {
		failed(keys, answer->why);
	} else if (take(keys, answer->body, why) != ERR_OK) {
		failed(keys, why);
	} else {
		keys->retry = RETRY_MIN_MS;
		timer_set(keys->timer, fresh_for(answer->cache_control));
	}
}

static void fetch(struct keys *keys)
{
	struct https_question question;

	if (keys->request != NULL)
		return;
	timer_stop(keys->timer);
	issuer_question(keys->issuer, &question);
	question.user = NULL; /* what it publishes needs no name */
	question.answer_max = TOKEN_KEYS_MAX;
	keys->request = https_ask(keys->issuer->agent->https, &question, on_answer, keys);
	if (keys->request == NULL)
		failed(keys, "too many questions wait for an answer");
}

static void on_timer(void *arg)
{
	fetch(arg);
}

static bool may_fetch(struct keys *keys)
{
	int64_t now = os_monotonic_ms();
	int64_t more = (now - keys->budget_at) / BUDGET_MS;

	if (keys->issuer->down)
		return now - keys->tried_at >= WANTED_PAUSE_MS;
	keys->budget =
		more >= BUDGET - (int64_t)keys->budget ? BUDGET : keys->budget + (unsigned)more;
	keys->budget_at += more * BUDGET_MS;
	if (keys->budget == 0)
		return false;
	keys->budget--;
	return true;
}

void keys_wanted(struct keys *keys, int64_t fetched)
{
	if (keys->fetched > fetched)
		keys_tell(keys);
	else if (keys->request == NULL && may_fetch(keys))
		fetch(keys);
	else if (keys->request == NULL)
		tell_same(keys);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void read_saved(struct keys *keys)
{
	const struct issuer *issuer = keys->issuer;
	char why[ISSUER_WHY];
	enum err err = keys_file_read(issuer->agent->folder, issuer->url, os_wall_ms(), &keys->text,
				      &keys->fetched, why);

	keys->saved = err == ERR_OK;
	if (err == ERR_OK)
		keys_tell(keys);
	else if (err != ERR_NOT_FOUND)
		log_note(LOG_WARNING, "token \"%s\": the keys that were kept are not used: %s",
			 issuer->title, why);
}

struct keys *keys_new(struct issuer *issuer)
{
	struct keys *keys = mem_alloc(sizeof(*keys));

	keys->issuer = issuer;
	issuer->keys = keys;
	buf_init(&keys->text, TOKEN_KEYS_MAX);
	keys->timer = timer_new(issuer->agent->loop, on_timer, keys);
	keys->retry = RETRY_MIN_MS;
	keys->budget = BUDGET;
	keys->budget_at = os_monotonic_ms();
	read_saved(keys);
	fetch(keys);
	return keys;
}

void keys_free(struct keys **keys)
{
	struct keys *gone = *keys;

	*keys = NULL;
	if (gone == NULL)
		return;
	https_cancel(&gone->request);
	timer_free(&gone->timer);
	buf_release(&gone->text);
	mem_free(gone);
}
