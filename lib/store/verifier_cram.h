/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CRAM-MD5 (RFC 2195) needs of a password; within lib/store. HMAC-MD5 begins with a block of
 * the key in each of its two hashes, so the states after these blocks are all that is needed of it.
 * They are as good as the password for CRAM-MD5, and for nothing else. Form and order are those of
 * Dovecot's {CRAM-MD5}.
 */
#ifndef POSTERN_STORE_VERIFIER_CRAM_H
#define POSTERN_STORE_VERIFIER_CRAM_H

#include "base/slice.h"

enum { CRAM_STATES = 32, CRAM_DIGEST = 16 };

void cram_states(struct slice password, unsigned char states_out[CRAM_STATES]);
void cram_digest(const unsigned char states[CRAM_STATES], struct slice challenge,
		 unsigned char digest_out[CRAM_DIGEST]);

#endif
