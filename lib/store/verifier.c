/* SPDX-License-Identifier: Apache-2.0 */
#include "store/verifier.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "base/buf.h"
#include "store/verifier_cram.h"

static const struct {
	const char *scheme;
	const EVP_MD *(*digest)(void);
	size_t length;
} HASHES[] = {
	[VERIFIER_SHA_256] = {"SCRAM-SHA-256", EVP_sha256, 32},
	[VERIFIER_SHA_1] = {"SCRAM-SHA-1", EVP_sha1, 20},
	[VERIFIER_CRAM_MD5] = {"CRAM-MD5", NULL, CRAM_STATES},
};
enum { HASH_COUNT_ALL = sizeof(HASHES) / sizeof(HASHES[0]) };

const char *verifier_scheme(enum verifier_hash hash)
{
	return HASHES[hash].scheme;
}

size_t verifier_key_length(enum verifier_hash hash)
{
	return HASHES[hash].length;
}

static bool hmac(enum verifier_hash hash, const unsigned char *key, size_t key_len,
		 const void *data, size_t len, unsigned char out[VERIFIER_KEY])
{
	unsigned size = 0;

	return HMAC(HASHES[hash].digest(), key, (int)key_len, data, len, out, &size) != NULL &&
	       size == HASHES[hash].length;
}

static bool hashed(enum verifier_hash hash, const unsigned char data[VERIFIER_KEY],
		   unsigned char out[VERIFIER_KEY])
{
	unsigned size = 0;

	return EVP_Digest(data, HASHES[hash].length, out, &size, HASHES[hash].digest(), NULL) ==
		       1 &&
	       size == HASHES[hash].length;
}

/* RFC 5802 section 3: SaltedPassword, ClientKey, StoredKey, ServerKey. */
static bool derive_scram(struct slice password, struct verifier *verifier)
{
	enum verifier_hash hash = verifier->hash;
	size_t length = HASHES[hash].length;
	unsigned char salted[VERIFIER_KEY], client[VERIFIER_KEY];
	/* HMAC pads its key with NULs: with one in it, two passwords would be the same. */
	bool ok = password.len <= INT32_MAX && !slice_has_byte(password, '\0') &&
		  PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, verifier->salt,
				    (int)verifier->salt_len, (int)verifier->iterations,
				    HASHES[hash].digest(), (int)length, salted) == 1 &&
		  hmac(hash, salted, length, "Client Key", 10, client) &&
		  hashed(hash, client, verifier->stored_key) &&
		  hmac(hash, salted, length, "Server Key", 10, verifier->server_key);

	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client, sizeof(client));
	return ok;
}

static bool derive(struct slice password, struct verifier *verifier)
{
	if (verifier->hash != VERIFIER_CRAM_MD5)
		return derive_scram(password, verifier);
	if (password.len > INT32_MAX || slice_has_byte(password, '\0'))
		return false;
	cram_states(password, verifier->stored_key);
	return true;
}

static bool iterations_ok(uint32_t iterations)
{
	return iterations >= VERIFIER_ITERATIONS_MIN && iterations <= VERIFIER_ITERATIONS_MAX;
}

enum err verifier_make(struct slice password, const unsigned char salt[VERIFIER_SALT],
		       uint32_t iterations, struct verifier *verifier_out)
{
	return verifier_make_hash(VERIFIER_SHA_256, password, salt, iterations, verifier_out);
}

enum err verifier_make_hash(enum verifier_hash hash, struct slice password,
			    const unsigned char salt[VERIFIER_SALT], uint32_t iterations,
			    struct verifier *verifier_out)
{
	struct verifier made = {.hash = hash, .iterations = iterations, .salt_len = VERIFIER_SALT};

	if (!iterations_ok(iterations))
		return ERR_RANGE;
	memcpy(made.salt, salt, VERIFIER_SALT);
	if (!derive(password, &made))
		return ERR_INTERNAL;
	*verifier_out = made;
	verifier_wipe(&made);
	return ERR_OK;
}

bool verifier_check(const struct verifier *verifier, struct slice password)
{
	struct verifier tried = {.hash = verifier->hash,
				 .iterations = verifier->iterations,
				 .salt_len = verifier->salt_len};
	bool same;

	if ((verifier->hash != VERIFIER_CRAM_MD5 && !iterations_ok(verifier->iterations)) ||
	    verifier->salt_len > VERIFIER_SALT_MAX)
		return false;
	memcpy(tried.salt, verifier->salt, verifier->salt_len);
	same = derive(password, &tried) && CRYPTO_memcmp(tried.stored_key, verifier->stored_key,
							 HASHES[verifier->hash].length) == 0;
	verifier_wipe(&tried);
	return same;
}

enum err verifier_fake(const unsigned char key[VERIFIER_KEY], struct slice name,
		       uint32_t iterations, struct verifier *verifier_out)
{
	return verifier_fake_hash(VERIFIER_SHA_256, key, name, iterations, verifier_out);
}

enum err verifier_fake_hash(enum verifier_hash hash, const unsigned char key[VERIFIER_KEY],
			    struct slice name, uint32_t iterations, struct verifier *verifier_out)
{
	struct verifier fake = {.hash = hash, .iterations = iterations, .salt_len = VERIFIER_SALT};
	unsigned char made[VERIFIER_KEY], salt[VERIFIER_KEY];

