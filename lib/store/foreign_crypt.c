/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of crypt(3), computed by libcrypt. It takes many more forms, and any cost that a text
 * asks for; so only texts that are of one of four forms, whole, and affordable, ever reach it.
 */
#include "store/foreign_internal.h"

#include <crypt.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"

enum {
	SHA_SALT_MAX = 16,
	SHA_ROUNDS_MIN = 1000, /* libcrypt takes less for this */
	SHA512_HASH = 86,
	SHA256_HASH = 43,
	YESCRYPT_HASH = 43,
	YESCRYPT_SALT_MAX = 86,
	BCRYPT_TAIL = 53, /* 22 of salt, 31 of hash */
	YESCRYPT_PARAMS = 3,
};

/* ./0-9A-Za-z, in the order of their values in crypt(3); -1: none of these. */
static int value_of(char c)
{
	static const char ALPHABET[] =
		"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	const char *at = c == '\0' ? NULL : strchr(ALPHABET, c);

	return at == NULL ? -1 : (int)(at - ALPHABET);
}

static bool in_alphabet(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (value_of(text.ptr[i]) < 0)
			return false;
	return true;
}

static enum err damaged(char why[FOREIGN_WHY], enum foreign_scheme scheme)
{
	return foreign_explain(why, ERR_SYNTAX,
			       "the %s hash is not whole, or not of the form that it should have",
			       foreign_name(scheme));
}

/* $6$[rounds=N$]SALT$HASH */
static enum err read_sha(struct slice text, size_t hash_len, struct foreign *out,
			 char why[FOREIGN_WHY])
{
	struct slice part;
	uint32_t rounds;

	if (slice_starts(text, "rounds=")) {
		text = slice_skip(text, strlen("rounds="));
		if (!slice_split(&text, '$', &part) || !foreign_number(part, &rounds) ||
		    rounds < SHA_ROUNDS_MIN)
			return damaged(why, out->scheme);
		if (rounds > FOREIGN_ROUNDS_MAX)
			return foreign_explain(why, ERR_RANGE,
					       "its %u rounds would take seconds at each login; %d "
					       "are taken at most",
					       rounds, FOREIGN_ROUNDS_MAX);
	}
	if (!slice_has_byte(text, '$') || !slice_split(&text, '$', &part) ||
	    part.len > SHA_SALT_MAX || text.len != hash_len || !in_alphabet(text))
		return damaged(why, out->scheme);
	return ERR_OK;
}

/* $2b$NN$ and 53 characters */
static enum err read_bcrypt(struct slice text, struct foreign *out, char why[FOREIGN_WHY])
{
	unsigned cost;

	if (text.len != 3 + BCRYPT_TAIL || !ascii_is_digit(text.ptr[0]) ||
	    !ascii_is_digit(text.ptr[1]) || text.ptr[2] != '$' || !in_alphabet(slice_skip(text, 3)))
		return damaged(why, out->scheme);
	cost = (unsigned)(text.ptr[0] - '0') * 10 + (unsigned)(text.ptr[1] - '0');
	if (cost < 4)
		return damaged(why, out->scheme);
	if (cost > FOREIGN_BCRYPT_MAX)
		return foreign_explain(why, ERR_RANGE,
				       "its cost of %u would take seconds at each login; %d is "
				       "taken at most",
				       cost, FOREIGN_BCRYPT_MAX);
	return ERR_OK;
}

/*
 * $y$jNr$SALT$HASH: j is the flavour that all programs write, N the binary logarithm of the number
 * of blocks, less one, r the size of a block in units of 128 bytes, less one.
 */
static enum err read_yescrypt(struct slice text, struct foreign *out, char why[FOREIGN_WHY])
{
	struct slice params, salt;
	int log_n, r;

