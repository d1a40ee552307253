/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a password: the SCRAM-SHA-256 verifier of RFC 5802 section 3 and RFC 7677.
 * From it a password can be checked, but not recovered, and it serves PLAIN, LOGIN and SCRAM
 * alike. Text form (RFC 5803): SCRAM-SHA-256$15000:SALT$STOREDKEY:SERVERKEY, in base64.
 *
 * Passwords reach these functions prepared (RFC 5802 asks for SASLprep; for printable ASCII
 * that changes nothing). Making and checking one takes milliseconds: in worker threads only.
 */
#ifndef POSTERN_STORE_VERIFIER_H
#define POSTERN_STORE_VERIFIER_H

#include "base/slice.h"

enum {
	VERIFIER_SALT = 16,     /* bytes of a new salt */
	VERIFIER_SALT_MAX = 64, /* of one that came from elsewhere */
	VERIFIER_KEY = 32,      /* SHA-256 */
	/* RFC 7677 section 4: at least 4096. */
	VERIFIER_ITERATIONS_MIN = 4096,
	/* More would let one login hold a thread for many seconds; the setting has the same bound.
	 */
	VERIFIER_ITERATIONS_MAX = 10000000,
	VERIFIER_DIGEST = 16,    /* of CRAM-MD5 */
	VERIFIER_TEXT_MAX = 256, /* of the text form; a terminator follows */
};

/*
 * SHA-1 and CRAM-MD5 are for clients that know no other, and only where the configuration names
 * them. What CRAM-MD5 needs is no verifier of SCRAM: it has neither salt nor iterations, its one
 * key is in stored_key, and with it anybody can log in. Text form: CRAM-MD5$KEY.
 */
enum verifier_hash { VERIFIER_SHA_256, VERIFIER_SHA_1, VERIFIER_CRAM_MD5 };
const char *verifier_scheme(enum verifier_hash hash); /* "SCRAM-SHA-256" */
size_t verifier_key_length(enum verifier_hash hash);  /* of its keys: 32, 20, 32 */

struct verifier {
	enum verifier_hash hash;
	uint32_t iterations;
	size_t salt_len;
	unsigned char salt[VERIFIER_SALT_MAX];
	unsigned char stored_key[VERIFIER_KEY];
	unsigned char server_key[VERIFIER_KEY];
};

/* ERR_RANGE: iterations outside the bounds above. ERR_INTERNAL: OpenSSL failed. */
enum err verifier_make_hash(enum verifier_hash hash, struct slice password,
			    const unsigned char salt[VERIFIER_SALT], uint32_t iterations,
			    struct verifier *verifier_out);
/* The same with SHA-256. */
enum err verifier_make(struct slice password, const unsigned char salt[VERIFIER_SALT],
		       uint32_t iterations, struct verifier *verifier_out);
/* Constant time in the contents of the password; false too when OpenSSL fails. */
bool verifier_check(const struct verifier *verifier, struct slice password);
/*
 * For a name that has no account: salt and iterations as if it had one, always the same for the
 * same name (salt = HMAC(key, name)), and no password that fits. Checking one costs what
 * checking a real one costs. Each hash has a salt of its own. ERR_RANGE, ERR_INTERNAL.
 */
enum err verifier_fake_hash(enum verifier_hash hash, const unsigned char key[VERIFIER_KEY],
			    struct slice name, uint32_t iterations, struct verifier *verifier_out);
/* The same with SHA-256. */
enum err verifier_fake(const unsigned char key[VERIFIER_KEY], struct slice name,
		       uint32_t iterations, struct verifier *verifier_out);

/* Of one for CRAM-MD5: the answer of who knows the password (RFC 2195), as bytes. */
void verifier_digest(const struct verifier *verifier, struct slice challenge,
		     unsigned char digest_out[VERIFIER_DIGEST]);

void verifier_print(const struct verifier *verifier, char text_out[VERIFIER_TEXT_MAX + 1]);
/* ERR_SYNTAX: another scheme or form; ERR_RANGE: iterations or salt outside the bounds. */
enum err verifier_read(struct slice text, struct verifier *verifier_out);
void verifier_wipe(struct verifier *verifier);

#endif
