/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCRAM (RFC 5802, RFC 7677) with and without channel binding. GNU SASL computes; what comes in
 * was read by scram_message.c before, and the channel binding is compared here, byte for byte
 * with the one text that it can be (C8):
 *
 *	without -PLUS   p= is refused; y too where -PLUS is offered: somebody took it out of EHLO
 *	with -PLUS      n and y are refused, and every binding but those that this session has
 *
 * client-first -> (verifier) -> server-first -> client-final -> server-final -> empty answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "exchange.h"
#include "scram_message.h"
#include "store/verifier.h"

enum scram_step { FIRST, WAITS_FOR_VERIFIER, FINAL, OVER };

struct scram {
	enum scram_step step;
	bool plus;
	Gsasl_session *session;
	char *first;          /* the client's first message */
	struct buf cbind;     /* what c= must say */
	char *nonce;          /* of both sides */
	Gsasl_property bound; /* the binding that the client chose */
};

static enum err scram_begin(struct exchange *exchange, const struct exchange_terms *terms)
{
	struct scram *scram = mem_alloc(sizeof(*scram));

	(void)terms;
	exchange->state = scram;
	scram->plus = slice_search(slice_str(exchange->kind->name), SLICE_LIT("-PLUS")) <
		      strlen(exchange->kind->name);
	buf_init(&scram->cbind, SCRAM_MESSAGE_MAX);
	if (gsasl_server_start(exchange->gsasl, exchange->kind->name, &scram->session) != GSASL_OK)
		return ERR_NOT_FOUND;
	return ERR_OK;
}

static void scram_end(struct exchange *exchange)
{
	struct scram *scram = exchange->state;

	if (scram->session != NULL) {
		exchange_wipe_property(scram->session, GSASL_SCRAM_STOREDKEY);
		exchange_wipe_property(scram->session, GSASL_SCRAM_SERVERKEY);
		gsasl_finish(scram->session);
	}
	mem_free(scram->first);
	mem_free(scram->nonce);
	buf_wipe(&scram->cbind);
	MEM_FREE(exchange->state);
}

/* GNU SASL takes salts, keys and bindings in base64. */
static void set_base64(Gsasl_session *session, Gsasl_property property, struct slice value)
{
	struct buf text;

	buf_init(&text, 4 * VERIFIER_SALT_MAX);
	if (base64_encode(value, &text) == ERR_OK && buf_append_byte(&text, '\0') == ERR_OK)
		gsasl_property_set(session, property, buf_data(&text).ptr);
	buf_wipe(&text);
}

/* ---- the client's first message ------------------------------------------------------------- */

/* What the session has of the binding; empty: nothing, or there is no such binding. */
static struct slice binding_of(const struct exchange *exchange, struct slice name,
			       Gsasl_property *property_out)
{
	if (slice_is(name, "tls-exporter")) {
		*property_out = GSASL_CB_TLS_EXPORTER;
		return slice_of(exchange->exporter, exchange->exporter_len);
	}
	if (slice_is(name, "tls-unique")) {
		*property_out = GSASL_CB_TLS_UNIQUE;
		return slice_of(exchange->unique, exchange->unique_len);
	}
	return SLICE_LIT("");
}

/* NULL: the channel is bound as it must be, and binding_out is what to. */
static const char *judge_flag(const struct exchange *exchange, const struct scram_first *first,
			      struct slice *binding_out)
{
	struct scram *scram = exchange->state;

	*binding_out = SLICE_LIT("");
	if (!scram->plus) {
		if (first->flag == SCRAM_BINDING_REQUIRED)
			return "channel-binding-without-plus";
		if (first->flag == SCRAM_BINDING_UNSURE && exchange->plus_offered)
			return "channel-binding-downgrade";
		return NULL;
	}
	if (first->flag != SCRAM_BINDING_REQUIRED)
		return "no-channel-binding";
	*binding_out = binding_of(exchange, first->binding, &scram->bound);
	return binding_out->len == 0 ? "unknown-channel-binding" : NULL;
}

static enum err expect_binding(struct scram *scram, struct slice header, struct slice binding)
{
	struct buf bytes;
	enum err err;

	buf_init(&bytes, SCRAM_MESSAGE_MAX);
	err = buf_append_slice(&bytes, header);
	if (err == ERR_OK)
		err = buf_append_slice(&bytes, binding);
	if (err == ERR_OK)
		err = base64_encode(buf_data(&bytes), &scram->cbind);
	buf_wipe(&bytes);
	return err;
}

/* Takes the name; an authorization identity may only repeat it (C3). */
static const char *take_names(struct exchange *exchange, const struct scram_first *first)
{
	char name[CREDENTIAL_NAME_MAX + 1], authzid[CREDENTIAL_NAME_MAX + 1];
	size_t len, authzid_len;

	if (scram_name(first->name, name, sizeof(name), &len) != ERR_OK ||
	    !exchange_take_name(exchange, slice_of(name, len)))
		return "malformed-name";
	if (first->has_authzid &&
	    (scram_name(first->authzid, authzid, sizeof(authzid), &authzid_len) != ERR_OK ||
	     !slice_equal(slice_of(authzid, authzid_len), exchange_name(exchange))))
		return "authorization-identity";
	return NULL;
}

