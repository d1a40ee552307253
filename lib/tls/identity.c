/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys as files hold them: reading, judging and making them. */
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "os/net.h"

/* A key with a passphrase must not make a server ask a terminal. */
static int no_passphrase(char *text, int size, int writing, void *arg)
{
	(void)text;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static BIO *bio_of(struct slice pem)
{
	return pem.len > INT_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

static enum err read_certificates(struct slice pem, struct tls_loaded *loaded, char *why)
{
	BIO *bio = bio_of(pem);
	X509 *next;

	if (!bio || !(loaded->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		tls_why(why, "no certificate can be read (PEM is expected)");
		BIO_free(bio);
		return ERR_SYNTAX;
	}
	while ((next = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (loaded->chain_count == TLS_CHAIN_MAX) {
			X509_free(next);
			BIO_free(bio);
			tls_why(why, "more than %d certificates in the chain", TLS_CHAIN_MAX);
			return ERR_SYNTAX;
		}
		loaded->chain[loaded->chain_count++] = next;
	}
	BIO_free(bio);
	return ERR_OK;
}

static enum err read_key(struct slice pem, struct tls_loaded *loaded, char *why)
{
	bool asked = false;
	BIO *bio = bio_of(pem);

	if (bio)
		loaded->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	if (loaded->key)
		return ERR_OK;
	if (asked)
		tls_why(why, "the key is protected by a passphrase; store it without one "
			     "(openssl pkey -in KEY -out NEWKEY)");
	else
		tls_why(why, "no private key can be read (PEM is expected)");
	return ERR_SYNTAX;
}

enum err tls_loaded_read(const struct tls_identity *identity, bool with_key,
			 struct tls_loaded *loaded_out, char *why)
{
	struct tls_loaded loaded = {.leaf = NULL};
	enum err err;

	ERR_clear_error();
	err = read_certificates(identity->certificate, &loaded, why);
	if (err == ERR_OK && with_key)
		err = read_key(identity->key.len ? identity->key : identity->certificate, &loaded,
			       why);
	ERR_clear_error();
	if (err != ERR_OK) {
		tls_loaded_release(&loaded);
		return err;
	}
	*loaded_out = loaded;
	return ERR_OK;
}

void tls_loaded_release(struct tls_loaded *loaded)
{
	X509_free(loaded->leaf);
	for (size_t i = 0; i < loaded->chain_count; i++)
		X509_free(loaded->chain[i]);
	EVP_PKEY_free(loaded->key);
	*loaded = (struct tls_loaded){.leaf = NULL};
}

static bool is_address(const char *name)
{
	struct net_address address;

	return net_read(slice_str(name), 0, &address) == ERR_OK;
}

/* Names come from subjectAltName only: a CN is not looked at (RFC 6125 6.4.4). */
static bool covers(X509 *leaf, const char *hostname)
{
	const unsigned flags =
		X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

	if (is_address(hostname))
		return X509_check_ip_asc(leaf, hostname, 0) == 1;
	return X509_check_host(leaf, hostname, strlen(hostname), flags, NULL) == 1;
}

static enum err check_dates(X509 *leaf, int64_t now, char *why)
{
	time_t seconds = (time_t)(now / 1000);
	char when[32] = "?";
	struct tm tm;

	if (X509_cmp_time(X509_get0_notBefore(leaf), &seconds) > 0) {
		if (ASN1_TIME_to_tm(X509_get0_notBefore(leaf), &tm) == 1)
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
		tls_why(why, "the certificate is valid only from %s UTC on", when);
		return ERR_RANGE;
	}
	if (X509_cmp_time(X509_get0_notAfter(leaf), &seconds) < 0) {
		if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) == 1)
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
		tls_why(why, "the certificate expired on %s UTC; renew it", when);
		return ERR_RANGE;
	}
	return ERR_OK;
}

enum err tls_identity_check(const struct tls_identity *identity, const char *hostname, int64_t now,
			    char *why)
{
	struct tls_loaded loaded;
	enum err err = tls_loaded_read(identity, true, &loaded, why);

	if (err != ERR_OK)
		return err;
	if (X509_check_private_key(loaded.leaf, loaded.key) != 1) {
		tls_why(why, "the key does not belong to the certificate");
		err = ERR_DENIED;
	}
	if (err == ERR_OK)
		err = check_dates(loaded.leaf, now, why);
	if (err == ERR_OK && hostname && !covers(loaded.leaf, hostname)) {
		tls_why(why, "the certificate is not made out to %s (subjectAltName)", hostname);
		err = ERR_NOT_FOUND;
	}
	ERR_clear_error();
	tls_loaded_release(&loaded);
	return err;
}

static void print_subject(X509 *leaf, char *text, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	long len = 0;

	text[0] = '\0';
	if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(leaf), 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_get_mem_data(bio, &data);
	if (len > 0)
		snprintf(text, size, "%.*s", (int)len, data);
	BIO_free(bio);
}

struct printing {
	char *text;
	size_t size, at;
};

static void print_name(void *arg, struct slice name)
{
	struct printing *printing = arg;

	if (printing->at + name.len + 2 > printing->size)
		return;
	printing->at +=
		(size_t)snprintf(printing->text + printing->at, printing->size - printing->at,
				 "%s%.*s", printing->at ? " " : "", SLICE_ARG(name));
}

enum err tls_identity_info(const struct tls_identity *identity,
			   struct tls_certificate_info *info_out)
{
	struct tls_certificate_info info = {.subject = ""};
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct tls_loaded loaded;
	unsigned len = 0;
	struct tm tm;
	enum err err = tls_loaded_read(identity, false, &loaded, NULL);

	if (err != ERR_OK)
		return err;
	if (X509_digest(loaded.leaf, EVP_sha256(), digest, &len) != 1 ||
	    ASN1_TIME_to_tm(X509_get0_notAfter(loaded.leaf), &tm) != 1) {
		err = ERR_SYNTAX;
	} else {
		for (unsigned i = 0, at = 0; i < len; i++)
			at += (unsigned)snprintf(info.fingerprint + at,
						 sizeof(info.fingerprint) - at, "%s%02X",
						 i ? ":" : "", digest[i]);
		print_subject(loaded.leaf, info.subject, sizeof(info.subject));
		tls_each_name(loaded.leaf, print_name,
			      &(struct printing){info.names, sizeof(info.names), 0});
		info.not_after = (int64_t)timegm(&tm) * 1000;
		info.self_signed = X509_self_signed(loaded.leaf, 1) == 1;
		*info_out = info;
	}
	ERR_clear_error();
	tls_loaded_release(&loaded);
	return err;
}

/* ---- making one ---- */

static bool add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool ok;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ok = extension && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return ok;
}

static bool set_serial(X509 *cert)
{
	unsigned char random[16];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	random[0] &= 0x7f;
	random[0] |= 0x40; /* positive, never zero, always the same length */
	number = BN_bin2bn(random, sizeof(random), NULL);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return ok;
}

static bool fill_certificate(X509 *cert, EVP_PKEY *key, const char *hostname, unsigned days)
{
	X509_NAME *name = X509_get_subject_name(cert);
	char names[300];

	snprintf(names, sizeof(names), "%s:%s", is_address(hostname) ? "IP" : "DNS", hostname);
	/* A CN holds at most 64 bytes; nobody should read it anyway. */
	return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
	       X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL) &&
	       X509_set_pubkey(cert, key) == 1 &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
					  (const unsigned char *)hostname,
					  strlen(hostname) > 64 ? 64 : -1, -1, 0) == 1 &&
	       X509_set_issuer_name(cert, name) == 1 &&
	       add_extension(cert, NID_subject_alt_name, names) &&
	       add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(cert, NID_ext_key_usage, "serverAuth") &&
	       add_extension(cert, NID_subject_key_identifier, "hash") &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

