/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of keys (RFC 7517, RFC 7518 section 6, RFC 8037). Each key serves one algorithm, which
 * follows from its kind: what a token or the key's own "alg" says can only make it unfit.
 */
#include "token/internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "base/base64.h"
#include "base/mem.h"

enum {
	RSA_BITS_MIN = 2048, /* RFC 7518 section 3.3 */
	RSA_BITS_MAX = 8192, /* a larger one makes each check slow */
	RSA_BYTES_MAX = RSA_BITS_MAX / 8,
	EXPONENT_BYTES_MAX = 5,
	POINT_BYTES = 32, /* a coordinate of P-256, a key of Ed25519 */
	KID_MAX = 512,
};

struct key {
	char *kid; /* NULL: it has none */
	enum token_algorithm algorithm;
	EVP_PKEY *pkey;
};

struct token_keys {
	struct key items[TOKEN_KEY_COUNT];
	size_t count;
};

static const char *const names[] = {
	[TOKEN_RS256] = "RS256", [TOKEN_ES256] = "ES256", [TOKEN_EDDSA] = "EdDSA"};

enum err token_algorithm_read(struct slice name, enum token_algorithm *algorithm_out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_is(name, names[i])) {
			*algorithm_out = (enum token_algorithm)i;
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

/* The bytes of a member in base64url. */
static bool member(const json_t *jwk, const char *name, size_t max, struct buf *bytes_out)
{
	struct slice text = token_text(jwk, name);

	buf_init(bytes_out, max);
	return text.len > 0 && base64url_decode(text, bytes_out) == ERR_OK &&
	       buf_len(bytes_out) > 0;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return pkey;
}

static BIGNUM *number(const struct buf *bytes)
{
	struct slice s = buf_data(bytes);

	return BN_bin2bn((const unsigned char *)s.ptr, (int)s.len, NULL);
}

static EVP_PKEY *read_rsa(const json_t *jwk, const char **why_out)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *n = NULL, *e = NULL;
	EVP_PKEY *pkey = NULL;
	struct buf modulus, exponent;
	bool there = member(jwk, "n", RSA_BYTES_MAX, &modulus);

	*why_out = "its RSA numbers cannot be read";
	if (member(jwk, "e", EXPONENT_BYTES_MAX, &exponent) && there) {
		n = number(&modulus);
		e = number(&exponent);
	}
	if (n != NULL && e != NULL && build != NULL) {
		if (BN_num_bits(n) < RSA_BITS_MIN)
			*why_out = "an RSA key has to have 2048 bits";
		else if (BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
			 OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
			 OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
			pkey = from_params("RSA", build);
	}
	BN_free(n);
	BN_free(e);
	OSSL_PARAM_BLD_free(build);
	buf_release(&modulus);
	buf_release(&exponent);
	return pkey;
}

static EVP_PKEY *read_ec(const json_t *jwk, const char **why_out)
{
	unsigned char point[1 + 2 * POINT_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;
	struct buf x, y;
	bool there = member(jwk, "x", POINT_BYTES, &x);

	*why_out = "its curve is not P-256";
	if (slice_is(token_text(jwk, "crv"), "P-256")) {
		*why_out = "its point is not on the curve";
		if (member(jwk, "y", POINT_BYTES, &y) && there && buf_len(&x) == POINT_BYTES &&
		    buf_len(&y) == POINT_BYTES && build != NULL) {
			memcpy(point + 1, buf_data(&x).ptr, POINT_BYTES);
			memcpy(point + 1 + POINT_BYTES, buf_data(&y).ptr, POINT_BYTES);
			if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
							    "P-256", 0) == 1 &&
			    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
							     sizeof(point)) == 1)
				pkey = from_params("EC", build);
		}
		buf_release(&y);
	}
	OSSL_PARAM_BLD_free(build);
	buf_release(&x);
	return pkey;
}

static EVP_PKEY *read_okp(const json_t *jwk, const char **why_out)
{
	EVP_PKEY *pkey = NULL;
	struct buf x;

	*why_out = "its curve is not Ed25519";
	if (!slice_is(token_text(jwk, "crv"), "Ed25519"))
		return NULL;
	*why_out = "its x cannot be read";
	if (member(jwk, "x", POINT_BYTES, &x) && buf_len(&x) == POINT_BYTES)
		pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
						   (const unsigned char *)buf_data(&x).ptr,
						   POINT_BYTES);
	buf_release(&x);
	return pkey;
}

/* RFC 7517 sections 4.2 and 4.3: what it is for, if that is said. */
static bool is_for_signatures(const json_t *jwk)
{
	const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");
	const json_t *op;
	size_t i;
	bool found = ops == NULL;

	if (use != NULL && !slice_is(token_text(jwk, "use"), "sig"))
		return false;
	json_array_foreach(ops, i, op) if (json_is_string(op) &&
					   slice_is(slice_str(json_string_value(op)), "verify"))
		found = true;
	return found;
}