	if (!iterations_ok(iterations))
		return ERR_RANGE;
	if (!hmac(VERIFIER_SHA_256, key, VERIFIER_KEY, name.ptr, name.len, made))
		return ERR_INTERNAL;
	memcpy(salt, made, sizeof(salt));
	if (hash != VERIFIER_SHA_256 &&
	    !hmac(VERIFIER_SHA_256, made, VERIFIER_KEY, HASHES[hash].scheme,
		  strlen(HASHES[hash].scheme), salt))
		return ERR_INTERNAL;
	memcpy(fake.salt, salt, VERIFIER_SALT);
	/* Keys that nobody knows a password for: a hash of the hash under the same key. */
	if (!hmac(VERIFIER_SHA_256, key, VERIFIER_KEY, salt, sizeof(salt), fake.stored_key) ||
	    !hmac(VERIFIER_SHA_256, key, VERIFIER_KEY, fake.stored_key, VERIFIER_KEY,
		  fake.server_key))
		return ERR_INTERNAL;
	*verifier_out = fake;
	return ERR_OK;
}

static void append_base64(const unsigned char *data, size_t len, struct buf *out)
{
	(void)base64_encode(slice_of(data, len), out); /* out is large enough for every verifier */
}

static void print_salt(const struct verifier *verifier, struct buf *out)
{
	(void)buf_printf(out, "%s$%u:", HASHES[verifier->hash].scheme, verifier->iterations);
	append_base64(verifier->salt, verifier->salt_len, out);
}

void verifier_print(const struct verifier *verifier, char text_out[VERIFIER_TEXT_MAX + 1])
{
	struct buf text;

	buf_init(&text, VERIFIER_TEXT_MAX);
	if (verifier->hash == VERIFIER_CRAM_MD5)
		(void)buf_printf(&text, "%s", HASHES[verifier->hash].scheme);
	else
		print_salt(verifier, &text);
	(void)buf_append_byte(&text, '$');
	append_base64(verifier->stored_key, HASHES[verifier->hash].length, &text);
	if (verifier->hash != VERIFIER_CRAM_MD5) {
		(void)buf_append_byte(&text, ':');
		append_base64(verifier->server_key, HASHES[verifier->hash].length, &text);
	}
	if (slice_copy(buf_data(&text), text_out, VERIFIER_TEXT_MAX + 1) != ERR_OK)
		text_out[0] = '\0';
	buf_wipe(&text);
}

/* Decodes into at most max bytes. */
static enum err read_base64(struct slice text, unsigned char *out, size_t max, size_t *len_out)
{
	struct buf bytes;
	enum err err;

	buf_init(&bytes, max);
	err = base64_decode(text, &bytes);
	if (err == ERR_OK) {
		*len_out = buf_len(&bytes);
		memcpy(out, buf_data(&bytes).ptr, *len_out);
	}
	buf_wipe(&bytes);
	return err == ERR_FULL ? ERR_RANGE : err;
}

static enum err read_key(struct slice text, enum verifier_hash hash,
			 unsigned char out[VERIFIER_KEY])
{
	size_t len = 0;
	enum err err = read_base64(text, out, VERIFIER_KEY, &len);

	if (err != ERR_OK)
		return err;
	return len == HASHES[hash].length ? ERR_OK : ERR_SYNTAX;
}

static bool read_scheme(struct slice scheme, enum verifier_hash *hash_out)
{
	for (size_t i = 0; i < HASH_COUNT_ALL; i++) {
		if (slice_is(scheme, HASHES[i].scheme)) {
			*hash_out = (enum verifier_hash)i;
			return true;
		}
	}
	return false;
}

static enum err read_cram(struct slice text, struct verifier *verifier_out)
{
	struct verifier read = {.hash = VERIFIER_CRAM_MD5};
	enum err err = read_key(text, read.hash, read.stored_key);

	if (err == ERR_OK)
		*verifier_out = read;
	verifier_wipe(&read);
	return err;
}

enum err verifier_read(struct slice text, struct verifier *verifier_out)
{
	struct verifier read = {0};
	struct slice scheme, iterations, salt, stored;
	uint64_t number = 0;
	enum err err;

	if (!slice_split(&text, '$', &scheme) || !read_scheme(scheme, &read.hash))
		return ERR_SYNTAX;
	if (read.hash == VERIFIER_CRAM_MD5)
		return read_cram(text, verifier_out);
	if (!slice_split(&text, ':', &iterations) || !slice_split(&text, '$', &salt) ||
	    !slice_split(&text, ':', &stored) || salt.len == 0)
		return ERR_SYNTAX;
	if ((err = slice_number(iterations, UINT32_MAX, &number)) != ERR_OK ||
	    (err = read_base64(salt, read.salt, VERIFIER_SALT_MAX, &read.salt_len)) != ERR_OK ||
	    (err = read_key(stored, read.hash, read.stored_key)) != ERR_OK ||
	    (err = read_key(text, read.hash, read.server_key)) != ERR_OK)
		return err;
	read.iterations = (uint32_t)number;
	if (!iterations_ok(read.iterations))
		return ERR_RANGE;
	*verifier_out = read;
	verifier_wipe(&read);
	return ERR_OK;
}

void verifier_wipe(struct verifier *verifier)
{
	OPENSSL_cleanse(verifier, sizeof(*verifier));
}

void verifier_digest(const struct verifier *verifier, struct slice challenge,
		     unsigned char digest_out[VERIFIER_DIGEST])
{
	cram_digest(verifier->stored_key, challenge, digest_out);
}
