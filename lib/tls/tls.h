/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over a non-blocking socket, with OpenSSL. TLS 1.2 and 1.3, unless a server allows one client
 * more or less; no renegotiation, compression, early data; ALPN smtp. The private key is used only
 * through the context, so that its operation can become a request to another process.
 *
 * struct stream is the one object through which a connection is read and written: once TLS has
 * begun there is no way to the bare descriptor.
 *
 * OpenSSL writes to its socket without MSG_NOSIGNAL: the program ignores SIGPIPE.
 */
#ifndef POSTERN_TLS_TLS_H
#define POSTERN_TLS_TLS_H

#include "base/buf.h"

struct tls_context;
struct stream;

enum { TLS_WHY_MAX = 256 };

struct tls_identity {
	struct slice certificate; /* PEM: leaf first, then the chain */
	struct slice key;         /* PEM; empty: it lies in certificate */
};

/* None is 0, so that forgotten is not TLS 1.0. */
enum tls_version { TLS_1_0 = 10, TLS_1_1, TLS_1_2, TLS_1_3 };
const char *tls_version_name(enum tls_version version); /* "TLS 1.2" */

/* why: TLS_WHY_MAX bytes, in words, on error. */
enum err tls_server_context_new(const struct tls_identity *identity,
				struct tls_context **context_out, char *why);
/*
 * One more certificate, for clients that ask for a name that it covers (SNI, RFC 6066 3) and the
 * first does not, or only by a wildcard. Errors as above; the context stays as it was.
 */
enum err tls_server_context_add(struct tls_context *context, const struct tls_identity *identity,
				char *why);
/*
 * Can this OpenSSL, as it was built and set up, speak the version as a server with the context's
 * certificate? It is tried, in memory. ERR_DENIED: why as above.
 */
enum err tls_can_speak(struct tls_context *context, enum tls_version version, char *why);
/*
 * ca_file: NULL for the system's. verify: the peer's certificate must be valid for its name. All
 * certificates are read here, none later, so it may be called before a sandbox closes.
 */
enum err tls_client_context_new(const char *ca_file, bool verify, struct tls_context **context_out,
				char *why);
/*
 * Those who may vouch for clients: certificates in PEM, at least one. Counted: hold for another
 * owner. ERR_SYNTAX: why as above.
 */
struct tls_authorities;
enum err tls_authorities_new(struct slice pem, struct tls_authorities **authorities_out, char *why);
struct tls_authorities *tls_authorities_hold(struct tls_authorities *authorities); /* may be NULL */
void tls_authorities_free(struct tls_authorities **authorities);
/* For another owner, who frees it too. */
void tls_context_hold(struct tls_context *context);
/* Streams made from it keep working. */
void tls_context_free(struct tls_context **context);
/*
 * Can it be used as it stands? ERR_SYNTAX it cannot be read, ERR_DENIED certificate and key do
 * not belong together, ERR_RANGE not in date, ERR_NOT_FOUND it does not cover hostname (NULL: not
 * checked), looked at in this order. now: ms since 1970. why as above.
 */
enum err tls_identity_check(const struct tls_identity *identity, const char *hostname, int64_t now,
			    char *why);
struct tls_certificate_info {
	char fingerprint[96]; /* SHA-256, "AB:CD:..." */
	char subject[256];
	char names[512];   /* those it is made out to, with blanks between; as many as have room */
	int64_t not_after; /* ms since 1970 */
	bool self_signed;
};
/* ERR_SYNTAX: no certificate can be read. */
enum err tls_identity_info(const struct tls_identity *identity,
			   struct tls_certificate_info *info_out);
/*
 * A self-signed P-256 certificate for hostname (a name or an address), in PEM, appended to
 * certificate and key. ERR_RANGE: no usable name; ERR_FULL.
 */
enum err tls_make_self_signed(const char *hostname, unsigned days, struct buf *certificate,
			      struct buf *key);

/* Takes fd. */
struct stream *stream_new(int fd);
void stream_free(struct stream **stream);   /* closes; sends close_notify if it can at once */
int stream_fd(const struct stream *stream); /* to watch it, nothing else */
/*
 * Begins TLS; then stream_handshake until it is not ERR_AGAIN. server_name: SNI and the name to
 * verify, for clients, else NULL. ERR_RANGE: not a name or address; ERR_INTERNAL.
 */
