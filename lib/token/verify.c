/* SPDX-License-Identifier: Apache-2.0 */
/* JWS in its compact form (RFC 7515 section 7.1) around the claims of a JWT. */
#include "token/internal.h"

#include <string.h>

#include <openssl/ecdsa.h>

#include "base/base64.h"

enum {
	SIGNATURE_MAX = 1024, /* of the largest RSA key */
	RAW_MAX = 64,         /* r and s of P-256; Ed25519 */
	DER_MAX = 80,
};

struct parts {
	struct slice header, payload, signature;
	struct slice signed_text; /* header and payload, as they came */
};

static bool split(struct slice token, struct parts *parts_out)
{
	struct slice rest = token;
	size_t dots = 0;

	for (size_t i = 0; i < token.len; i++)
		dots += token.ptr[i] == '.';
	if (token.len == 0 || token.len > TOKEN_MAX || dots != 2)
		return false;
	(void)slice_split(&rest, '.', &parts_out->header);
	(void)slice_split(&rest, '.', &parts_out->payload);
	parts_out->signature = rest;
	parts_out->signed_text =
		slice_head(token, parts_out->header.len + 1 + parts_out->payload.len);
	return parts_out->header.len > 0 && parts_out->payload.len > 0;
}

bool token_is_jwt(struct slice token)
{
	struct parts parts;

	return split(token, &parts);
}

bool token_claimed_issuer(struct slice token, char issuer_out[TOKEN_ISSUER_MAX + 1])
{
	struct parts parts;
	json_t *claims;
	bool found;

	if (!split(token, &parts))
		return false;
	claims = token_json_part(parts.payload);
	found = slice_copy(token_text(claims, "iss"), issuer_out, TOKEN_ISSUER_MAX + 1) == ERR_OK &&
		issuer_out[0] != '\0';
	json_decref(claims);
	return found;
}

/* RFC 7518 section 3.4: r and s of 32 bytes each, which OpenSSL wants as DER. */
static size_t to_der(struct slice raw, unsigned char der_out[DER_MAX])
{
	const unsigned char *bytes = (const unsigned char *)raw.ptr;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(bytes, RAW_MAX / 2, NULL);
	BIGNUM *s = BN_bin2bn(bytes + RAW_MAX / 2, RAW_MAX / 2, NULL);
	int len = 0;

	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* sig's */
		len = i2d_ECDSA_SIG(sig, NULL);
		if (len > 0 && len <= DER_MAX)
			len = i2d_ECDSA_SIG(sig, &der_out);
		else
			len = 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len > 0 ? (size_t)len : 0;
}

