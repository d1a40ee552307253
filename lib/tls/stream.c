/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection, in clear or under TLS. Invariants:
 *  1. Once stream_start_tls was called the descriptor is touched by OpenSSL only; there is no
 *     path back to bytes in clear.
 *  2. The end is sticky: after ERR_EOF or ERR_IO nothing is read any more, after ERR_IO nothing is
 *     written and no close_notify is sent.
 *  3. An end of the connection without close_notify is ERR_IO, never ERR_EOF.
 */
#include "tls/internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "os/loop.h"
#include "os/net.h"

struct stream {
	int fd;
	SSL *ssl; /* NULL: in clear */
	struct tls_context *context;
	struct tls_question *question; /* NULL: the client is asked for no certificate */
	enum err read_end;             /* ERR_OK, or what ended reading */
	enum err write_end;
	uint8_t wants;
	bool established; /* the handshake is done */
	bool drained;     /* the last read said ERR_AGAIN: what OpenSSL holds is not a record */
};

struct stream *stream_new(int fd)
{
	struct stream *stream = mem_alloc(sizeof(*stream));

	stream->fd = fd;
	stream->wants = WATCH_READ;
	return stream;
}

void stream_free(struct stream **stream)
{
	struct stream *s = *stream;

	*stream = NULL;
	if (!s)
		return;
	if (s->ssl) {
		if (s->established && s->read_end != ERR_IO && s->write_end == ERR_OK) {
			ERR_clear_error();
			SSL_shutdown(s->ssl);
			ERR_clear_error();
		}
		SSL_free(s->ssl);
		tls_context_free(&s->context);
		if (s->question)
			tls_authorities_free(&s->question->authorities);
		mem_free(s->question);
	}
	net_close(&s->fd);
	mem_free(s);
}

int stream_fd(const struct stream *stream)
{
	return stream->fd;
}

/* SNI carries host names only (RFC 6066 3); an address is checked against the IP names. */
static enum err set_server_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct net_address address;

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (net_read(slice_str(name), 0, &address) == ERR_OK)
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ? ERR_OK : ERR_RANGE;
	if (SSL_set_tlsext_host_name(ssl, name) != 1 || SSL_set1_host(ssl, name) != 1)
		return ERR_RANGE;
	return ERR_OK;
}

enum err stream_start_tls(struct stream *stream, struct tls_context *context,
			  const char *server_name)
{
	enum err err = ERR_OK;
	SSL *ssl;

	if (stream->ssl)
		return ERR_INTERNAL;
	ERR_clear_error();
	ssl = SSL_new(context->ssl);
	if (!ssl || SSL_set_fd(ssl, stream->fd) != 1)
		err = ERR_INTERNAL;
	else if (server_name && context->client)
		err = set_server_name(ssl, server_name);
	ERR_clear_error();
	if (err != ERR_OK) {
		SSL_free(ssl);
		return err;
	}
	if (context->client)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	stream->ssl = ssl;
	stream->context = context;
	tls_context_hold(context);
	return ERR_OK;
}

enum err stream_allow(struct stream *stream, enum tls_version oldest)
{
	bool ok = stream->ssl && !stream->established && !stream->context->client &&
		  SSL_in_before(stream->ssl) && tls_allow(stream->ssl, oldest);

	ERR_clear_error();
	return ok ? ERR_OK : ERR_INTERNAL;
}

enum err stream_ask_certificate(struct stream *stream, struct tls_authorities *authorities)
{
	bool ok;

	if (!stream->ssl || stream->question || stream->context->client ||
	    !SSL_in_before(stream->ssl))
		return ERR_INTERNAL;
	stream->question = mem_alloc(sizeof(*stream->question));
	stream->question->authorities = tls_authorities_hold(authorities);
	ok = tls_ask(stream->ssl, stream->question);
	ERR_clear_error();
	return ok ? ERR_OK : ERR_INTERNAL;
}

void stream_client_names(const struct stream *stream, struct tls_client_names *names_out)
{
	names_out->count = 0;
	names_out->valid = false;
	if (stream->established && stream->question)
		tls_client_names(stream->ssl, names_out);
}

static enum err again(struct stream *stream, int wants)
{
	stream->wants = (uint8_t)wants;
	return ERR_AGAIN;
}