enum err stream_start_tls(struct stream *stream, struct tls_context *context,
			  const char *server_name);
/*
 * For servers, between stream_start_tls and the first stream_handshake: the oldest version that
 * this client may use. Below TLS 1.2 come the ciphers that go with it, CBC, SHA-1 and RSA key
 * exchange, and OpenSSL's security level 0 (RFC 8996 says why nobody else should have them).
 * ERR_INTERNAL: not the time for it.
 */
enum err stream_allow(struct stream *stream, enum tls_version oldest);
/*
 * For servers, at the same time: ask the client for a certificate of these authorities. It need not
 * have one, and one that is not valid is as none. Such a session is not resumed. ERR_INTERNAL.
 */
enum err stream_ask_certificate(struct stream *stream, struct tls_authorities *authorities);
/*
 * ERR_OK done; ERR_AGAIN: wait for stream_wants; else why (TLS_WHY_MAX bytes) says what was wrong,
 * in words: ERR_DENIED the two do not agree, or a certificate will not do; ERR_IO the connection
 * broke.
 */
enum err stream_handshake(struct stream *stream, char *why);
/*
 * ERR_OK with *len_out >= 1; ERR_AGAIN: wait for stream_wants; ERR_EOF orderly end;
 * ERR_IO anything else: an alert, a cut-off, bytes in clear where TLS was. ERR_EOF and ERR_IO
 * stay.
 */
enum err stream_read(struct stream *stream, void *data, size_t size, size_t *len_out);
/*
 * What stream_read would give, left where it is. In clear only: ERR_INTERNAL once TLS has begun.
 */
enum err stream_peek(struct stream *stream, void *data, size_t size, size_t *len_out);
/*
 * Writes as much as there is room for. After ERR_AGAIN the next write must begin with the same
 * bytes, at least as many; they may have moved. ERR_EOF, ERR_IO: the connection is of no use.
 */
enum err stream_write(struct stream *stream, const void *data, size_t len, size_t *len_out);
/* WATCH_READ or WATCH_WRITE (os/loop.h): what the last ERR_AGAIN waits for. */
int stream_wants(const struct stream *stream);
bool stream_pending(const struct stream *stream); /* bytes wait inside: read before polling */
bool stream_is_tls(const struct stream *stream);
/* The peer's certificate was checked and is valid for the name. */
bool stream_verified(const struct stream *stream);
/* "TLSv1.3", "TLS_AES_256_GCM_SHA384"; "" without TLS. Valid as long as the stream. */
const char *stream_version(const struct stream *stream);
const char *stream_cipher(const struct stream *stream);
/*
 * The mail addresses that the client's certificate is made out to (rfc822Name in subjectAltName,
 * RFC 5280 4.2.1.6), if it was asked for and is valid: chain, dates, and that it is for clients.
 */
enum { TLS_CLIENT_NAMES_MAX = 16, TLS_CLIENT_NAME_MAX = 320, TLS_FINGERPRINT = 32 };
struct tls_client_names {
	bool valid;                                 /* there is such a certificate */
	unsigned char fingerprint[TLS_FINGERPRINT]; /* SHA-256 of it */
	size_t count;
	char items[TLS_CLIENT_NAMES_MAX][TLS_CLIENT_NAME_MAX + 1];
};
void stream_client_names(const struct stream *stream, struct tls_client_names *names_out);
/*
 * What ties an authentication to this very connection, for SASL: TLS_BINDING_EXPORTER is
 * tls-exporter (RFC 9266), TLS_BINDING_UNIQUE tls-unique (RFC 5929 3), which TLS 1.3 does not have.
 * Neither is given below TLS 1.2, nor on a TLS 1.2 without extended master secret (RFC 7627), where
 * another connection can be made to have the same. Returns its length; 0: there is none.
 */
enum tls_binding { TLS_BINDING_EXPORTER, TLS_BINDING_UNIQUE };
enum { TLS_BINDING_MAX = 64 };
size_t stream_binding(const struct stream *stream, enum tls_binding binding,
		      unsigned char out[TLS_BINDING_MAX]);
void stream_idle(struct stream *stream); /* gives OpenSSL's buffers back until more bytes come */

#endif
