/* SPDX-License-Identifier: Apache-2.0 */
/* What binds a login to its connection: both ends see the same, and nobody else does (C8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/ssl.h>
#include <unistd.h>

#include "os/net.h"
#include "test_tls.h"

static struct made made;
static struct tls_context *context;

static int set_up(void **state)
{
	struct tls_identity identity;
	char why[TLS_WHY_MAX];

	(void)state;
	make(&made, "mail.example.org", 30);
	identity = made_identity(&made);
	return tls_server_context_new(&identity, &context, why) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	tls_context_free(&context);
	unmake(&made);
	return 0;
}

/* A server's stream, and OpenSSL itself as the client. */
struct ends {
	struct stream *server;
	SSL_CTX *settings;
	SSL *client;
	int fd;
};

static void connect_ends(struct ends *ends, int version, uint64_t options, SSL_SESSION *session)
{
	char why[TLS_WHY_MAX];
	int fds[2], done = 0;

	assert_int_equal(net_pair(fds), ERR_OK);
	ends->server = stream_new(fds[0]);
	ends->fd = fds[1];
	ends->settings = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_set_min_proto_version(ends->settings, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ends->settings, version), 1);
	SSL_CTX_set_options(ends->settings, options);
	ends->client = SSL_new(ends->settings);
	assert_int_equal(SSL_set_fd(ends->client, ends->fd), 1);
	if (session != NULL)
		assert_int_equal(SSL_set_session(ends->client, session), 1);
	SSL_set_connect_state(ends->client);
	assert_int_equal(stream_start_tls(ends->server, context, NULL), ERR_OK);
	for (int i = 0; i < 20 && done != 2; i++)
		done = (SSL_do_handshake(ends->client) == 1) +
		       (stream_handshake(ends->server, why) == ERR_OK);
	assert_int_equal(done, 2);
}

static void disconnect_ends(struct ends *ends)
{
	stream_free(&ends->server);
	SSL_set_shutdown(ends->client,
			 SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* keeps the session */
	SSL_free(ends->client);
	SSL_CTX_free(ends->settings);
	close(ends->fd);
}

static void expect_exporter(const struct ends *ends, unsigned char out[TLS_BINDING_MAX])
{
	unsigned char theirs[32];

	assert_int_equal(stream_binding(ends->server, TLS_BINDING_EXPORTER, out), 32);
	assert_int_equal(SSL_export_keying_material(ends->client, theirs, sizeof(theirs),
						    "EXPORTER-Channel-Binding", 24,
						    (const unsigned char *)"", 0, 1),
			 1);
	assert_memory_equal(out, theirs, sizeof(theirs));
}

static void c8_tls_1_3(void **state)
{
	unsigned char one[TLS_BINDING_MAX], other[TLS_BINDING_MAX];
	struct ends ends;

	(void)state;
	connect_ends(&ends, TLS1_3_VERSION, 0, NULL);
	expect_exporter(&ends, one);
	assert_int_equal(stream_binding(ends.server, TLS_BINDING_UNIQUE, other), 0);
	disconnect_ends(&ends);
	connect_ends(&ends, TLS1_3_VERSION, 0, NULL);
	expect_exporter(&ends, other);
	assert_memory_not_equal(one, other, 32);
	disconnect_ends(&ends);
}

static void c8_tls_1_2(void **state)
{
	unsigned char ours[TLS_BINDING_MAX], theirs[TLS_BINDING_MAX];
	SSL_SESSION *session;
	struct ends ends;
	size_t len;

	(void)state;
	connect_ends(&ends, TLS1_2_VERSION, 0, NULL);
	expect_exporter(&ends, ours);
	len = SSL_get_finished(ends.client, theirs, sizeof(theirs)); /* the client's was first */
	assert_int_equal(stream_binding(ends.server, TLS_BINDING_UNIQUE, ours), len);
	assert_true(len >= 12);
	assert_memory_equal(ours, theirs, len);
	session = SSL_get1_session(ends.client);
	disconnect_ends(&ends);
	/* Resumed: now the server's is. */
	connect_ends(&ends, TLS1_2_VERSION, 0, session);
	assert_int_equal(SSL_session_reused(ends.client), 1);
	len = SSL_get_peer_finished(ends.client, theirs, sizeof(theirs));
	assert_int_equal(stream_binding(ends.server, TLS_BINDING_UNIQUE, ours), len);
	assert_memory_equal(ours, theirs, len);
	disconnect_ends(&ends);
	SSL_SESSION_free(session);
}

/* RFC 7627: its master secret can be the same on two connections. */
static void c8_without_extended_master_secret(void **state)
{
	unsigned char ours[TLS_BINDING_MAX];
	struct ends ends;

	(void)state;
	connect_ends(&ends, TLS1_2_VERSION, SSL_OP_NO_EXTENDED_MASTER_SECRET, NULL);
	assert_int_equal(stream_binding(ends.server, TLS_BINDING_EXPORTER, ours), 0);
	assert_int_equal(stream_binding(ends.server, TLS_BINDING_UNIQUE, ours), 0);
	disconnect_ends(&ends);
}

static void c8_in_clear(void **state)
{
	unsigned char ours[TLS_BINDING_MAX];
	struct stream *stream;
	int fds[2];

	(void)state;
	assert_int_equal(net_pair(fds), ERR_OK);
	stream = stream_new(fds[0]);
	assert_int_equal(stream_binding(stream, TLS_BINDING_EXPORTER, ours), 0);
	assert_int_equal(stream_binding(stream, TLS_BINDING_UNIQUE, ours), 0);
	stream_free(&stream);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c8_tls_1_3),
		cmocka_unit_test(c8_tls_1_2),
		cmocka_unit_test(c8_without_extended_master_secret),
		cmocka_unit_test(c8_in_clear),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
