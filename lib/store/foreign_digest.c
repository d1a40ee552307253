/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Salted digests ({SSHA}, of LDAP servers and Dovecot), PBKDF2 and SCRAM as Dovecot writes them,
 * computed by OpenSSL.
 */
#include "store/foreign_internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/base64.h"

enum { PBKDF2_DIGEST = 20 /* of SHA-1 */ };

static enum err damaged(char why[FOREIGN_WHY], enum foreign_scheme scheme)
{
	return foreign_explain(why, ERR_SYNTAX, "the %s hash is not whole, or damaged",
			       foreign_name(scheme));
}

static int digit_of(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct slice text, struct buf *out)
{
	if (text.len % 2 != 0)
		return false;
	for (size_t i = 0; i < text.len; i += 2) {
		int high = digit_of(text.ptr[i]), low = digit_of(text.ptr[i + 1]);

		if (high < 0 || low < 0 || buf_append_byte(out, (char)(high * 16 + low)) != ERR_OK)
			return false;
	}
	return true;
}

static const EVP_MD *digest_of(enum foreign_scheme scheme)
{
	return scheme == FOREIGN_SSHA512   ? EVP_sha512()
	       : scheme == FOREIGN_SSHA256 ? EVP_sha256()
					   : EVP_sha1();
}

enum err foreign_read_salted(struct slice text, enum foreign_coding coding, struct foreign *out,
			     char why[FOREIGN_WHY])
{
	size_t len = (size_t)EVP_MD_get_size(digest_of(out->scheme));
	struct slice bytes;
	struct buf decoded;
	bool ok;

	buf_init(&decoded, FOREIGN_DIGEST_MAX + FOREIGN_SALT_MAX);
	ok = coding == FOREIGN_HEX ? read_hex(text, &decoded)
				   : base64_decode(text, &decoded) == ERR_OK;
	bytes = buf_data(&decoded);
	/* Without a salt it would be another, weaker scheme. */
	if (ok && bytes.len > len && bytes.len - len <= FOREIGN_SALT_MAX) {
		out->digest_len = len;
		out->salt_len = bytes.len - len;
		memcpy(out->digest, bytes.ptr, len);
		memcpy(out->salt, bytes.ptr + len, out->salt_len);
	}
	buf_wipe(&decoded);
	return out->digest_len != 0 ? ERR_OK : damaged(why, out->scheme);
}

/* $1$SALT$ROUNDS$HEX, with SHA-1 */
enum err foreign_read_pbkdf2(struct slice text, struct foreign *out, char why[FOREIGN_WHY])
{
	struct slice salt, rounds;
	struct buf digest;
	bool ok;

	if (!slice_starts(text, "$1$"))
		return damaged(why, out->scheme);
	text = slice_skip(text, 3);
	if (!slice_split(&text, '$', &salt) || !slice_split(&text, '$', &rounds) || salt.len == 0 ||
	    salt.len > FOREIGN_SALT_MAX || !foreign_number(rounds, &out->rounds) ||
	    out->rounds == 0)
		return damaged(why, out->scheme);
	if (out->rounds > FOREIGN_ROUNDS_MAX)
		return foreign_explain(why, ERR_RANGE,
				       "its %u rounds would take seconds at each login; %d are "
				       "taken at most",
				       out->rounds, FOREIGN_ROUNDS_MAX);
	buf_init(&digest, PBKDF2_DIGEST);
	ok = read_hex(text, &digest) && buf_len(&digest) == PBKDF2_DIGEST;
	if (ok) {
		out->salt_len = salt.len;
		memcpy(out->salt, salt.ptr, salt.len);
		out->digest_len = PBKDF2_DIGEST;
		memcpy(out->digest, buf_data(&digest).ptr, PBKDF2_DIGEST);
	}
	buf_wipe(&digest);
	return ok ? ERR_OK : damaged(why, out->scheme);
}

/* ROUNDS,SALT,STOREDKEY,SERVERKEY */
enum err foreign_read_scram(struct slice text, struct foreign *out, char why[FOREIGN_WHY])
{
	enum verifier_hash hash =
		out->scheme == FOREIGN_SCRAM_SHA_1 ? VERIFIER_SHA_1 : VERIFIER_SHA_256;
	struct slice rounds, salt, stored;
	char form[FOREIGN_MAX + 64];
	uint32_t number;
	enum err err;

	if (!slice_split(&text, ',', &rounds) || !slice_split(&text, ',', &salt) ||
	    !slice_split(&text, ',', &stored) || !foreign_number(rounds, &number))
		return damaged(why, out->scheme);
	if (number < VERIFIER_ITERATIONS_MIN || number > FOREIGN_ROUNDS_MAX)
		return foreign_explain(why, ERR_RANGE, "it has %u rounds; %d to %d are taken",
				       number, VERIFIER_ITERATIONS_MIN, FOREIGN_ROUNDS_MAX);
	(void)snprintf(form, sizeof(form), "%s$%u:%.*s$%.*s:%.*s", verifier_scheme(hash), number,
		       SLICE_ARG(salt), SLICE_ARG(stored), SLICE_ARG(text));
	err = verifier_read(slice_str(form), &out->verifier);
	explicit_bzero(form, sizeof(form));
	return err == ERR_OK ? ERR_OK : damaged(why, out->scheme);
}

/* H(password, salt) */
static bool salted(const struct foreign *foreign, struct slice password,
		   unsigned char out[EVP_MAX_MD_SIZE])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned len = 0;
	bool ok = context != NULL &&
		  EVP_DigestInit_ex(context, digest_of(foreign->scheme), NULL) == 1 &&
		  EVP_DigestUpdate(context, password.ptr, password.len) == 1 &&
		  EVP_DigestUpdate(context, foreign->salt, foreign->salt_len) == 1 &&
		  EVP_DigestFinal_ex(context, out, &len) == 1 && len == foreign->digest_len;

	EVP_MD_CTX_free(context); /* wipes */
	return ok;
}

bool foreign_check_digest(const struct foreign *foreign, struct slice password)
{
	unsigned char made[EVP_MAX_MD_SIZE] = {0};
	bool ok;

	if (foreign->scheme == FOREIGN_PBKDF2)
		ok = PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, foreign->salt,
				       (int)foreign->salt_len, (int)foreign->rounds, EVP_sha1(),
				       (int)foreign->digest_len, made) == 1;
	else
		ok = salted(foreign, password, made);
	ok = ok && foreign->digest_len != 0 &&
	     CRYPTO_memcmp(made, foreign->digest, foreign->digest_len) == 0;
	OPENSSL_cleanse(made, sizeof(made));
	return ok;
}