static bool signature_fits(EVP_PKEY *key, enum token_algorithm algorithm, struct slice text,
			   struct slice signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const unsigned char *bytes = (const unsigned char *)signature.ptr;
	size_t len = signature.len;
	unsigned char der[DER_MAX];
	bool fits;

	/* Of one length only, so that each token has one form. */
	fits = len == (algorithm == TOKEN_RS256 ? (size_t)EVP_PKEY_get_size(key) : RAW_MAX);
	if (fits && algorithm == TOKEN_ES256) {
		len = to_der(signature, der);
		bytes = der;
	}
	fits = fits && len > 0 && ctx != NULL &&
	       EVP_DigestVerifyInit(ctx, NULL, algorithm == TOKEN_EDDSA ? NULL : EVP_sha256(), NULL,
				    key) == 1 &&
	       EVP_DigestVerify(ctx, bytes, len, (const unsigned char *)text.ptr, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	return fits;
}

/* RFC 8725 section 3.11: what is signed for another purpose is no token for us. */
static bool type_fits(const json_t *header)
{
	static const char *const types[] = {"JWT", "at+jwt", "application/at+jwt",
					    "application/jwt"};
	struct slice type = token_text(header, "typ");

	if (json_object_get(header, "typ") == NULL)
		return true;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (slice_is_nocase(type, types[i]))
			return true;
	return false;
}

static enum token_verdict bad(const char **why_out, const char *why)
{
	*why_out = why;
	return TOKEN_BAD;
}

static enum token_verdict check_header(const json_t *header, const struct token_keys *keys,
				       EVP_PKEY **key_out, enum token_algorithm *algorithm_out,
				       const char **why_out)
{
	struct slice kid = token_text(header, "kid");

	if (header == NULL)
		return bad(why_out, "token-malformed");
	/* We understand no extension: RFC 7515 section 4.1.11, RFC 7797. */
	if (json_object_get(header, "crit") != NULL || json_object_get(header, "b64") != NULL)
		return bad(why_out, "token-critical-extension");
	if (json_object_get(header, "enc") != NULL || json_object_get(header, "zip") != NULL)
		return bad(why_out, "token-encrypted");
	if (!type_fits(header))
		return bad(why_out, "token-type");
	if (token_algorithm_read(token_text(header, "alg"), algorithm_out) != ERR_OK)
		return bad(why_out, "token-algorithm");
	if (json_object_get(header, "kid") != NULL && kid.ptr == NULL)
		return bad(why_out, "token-malformed");
	*key_out = keys != NULL ? token_keys_find(keys, kid, *algorithm_out) : NULL;
	if (*key_out != NULL)
		return TOKEN_GOOD;
	*why_out = "token-unknown-key";
	return TOKEN_UNKNOWN_KEY;
}

static const char *check_payload(const struct token_rules *rules, struct slice payload, int64_t now,
				 struct token_who *who_out)
{
	json_t *claims = token_json_part(payload);
	const char *why = "token-malformed";

	if (claims != NULL)
		why = token_claims_check(rules, claims, CLAIMS_OF_TOKEN, now, who_out);
	json_decref(claims);
	return why;
}

enum token_verdict token_verify(const struct token_rules *rules, const struct token_keys *keys,
				struct slice token, int64_t now, struct token_who *who_out,
				const char **why_out)
{
	enum token_algorithm algorithm = TOKEN_RS256;
	enum token_verdict verdict;
	EVP_PKEY *key = NULL;
	struct buf signature;
	struct parts parts;
	const char *why;
	json_t *header;
	bool fits;

	if (!split(token, &parts))
		return bad(why_out, "token-malformed");
	header = token_json_part(parts.header);
	verdict = check_header(header, keys, &key, &algorithm, why_out);
	json_decref(header);
	if (verdict != TOKEN_GOOD)
		return verdict;
	buf_init(&signature, SIGNATURE_MAX);
	fits = base64url_decode(parts.signature, &signature) == ERR_OK &&
	       signature_fits(key, algorithm, parts.signed_text, buf_data(&signature));
	buf_release(&signature);
	if (!fits)
		return bad(why_out, "token-signature");
	/* Nothing of what it says is looked at before. */
	why = check_payload(rules, parts.payload, now, who_out);
	return why == NULL ? TOKEN_GOOD : bad(why_out, why);
}

static bool is_answer(const json_t *json)
{
	return json_is_boolean(json_object_get(json, "active"));
}

bool token_answer_sound(struct slice answer)
{
	json_t *json = answer.len <= TOKEN_ANSWER_MAX ? token_json(answer) : NULL;
	bool sound = is_answer(json);

	json_decref(json);
	return sound;
}

enum token_verdict token_verify_answer(const struct token_rules *rules, struct slice answer,
				       int64_t now, struct token_who *who_out, const char **why_out)
{
	json_t *json = answer.len <= TOKEN_ANSWER_MAX ? token_json(answer) : NULL;
	const char *why;

	if (!is_answer(json))
		why = "token-answer-malformed";
	else if (!json_is_true(json_object_get(json, "active")))
		why = "token-not-active";
	else
		why = token_claims_check(rules, json, CLAIMS_OF_ANSWER, now, who_out);
	json_decref(json);
	return why == NULL ? TOKEN_GOOD : bad(why_out, why);
}
