/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of clients. A server that is told whom it trusts asks for one, and goes on without
 * one too, or with one that is not valid: then the client just has no identity by it. A verdict on
 * a certificate is for one connection only; such connections are never resumed, so that no verdict
 * of another listener, or of before a reload, comes back with a ticket.
 */
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string.h>

#include "base/mem.h"

struct tls_authorities {
	unsigned references;
	X509_STORE *store;
	STACK_OF(X509_NAME) * names; /* told to clients, which choose by them */
};

void tls_authorities_free(struct tls_authorities **authorities)
{
	struct tls_authorities *a = *authorities;

	*authorities = NULL;
	if (a == NULL || --a->references > 0)
		return;
	X509_STORE_free(a->store);
	sk_X509_NAME_pop_free(a->names, X509_NAME_free);
	mem_free(a);
}

struct tls_authorities *tls_authorities_hold(struct tls_authorities *authorities)
{
	if (authorities != NULL)
		authorities->references++;
	return authorities;
}

static bool add_authority(struct tls_authorities *authorities, X509 *certificate)
{
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));

	if (name == NULL || sk_X509_NAME_push(authorities->names, name) <= 0) {
		X509_NAME_free(name);
		return false;
	}
	return X509_STORE_add_cert(authorities->store, certificate) == 1;
}

enum err tls_authorities_new(struct slice pem, struct tls_authorities **authorities_out, char *why)
{
	struct tls_authorities *authorities = mem_alloc(sizeof(*authorities));
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	X509 *certificate;
	size_t count = 0;
	bool ok;

	authorities->references = 1;
	authorities->store = X509_STORE_new();
	authorities->names = sk_X509_NAME_new_null();
	ok = bio != NULL && authorities->store != NULL && authorities->names != NULL;
	while (ok && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		ok = add_authority(authorities, certificate);
		X509_free(certificate);
		count++;
	}
	/* It ends with "no start line"; anything else is a certificate that cannot be read. */
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		ok = false;
	BIO_free(bio);
	if (!ok || count == 0) {
		tls_why(why, count == 0 ? "there is no certificate (PEM) in it"
					: "a certificate in it cannot be read");
		ERR_clear_error();
		tls_authorities_free(&authorities);
		return ERR_SYNTAX;
	}
	ERR_clear_error();
	*authorities_out = authorities;
	return ERR_OK;
}

/* ---- asking --------------------------------------------------------------------------------- */

/* Goes on whatever is wrong, and remembers that something was. */
static int take_any(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_question *question = SSL_get_app_data(ssl);

	if (ok != 1 && question != NULL)
		question->failed = true;
	return 1;
}

bool tls_ask(SSL *ssl, struct tls_question *question)
{
	STACK_OF(X509_NAME) *names = SSL_dup_CA_list(question->authorities->names);

	if (names == NULL || SSL_set1_verify_cert_store(ssl, question->authorities->store) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return false;
	}
	SSL_set0_CA_list(ssl, names);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, take_any);
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	return SSL_set_app_data(ssl, question) == 1 && SSL_set_num_tickets(ssl, 0) == 1;
}

bool tls_ask_again(SSL *ssl)
{
	struct tls_question *question = SSL_get_app_data(ssl);

	return question == NULL ||
	       SSL_set1_verify_cert_store(ssl, question->authorities->store) == 1;
}

/* ---- what came ------------------------------------------------------------------------------ */

static void take_name(struct slice name, struct tls_client_names *names)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_print(name.ptr[i]))
			return;
	if (name.len > 0 && names->count < TLS_CLIENT_NAMES_MAX &&
	    slice_copy(name, names->items[names->count], sizeof(names->items[0])) == ERR_OK)
		names->count++;
}

void tls_client_names(SSL *ssl, struct tls_client_names *names_out)
{
	const struct tls_question *question = SSL_get_app_data(ssl);
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	GENERAL_NAMES *names;

	names_out->count = 0;
	names_out->valid = false;
	if (question == NULL || question->failed || certificate == NULL ||
	    SSL_get_verify_result(ssl) != X509_V_OK)
		return;
	names_out->valid =
		X509_digest(certificate, EVP_sha256(), names_out->fingerprint, NULL) == 1;
	names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_EMAIL)
			take_name(slice_of(ASN1_STRING_get0_data(name->d.rfc822Name),
					   (size_t)ASN1_STRING_length(name->d.rfc822Name)),
				  names_out);
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
}
