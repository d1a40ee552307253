/* SPDX-License-Identifier: Apache-2.0 */
#include "kerberos.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdio.h>

#include "base/mem.h"

#define KEYS "MEMORY:postern"

struct kerberos {
	krb5_context context;
	krb5_keytab keys; /* what is in memory lives as long as this */
	gss_cred_id_t credential;
};

static enum err fail(const struct kerberos *kerberos, const char *keytab, krb5_error_code code,
		     char why[KERBEROS_WHY])
{
	const char *text = krb5_get_error_message(kerberos->context, code);

	(void)snprintf(why, KERBEROS_WHY, "keytab %s cannot be used: %s", keytab, text);
	krb5_free_error_message(kerberos->context, text);
	return ERR_IO;
}

static krb5_error_code copy_keys(struct kerberos *kerberos, krb5_keytab file, size_t *count_out)
{
	krb5_keytab_entry entry;
	krb5_kt_cursor cursor;
	krb5_error_code code = krb5_kt_start_seq_get(kerberos->context, file, &cursor);
	size_t count = 0;

	if (code != 0)
		return code;
	while ((code = krb5_kt_next_entry(kerberos->context, file, &entry, &cursor)) == 0) {
		code = krb5_kt_add_entry(kerberos->context, kerberos->keys, &entry);
		(void)krb5_free_keytab_entry_contents(kerberos->context, &entry);
		if (code != 0)
			break;
		count++;
	}
	(void)krb5_kt_end_seq_get(kerberos->context, file, &cursor);
	*count_out = count;
	return code == KRB5_KT_END ? 0 : code;
}

static enum err load(struct kerberos *kerberos, const char *keytab, char why[KERBEROS_WHY])
{
	krb5_keytab file = NULL;
	krb5_error_code code;
	size_t count = 0;
	char name[4200];

	(void)snprintf(name, sizeof(name), "FILE:%s", keytab);
	if ((code = krb5_kt_resolve(kerberos->context, KEYS, &kerberos->keys)) != 0 ||
	    (code = krb5_kt_resolve(kerberos->context, name, &file)) != 0)
		return fail(kerberos, keytab, code, why);
	code = copy_keys(kerberos, file, &count);
	(void)krb5_kt_close(kerberos->context, file);
	if (code != 0)
		return fail(kerberos, keytab, code, why);
	if (count == 0) {
		(void)snprintf(why, KERBEROS_WHY,
			       "keytab %s has no keys in it; export that of smtp/HOSTNAME into it",
			       keytab);
		return ERR_NOT_FOUND;
	}
	return ERR_OK;
}

/* What GSS-API loads and reads on first use, it reads here. */
static void warm_up(gss_cred_id_t credential)
{
	gss_ctx_id_t context = GSS_C_NO_CONTEXT;
	gss_buffer_desc input = {1, (void *)(uintptr_t) "x"}, output = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;

	(void)gss_accept_sec_context(&minor, &context, credential, &input,
				     GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &output, NULL, NULL,
				     NULL);
	(void)gss_release_buffer(&minor, &output);
	(void)gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
}

static enum err acquire(struct kerberos *kerberos, const char *keytab, char why[KERBEROS_WHY])
{
	gss_key_value_element_desc elements[] = {{"keytab", KEYS}, {"rcache", "none:"}};
	const gss_key_value_set_desc store = {2, elements};
	gss_OID_set_desc mechanisms = {1, (gss_OID)gss_mech_krb5};
	OM_uint32 minor, major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE,
						       &mechanisms, GSS_C_ACCEPT, &store,
						       &kerberos->credential, NULL, NULL);

	if (GSS_ERROR(major))
		return fail(kerberos, keytab, (krb5_error_code)minor, why);
	warm_up(kerberos->credential);
	return ERR_OK;
}

enum err kerberos_new(const char *keytab, struct kerberos **kerberos_out, char why[KERBEROS_WHY])
{
	struct kerberos *kerberos = mem_alloc(sizeof(*kerberos));
	enum err err;

	kerberos->credential = GSS_C_NO_CREDENTIAL;
	if (krb5_init_context(&kerberos->context) != 0) {
		(void)snprintf(why, KERBEROS_WHY,
			       "Kerberos cannot be set up; is /etc/krb5.conf in order?");
		mem_free(kerberos);
		return ERR_IO;
	}
	if ((err = load(kerberos, keytab, why)) != ERR_OK ||
	    (err = acquire(kerberos, keytab, why)) != ERR_OK) {
		kerberos_free(&kerberos);
		return err;
	}
	*kerberos_out = kerberos;
	return ERR_OK;
}

void kerberos_free(struct kerberos **kerberos)
{
	struct kerberos *gone = *kerberos;
	OM_uint32 minor;

	*kerberos = NULL;
	if (gone == NULL)
		return;
	(void)gss_release_cred(&minor, &gone->credential);
	if (gone->keys != NULL)
		(void)krb5_kt_close(gone->context, gone->keys);
	krb5_free_context(gone->context);
	mem_free(gone);
}

void *kerberos_credential(const struct kerberos *kerberos)
{
	return kerberos->credential;
}
