/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of passwords that other programs made: those of crypt(3), and Dovecot's {SCHEME}s. What
 * has no salt, or is broken, is refused with words, and so is what would keep a thread busy for
 * long (C6, C12). With a hash that was read here a password can be checked, and nothing else.
 *
 * Reading is quick. Checking takes what the hash costs, at most about a second and 64 MiB: in
 * worker threads only.
 */
#ifndef POSTERN_STORE_FOREIGN_H
#define POSTERN_STORE_FOREIGN_H

#include "store/password.h"
#include "store/verifier.h"

enum {
	FOREIGN_MAX = 512,       /* bytes of a hash with its scheme */
	FOREIGN_SCHEME_MAX = 32, /* "SHA512-CRYPT" */
	FOREIGN_SALT_MAX = 64,
	FOREIGN_DIGEST_MAX = 64,
	FOREIGN_WHY = 256,
	/* What is taken at most, so that one login holds a thread for a second, and not for hours.
	 */
	FOREIGN_ROUNDS_MAX = 1000000, /* SHA-crypt, PBKDF2 */
	FOREIGN_BCRYPT_MAX = 14,      /* the binary logarithm of its rounds */
	FOREIGN_YESCRYPT_MIB = 64,
};

enum foreign_scheme {
	FOREIGN_YESCRYPT,
	FOREIGN_BCRYPT,
	FOREIGN_SHA512_CRYPT,
	FOREIGN_SHA256_CRYPT,
	FOREIGN_SSHA,
	FOREIGN_SSHA256,
	FOREIGN_SSHA512,
	FOREIGN_PBKDF2,
	FOREIGN_SCRAM_SHA_256,
	FOREIGN_SCRAM_SHA_1,
	FOREIGN_PLAIN, /* the password itself, from which a verifier can be made at once */
};

struct foreign {
	enum foreign_scheme scheme;
	/* As it is kept: "$6$...", "{SSHA}..."; of FOREIGN_PLAIN the password. */
	char text[PASSWORD_MAX + 1];
	uint32_t rounds; /* of FOREIGN_PBKDF2 */
	size_t salt_len, digest_len;
	unsigned char salt[FOREIGN_SALT_MAX], digest[FOREIGN_DIGEST_MAX];
	struct verifier verifier; /* of the two SCRAM */
};

/*
 * "$6$...", "{SSHA}...": scheme is that of a text without one, "" for CRYPT. why is a clause for
 * people, without anything of the text beyond the name of a scheme. ERR_DENIED: it is no hash, by
 * intent: empty, locked ("!", "*"), or elsewhere ("x"); ERR_NOT_FOUND: of a scheme that is not
 * taken; ERR_RANGE: too long, or checking it would take too long; ERR_SYNTAX: damaged.
 */
enum err foreign_read(struct slice text, const char *scheme, struct foreign *out,
		      char why[FOREIGN_WHY]);
/* "SHA-512 crypt", for people. */
const char *foreign_name(enum foreign_scheme scheme);
/*
 * Whether it is the hash of the password. false, too, for passwords that cannot be one
 * (password_well_formed) and whenever a library fails. Constant time but for the hash itself.
 */
bool foreign_check(const struct foreign *foreign, struct slice password);
void foreign_wipe(struct foreign *foreign);

#endif
