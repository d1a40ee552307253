/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts: what both sides may speak. TLS 1.2 with ECDHE and AEAD, and TLS 1.3, but for single
 * connections that tls_allow gives more to; no renegotiation, compression, early data, session
 * cache. Session tickets are sealed with keys that live in this process's memory only, for an hour,
 * and open tickets for one hour more.
 */
#include "tls/internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "os/os.h"

static const char ciphers_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK";
static const char groups[] = "X25519:P-256:P-384";
static const unsigned char alpn_smtp[] = "smtp";
/* Debian's and others' bundle of all trusted issuers in one file. */
static const char system_bundle[] = "/etc/ssl/certs/ca-certificates.crt";

void tls_context_hold(struct tls_context *context)
{
	context->references++;
}

void tls_context_free(struct tls_context **context)
{
	struct tls_context *c = *context;

	*context = NULL;
	if (!c || --c->references > 0)
		return;
	SSL_CTX_free(c->ssl);
	for (size_t i = 0; i < c->further_count; i++)
		SSL_CTX_free(c->further[i]);
	mem_free(c->further);
	tls_names_free(c);
	OPENSSL_cleanse(c->tickets, sizeof(c->tickets));
	mem_free(c);
}

/* What all contexts have in common; NULL: why says what failed. */
static SSL_CTX *settings_new(const SSL_METHOD *method, struct tls_context *context, char *why)
{
	SSL_CTX *ssl = SSL_CTX_new(method);

	if (!ssl || !SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ssl, 0) || !SSL_CTX_set_cipher_list(ssl, ciphers_1_2) ||
	    !SSL_CTX_set1_groups_list(ssl, groups)) {
		tls_why_openssl(why, "setting TLS up");
		SSL_CTX_free(ssl);
		return NULL;
	}
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_CLEANSE_PLAINTEXT | /* passwords */
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF |
					   SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
					   SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Buffers stay while bytes flow, and stream_idle gives them back: less churn. */
	SSL_CTX_clear_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ssl, 1); /* one read per record instead of two */
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_early_data(ssl, 0);
	SSL_CTX_set_recv_max_early_data(ssl, 0);
	SSL_CTX_set_app_data(ssl, context);
	return ssl;
}

static struct tls_context *context_new(bool client)
{
	struct tls_context *context = mem_alloc(sizeof(*context));

	ERR_clear_error();
	context->references = 1;
	context->client = client;
	return context;
}

/* ---- ALPN (RFC 7301): a browser that was led to this port must not get an answer ---- */