static enum exchange_result take_first(struct exchange *exchange, struct slice token)
{
	struct scram *scram = exchange->state;
	struct scram_first first;
	struct slice binding;
	const char *why;

	if (scram_read_first(token, &first) != ERR_OK)
		return exchange_refuse(exchange, "malformed");
	if ((why = take_names(exchange, &first)) != NULL ||
	    (why = judge_flag(exchange, &first, &binding)) != NULL)
		return exchange_refuse(exchange, why);
	if (expect_binding(scram, first.gs2_header, binding) != ERR_OK)
		return exchange_refuse(exchange, "malformed");
	if (scram->plus)
		set_base64(scram->session, scram->bound, binding);
	scram->first = mem_strndup(token.ptr, token.len);
	scram->step = WAITS_FOR_VERIFIER;
	return EXCHANGE_VERIFIER;
}

/* ---- with the verifier ---------------------------------------------------------------------- */

/* One step of GNU SASL; what it has to say replaces the challenge. */
static int compute(struct exchange *exchange, struct slice token)
{
	struct scram *scram = exchange->state;
	char *output = NULL;
	size_t len = 0;
	int code = gsasl_step(scram->session, token.ptr, token.len, &output, &len);

	buf_clear(&exchange->challenge);
	if (output != NULL && buf_append(&exchange->challenge, output, len) != ERR_OK)
		code = GSASL_MALLOC_ERROR;
	gsasl_free(output);
	return code;
}

static enum exchange_result scram_verifier(struct exchange *exchange,
					   const struct verifier *verifier,
					   struct slice *challenge_out)
{
	struct scram *scram = exchange->state;
	size_t length = verifier_key_length(verifier->hash);
	struct slice rest, part;
	char iterations[16];

	if (scram->step != WAITS_FOR_VERIFIER || verifier->hash != exchange->kind->hash)
		return exchange_refuse(exchange, "out-of-order");
	(void)snprintf(iterations, sizeof(iterations), "%" PRIu32, verifier->iterations);
	gsasl_property_set(scram->session, GSASL_SCRAM_ITER, iterations);
	set_base64(scram->session, GSASL_SCRAM_SALT, slice_of(verifier->salt, verifier->salt_len));
	set_base64(scram->session, GSASL_SCRAM_STOREDKEY, slice_of(verifier->stored_key, length));
	set_base64(scram->session, GSASL_SCRAM_SERVERKEY, slice_of(verifier->server_key, length));
	if (compute(exchange, slice_str(scram->first)) != GSASL_NEEDS_MORE)
		return exchange_refuse(exchange, "malformed");
	rest = buf_data(&exchange->challenge); /* r=NONCE,s=SALT,i=COUNT */
	if (!slice_split(&rest, ',', &part) || !slice_starts(part, "r="))
		return exchange_refuse(exchange, "malformed");
	part = slice_skip(part, 2);
	scram->nonce = mem_strndup(part.ptr, part.len);
	scram->step = FINAL;
	*challenge_out = buf_data(&exchange->challenge);
	return EXCHANGE_CHALLENGE;
}

/* ---- the client's final message ------------------------------------------------------------- */

static enum exchange_result take_final(struct exchange *exchange, struct slice token)
{
	struct scram *scram = exchange->state;
	struct scram_final final;

	scram->step = OVER;
	if (scram_read_final(token, &final) != ERR_OK)
		return exchange_refuse(exchange, "malformed");
	if (!secret_equal(final.nonce, slice_str(scram->nonce)))
		return exchange_refuse(exchange, "wrong-nonce");
	if (!secret_equal(final.binding, buf_data(&scram->cbind)))
		return exchange_refuse(exchange, "channel-binding-mismatch");
	if (compute(exchange, token) != GSASL_OK)
		return exchange_refuse(exchange, "bad-password");
	exchange->has_last = true;
	return EXCHANGE_PROVEN;
}

static enum exchange_result scram_step(struct exchange *exchange, bool has_token,
				       struct slice token, struct slice *challenge_out)
{
	struct scram *scram = exchange->state;

	if (!has_token && scram->step == FIRST) {
		*challenge_out = SLICE_LIT("");
		return EXCHANGE_CHALLENGE;
	}
	if (scram->step == FIRST)
		return take_first(exchange, token);
	if (scram->step == FINAL)
		return take_final(exchange, token);
	return exchange_refuse(exchange, "out-of-order");
}

/* The same steps for each; GNU SASL knows by the name whether the channel is bound. */
#define SCRAM_KIND(identifier, text, of)                                                           \
	const struct exchange_kind identifier = {                                                  \
		.name = (text),                                                                    \
		.hash = (of),                                                                      \
		.begin = scram_begin,                                                              \
		.step = scram_step,                                                                \
		.verifier = scram_verifier,                                                        \
		.end = scram_end,                                                                  \
	}

SCRAM_KIND(EXCHANGE_SCRAM_SHA_256, "SCRAM-SHA-256", VERIFIER_SHA_256);
SCRAM_KIND(EXCHANGE_SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS", VERIFIER_SHA_256);
SCRAM_KIND(EXCHANGE_SCRAM_SHA_1, "SCRAM-SHA-1", VERIFIER_SHA_1);
SCRAM_KIND(EXCHANGE_SCRAM_SHA_1_PLUS, "SCRAM-SHA-1-PLUS", VERIFIER_SHA_1);