/* NULL: the key can be used; else why it is left out. */
static const char *read_key(const json_t *jwk, struct key *key_out)
{
	struct slice kty = token_text(jwk, "kty"), kid = token_text(jwk, "kid");
	struct key key = {.kid = NULL};
	const char *why = "its kind (kty) is not RSA, EC or OKP";

	if (json_object_get(jwk, "kid") != NULL && (kid.ptr == NULL || kid.len > KID_MAX))
		return "its name (kid) is no text, or too long";
	if (json_object_get(jwk, "d") != NULL || json_object_get(jwk, "k") != NULL)
		return "it is private: only public keys belong here";
	if (!is_for_signatures(jwk))
		return "it is not for signatures";
	if (slice_is(kty, "RSA")) {
		key.algorithm = TOKEN_RS256;
		key.pkey = read_rsa(jwk, &why);
	} else if (slice_is(kty, "EC")) {
		key.algorithm = TOKEN_ES256;
		key.pkey = read_ec(jwk, &why);
	} else if (slice_is(kty, "OKP")) {
		key.algorithm = TOKEN_EDDSA;
		key.pkey = read_okp(jwk, &why);
	}
	if (key.pkey == NULL)
		return why;
	if (json_object_get(jwk, "alg") != NULL &&
	    !slice_is(token_text(jwk, "alg"), names[key.algorithm])) {
		EVP_PKEY_free(key.pkey);
		return "it is for an algorithm (alg) other than RS256, ES256 and EdDSA";
	}
	key.kid = kid.ptr != NULL ? mem_strndup(kid.ptr, kid.len) : NULL;
	*key_out = key;
	return NULL;
}

static EVP_PKEY *find(const struct token_keys *keys, struct slice kid,
		      enum token_algorithm algorithm, size_t *count_out)
{
	EVP_PKEY *found = NULL;

	*count_out = 0;
	for (size_t i = 0; i < keys->count; i++) {
		const struct key *key = &keys->items[i];

		if (key->algorithm != algorithm ||
		    (kid.ptr != NULL &&
		     (key->kid == NULL || !slice_equal(slice_str(key->kid), kid))))
			continue;
		found = key->pkey;
		(*count_out)++;
	}
	return found;
}

EVP_PKEY *token_keys_find(const struct token_keys *keys, struct slice kid,
			  enum token_algorithm algorithm)
{
	size_t count;
	EVP_PKEY *found = find(keys, kid, algorithm, &count);

	return count == 1 ? found : NULL;
}

static void read_all(const json_t *list, struct token_keys *keys, char why[TOKEN_WHY])
{
	const json_t *jwk;
	size_t i;

	why[0] = '\0';
	json_array_foreach(list, i, jwk)
	{
		const char *left_out = read_key(jwk, &keys->items[keys->count]);

		if (left_out == NULL)
			keys->count++;
		else if (why[0] == '\0')
			(void)snprintf(why, TOKEN_WHY, "key %zu of %zu is left out: %s", i + 1,
				       json_array_size(list), left_out);
	}
}

enum err token_keys_read(struct slice text, struct token_keys **keys_out, char why[TOKEN_WHY])
{
	struct token_keys *keys;
	json_t *json, *list;
	enum err err = ERR_OK;

	if (text.len > TOKEN_KEYS_MAX) {
		(void)snprintf(why, TOKEN_WHY, "it is larger than %d bytes", (int)TOKEN_KEYS_MAX);
		return ERR_RANGE;
	}
	json = token_json(text);
	list = json_object_get(json, "keys");
	if (!json_is_array(list)) {
		(void)snprintf(why, TOKEN_WHY,
			       "it is no set of keys (JWKS): an object with a list \"keys\"");
		json_decref(json);
		return ERR_SYNTAX;
	}
	if (json_array_size(list) > TOKEN_KEY_COUNT) {
		(void)snprintf(why, TOKEN_WHY, "it has more than %d keys", (int)TOKEN_KEY_COUNT);
		json_decref(json);
		return ERR_RANGE;
	}
	keys = mem_alloc(sizeof(*keys));
	read_all(list, keys, why);
	if (keys->count == 0) {
		if (why[0] == '\0')
			(void)snprintf(why, TOKEN_WHY, "there is no key in it");
		token_keys_free(&keys);
		err = ERR_NOT_FOUND;
	} else {
		*keys_out = keys;
	}
	json_decref(json);
	return err;
}

void token_keys_free(struct token_keys **keys)
{
	if (*keys == NULL)
		return;
	for (size_t i = 0; i < (*keys)->count; i++) {
		EVP_PKEY_free((*keys)->items[i].pkey);
		mem_free((*keys)->items[i].kid);
	}
	MEM_FREE(*keys);
}

size_t token_keys_count(const struct token_keys *keys)
{
	return keys != NULL ? keys->count : 0;
}
