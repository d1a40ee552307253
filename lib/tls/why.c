/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's errors in words, for the log: who did what, not which function of a library saw it.
 */
#include "tls/internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

void tls_why(char *why, const char *format, ...)
{
	va_list args;

	if (!why)
		return;
	va_start(args, format);
	vsnprintf(why, TLS_WHY_MAX, format, args);
	va_end(args);
}

void tls_why_openssl(char *why, const char *doing)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	tls_why(why, "%s: %s", doing, reason ? reason : "unknown error");
	ERR_clear_error();
}

/* What is known of a failed handshake by its reason alone. %s: "client" or "server". */
struct reason {
	int code;
	const char *words;
};

static const struct reason reasons[] = {
	{SSL_R_HTTP_REQUEST, "speaks HTTP, not TLS"},
	{SSL_R_HTTPS_PROXY_REQUEST, "speaks HTTP, not TLS"},
	{SSL_R_WRONG_VERSION_NUMBER, "speaks no TLS"},
	{SSL_R_BAD_PROTOCOL_VERSION_NUMBER, "speaks no TLS"},
	{SSL_R_UNKNOWN_PROTOCOL, "speaks no TLS"},
	{SSL_R_PACKET_LENGTH_TOO_LONG, "speaks no TLS"},
	{SSL_R_RECORD_LENGTH_MISMATCH, "speaks no TLS"},
	{SSL_R_UNEXPECTED_MESSAGE, "broke the TLS protocol: unexpected message"},
	{SSL_R_UNEXPECTED_RECORD, "broke the TLS protocol: unexpected record"},
	{SSL_R_NO_SHARED_CIPHER, "offers no cipher that is allowed here"},
	{SSL_R_NO_SUITABLE_KEY_SHARE, "offers no key exchange that is allowed here"},
	{SSL_R_NO_SHARED_GROUPS, "offers no key exchange that is allowed here"},
	{SSL_R_NO_APPLICATION_PROTOCOL, "wants another protocol than smtp (ALPN)"},
	{SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, "does not know secure renegotiation"},
	{SSL_R_UNEXPECTED_EOF_WHILE_READING, "closed the connection during the TLS handshake"},
	{SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "refused the TLS handshake (no cipher in common?)"},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "refused our TLS versions (alert protocol version)"},
	{SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, "wants stronger TLS than is offered here"},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA,
	 "does not trust the certificate's issuer (alert unknown CA)"},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
	 "does not accept the certificate (alert bad certificate)"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "says that the certificate has expired"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
	 "does not accept the certificate (alert certificate unknown)"},
	{SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "cannot use this kind of certificate"},
	{SSL_R_TLSV1_ALERT_ACCESS_DENIED, "refused (alert access denied)"},
	{SSL_R_TLSV1_ALERT_DECRYPT_ERROR, "refused (alert decrypt error)"},
	{SSL_R_TLSV1_ALERT_INTERNAL_ERROR, "failed by itself (alert internal error)"},
	{SSL_R_TLSV1_ALERT_USER_CANCELLED, "gave the TLS handshake up"},
	{SSL_R_TLSV1_UNRECOGNIZED_NAME, "does not know the name it was asked for"},
};

static const char *version_name(int version)
{
	switch (version) {
	case SSL3_VERSION:
		return "SSL 3.0";
	case TLS1_VERSION:
		return "TLS 1.0";
	case TLS1_1_VERSION:
		return "TLS 1.1";
	case TLS1_2_VERSION:
		return "TLS 1.2";
	case TLS1_3_VERSION:
		return "TLS 1.3";
	default:
		return "an old TLS version";
	}
}

const char *tls_version_name(enum tls_version version)
{
	static const int numbers[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};

	return version_name(numbers[version - TLS_1_0]);
}

/* "client offers TLS 1.0 only, TLS 1.2 is required here" */
static void why_version(char *why, SSL *ssl, const char *peer, bool client)
{
	int version = client ? SSL_version(ssl) : SSL_client_version(ssl);

	if (client)
		tls_why(why, "%s offers %s only", peer, version_name(version));
	else
		tls_why(why, "%s offers %s only, %s is required here", peer, version_name(version),
			version_name((int)SSL_get_min_proto_version(ssl)));
}

/* With the first of what it does offer: names of OpenSSL, no bytes of the client's. */
static void why_cipher(char *why, SSL *ssl, const char *words)
{
	STACK_OF(SSL_CIPHER) *offered = SSL_get_client_ciphers(ssl);
	int count = offered ? sk_SSL_CIPHER_num(offered) : 0;
	char names[TLS_WHY_MAX / 2] = "";
	size_t len = 0;

	for (int i = 0; i < count; i++) {
		const char *name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(offered, i));

		/* Not a cipher: it says that secure renegotiation is known (RFC 5746 3.3). */
		if (strstr(name, "SCSV"))
			continue;
		if (len + strlen(name) + sizeof(" ...") > sizeof(names)) {
			snprintf(names + len, sizeof(names) - len, " ...");
			break;
		}
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? " " : "",
					name);
	}
	tls_why(why, "client %s; it offers %s", words, names[0] ? names : "none that is known");
}

static void why_reason(char *why, SSL *ssl, const char *peer, bool client, unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		tls_why(why, "the server's certificate is not valid: %s",
			X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
		return;
	}
	if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_VERSION_TOO_LOW) {
		why_version(why, ssl, peer, client);
		return;
	}
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].code == reason) {
			if (reason == SSL_R_NO_SHARED_CIPHER && !client)
				why_cipher(why, ssl, reasons[i].words);
			else
				tls_why(why, "%s %s", peer, reasons[i].words);
			return;
		}
	}
	const char *text = ERR_reason_error_string(code);

	tls_why(why, "TLS handshake with the %s failed: %s", peer, text ? text : "unknown error");
}

void tls_why_handshake(char *why, SSL *ssl, bool client, int ssl_error, int saved_errno)
{
	const char *peer = client ? "server" : "client";
	unsigned long code = ERR_peek_error();

	if (code && ERR_GET_LIB(code) == ERR_LIB_SSL)
		why_reason(why, ssl, peer, client, code);
	else if (code)
		tls_why_openssl(why, "TLS handshake");
	else if (ssl_error == SSL_ERROR_SYSCALL && saved_errno)
		tls_why(why, "connection lost during the TLS handshake: %s", strerror(saved_errno));
	else
		tls_why(why, "%s closed the connection during the TLS handshake", peer);
	ERR_clear_error();
}