/* The connection broke, or it was not TLS's to break. */
static bool broke_off(int error)
{
	return error != SSL_ERROR_SSL ||
	       ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

enum err stream_handshake(struct stream *stream, char *why)
{
	int result, error, saved_errno;
	enum err err;

	if (stream->established)
		return ERR_OK;
	if (!stream->ssl || stream->read_end != ERR_OK) {
		tls_why(why, "the connection is over");
		return ERR_IO;
	}
	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(stream->ssl);
	saved_errno = errno;
	if (result == 1) {
		stream->established = true;
		return ERR_OK;
	}
	error = SSL_get_error(stream->ssl, result);
	if (error == SSL_ERROR_WANT_READ)
		return again(stream, WATCH_READ);
	if (error == SSL_ERROR_WANT_WRITE)
		return again(stream, WATCH_WRITE);
	err = broke_off(error) ? ERR_IO : ERR_DENIED;
	tls_why_handshake(why, stream->ssl, stream->context->client, error, saved_errno);
	stream->read_end = stream->write_end = ERR_IO;
	return err;
}

static enum err read_clear(struct stream *stream, void *data, size_t size, size_t *len_out)
{
	enum err err = net_recv(stream->fd, data, size, len_out);

	if (err == ERR_AGAIN)
		return again(stream, WATCH_READ);
	if (err != ERR_OK)
		stream->read_end = err;
	return err;
}

enum err stream_read(struct stream *stream, void *data, size_t size, size_t *len_out)
{
	int result, error;

	if (stream->read_end != ERR_OK)
		return stream->read_end;
	if (!stream->ssl)
		return read_clear(stream, data, size, len_out);
	if (!stream->established)
		return ERR_IO;
	ERR_clear_error();
	result = SSL_read(stream->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
	if (result > 0) {
		stream->drained = false;
		*len_out = (size_t)result;
		return ERR_OK;
	}
	error = SSL_get_error(stream->ssl, result);
	ERR_clear_error();
	stream->drained = true;
	if (error == SSL_ERROR_WANT_READ)
		return again(stream, WATCH_READ);
	if (error == SSL_ERROR_WANT_WRITE)
		return again(stream, WATCH_WRITE);
	stream->read_end = error == SSL_ERROR_ZERO_RETURN ? ERR_EOF : ERR_IO;
	if (stream->read_end == ERR_IO)
		stream->write_end = ERR_IO;
	return stream->read_end;
}

enum err stream_peek(struct stream *stream, void *data, size_t size, size_t *len_out)
{
	enum err err;

	if (stream->ssl)
		return ERR_INTERNAL;
	if (stream->read_end != ERR_OK)
		return stream->read_end;
	err = net_look(stream->fd, data, size, len_out);
	return err == ERR_AGAIN ? again(stream, WATCH_READ) : err;
}

static enum err write_clear(struct stream *stream, const void *data, size_t len, size_t *len_out)
{
	enum err err = net_send(stream->fd, data, len, len_out);

	if (err == ERR_AGAIN)
		return again(stream, WATCH_WRITE);
	if (err != ERR_OK)
		stream->write_end = err;
	return err;
}

enum err stream_write(struct stream *stream, const void *data, size_t len, size_t *len_out)
{
	int result, error;

	if (stream->write_end != ERR_OK)
		return stream->write_end;
	if (len == 0) {
		*len_out = 0;
		return ERR_OK;
	}
	if (!stream->ssl)
		return write_clear(stream, data, len, len_out);
	if (!stream->established)
		return ERR_IO;
	ERR_clear_error();
	result = SSL_write(stream->ssl, data, len > INT_MAX ? INT_MAX : (int)len);
	if (result > 0) {
		*len_out = (size_t)result;
		return ERR_OK;
	}
	error = SSL_get_error(stream->ssl, result);
	ERR_clear_error();
	if (error == SSL_ERROR_WANT_READ)
		return again(stream, WATCH_READ);
	if (error == SSL_ERROR_WANT_WRITE)
		return again(stream, WATCH_WRITE);
	stream->write_end = ERR_IO;
	return ERR_IO;
}

int stream_wants(const struct stream *stream)
{
	return stream->wants;
}

bool stream_pending(const struct stream *stream)
{
	return stream->ssl && stream->established && stream->read_end == ERR_OK &&
	       !stream->drained && SSL_has_pending(stream->ssl);
}

bool stream_is_tls(const struct stream *stream)
{
	return stream->ssl != NULL;
}

bool stream_verified(const struct stream *stream)
{
	return stream->established && stream->context->client && stream->context->verify &&
	       SSL_get0_peer_certificate(stream->ssl) &&
	       SSL_get_verify_result(stream->ssl) == X509_V_OK;
}

const char *stream_version(const struct stream *stream)
{
	return stream->established ? SSL_get_version(stream->ssl) : "";
}

const char *stream_cipher(const struct stream *stream)
{
	return stream->established ? SSL_get_cipher_name(stream->ssl) : "";
}

/* RFC 9266 2. */
static size_t exporter(SSL *ssl, unsigned char out[TLS_BINDING_MAX])
{
	static const char label[] = "EXPORTER-Channel-Binding";
	static const unsigned char context[1]; /* an empty one, which is not none in TLS 1.2 */

	return SSL_export_keying_material(ssl, out, 32, label, sizeof(label) - 1, context, 0, 1) ==
			       1
		       ? 32
		       : 0;
}

/* RFC 5929 3.1: the first Finished message, which is the server's where a session is resumed. */
static size_t unique(SSL *ssl, bool client, unsigned char out[TLS_BINDING_MAX])
{
	size_t len = (SSL_session_reused(ssl) == 1) == client
			     ? SSL_get_peer_finished(ssl, out, TLS_BINDING_MAX)
			     : SSL_get_finished(ssl, out, TLS_BINDING_MAX);

	return len <= TLS_BINDING_MAX ? len : 0;
}

size_t stream_binding(const struct stream *stream, enum tls_binding binding,
		      unsigned char out[TLS_BINDING_MAX])
{
	size_t len;

	if (!stream->established || SSL_version(stream->ssl) < TLS1_2_VERSION)
		return 0;
	if (SSL_version(stream->ssl) == TLS1_2_VERSION && SSL_get_extms_support(stream->ssl) != 1)
		return 0;
	if (binding == TLS_BINDING_UNIQUE)
		return SSL_version(stream->ssl) == TLS1_2_VERSION
			       ? unique(stream->ssl, stream->context->client, out)
			       : 0;
	len = exporter(stream->ssl, out);
	ERR_clear_error();
	return len;
}

void stream_idle(struct stream *stream)
{
	if (stream->established)
		SSL_free_buffers(stream->ssl);
}
