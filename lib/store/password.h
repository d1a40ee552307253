/* SPDX-License-Identifier: Apache-2.0 */
/* What may be a password, and how one is made up; the secrets of keys are of a form of their own.
 */
#ifndef POSTERN_STORE_PASSWORD_H
#define POSTERN_STORE_PASSWORD_H

#include "base/slice.h"

enum {
	/* A longer one would let strangers make us hash at length (OpenSSH, CVE-2016-6515). */
	PASSWORD_MAX = 1024,
	PASSWORD_MIN = 8,        /* NIST SP 800-63B section 5.1.1.2 */
	PASSWORD_GENERATED = 24, /* 20 letters and digits in groups of four, 99 bits */
	/* Of a key: another group before it, which tells which key it is. */
	PASSWORD_KEY_TAG = 4,
	PASSWORD_KEY = PASSWORD_KEY_TAG + 1 + PASSWORD_GENERATED,
	PASSWORD_WHY = 256,
};

/*
 * Whether anything of this form can be a password at all: 1 to PASSWORD_MAX bytes of UTF-8
 * without controls. What fails here is refused before any back end sees it.
 */
bool password_well_formed(struct slice password);
/*
 * Whether it may become the password of name (bare or with a domain). Refuses what is malformed,
 * short, equal to the login name, or on the list of those that everybody tries first.
 * ERR_SYNTAX, ERR_RANGE, ERR_DENIED, with the reason as a sentence for people in why.
 */
enum err password_acceptable(struct slice password, struct slice name, char why[PASSWORD_WHY]);
/* A new one, from the kernel's randomness, without letters that look alike. */
void password_generate(char text_out[PASSWORD_GENERATED + 1]);
/* The secret of a key: its tag, which is no secret, and what password_generate makes. */
void password_generate_key(char text_out[PASSWORD_KEY + 1]);
/* The tag of what looks like the secret of a key; else false, and nothing is written. */
bool password_key_tag(struct slice password, char tag_out[PASSWORD_KEY_TAG + 1]);

#endif
