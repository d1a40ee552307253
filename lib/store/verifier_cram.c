/* SPDX-License-Identifier: Apache-2.0 */
#include "store/verifier_cram.h"

#include <string.h>

#include <nettle/hmac.h>

enum { WORDS = 4 };

static void put(const struct md5_ctx *context, unsigned char out[CRAM_STATES / 2])
{
	for (int i = 0; i < WORDS; i++)
		for (int byte = 0; byte < 4; byte++)
			out[4 * i + byte] = (unsigned char)(context->state[i] >> (8 * byte));
}

/* As it is after one block. */
static void get(const unsigned char in[CRAM_STATES / 2], struct md5_ctx *context)
{
	md5_init(context);
	for (int i = 0; i < WORDS; i++) {
		context->state[i] = 0;
		for (int byte = 0; byte < 4; byte++)
			context->state[i] |= (uint32_t)in[4 * i + byte] << (8 * byte);
	}
	context->count = 1;
}

void cram_states(struct slice password, unsigned char states_out[CRAM_STATES])
{
	struct hmac_md5_ctx context;

	hmac_md5_set_key(&context, password.len, (const uint8_t *)password.ptr);
	put(&context.outer, states_out);
	put(&context.inner, states_out + CRAM_STATES / 2);
	explicit_bzero(&context, sizeof(context));
}

void cram_digest(const unsigned char states[CRAM_STATES], struct slice challenge,
		 unsigned char digest_out[CRAM_DIGEST])
{
	struct hmac_md5_ctx context;

	get(states, &context.outer);
	get(states + CRAM_STATES / 2, &context.inner);
	context.state = context.inner;
	hmac_md5_update(&context, challenge.len, (const uint8_t *)challenge.ptr);
	hmac_md5_digest(&context, CRAM_DIGEST, digest_out);
	explicit_bzero(&context, sizeof(context));
}
