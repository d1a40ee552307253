/* SPDX-License-Identifier: Apache-2.0 */
#include "forge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "base/base64.h"
#include "base/mem.h"

static void must(bool good)
{
	if (!good)
		abort();
}

EVP_PKEY *forge_key(enum forge_algorithm algorithm)
{
	EVP_PKEY *key = algorithm == FORGE_RS256   ? EVP_RSA_gen(2048)
			: algorithm == FORGE_ES256 ? EVP_EC_gen("P-256")
						   : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	must(key != NULL);
	return key;
}

char *forge_printf(const char *format, ...)
{
	struct buf text;
	va_list args;
	char *copy;

	buf_init(&text, 1 << 20);
	va_start(args, format);
	must(buf_vprintf(&text, format, args) == ERR_OK);
	va_end(args);
	copy = mem_strndup(buf_data(&text).ptr, buf_len(&text));
	buf_release(&text);
	return copy;
}

char *forge_encode(const void *data, size_t len)
{
	struct buf text;
	char *copy;

	buf_init(&text, 1 << 20);
	must(base64_encode(slice_of(data, len), &text) == ERR_OK);
	copy = mem_strndup(buf_data(&text).ptr, buf_len(&text));
	buf_release(&text);
	for (char *c = copy; *c != '\0'; c++) {
		if (*c == '+')
			*c = '-';
		else if (*c == '/')
			*c = '_';
		else if (*c == '=')
			*c-- = '\0';
	}
	return copy;
}

static char *number(EVP_PKEY *key, const char *name, int size)
{
	unsigned char bytes[1024];
	BIGNUM *value = NULL;
	char *text;
	int len;

	must(EVP_PKEY_get_bn_param(key, name, &value) == 1);
	len = size > 0 ? BN_bn2binpad(value, bytes, size) : BN_bn2bin(value, bytes);
	must(len > 0);
	text = forge_encode(bytes, (size_t)len);
	BN_free(value);
	return text;
}

char *forge_members(EVP_PKEY *key)
{
	char *x, *y, *all;

	if (EVP_PKEY_is_a(key, "RSA")) {
		x = number(key, OSSL_PKEY_PARAM_RSA_N, 0);
		y = number(key, OSSL_PKEY_PARAM_RSA_E, 0);
		all = forge_printf("\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", x, y);
	} else if (EVP_PKEY_is_a(key, "EC")) {
		x = number(key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
		y = number(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
		all = forge_printf("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"", x,
				   y);
	} else {
		unsigned char bytes[32];
		size_t len = sizeof(bytes);

		must(EVP_PKEY_get_raw_public_key(key, bytes, &len) == 1);
		x = forge_encode(bytes, len);
		y = NULL;
		all = forge_printf("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", x);
	}
	mem_free(x);
	mem_free(y);
	return all;
}

char *forge_signed(const char *header, const char *claims, const void *signature, size_t len)
{
	char *first = forge_encode(header, strlen(header));
	char *second = forge_encode(claims, strlen(claims));
	char *third = forge_encode(signature, len);
	char *token = forge_printf("%s.%s.%s", first, second, third);

	mem_free(first);
	mem_free(second);
	mem_free(third);
	return token;
}

/* OpenSSL's DER to r and s of 32 bytes each. */
static size_t to_raw(unsigned char *signature, size_t len)
{
	const unsigned char *at = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);

	must(sig != NULL);
	must(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 32) == 32);
	must(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 32, 32) == 32);
	ECDSA_SIG_free(sig);
	return 64;
}

char *forge_token(const char *header, const char *claims, EVP_PKEY *key)
{
	char *unsigned_text = forge_signed(header, claims, "", 0);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char signature[1024];
	size_t len = sizeof(signature);
	char *token;

	must(EVP_DigestSignInit(ctx, NULL, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256(),
				NULL, key) == 1);
	/* Without the last dot. */
	must(EVP_DigestSign(ctx, signature, &len, (unsigned char *)unsigned_text,
			    strlen(unsigned_text) - 1) == 1);
	if (EVP_PKEY_is_a(key, "EC"))
		len = to_raw(signature, len);
	token = forge_signed(header, claims, signature, len);
	EVP_MD_CTX_free(ctx);
	mem_free(unsigned_text);
	return token;
}
