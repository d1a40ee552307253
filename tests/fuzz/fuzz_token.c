/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: the first byte says what the rest is. t: a token, which is good only if it is the
 * one that was signed (the key is thrown away); k: a set of keys; a: what an issuer answers about a
 * token; c: a Cache-Control; o, x: messages of OAUTHBEARER and XOAUTH2. No name with a control
 * comes out of any.
 */
#include "fuzz.h"
#include "token/bearer.h"

static const char SIGNED[] =
	"eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ."
	"eyJpc3MiOiJpIiwiYXVkIjoiYSIsImV4cCI6MTgwMDAwMDMwMCwiZW1haWwiOiJ1In0."
	"H2SzCpwB4MfroJMvL7ZmqF404LFBXmAXAr3Ltmdc31gwfTOp0NQhE8o2Y-tvn02dlbSzKqjIEQspOfEenIg5Bg";
static const char KEYS[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":"
			   "\"LnwknFBUMkrcXHPxFO_336Pdqpw44ppxW-CqqClg2Pc\"}]}";
static char *audience[] = {(char[]){"a"}};
static const struct token_rules rules = {
	.issuer = "i", .audience = audience, .audience_count = 1, .user_claim = "email"};
static const int64_t NOW = INT64_C(1800000000000);

static void check_name(const char *name, bool may_be_empty)
{
	HOLDS(may_be_empty || name[0] != '\0');
	for (const char *c = name; *c != '\0'; c++)
		HOLDS((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void try_token(struct slice text)
{
	char why[TOKEN_WHY], issuer[TOKEN_ISSUER_MAX + 1];
	struct token_keys *keys = NULL;
	struct token_who who = {.user = "none"};
	const char *reason = NULL;
	enum token_verdict verdict;

	HOLDS(token_keys_read(slice_str(KEYS), &keys, why) == ERR_OK);
	verdict = token_verify(&rules, keys, text, NOW, &who, &reason);
	HOLDS((verdict == TOKEN_GOOD) == slice_is(text, SIGNED));
	HOLDS(verdict == TOKEN_GOOD || reason != NULL);
	HOLDS(slice_is(slice_str(who.user), verdict == TOKEN_GOOD ? "u" : "none"));
	if (token_claimed_issuer(text, issuer))
		HOLDS(token_is_jwt(text) && issuer[0] != '\0');
	token_keys_free(&keys);
}

static void try_answer(struct slice text)
{
	struct token_who who = {.user = ""};
	const char *reason = NULL;

	if (token_verify_answer(&rules, text, NOW, &who, &reason) == TOKEN_GOOD) {
		HOLDS(token_answer_sound(text));
		check_name(who.user, false);
	} else
		HOLDS(reason != NULL && who.user[0] == '\0');
}

static void try_message(enum bearer_kind kind, struct slice text)
{
	struct bearer bearer;
	const char *reason = NULL;

	if (bearer_read(kind, text, &bearer, &reason) == ERR_OK) {
		check_name(bearer.user, kind == BEARER_OAUTHBEARER);
		HOLDS(bearer.token.len <= TOKEN_MAX && bearer.token.len <= text.len);
		HOLDS(!slice_has_byte(bearer.token, '\1') && !slice_has_byte(bearer.token, ' '));
	} else {
		HOLDS(reason != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size);
	struct token_keys *keys = NULL;
	char why[TOKEN_WHY];
	uint64_t seconds = 0;

	token_seed(1); /* the first call counts */
	switch (fuzz_byte(&rest)) {
	case 't':
		try_token(rest);
		break;
	case 'k':
		if (token_keys_read(rest, &keys, why) == ERR_OK)
			HOLDS(token_keys_count(keys) > 0);
		else
			HOLDS(keys == NULL && why[0] != '\0');
		token_keys_free(&keys);
		break;
	case 'a':
		try_answer(rest);
		break;
	case 'c':
		HOLDS(!token_fresh_for(rest, &seconds) || seconds <= TOKEN_FRESH_MAX);
		break;
	case 'o':
		try_message(BEARER_OAUTHBEARER, rest);
		break;
	case 'x':
		try_message(BEARER_XOAUTH2, rest);
		break;
	default:
		break;
	}
	return 0;
}
