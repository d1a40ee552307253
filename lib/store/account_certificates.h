/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client certificates that log in as an account whatever they are made out to, known by the SHA-256
 * of the whole certificate: 64 hexadecimal digits in lower case. Errors as in accounts.h.
 */
#ifndef POSTERN_STORE_ACCOUNT_CERTIFICATES_H
#define POSTERN_STORE_ACCOUNT_CERTIFICATES_H

#include "store/accounts.h"

enum {
	ACCOUNT_FINGERPRINT = 64,
	ACCOUNT_CERTIFICATES = 64,        /* of one account */
	ACCOUNT_CERTIFICATES_ALL = 65536, /* of all */
};

/*
 * As openssl x509 -fingerprint -sha256 prints it, "SHA256:..." and the bare digits, with or without
 * colons. ERR_SYNTAX.
 */
enum err account_fingerprint_read(struct slice text, char out[ACCOUNT_FINGERPRINT + 1]);
/* ERR_EXISTS: it is somebody's already; ERR_FULL. */
enum err accounts_add_certificate(struct accounts *accounts, int64_t account,
				  const char *fingerprint, int64_t now);
/* ERR_NOT_FOUND: the account does not have it. */
enum err accounts_remove_certificate(struct accounts *accounts, int64_t account,
				     const char *fingerprint, int64_t now);
/* Fingerprints of one account; account_texts_free frees them. */
enum err accounts_certificates(struct accounts *accounts, int64_t account, char ***texts_out,
			       size_t *count_out);
/* "FINGERPRINT NAME" of all, in order. */
enum err accounts_all_certificates(struct accounts *accounts, char ***texts_out, size_t *count_out);

#endif
