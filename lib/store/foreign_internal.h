/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of foreign.h share; nobody else includes this. */
#ifndef POSTERN_STORE_FOREIGN_INTERNAL_H
#define POSTERN_STORE_FOREIGN_INTERNAL_H

#include "store/foreign.h"

/* Writes why, and returns err. */
enum err foreign_explain(char why[FOREIGN_WHY], enum err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A number in digits, without sign or leading zero. */
bool foreign_number(struct slice text, uint32_t *number_out);

/* foreign_crypt.c: a text of crypt(3), without a scheme in braces. */
enum err foreign_read_crypt(struct slice text, struct foreign *out, char why[FOREIGN_WHY]);
bool foreign_check_crypt(const struct foreign *foreign, struct slice password);

/* foreign_digest.c: what stands behind {SSHA} and the like; out->scheme is set. */
enum foreign_coding { FOREIGN_BASE64, FOREIGN_HEX };
enum err foreign_read_salted(struct slice text, enum foreign_coding coding, struct foreign *out,
			     char why[FOREIGN_WHY]);
enum err foreign_read_pbkdf2(struct slice text, struct foreign *out, char why[FOREIGN_WHY]);
enum err foreign_read_scram(struct slice text, struct foreign *out, char why[FOREIGN_WHY]);
bool foreign_check_digest(const struct foreign *foreign, struct slice password);

#endif
