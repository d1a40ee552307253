/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over socket pairs, and what hostile peers do (B5, B6, B8, B9, B10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "test_tls.h"
#include "tls/internal.h"

struct pair {
	struct made made;
	char ca_file[64];
	struct tls_context *server_context, *client_context;
	struct stream *server, *client;
	int client_fd; /* the client's descriptor, to do what a stream does not */
	char server_why[TLS_WHY_MAX], client_why[TLS_WHY_MAX];
};

static void pair_open(struct pair *pair, const char *made_for, unsigned days)
{
	struct tls_identity identity;
	int fds[2];

	*pair = (struct pair){.client_fd = -1};
	make(&pair->made, made_for, days);
	identity = made_identity(&pair->made);
	snprintf(pair->ca_file, sizeof(pair->ca_file), "/tmp/postern-test-ca.%d", (int)getpid());
	assert_int_equal(os_write_file(pair->ca_file, identity.certificate, 0600), ERR_OK);
	assert_int_equal(tls_server_context_new(&identity, &pair->server_context, pair->server_why),
			 ERR_OK);
	assert_int_equal(tls_client_context_new(pair->ca_file, true, &pair->client_context,
						pair->client_why),
			 ERR_OK);
	assert_int_equal(net_pair(fds), ERR_OK);
	pair->server = stream_new(fds[0]);
	pair->client = stream_new(fds[1]);
	pair->client_fd = fds[1];
}

static void pair_close(struct pair *pair)
{
	unlink(pair->ca_file);
	stream_free(&pair->server);
	stream_free(&pair->client);
	tls_context_free(&pair->server_context);
	tls_context_free(&pair->client_context);
	unmake(&pair->made);
}

/* Drives both sides until each is done or failed. */
static void shake(struct pair *pair, enum err *server_out, enum err *client_out)
{
	enum err server = ERR_AGAIN, client = ERR_AGAIN;

	for (int i = 0; i < 20 && (server == ERR_AGAIN || client == ERR_AGAIN); i++) {
		if (client == ERR_AGAIN)
			client = stream_handshake(pair->client, pair->client_why);
		if (server == ERR_AGAIN)
			server = stream_handshake(pair->server, pair->server_why);
	}
	*server_out = server;
	*client_out = client;
}

static void start(struct pair *pair, const char *name)
{
	assert_int_equal(stream_start_tls(pair->server, pair->server_context, NULL), ERR_OK);
	assert_int_equal(stream_start_tls(pair->client, pair->client_context, name), ERR_OK);
}

static void pair_connected(struct pair *pair)
{
	enum err server, client;

	pair_open(pair, "mail.example.org", 30);
	start(pair, "mail.example.org");
	shake(pair, &server, &client);
	assert_int_equal(server, ERR_OK);
	assert_int_equal(client, ERR_OK);
}

/* Both directions with bodies larger than all buffers: partial writes, retried from another place.
 */
static void bytes_arrive_as_sent(struct stream *from, struct stream *to)
{
	enum { TOTAL = 3000000, PART = 100000 };
	unsigned char *sent = mem_alloc(TOTAL), *got = mem_alloc(TOTAL);
	size_t at = 0, in = 0, again = 0, len;

	os_random(sent, TOTAL);
	while (in < TOTAL) {
		while (at < TOTAL) {
			size_t part = TOTAL - at < PART ? TOTAL - at : PART;
			unsigned char *moved = mem_alloc(part); /* another address at each try */
			enum err err;

			memcpy(moved, sent + at, part);
			err = stream_write(from, moved, part, &len);
			mem_free(moved);
			if (err == ERR_AGAIN) {
				again++;
				assert_int_equal(stream_wants(from), WATCH_WRITE);
				break;
			}
			assert_int_equal(err, ERR_OK);
			at += len;
		}
		enum err err =
			stream_read(to, got + in, TOTAL - in < 7777 ? TOTAL - in : 7777, &len);

		if (err == ERR_AGAIN) {
			assert_false(stream_pending(to));
			continue;
		}
		assert_int_equal(err, ERR_OK);
		in += len;
	}
	assert_true(again > 0);
	assert_memory_equal(sent, got, TOTAL);
	mem_free(sent);
	mem_free(got);
}

static void clear_stream(void **state)
{
	struct pair pair;
	char data[8];
	size_t len;

	(void)state;
	pair_open(&pair, "mail.example.org", 30);
	assert_false(stream_is_tls(pair.client));
	assert_string_equal(stream_version(pair.client), "");
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_AGAIN);
	assert_int_equal(stream_wants(pair.server), WATCH_READ);
	bytes_arrive_as_sent(pair.client, pair.server);
	stream_free(&pair.client);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_EOF);
	pair_close(&pair);
}

