/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OAUTHBEARER and XOAUTH2: one message with a token, which somebody else checks. If it is refused,
 * the client is told why in a challenge, answers it with anything, and only then is the login
 * refused (RFC 7628 section 3.2.3).
 */
#include "exchange.h"

#include "base/mem.h"
#include "token/bearer.h"

struct bearer_state {
	enum bearer_kind kind;
	struct secret message; /* what bearer.token points into */
	struct bearer bearer;
	bool denied; /* the client was told */
};

static enum err begin(struct exchange *exchange, enum bearer_kind kind)
{
	struct bearer_state *state = mem_alloc(sizeof(*state));

	state->kind = kind;
	exchange->state = state;
	return ERR_OK;
}

static enum err begin_oauthbearer(struct exchange *exchange, const struct exchange_terms *terms)
{
	(void)terms;
	return begin(exchange, BEARER_OAUTHBEARER);
}

static enum err begin_xoauth2(struct exchange *exchange, const struct exchange_terms *terms)
{
	(void)terms;
	return begin(exchange, BEARER_XOAUTH2);
}

static void end(struct exchange *exchange)
{
	struct bearer_state *state = exchange->state;

	secret_clear(&state->message);
	MEM_FREE(exchange->state);
}

static enum exchange_result step(struct exchange *exchange, bool has_token, struct slice token,
				 struct slice *challenge_out)
{
	struct bearer_state *state = exchange->state;
	const char *why = "";

	if (state->denied)
		return EXCHANGE_REFUSED;
	if (!has_token) {
		*challenge_out = SLICE_LIT("");
		return EXCHANGE_CHALLENGE;
	}
	secret_set(&state->message, token);
	if (bearer_read(state->kind, secret_value(&state->message), &state->bearer, &why) != ERR_OK)
		return exchange_refuse(exchange, why);
	if (state->bearer.user[0] != '\0' &&
	    !exchange_take_name(exchange, slice_str(state->bearer.user)))
		return exchange_refuse(exchange, "malformed-name");
	return EXCHANGE_TOKEN;
}

static struct slice token(const struct exchange *exchange)
{
	const struct bearer_state *state = exchange->state;

	return state->bearer.token;
}

static struct slice deny(struct exchange *exchange, const char *scope, const char *issuer,
			 const char *why)
{
	struct bearer_state *state = exchange->state;

	state->denied = true;
	state->bearer.token = SLICE_LIT("");
	secret_clear(&state->message);
	(void)exchange_refuse(exchange, why);
	/* Settings are too short to pass the bound; without it the client gets an empty one. */
	(void)bearer_refusal(state->kind, slice_is(slice_str(why), "token-scope"), scope, issuer,
			     &exchange->challenge);
	return buf_data(&exchange->challenge);
}

static bool is_denied(const struct exchange *exchange)
{
	const struct bearer_state *state = exchange->state;

	return state->denied;
}

const struct exchange_kind EXCHANGE_OAUTHBEARER = {
	.name = "OAUTHBEARER",
	.begin = begin_oauthbearer,
	.step = step,
	.end = end,
	.token = token,
	.deny = deny,
	.is_denied = is_denied,
};

const struct exchange_kind EXCHANGE_XOAUTH2 = {
	.name = "XOAUTH2",
	.begin = begin_xoauth2,
	.step = step,
	.end = end,
	.token = token,
	.deny = deny,
	.is_denied = is_denied,
};