static int alpn_select(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len, void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned at = 0; at < in_len && in[at] < in_len - at; at += 1u + in[at]) {
		if (in[at] == sizeof(alpn_smtp) - 1 && !memcmp(in + at + 1, alpn_smtp, in[at])) {
			*out = in + at + 1;
			*out_len = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- session tickets (RFC 5077, RFC 8446 4.6.1) ---- */

static bool ticket_rotate(struct tls_context *context, int64_t now)
{
	struct ticket_key *newest = &context->tickets[0];
	struct ticket_key fresh;

	if (newest->made && now - newest->made < TLS_TICKET_LIFE)
		return true;
	if (RAND_bytes(fresh.name, sizeof(fresh.name)) != 1 ||
	    RAND_priv_bytes(fresh.aes, sizeof(fresh.aes)) != 1 ||
	    RAND_priv_bytes(fresh.hmac, sizeof(fresh.hmac)) != 1)
		return false;
	fresh.made = now > 0 ? now : 1;
	context->tickets[1] = *newest;
	*newest = fresh;
	OPENSSL_cleanse(&fresh, sizeof(fresh));
	return true;
}

static bool ticket_ready(const struct ticket_key *key, const unsigned char *iv, int seal,
			 EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	unsigned char hmac[TLS_TICKET_KEY];
	char digest[] = "SHA256";
	OSSL_PARAM params[3];
	bool ok;

	memcpy(hmac, key->hmac, sizeof(hmac));
	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac, sizeof(hmac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	ok = EVP_MAC_CTX_set_params(mac, params) == 1 &&
	     EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, seal) == 1;
	OPENSSL_cleanse(hmac, sizeof(hmac));
	return ok;
}

/* OpenSSL's contract: 1 use it, 2 use it and give a new ticket, 0 unknown ticket, -1 error. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		      EVP_MAC_CTX *mac, int seal)
{
	struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	int64_t now = os_monotonic_ms();

	if (!ticket_rotate(context, now))
		return -1;
	if (seal) {
		memcpy(name, context->tickets[0].name, TLS_TICKET_NAME);
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
		return ticket_ready(&context->tickets[0], iv, 1, cipher, mac) ? 1 : -1;
	}
	for (int i = 0; i < 2; i++) {
		const struct ticket_key *key = &context->tickets[i];

		if (!key->made || now - key->made > 2 * TLS_TICKET_LIFE ||
		    CRYPTO_memcmp(name, key->name, TLS_TICKET_NAME) != 0)
			continue;
		if (!ticket_ready(key, iv, 0, cipher, mac))
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}

/* ---- old versions, for those who are named for them ---- */

/* OpenSSL has forbidden TLS 1.0 and 1.1 above level 0: their signatures are made over SHA-1. */
static const char ciphers_old[] = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:kRSA+AES:!aNULL:!PSK";

static int version_number(enum tls_version version)
{
	switch (version) {
	case TLS_1_0:
		return TLS1_VERSION;
	case TLS_1_1:
		return TLS1_1_VERSION;
	case TLS_1_3:
		return TLS1_3_VERSION;
	default:
		return TLS1_2_VERSION;
	}
}

bool tls_allow(SSL *ssl, enum tls_version oldest)
{
	if (SSL_set_min_proto_version(ssl, version_number(oldest)) != 1)
		return false;
	if (oldest >= TLS_1_2)
		return true;
	SSL_set_security_level(ssl, 0);
	return SSL_set_cipher_list(ssl, ciphers_old) == 1;
}

/* Ed25519 and Ed448 came with TLS 1.2 (RFC 8422 5.10). */
static bool old_versions_can_sign(const struct tls_context *context)
{
	EVP_PKEY *key = SSL_CTX_get0_privatekey(context->ssl);

	return key == NULL || EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "EC");
}

/* Both sides in memory, in turns. */
static bool try_handshake(SSL *server, SSL *client)
{
	int done = 0;

	for (int i = 0; i < 10 && done != 2; i++)
		done = (SSL_do_handshake(client) == 1) + (SSL_do_handshake(server) == 1);
	return done == 2;
}

enum err tls_can_speak(struct tls_context *context, enum tls_version version, char *why)
{
	SSL_CTX *other = SSL_CTX_new(TLS_client_method());
	SSL *server = SSL_new(context->ssl), *client = other ? SSL_new(other) : NULL;
	BIO *near = NULL, *far = NULL;
	bool ok = false;

	ERR_clear_error();
	if (server && client && BIO_new_bio_pair(&near, 0, &far, 0) == 1) {
		SSL_set_bio(server, near, near);
		SSL_set_bio(client, far, far);
		SSL_set_accept_state(server);
		SSL_set_connect_state(client);
		SSL_set_security_level(client, 0);
		ok = SSL_set_min_proto_version(client, version_number(version)) == 1 &&
		     SSL_set_max_proto_version(client, version_number(version)) == 1 &&
		     SSL_set_cipher_list(client, "ALL") == 1 && tls_allow(server, version) &&
		     try_handshake(server, client);
	}
	if (!ok && version < TLS_1_2 && !old_versions_can_sign(context)) {
		tls_why(why, "the certificate's key cannot be used before TLS 1.2; one with an RSA "
			     "or ECDSA key can");
	} else if (!ok) {
		char doing[64];

		snprintf(doing, sizeof(doing), "OpenSSL on this system cannot do %s",
			 tls_version_name(version));
		tls_why_openssl(why, doing);
	}
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(other);
	ERR_clear_error();
	return ok ? ERR_OK : ERR_DENIED;
}

/* ---- the two kinds ---- */

static enum err use_identity(SSL_CTX *ssl, const struct tls_identity *identity, char *why)
{
	struct tls_loaded loaded;
	enum err err = tls_loaded_read(identity, true, &loaded, why);

	if (err != ERR_OK)
		return err;
	if (SSL_CTX_use_certificate(ssl, loaded.leaf) != 1) {
		tls_why_openssl(why, "the certificate cannot be used");
		err = ERR_DENIED;
	} else if (X509_check_private_key(loaded.leaf, loaded.key) != 1 ||
		   SSL_CTX_use_PrivateKey(ssl, loaded.key) != 1) {
		tls_why(why, "the key does not belong to the certificate");
		ERR_clear_error();
		err = ERR_DENIED;
	}
	for (size_t i = 0; err == ERR_OK && i < loaded.chain_count; i++) {
		if (SSL_CTX_add1_chain_cert(ssl, loaded.chain[i]) != 1) {
			tls_why_openssl(why, "the certificate chain cannot be used");
			err = ERR_DENIED;
		}
	}
	tls_loaded_release(&loaded);
	return err;
}

/* Of a server, with its certificate. */
static enum err server_settings_new(struct tls_context *context,
				    const struct tls_identity *identity, SSL_CTX **ssl_out,
				    char *why)
{
	static const unsigned char session_context[] = "postern";
	SSL_CTX *ssl = settings_new(TLS_server_method(), context, why);
	enum err err;

	if (!ssl)
		return ERR_INTERNAL;
	err = use_identity(ssl, identity, why);
	if (err != ERR_OK) {
		SSL_CTX_free(ssl);
		return err;
	}
	SSL_CTX_set_alpn_select_cb(ssl, alpn_select, NULL);
	SSL_CTX_set_tlsext_servername_callback(ssl, tls_choose_identity);
	SSL_CTX_set_session_id_context(ssl, session_context, sizeof(session_context) - 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, ticket_key);
	SSL_CTX_set_timeout(ssl, TLS_TICKET_LIFE / 1000);
	SSL_CTX_set_num_tickets(ssl, 1);
	*ssl_out = ssl;
	return ERR_OK;
}

enum err tls_server_context_new(const struct tls_identity *identity,
				struct tls_context **context_out, char *why)
{
	struct tls_context *context = context_new(false);
	enum err err = server_settings_new(context, identity, &context->ssl, why);

	if (err != ERR_OK) {
		tls_context_free(&context);
		return err;
	}
	tls_names_add(context, context->ssl);
	*context_out = context;
	return ERR_OK;
}

enum err tls_server_context_add(struct tls_context *context, const struct tls_identity *identity,
				char *why)
{
	size_t size;
	SSL_CTX *ssl;
	enum err err = server_settings_new(context, identity, &ssl, why);

	if (err != ERR_OK)
		return err;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a table of pointers */
	size = (context->further_count + 1) * sizeof(*context->further);
	context->further = mem_resize(context->further, size);
	context->further[context->further_count++] = ssl;
	tls_names_add(context, ssl);
	return ERR_OK;
}

/* Reads the issuers now: OpenSSL's folder of hashed names would be opened at each handshake. */
static enum err load_issuers(SSL_CTX *ssl, const char *ca_file, char *why)
{
	if (ca_file) {
		if (SSL_CTX_load_verify_file(ssl, ca_file) == 1)
			return ERR_OK;
		tls_why(why, "cannot read trusted certificates from %s (PEM): %s", ca_file,
			ERR_reason_error_string(ERR_peek_last_error())
				? ERR_reason_error_string(ERR_peek_last_error())
				: "unknown error");
		ERR_clear_error();
		return ERR_IO;
	}
	if (SSL_CTX_load_verify_file(ssl, system_bundle) != 1 &&
	    SSL_CTX_load_verify_file(ssl, X509_get_default_cert_file()) != 1) {
		tls_why(why,
			"no trusted certificates: %s cannot be read; "
			"install the package ca-certificates, or set ca_file",
			system_bundle);
		ERR_clear_error();
		return ERR_NOT_FOUND;
	}
	ERR_clear_error();
	return ERR_OK;
}

enum err tls_client_context_new(const char *ca_file, bool verify, struct tls_context **context_out,
				char *why)
{
	struct tls_context *context = context_new(true);
	enum err err = ERR_OK;

	context->ssl = settings_new(TLS_client_method(), context, why);
	if (!context->ssl)
		err = ERR_INTERNAL;
	else if (verify)
		err = load_issuers(context->ssl, ca_file, why);
	if (err != ERR_OK) {
		tls_context_free(&context);
		return err;
	}
	context->verify = verify;
	SSL_CTX_set_verify(context->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	*context_out = context;
	return ERR_OK;
}