static void tls_stream(void **state)
{
	struct pair pair;
	char data[8];
	size_t len;

	(void)state;
	pair_connected(&pair);
	assert_true(stream_is_tls(pair.server));
	assert_string_equal(stream_version(pair.server), "TLSv1.3");
	assert_string_equal(stream_cipher(pair.client), stream_cipher(pair.server));
	assert_true(stream_verified(pair.client));
	assert_false(stream_verified(pair.server));
	bytes_arrive_as_sent(pair.client, pair.server);
	stream_idle(pair.client);
	stream_idle(pair.server);
	bytes_arrive_as_sent(pair.server, pair.client);
	stream_free(&pair.client); /* sends close_notify */
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_EOF);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_EOF);
	pair_close(&pair);
}

static void context_may_go_first(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair, "mail.example.org", 30);
	start(&pair, "mail.example.org");
	tls_context_free(&pair.server_context);
	tls_context_free(&pair.client_context);
	enum err server, client;

	shake(&pair, &server, &client);
	assert_int_equal(server, ERR_OK);
	assert_int_equal(client, ERR_OK);
	bytes_arrive_as_sent(pair.client, pair.server);
	pair_close(&pair);
}

/* A record read in small parts: what is left inside must be seen without polling. */
static void pending_is_seen(void **state)
{
	struct pair pair;
	char data[4];
	size_t len;

	(void)state;
	pair_connected(&pair);
	assert_int_equal(stream_write(pair.client, "0123456", 7, &len), ERR_OK);
	assert_int_equal(stream_write(pair.client, "789", 3, &len), ERR_OK);
	assert_int_equal(stream_read(pair.server, data, 4, &len), ERR_OK);
	assert_true(stream_pending(pair.server));
	assert_int_equal(stream_read(pair.server, data, 4, &len), ERR_OK);
	assert_int_equal(len, 3);
	assert_true(stream_pending(pair.server)); /* the second record came with the first */
	assert_int_equal(stream_read(pair.server, data, 4, &len), ERR_OK);
	assert_memory_equal(data, "789", 3);
	assert_int_equal(stream_read(pair.server, data, 4, &len), ERR_AGAIN);
	assert_false(stream_pending(pair.server));
	pair_close(&pair);
}

/* B6: the end without close_notify is no end. */
static void b6_truncation_is_an_error(void **state)
{
	struct pair pair;
	char data[64];
	size_t len;

	(void)state;
	pair_connected(&pair);
	assert_int_equal(stream_write(pair.client, "half a mess", 11, &len), ERR_OK);
	assert_int_equal(shutdown(pair.client_fd, SHUT_RDWR), 0);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_OK);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_IO);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_IO);
	assert_int_equal(stream_write(pair.server, "x", 1, &len), ERR_IO);
	pair_close(&pair);
}

/* B5: bytes in clear where TLS was, with and without close_notify before them. */
static void b5_clear_bytes_are_an_error(void **state)
{
	static const char injected[] = "QUIT\r\nMAIL FROM:<a@example.org>\r\n";
	struct pair pair;
	char data[64];
	size_t len;

	(void)state;
	pair_connected(&pair);
	assert_int_equal(net_send(pair.client_fd, injected, strlen(injected), &len), ERR_OK);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_IO);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_IO);
	assert_int_equal(stream_write(pair.server, "x", 1, &len), ERR_IO);
	pair_close(&pair);

	pair_connected(&pair);
	int fd = dup(pair.client_fd);

	stream_free(&pair.client); /* close_notify */
	assert_int_equal(net_send(fd, injected, strlen(injected), &len), ERR_OK);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_EOF);
	assert_int_equal(stream_read(pair.server, data, sizeof(data), &len), ERR_EOF);
	assert_false(stream_pending(pair.server));
	net_close(&fd);
	pair_close(&pair);
}

static void wrong_name_fails(void **state)
{
	struct pair pair;
	enum err server, client;

	(void)state;
	pair_open(&pair, "mail.example.org", 30);
	start(&pair, "mx.example.net");
	shake(&pair, &server, &client);
	assert_int_equal(client, ERR_DENIED);
	assert_non_null(strstr(pair.client_why, "hostname mismatch"));
	assert_int_equal(server, ERR_DENIED);
	pair_close(&pair);
	pair_open(&pair, "127.0.0.1", 30);
	start(&pair, "127.0.0.1");
	shake(&pair, &server, &client);
	assert_int_equal(client, ERR_OK);
	assert_true(stream_verified(pair.client));
	pair_close(&pair);
}

