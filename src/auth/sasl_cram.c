/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRAM-MD5 (RFC 2195), for clients that know nothing better: the client's answer to a challenge is
 * its name and HMAC-MD5 of the challenge under its password. What the server keeps for it is as
 * good as the password, so it is kept only where the configuration names this mechanism.
 *
 * challenge <random.random@domain> -> NAME DIGEST -> (verifier)
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "exchange.h"

enum { RANDOM = 8, DIGEST_TEXT = 2 * VERIFIER_DIGEST };

enum cram_step { FIRST, ANSWER, WAITS_FOR_VERIFIER, OVER };

struct cram {
	enum cram_step step;
	char digest[DIGEST_TEXT]; /* as the client sent it */
};

static enum err cram_begin(struct exchange *exchange, const struct exchange_terms *terms)
{
	(void)terms;
	exchange->state = mem_alloc(sizeof(struct cram));
	return ERR_OK;
}

static void cram_end(struct exchange *exchange)
{
	explicit_bzero(exchange->state, sizeof(struct cram));
	MEM_FREE(exchange->state);
}

/* Two random numbers, as no challenge may come twice (RFC 2195 2 has a process and a time). */
static enum exchange_result challenge(struct exchange *exchange, struct slice *challenge_out)
{
	struct cram *cram = exchange->state;
	uint64_t random[2];

	if (gsasl_nonce((char *)random, sizeof(random)) != GSASL_OK)
		return exchange_refuse(exchange, "no-random-numbers");
	buf_clear(&exchange->challenge);
	if (buf_printf(&exchange->challenge, "<%llu.%llu@%s>", (unsigned long long)random[0],
		       (unsigned long long)random[1], exchange->domain) != ERR_OK)
		return exchange_refuse(exchange, "no-challenge");
	cram->step = ANSWER;
	*challenge_out = buf_data(&exchange->challenge);
	return EXCHANGE_CHALLENGE;
}

static enum exchange_result take_answer(struct exchange *exchange, struct slice token)
{
	struct cram *cram = exchange->state;
	size_t space = slice_find_last(token, ' ');
	struct slice digest = slice_skip(token, space + 1);

	if (digest.len != DIGEST_TEXT)
		return exchange_refuse(exchange, "malformed");
	for (size_t i = 0; i < digest.len; i++)
		if (!ascii_is_digit(digest.ptr[i]) && (digest.ptr[i] < 'a' || digest.ptr[i] > 'f'))
			return exchange_refuse(exchange, "malformed");
	if (!exchange_take_name(exchange, slice_head(token, space)))
		return exchange_refuse(exchange, "malformed-name");
	memcpy(cram->digest, digest.ptr, DIGEST_TEXT);
	cram->step = WAITS_FOR_VERIFIER;
	return EXCHANGE_VERIFIER;
}

static enum exchange_result cram_step(struct exchange *exchange, bool has_token, struct slice token,
				      struct slice *challenge_out)
{
	struct cram *cram = exchange->state;

	if (cram->step == FIRST) /* the server speaks first: there is nothing to say yet */
		return has_token ? exchange_refuse(exchange, "malformed")
				 : challenge(exchange, challenge_out);
	if (cram->step == ANSWER)
		return take_answer(exchange, token);
	return exchange_refuse(exchange, "out-of-order");
}

static enum exchange_result cram_verifier(struct exchange *exchange,
					  const struct verifier *verifier,
					  struct slice *challenge_out)
{
	struct cram *cram = exchange->state;
	unsigned char digest[VERIFIER_DIGEST];
	char text[DIGEST_TEXT + 1];
	bool same;

	(void)challenge_out;
	if (cram->step != WAITS_FOR_VERIFIER || verifier->hash != VERIFIER_CRAM_MD5)
		return exchange_refuse(exchange, "out-of-order");
	cram->step = OVER;
	verifier_digest(verifier, buf_data(&exchange->challenge), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
	same = secret_equal(slice_of(text, DIGEST_TEXT), slice_of(cram->digest, DIGEST_TEXT));
	explicit_bzero(digest, sizeof(digest));
	explicit_bzero(text, sizeof(text));
	return same ? EXCHANGE_PROVEN : exchange_refuse(exchange, "bad-password");
}

const struct exchange_kind EXCHANGE_CRAM_MD5 = {
	.name = "CRAM-MD5",
	.hash = VERIFIER_CRAM_MD5,
	.begin = cram_begin,
	.step = cram_step,
	.verifier = cram_verifier,
	.end = cram_end,
};
