/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of lib/token share. */
#ifndef POSTERN_TOKEN_INTERNAL_H
#define POSTERN_TOKEN_INTERNAL_H

#include <jansson.h>
#include <openssl/evp.h>

#include "base/buf.h"
#include "token/token.h"

/* ---- json.c ---- */
/*
 * One JSON object, strictly: no name twice, at most TOKEN_DEPTH_MAX levels, nothing behind it.
 * NULL: it is none. To be given back with json_decref.
 */
json_t *token_json(struct slice text);
/* The text of a member; an empty slice with NULL pointer if it is not there or no text. */
struct slice token_text(const json_t *object, const char *name);
/* A part of base64url (RFC 7515 section 2), canonical and without padding, as such an object. */
json_t *token_json_part(struct slice part);

/* ---- keys.c ---- */
enum token_algorithm { TOKEN_RS256, TOKEN_ES256, TOKEN_EDDSA };
/* ERR_NOT_FOUND: none of those that we take. The case matters (RFC 7515 section 4.1.1). */
enum err token_algorithm_read(struct slice name, enum token_algorithm *algorithm_out);
/*
 * The key of that name and algorithm. kid.ptr NULL: the token names none, and the set must have but
 * one for the algorithm. NULL: there is none.
 */
EVP_PKEY *token_keys_find(const struct token_keys *keys, struct slice kid,
			  enum token_algorithm algorithm);

/* ---- claims.c ---- */
enum token_claims_of { CLAIMS_OF_TOKEN, CLAIMS_OF_ANSWER };
/* Whether the claims keep the rules. NULL: they do; else why not. */
const char *token_claims_check(const struct token_rules *rules, const json_t *claims,
			       enum token_claims_of of, int64_t now, struct token_who *who_out);

#endif