static void expired_fails_and_unverified_does_not(void **state)
{
	struct pair pair;
	enum err server, client;

	(void)state;
	pair_open(&pair, "mail.example.org", 0); /* an hour ago till now */
	usleep(1100000);
	start(&pair, "mail.example.org");
	shake(&pair, &server, &client);
	assert_int_equal(client, ERR_DENIED);
	assert_non_null(strstr(pair.client_why, "certificate has expired"));
	assert_int_equal(server, ERR_DENIED);
	assert_non_null(strstr(pair.server_why, "client says that the certificate has expired"));
	pair_close(&pair);

	pair_open(&pair, "mail.example.org", 30);
	tls_context_free(&pair.client_context);
	assert_int_equal(tls_client_context_new(NULL, false, &pair.client_context, pair.client_why),
			 ERR_OK);
	start(&pair, "elsewhere.example.org");
	shake(&pair, &server, &client);
	assert_int_equal(client, ERR_OK);
	assert_false(stream_verified(pair.client));
	pair_close(&pair);
}

static void unreadable_issuers_are_told(void **state)
{
	struct tls_context *context = NULL;
	char why[TLS_WHY_MAX] = "";

	(void)state;
	assert_int_equal(tls_client_context_new("/nonexistent/ca.pem", true, &context, why),
			 ERR_IO);
	assert_non_null(strstr(why, "/nonexistent/ca.pem"));
	assert_null(context);
}

static void no_tls_is_told(void **state)
{
	struct pair pair;
	size_t len;

	(void)state;
	pair_open(&pair, "mail.example.org", 30);
	assert_int_equal(stream_start_tls(pair.server, pair.server_context, NULL), ERR_OK);
	assert_int_equal(net_send(pair.client_fd, "EHLO laptop\r\n", 13, &len), ERR_OK);
	assert_int_equal(stream_handshake(pair.server, pair.server_why), ERR_DENIED);
	assert_string_equal(pair.server_why, "client speaks no TLS");
	pair_close(&pair);
	pair_open(&pair, "mail.example.org", 30);
	assert_int_equal(stream_start_tls(pair.server, pair.server_context, NULL), ERR_OK);
	stream_free(&pair.client);
	assert_int_equal(stream_handshake(pair.server, pair.server_why), ERR_IO);
	assert_string_equal(pair.server_why,
			    "client closed the connection during the TLS handshake");
	pair_close(&pair);
}

/* ---- a client of OpenSSL's own, to offer what ours never would ---- */

struct other {
	SSL_CTX *ctx;
	SSL *ssl;
};

static struct other other_new(struct pair *pair)
{
	struct other other = {SSL_CTX_new(TLS_client_method()), NULL};

	assert_non_null(other.ctx);
	SSL_CTX_set_security_level(other.ctx, 0);
	SSL_CTX_set_min_proto_version(other.ctx, TLS1_VERSION);
	other.ssl = SSL_new(other.ctx);
	SSL_set_fd(other.ssl, pair->client_fd);
	SSL_set_connect_state(other.ssl);
	assert_int_equal(stream_start_tls(pair->server, pair->server_context, NULL), ERR_OK);
	return other;
}

static void other_free(struct other *other)
{
	SSL_free(other->ssl);
	SSL_CTX_free(other->ctx);
}

static enum err other_shake(struct pair *pair, struct other *other)
{
	enum err server = ERR_AGAIN;
	int client = 0;

	for (int i = 0; i < 20 && (server == ERR_AGAIN || client != 1); i++) {
		client = SSL_do_handshake(other->ssl);
		if (server == ERR_AGAIN)
			server = stream_handshake(pair->server, pair->server_why);
	}
	assert_int_equal(client == 1, server == ERR_OK);
	return server;
}

