/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificate a client gets: the one that covers the name it asks for (SNI, RFC 6066 3), and
 * the server's own if it asks for none, for one that is unknown, or for what is no name at all.
 * The name is data from a stranger: it is looked up, and goes nowhere else.
 *
 * The names of all certificates lie in one table, so that many certificates make no handshake
 * slower; of two certificates with a name the first has it. A wildcard stands for one label, the
 * first, and for nothing directly below a top-level domain (RFC 6125 6.4.3).
 */
#include "tls/internal.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct tls_name {
	UT_hash_handle hh;
	SSL_CTX *ssl;                /* the context's; not counted */
	char text[TLS_NAME_MAX + 1]; /* in lower case: "mail.example.org", "*.example.org" */
};

bool tls_is_hostname(struct slice name)
{
	if (name.len == 0 || name.len > TLS_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '.')
			return false;
	return true;
}

bool tls_is_pattern(struct slice name)
{
	if (!slice_starts(name, "*."))
		return tls_is_hostname(name);
	return name.len <= TLS_NAME_MAX && tls_is_hostname(slice_skip(name, 2)) &&
	       slice_has_byte(slice_skip(name, 2), '.');
}

/* text_out: TLS_NAME_MAX + 1 bytes; name is no longer than that. */
static void lower(struct slice name, char *text_out)
{
	for (size_t i = 0; i < name.len; i++)
		text_out[i] = ascii_lower(name.ptr[i]);
	text_out[name.len] = '\0';
}

static struct tls_name *find(const struct tls_context *context, const char *text)
{
	struct tls_name *name = NULL;

	HASH_FIND_STR(context->names, text, name);
	return name;
}

static void add_name(struct tls_context *context, SSL_CTX *ssl, struct slice text)
{
	struct tls_name *name = mem_alloc(sizeof(*name));

	name->ssl = ssl;
	lower(text, name->text);
	if (find(context, name->text) != NULL)
		mem_free(name);
	else
		HASH_ADD_STR(context->names, text, name);
}

void tls_each_name(X509 *leaf, void (*fn)(void *arg, struct slice name), void *arg)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		struct slice text;

		if (name->type != GEN_DNS)
			continue;
		text = slice_of(ASN1_STRING_get0_data(name->d.dNSName),
				(size_t)ASN1_STRING_length(name->d.dNSName));
		if (tls_is_pattern(text))
			fn(arg, text);
	}
	GENERAL_NAMES_free(names);
}

struct adding {
	struct tls_context *context;
	SSL_CTX *ssl;
};

static void add_one(void *arg, struct slice name)
{
	const struct adding *adding = arg;

	add_name(adding->context, adding->ssl, name);
}

void tls_names_add(struct tls_context *context, SSL_CTX *ssl)
{
	struct adding adding = {context, ssl};

	tls_each_name(SSL_CTX_get0_certificate(ssl), add_one, &adding);
}

void tls_names_free(struct tls_context *context)
{
	struct tls_name *name, *next;

	HASH_ITER (hh, context->names, name, next) {
		HASH_DEL(context->names, name);
		mem_free(name);
	}
}

static SSL_CTX *best_for(const struct tls_context *context, struct slice name)
{
	char text[TLS_NAME_MAX + 2];
	const struct tls_name *found;
	size_t dot = slice_find(name, '.');

	lower(name, text);
	found = find(context, text);
	if (found == NULL && dot > 0 && dot < name.len) {
		text[dot - 1] = '*'; /* "mail.example.org" becomes "*.example.org" */
		found = find(context, text + dot - 1);
	}
	return found != NULL ? found->ssl : context->ssl;
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
		if (!tls_ask_again(ssl)) /* nor would who may vouch for the client be */
			return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return SSL_TLSEXT_ERR_OK;
}
