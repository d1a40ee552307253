/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this library share. */
#ifndef POSTERN_TLS_INTERNAL_H
#define POSTERN_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/tls.h"

enum {
	TLS_CHAIN_MAX = 16,            /* certificates of one identity */
	TLS_TICKET_LIFE = 3600 * 1000, /* ms after which a new ticket key is made */
	TLS_NAME_MAX = 253,            /* of a host: RFC 1035 2.3.4, as text */
	TLS_TICKET_NAME = 16,
	TLS_TICKET_KEY = 32,
};

struct tls_name;

/* Keys of session tickets: in memory only, the one before the last still opens tickets. */
struct ticket_key {
	unsigned char name[TLS_TICKET_NAME];
	unsigned char aes[TLS_TICKET_KEY];
	unsigned char hmac[TLS_TICKET_KEY];
	int64_t made; /* monotonic ms; 0: not there */
};

/* Counted: the owner holds one reference, each stream one. */
struct tls_context {
	SSL_CTX *ssl;
	SSL_CTX **further; /* of other certificates; same settings, same ticket keys */
	size_t further_count;
	struct tls_name *names; /* of all certificates: choose.c */
	unsigned references;
	bool client;
	bool verify;
	struct ticket_key tickets[2]; /* newest first */
};

/* Reads all of an identity; free with identity_release. why may be NULL. ERR_SYNTAX. */
struct tls_loaded {
	X509 *leaf;
	X509 *chain[TLS_CHAIN_MAX];
	size_t chain_count;
	EVP_PKEY *key; /* NULL if not asked for */
};
enum err tls_loaded_read(const struct tls_identity *identity, bool with_key,
			 struct tls_loaded *loaded_out, char *why);
void tls_loaded_release(struct tls_loaded *loaded);

/* Letters, digits, hyphens and dots, as host names are made of; nothing else is looked for. */
bool tls_is_hostname(struct slice name);
/* The same, or "*." and a name with a dot in it. */
bool tls_is_pattern(struct slice name);
/* The DNS names in subjectAltName, the CN is not looked at (RFC 6125 6.4.4); those that are none
 * are left out. */
void tls_each_name(X509 *leaf, void (*fn)(void *arg, struct slice name), void *arg);
/* Puts the names of a context's certificate into the table. */
void tls_names_add(struct tls_context *context, SSL_CTX *ssl);
void tls_names_free(struct tls_context *context);
/* The answer to a client's SNI: which certificate it gets. For OpenSSL. */
int tls_choose_identity(SSL *ssl, int *alert, void *arg);

/* stream_allow, for what has no stream. */
bool tls_allow(SSL *ssl, enum tls_version oldest);

/* That a connection asks for a certificate, and whether what came was valid. */
struct tls_question {
	struct tls_authorities *authorities;
	bool failed;
};
/* Before the handshake; question must outlive the connection. */
bool tls_ask(SSL *ssl, struct tls_question *question);
/* After another certificate of ours was chosen, with which OpenSSL forgets half of it. */
bool tls_ask_again(SSL *ssl);
void tls_client_names(SSL *ssl, struct tls_client_names *names_out);

/* printf into why (TLS_WHY_MAX bytes); why may be NULL. */
void tls_why(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What OpenSSL's newest error means, prefixed by what was being done. Empties its queue. */
void tls_why_openssl(char *why, const char *doing);
/* Why a handshake failed; ssl_error: SSL_get_error's. saved_errno: of the call. */
void tls_why_handshake(char *why, SSL *ssl, bool client, int ssl_error, int saved_errno);

#endif
