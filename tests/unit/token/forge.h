/* SPDX-License-Identifier: Apache-2.0 */
/* Makes keys and tokens, good and forged, with OpenSSL alone. Texts are freed with mem_free. */
#ifndef POSTERN_TESTS_FORGE_H
#define POSTERN_TESTS_FORGE_H

#include <openssl/evp.h>

#include "base/slice.h"

enum forge_algorithm { FORGE_RS256, FORGE_ES256, FORGE_EDDSA };

EVP_PKEY *forge_key(enum forge_algorithm algorithm);
/* Members that name a public key: "kty":...,...; without braces, so that a test can add to them. */
char *forge_members(EVP_PKEY *key);
/* Base64url of bytes. */
char *forge_encode(const void *data, size_t len);
/* header and claims are JSON as they are; signed with the key, whatever header says. */
char *forge_token(const char *header, const char *claims, EVP_PKEY *key);
/* The same with a signature that the caller has. */
char *forge_signed(const char *header, const char *claims, const void *signature, size_t len);
char *forge_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