static void b8_old_versions_and_suites_are_refused(void **state)
{
	static const struct {
		int version;
		const char *ciphers;
		const char *why; /* NULL: works */
	} tries[] = {
		{TLS1_VERSION, "ALL:@SECLEVEL=0", "client offers TLS 1.0 only"},
		{TLS1_1_VERSION, "ALL:@SECLEVEL=0", "client offers TLS 1.1 only"},
		{TLS1_2_VERSION, "ECDHE+AESGCM", NULL},
		{TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", "no cipher that is allowed"},
		{TLS1_2_VERSION, "AES128-GCM-SHA256", "no cipher that is allowed"},
		{TLS1_2_VERSION, "AECDH-AES128-SHA:@SECLEVEL=0", "no cipher that is allowed"},
		{TLS1_3_VERSION, "ALL", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct pair pair;

		pair_open(&pair, "mail.example.org", 30);
		struct other other = other_new(&pair);

		SSL_set_min_proto_version(other.ssl, tries[i].version);
		SSL_set_max_proto_version(other.ssl, tries[i].version);
		assert_int_equal(SSL_set_cipher_list(other.ssl, tries[i].ciphers), 1);
		enum err err = other_shake(&pair, &other);

		assert_int_equal(err, tries[i].why ? ERR_DENIED : ERR_OK);
		if (tries[i].why)
			assert_non_null(strstr(pair.server_why, tries[i].why));
		other_free(&other);
		pair_close(&pair);
	}
}

/* B9 */
static void b9_alpn_is_smtp_or_nothing(void **state)
{
	static const struct {
		const char *offer;
		bool ok;
	} tries[] = {
		{"\x08http/1.1", false},
		{"\x04smtp", true},
		{"\x02h2\x04smtp", true},
		{"\x05"
		 "esmtq\x03smt",
		 false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct pair pair;
		const unsigned char *chosen;
		unsigned len;

		pair_open(&pair, "mail.example.org", 30);
		struct other other = other_new(&pair);

		SSL_set_alpn_protos(other.ssl, (const unsigned char *)tries[i].offer,
				    (unsigned)strlen(tries[i].offer));
		assert_int_equal(other_shake(&pair, &other), tries[i].ok ? ERR_OK : ERR_DENIED);
		if (tries[i].ok) {
			SSL_get0_alpn_selected(other.ssl, &chosen, &len);
			assert_int_equal(len, 4);
			assert_memory_equal(chosen, "smtp", 4);
		} else {
			assert_non_null(strstr(pair.server_why, "ALPN"));
		}
		other_free(&other);
		pair_close(&pair);
	}
}

/* B10: whatever name is asked for, the one certificate is shown. */
static void b10_any_server_name_gets_the_certificate(void **state)
{
	static const char *const names[] = {"..\\", "%n%s", "$(id)", "no.such.host.example",
					    "\xff\xfe"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct pair pair;

		pair_open(&pair, "mail.example.org", 30);
		struct other other = other_new(&pair);

		SSL_set_tlsext_host_name(other.ssl, names[i]);
		assert_int_equal(other_shake(&pair, &other), ERR_OK);
		assert_non_null(SSL_get0_peer_certificate(other.ssl));
		other_free(&other);
		pair_close(&pair);
	}
}

/* B8: a TLS 1.2 client that asks for a new handshake gets none, and the session lives on. */
static void b8_renegotiation_is_refused(void **state)
{
	struct pair pair;
	char data[64];
	size_t len;

	(void)state;
	pair_open(&pair, "mail.example.org", 30);
	struct other other = other_new(&pair);

	SSL_set_max_proto_version(other.ssl, TLS1_2_VERSION);
	assert_int_equal(other_shake(&pair, &other), ERR_OK);
	assert_int_equal(SSL_renegotiate(other.ssl), 1);
	SSL_do_handshake(other.ssl);
	enum err err = stream_read(pair.server, data, sizeof(data), &len);

	assert_true(err == ERR_AGAIN || err == ERR_IO);
	SSL_do_handshake(other.ssl);
	assert_int_not_equal(SSL_get_state(other.ssl), TLS_ST_OK);
	other_free(&other);
	pair_close(&pair);
}

/* What is allowed to one connection is so for it alone. */
static void b8_old_versions_for_one_connection(void **state)
{
	static const struct {
		enum tls_version oldest;
		int version;
		const char *ciphers;
		bool ok;
	} tries[] = {
		{TLS_1_0, TLS1_VERSION, "ALL:@SECLEVEL=0", true},
		{TLS_1_0, TLS1_1_VERSION, "ALL:@SECLEVEL=0", true},
		{TLS_1_0, TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", true},
		{TLS_1_0, TLS1_3_VERSION, "ALL", true},
		{TLS_1_0, TLS1_VERSION, "AECDH-AES128-SHA:@SECLEVEL=0", false},
		{TLS_1_0, TLS1_VERSION, "eNULL:@SECLEVEL=0", false},
		{TLS_1_1, TLS1_VERSION, "ALL:@SECLEVEL=0", false},
		{TLS_1_1, TLS1_1_VERSION, "ALL:@SECLEVEL=0", true},
		{TLS_1_2, TLS1_1_VERSION, "ALL:@SECLEVEL=0", false},
		{TLS_1_2, TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", false},
		{TLS_1_3, TLS1_2_VERSION, "ECDHE+AESGCM", false},
		{TLS_1_3, TLS1_3_VERSION, "ALL", true},
	};
	struct pair pair;

	(void)state;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		pair_open(&pair, "mail.example.org", 30);
		assert_int_equal(stream_allow(pair.server, tries[i].oldest), ERR_INTERNAL);
		struct other other = other_new(&pair);

		assert_int_equal(stream_allow(pair.server, tries[i].oldest), ERR_OK);
		SSL_set_min_proto_version(other.ssl, tries[i].version);
		SSL_set_max_proto_version(other.ssl, tries[i].version);
		assert_int_equal(SSL_set_cipher_list(other.ssl, tries[i].ciphers), 1);
		assert_int_equal(other_shake(&pair, &other), tries[i].ok ? ERR_OK : ERR_DENIED);
		assert_int_equal(stream_allow(pair.server, TLS_1_0), ERR_INTERNAL);
		other_free(&other);
		/* The next one of the same context has none of it. */
		stream_free(&pair.server);
		int fds[2];

		assert_int_equal(net_pair(fds), ERR_OK);
		pair.server = stream_new(fds[0]);
		pair.client_fd = fds[1];
		other = other_new(&pair);
		SSL_set_max_proto_version(other.ssl, TLS1_1_VERSION);
		assert_int_equal(other_shake(&pair, &other), ERR_DENIED);
		other_free(&other);
		net_close(&pair.client_fd);
		pair_close(&pair);
	}
}

static void b8_what_the_library_can_is_tried(void **state)
{
	struct pair pair;
	char why[TLS_WHY_MAX] = "";

	(void)state;
	pair_open(&pair, "mail.example.org", 30);
	for (int version = TLS_1_0; version <= TLS_1_3; version++)
		assert_int_equal(tls_can_speak(pair.server_context, (enum tls_version)version, why),
				 ERR_OK);
	SSL_CTX_set_options(pair.server_context->ssl, SSL_OP_NO_TLSv1);
	assert_int_equal(tls_can_speak(pair.server_context, TLS_1_0, why), ERR_DENIED);
	assert_int_equal(strncmp(why, "OpenSSL on this system cannot do TLS 1.0: ", 42), 0);
	assert_int_equal(tls_can_speak(pair.server_context, TLS_1_1, why), ERR_OK);
	pair_close(&pair);
}

/* A context with a key that no version before 1.2 can sign with. */
static struct tls_context *edwards_context(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *certificate = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	struct tls_context *context = NULL;
	struct tls_identity identity;
	X509 *x509 = X509_new();
	char why[TLS_WHY_MAX];
	char *bytes;
	long len;

	assert_int_equal(X509_set_pubkey(x509, key), 1);
	X509_gmtime_adj(X509_getm_notBefore(x509), 0);
	X509_gmtime_adj(X509_getm_notAfter(x509), 86400);
	assert_true(X509_sign(x509, key, NULL) > 0);
	assert_int_equal(PEM_write_bio_X509(certificate, x509), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(certificate, &bytes);
	identity.certificate = slice_of(bytes, (size_t)len);
	len = BIO_get_mem_data(secret, &bytes);
	identity.key = slice_of(bytes, (size_t)len);
	assert_int_equal(tls_server_context_new(&identity, &context, why), ERR_OK);
	BIO_free(certificate);
	BIO_free(secret);
	X509_free(x509);
	EVP_PKEY_free(key);
	return context;
}

static void b8_a_key_that_is_too_new_is_told(void **state)
{
	struct tls_context *context = edwards_context();
	char why[TLS_WHY_MAX] = "";

	(void)state;
	assert_int_equal(tls_can_speak(context, TLS_1_2, why), ERR_OK);
	assert_int_equal(tls_can_speak(context, TLS_1_0, why), ERR_DENIED);
	assert_string_equal(why, "the certificate's key cannot be used before TLS 1.2; one with an "
				 "RSA or ECDSA key can");
	tls_context_free(&context);
}

/* Resumes a session on a new connection of the pair's contexts; was it resumed? */
static bool resumes(struct pair *pair, SSL_SESSION *session)
{
	struct pair next = *pair;
	bool reused;
	int fds[2];

	assert_int_equal(net_pair(fds), ERR_OK);
	next.server = stream_new(fds[0]);
	next.client_fd = fds[1];
	struct other other = other_new(&next);

	SSL_set_session(other.ssl, session);
	assert_int_equal(other_shake(&next, &other), ERR_OK);
	reused = SSL_session_reused(other.ssl) == 1;
	/* A connection that is broken off would make the session useless. */
	SSL_set_shutdown(other.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	other_free(&other);
	net_close(&fds[1]);
	stream_free(&next.server);
	return reused;
}

/* A key seals for an hour, opens for one more, and is gone then. */
static void b8_ticket_keys_rotate(void **state)
{
	struct ticket_key *keys;
	unsigned char first[TLS_TICKET_NAME];
	struct pair pair;
	char byte;

	(void)state;
	pair_open(&pair, "mail.example.org", 30);
	keys = pair.server_context->tickets;
	struct other other = other_new(&pair);

	assert_int_equal(other_shake(&pair, &other), ERR_OK);
	SSL_read(other.ssl, &byte, 1);
	SSL_SESSION *session = SSL_get1_session(other.ssl);

	memcpy(first, keys[0].name, sizeof(first));
	assert_true(resumes(&pair, session));
	assert_memory_equal(keys[0].name, first, sizeof(first));
	keys[0].made -= TLS_TICKET_LIFE;
	assert_true(resumes(&pair, session));
	assert_memory_not_equal(keys[0].name, first, sizeof(first));
	assert_memory_equal(keys[1].name, first, sizeof(first));
	keys[0].made -= TLS_TICKET_LIFE;
	assert_false(resumes(&pair, session));
	assert_memory_not_equal(keys[1].name, first, sizeof(first));
	SSL_SESSION_free(session);
	other_free(&other);
	pair_close(&pair);
}

/* Tickets work within a context and not in another; no early data is offered with them. */
static void b8_tickets_resume(void **state)
{
	for (int same = 0; same < 2; same++) {
		struct pair pair;
		char byte;

		(void)state;
		pair_open(&pair, "mail.example.org", 30);
		struct other first = other_new(&pair);

		assert_int_equal(other_shake(&pair, &first), ERR_OK);
		SSL_read(first.ssl, &byte, 1); /* takes the ticket */
		SSL_SESSION *session = SSL_get1_session(first.ssl);

		assert_true(SSL_SESSION_has_ticket(session));
		assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
		struct pair second = pair;
		struct pair apart;
		int fds[2];

		pair_open(&apart, "mail.example.org", 30);
		assert_int_equal(net_pair(fds), ERR_OK);
		second.server = stream_new(fds[0]);
		second.client_fd = fds[1];
		if (!same)
			second.server_context = apart.server_context;
		struct other other = other_new(&second);

		SSL_set_session(other.ssl, session);
		assert_int_equal(other_shake(&second, &other), ERR_OK);
		assert_int_equal(SSL_session_reused(other.ssl), same);
		SSL_SESSION_free(session);
		other_free(&other);
		other_free(&first);
		net_close(&fds[1]);
		stream_free(&second.server);
		pair_close(&apart);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clear_stream),
		cmocka_unit_test(tls_stream),
		cmocka_unit_test(context_may_go_first),
		cmocka_unit_test(pending_is_seen),
		cmocka_unit_test(b6_truncation_is_an_error),
		cmocka_unit_test(b5_clear_bytes_are_an_error),
		cmocka_unit_test(wrong_name_fails),
		cmocka_unit_test(expired_fails_and_unverified_does_not),
		cmocka_unit_test(unreadable_issuers_are_told),
		cmocka_unit_test(no_tls_is_told),
		cmocka_unit_test(b8_old_versions_and_suites_are_refused),
		cmocka_unit_test(b9_alpn_is_smtp_or_nothing),
		cmocka_unit_test(b10_any_server_name_gets_the_certificate),
		cmocka_unit_test(b8_renegotiation_is_refused),
		cmocka_unit_test(b8_tickets_resume),
		cmocka_unit_test(b8_ticket_keys_rotate),
		cmocka_unit_test(b8_old_versions_for_one_connection),
		cmocka_unit_test(b8_what_the_library_can_is_tried),
		cmocka_unit_test(b8_a_key_that_is_too_new_is_told),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("tls-stream", tests, NULL, NULL);
}
