/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificate a client gets: the one that covers the name it asks for (SNI, RFC 6066 3), and
 * the server's own if it asks for none, for one that is unknown, or for what is no name at all.
 * The name is data from a stranger: it is compared, and goes nowhere else.
 */
#include "tls/internal.h"

#include <string.h>

bool tls_is_hostname(struct slice name)
{
	if (name.len == 0 || name.len > 253)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '.')
			return false;
	return true;
}

static SSL_CTX *best_for(const struct tls_context *context, struct slice name)
{
	enum tls_cover best = tls_covers(SSL_CTX_get0_certificate(context->ssl), name);
	SSL_CTX *chosen = context->ssl;

	for (size_t i = 0; i < context->further_count && best != TLS_COVER_EXACT; i++) {
		enum tls_cover cover =
			tls_covers(SSL_CTX_get0_certificate(context->further[i]), name);

		if (cover > best) {
			best = cover;
			chosen = context->further[i];
		}
	}
	return chosen;
}

int tls_choose_identity(SSL *ssl, int *alert, void *arg)
{
	const char *text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct slice name = slice_str(text);
	SSL_CTX *chosen;
	int level;

	(void)alert;
	(void)arg;
	if (name.len > 1 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (!tls_is_hostname(name))
		return SSL_TLSEXT_ERR_NOACK; /* and all goes on: no oracle for names */
	chosen = best_for(context, name);
	if (chosen != SSL_get_SSL_CTX(ssl)) {
		/* The level lies beside the certificate and would be that of the new context. */
		level = SSL_get_security_level(ssl);
		SSL_set_SSL_CTX(ssl, chosen);
		SSL_set_security_level(ssl, level);
	}
	return SSL_TLSEXT_ERR_OK;
}