static enum err append_bio(BIO *bio, struct buf *out)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);

	return len > 0 ? buf_append(out, data, (size_t)len) : ERR_INTERNAL;
}

/* Letters, digits, dots, hyphens, colons: what a name or an address is made of. */
static bool usable_name(const char *hostname)
{
	size_t len = strlen(hostname);

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!ascii_is_alnum(hostname[i]) && !strchr(".-:", hostname[i]))
			return false;
	return true;
}

enum err tls_make_self_signed(const char *hostname, unsigned days, struct buf *certificate,
			      struct buf *key)
{
	size_t certificate_len = buf_len(certificate);
	BIO *cert_bio = NULL, *key_bio = NULL;
	enum err err = ERR_INTERNAL;
	EVP_PKEY *pair;
	X509 *cert;

	if (!usable_name(hostname) || days > 36500)
		return ERR_RANGE;
	pair = EVP_EC_gen("P-256");
	cert = X509_new();
	if (!pair || !cert || !fill_certificate(cert, pair, hostname, days))
		goto out;
	cert_bio = BIO_new(BIO_s_mem());
	key_bio = BIO_new(BIO_s_secmem());
	if (!cert_bio || !key_bio || PEM_write_bio_X509(cert_bio, cert) != 1 ||
	    PEM_write_bio_PrivateKey(key_bio, pair, NULL, NULL, 0, NULL, NULL) != 1)
		goto out;
	err = append_bio(cert_bio, certificate);
	if (err == ERR_OK)
		err = append_bio(key_bio, key);
	if (err != ERR_OK)
		buf_truncate(certificate, certificate_len);
out:
	ERR_clear_error();
	BIO_free(cert_bio);
	BIO_free(key_bio);
	X509_free(cert);
	EVP_PKEY_free(pair);
	return err;
}