	if (!slice_split(&text, '$', &params) || !slice_has_byte(text, '$') ||
	    !slice_split(&text, '$', &salt) || salt.len == 0 || salt.len > YESCRYPT_SALT_MAX ||
	    !in_alphabet(salt) || text.len != YESCRYPT_HASH || !in_alphabet(text) ||
	    params.len == 0 || !in_alphabet(params))
		return damaged(why, out->scheme);
	if (params.len != YESCRYPT_PARAMS || params.ptr[0] != 'j')
		return foreign_explain(why, ERR_NOT_FOUND,
				       "yescrypt with parameters that mkpasswd and passwd do not "
				       "use is not taken");
	log_n = value_of(params.ptr[1]) + 1;
	r = value_of(params.ptr[2]) + 1;
	if (log_n > 20 ||
	    ((uint64_t)r << log_n) * 128 > (uint64_t)FOREIGN_YESCRYPT_MIB * 1024 * 1024)
		return foreign_explain(why, ERR_RANGE,
				       "it would take more than %d MiB and seconds at each login",
				       FOREIGN_YESCRYPT_MIB);
	return ERR_OK;
}

static enum err refuse_form(struct slice text, char why[FOREIGN_WHY])
{
	static const struct {
		const char *prefix, *name;
	} KNOWN[] = {
		{"$1$", "MD5 crypt"},      {"$apr1$", "Apache's MD5"}, {"$sha1$", "SHA-1 crypt"},
		{"$md5", "Sun's MD5"},     {"$3$", "NT hash"},         {"_", "BSDi's DES"},
		{"$2x$", "broken bcrypt"}, {"$7$", "scrypt"},          {"$gy$", "gost-yescrypt"},
		{"$argon2", "Argon2"},
	};

	for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
		if (slice_starts(text, KNOWN[i].prefix))
			return foreign_explain(why, ERR_NOT_FOUND,
					       "%s (%s) is %s: set a new password", KNOWN[i].name,
					       KNOWN[i].prefix,
					       i < 7 ? "too weak" : "not supported");
	if (text.len == 13 && in_alphabet(text))
		return foreign_explain(why, ERR_NOT_FOUND,
				       "DES crypt is too weak: set a new password");
	return foreign_explain(why, ERR_NOT_FOUND,
			       "no hash that is known begins as it does; is it a password in clear "
			       "(write {PLAIN} before it), or of another scheme?");
}

enum err foreign_read_crypt(struct slice text, struct foreign *out, char why[FOREIGN_WHY])
{
	if (slice_starts(text, "$y$")) {
		out->scheme = FOREIGN_YESCRYPT;
		return read_yescrypt(slice_skip(text, 3), out, why);
	}
	if (slice_starts(text, "$2a$") || slice_starts(text, "$2b$") ||
	    slice_starts(text, "$2y$")) {
		out->scheme = FOREIGN_BCRYPT;
		return read_bcrypt(slice_skip(text, 4), out, why);
	}
	if (slice_starts(text, "$6$")) {
		out->scheme = FOREIGN_SHA512_CRYPT;
		return read_sha(slice_skip(text, 3), SHA512_HASH, out, why);
	}
	if (slice_starts(text, "$5$")) {
		out->scheme = FOREIGN_SHA256_CRYPT;
		return read_sha(slice_skip(text, 3), SHA256_HASH, out, why);
	}
	return refuse_form(text, why);
}

bool foreign_check_crypt(const struct foreign *foreign, struct slice password)
{
	struct crypt_data *data = mem_alloc(sizeof(*data));
	char phrase[PASSWORD_MAX + 1];
	const char *made = NULL;
	bool same;

	if (slice_copy(password, phrase, sizeof(phrase)) == ERR_OK)
		made = crypt_rn(phrase, foreign->text, data, sizeof(*data));
	/* "*0" and "*1" are what others return for a failure; no hash begins so. */
	same = made != NULL && made[0] == '$' &&
	       secret_equal(slice_str(made), slice_str(foreign->text));
	explicit_bzero(phrase, sizeof(phrase));
	explicit_bzero(data, sizeof(*data));
	mem_free(data);
	return same;
}
