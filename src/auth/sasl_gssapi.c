/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSSAPI (RFC 4752) with Kerberos, by MIT's library: tokens until the context stands, then the
 * server offers no security layer, which TLS is, and the client takes that and may name who it
 * wants to be: itself, or nobody (C3). A principal is the account of its first part, if it is of
 * the server's own realm; alice/admin and those of other realms are nobody here.
 */
#include <string.h>

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "exchange.h"
#include "kerberos.h"
#include "store/accounts.h"

enum gssapi_step { CONTEXT, ESTABLISHED, LAYER };

struct gssapi {
	enum gssapi_step step;
	gss_cred_id_t credential;
	gss_ctx_id_t context;
	gss_name_t client;
};

static const unsigned char NO_LAYER[] = {1, 0, 0, 0}; /* RFC 4752 3.3: the one offer, no buffer */

static enum err gssapi_begin(struct exchange *exchange, const struct exchange_terms *terms)
{
	struct gssapi *gssapi;

	if (terms->kerberos == NULL)
		return ERR_NOT_FOUND;
	gssapi = mem_alloc(sizeof(*gssapi));
	gssapi->credential = kerberos_credential(terms->kerberos);
	gssapi->context = GSS_C_NO_CONTEXT;
	gssapi->client = GSS_C_NO_NAME;
	exchange->state = gssapi;
	return ERR_OK;
}

static void gssapi_end(struct exchange *exchange)
{
	struct gssapi *gssapi = exchange->state;
	OM_uint32 minor;

	(void)gss_delete_sec_context(&minor, &gssapi->context, GSS_C_NO_BUFFER);
	(void)gss_release_name(&minor, &gssapi->client);
	MEM_FREE(exchange->state);
}

/* Makes what GSS-API has written the challenge. */
static enum exchange_result challenge(struct exchange *exchange, gss_buffer_t buffer,
				      struct slice *challenge_out)
{
	OM_uint32 minor;
	enum err err;

	buf_clear(&exchange->challenge);
	err = buf_append(&exchange->challenge, buffer->value, buffer->length);
	(void)gss_release_buffer(&minor, buffer);
	if (err != ERR_OK)
		return exchange_refuse(exchange, "malformed");
	*challenge_out = buf_data(&exchange->challenge);
	return EXCHANGE_CHALLENGE;
}

static enum exchange_result offer_layer(struct exchange *exchange, struct slice *challenge_out)
{
	struct gssapi *gssapi = exchange->state;
	gss_buffer_desc offer = {sizeof(NO_LAYER), (void *)(uintptr_t)NO_LAYER};
	gss_buffer_desc wrapped = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, major = gss_wrap(&minor, gssapi->context, 0, GSS_C_QOP_DEFAULT, &offer,
					  NULL, &wrapped);

	if (GSS_ERROR(major))
		return exchange_refuse(exchange, "kerberos-failed");
	gssapi->step = LAYER;
	return challenge(exchange, &wrapped, challenge_out);
}

static enum exchange_result take_ticket(struct exchange *exchange, struct slice token,
					struct slice *challenge_out)
{
	struct gssapi *gssapi = exchange->state;
	gss_buffer_desc input = {token.len, (void *)(uintptr_t)token.ptr};
	gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, major;

	major = gss_accept_sec_context(&minor, &gssapi->context, gssapi->credential, &input,
				       GSS_C_NO_CHANNEL_BINDINGS, &gssapi->client, NULL, &output,
				       NULL, NULL, NULL);
	if (GSS_ERROR(major)) {
		(void)gss_release_buffer(&minor, &output);
		return exchange_refuse(exchange, "bad-ticket");
	}
	if ((major & GSS_S_CONTINUE_NEEDED) != 0)
		return challenge(exchange, &output, challenge_out);
	if (output.length == 0) {
		(void)gss_release_buffer(&minor, &output);
		return offer_layer(exchange, challenge_out);
	}
	gssapi->step = ESTABLISHED; /* the client answers with nothing */
	return challenge(exchange, &output, challenge_out);
}

/* ---- who it is ------------------------------------------------------------------------------ */

static bool display(gss_name_t name, char text_out[CREDENTIAL_NAME_MAX + 1])
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;
	bool ok = !GSS_ERROR(gss_display_name(&minor, name, &text, NULL)) &&
		  slice_copy(slice_of(text.value, text.length), text_out,
			     CREDENTIAL_NAME_MAX + 1) == ERR_OK;

	(void)gss_release_buffer(&minor, &text);
	return ok;
}

/* "alice@REALM": both halves; a name with an escaped character can be no account's. */
static bool split(const char *text, struct slice *name_out, struct slice *realm_out)
{
	struct slice whole = slice_str(text);
	size_t at = slice_find(whole, '@');

	*name_out = slice_head(whole, at);
	*realm_out = slice_skip(whole, at + 1);
	return !slice_has_byte(whole, '\\') && at < whole.len && name_out->len > 0 &&
	       realm_out->len > 0 && !slice_has_byte(*realm_out, '@');
}

static const char *take_principal(struct exchange *exchange)
{
	struct gssapi *gssapi = exchange->state;
	char client[CREDENTIAL_NAME_MAX + 1], server[CREDENTIAL_NAME_MAX + 1];
	char account[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];
	struct slice name, realm, ours, our_realm;
	gss_name_t target = GSS_C_NO_NAME;
	OM_uint32 minor;
	bool ok;

	ok = !GSS_ERROR(gss_inquire_context(&minor, gssapi->context, NULL, &target, NULL, NULL,
					    NULL, NULL, NULL)) &&
	     display(target, server) && display(gssapi->client, client);
	(void)gss_release_name(&minor, &target);
	if (!ok || !split(client, &name, &realm) || !split(server, &ours, &our_realm))
		return "malformed-name";
	/* Nor is what means a key of an account, alice#scanner. */
	if (!exchange_take_name(exchange, name) ||
	    account_name_read(name, exchange->domain, account, why) != ERR_OK)
		return "malformed-name";
	return slice_equal(realm, our_realm) ? NULL : "other-realm";
}

/* The same account as the principal's, in whichever form. */
static bool is_own(const struct exchange *exchange, struct slice authzid)
{
	char own[ACCOUNT_NAME_MAX + 1], wanted[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];

	return account_name_read(exchange_name(exchange), exchange->domain, own, why) == ERR_OK &&
	       account_name_read(authzid, exchange->domain, wanted, why) == ERR_OK &&
	       slice_is(slice_str(own), wanted);
}

static enum exchange_result take_layer(struct exchange *exchange, struct slice token)
{
	struct gssapi *gssapi = exchange->state;
	gss_buffer_desc input = {token.len, (void *)(uintptr_t)token.ptr};
	gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
	struct slice answer, authzid;
	const char *why = NULL;
	OM_uint32 minor;

	if (GSS_ERROR(gss_unwrap(&minor, gssapi->context, &input, &output, NULL, NULL)))
		return exchange_refuse(exchange, "bad-ticket");
	answer = slice_of(output.value, output.length);
	authzid = slice_skip(answer, sizeof(NO_LAYER));
	if (answer.len < sizeof(NO_LAYER) || answer.ptr[0] != 1)
		why = "security-layer";
	else
		why = take_principal(exchange);
	if (why == NULL && authzid.len > 0 &&
	    (exchange_has_control(authzid) || !utf8_valid(authzid) || !is_own(exchange, authzid)))
		why = "authorization-identity";
	(void)gss_release_buffer(&minor, &output);
	return why != NULL ? exchange_refuse(exchange, why) : EXCHANGE_PROVEN;
}

static enum exchange_result gssapi_step(struct exchange *exchange, bool has_token,
					struct slice token, struct slice *challenge_out)
{
	struct gssapi *gssapi = exchange->state;

	if (!has_token) {
		*challenge_out = SLICE_LIT("");
		return EXCHANGE_CHALLENGE;
	}
	if (gssapi->step == CONTEXT)
		return take_ticket(exchange, token, challenge_out);
	if (gssapi->step == LAYER)
		return take_layer(exchange, token);
	if (token.len != 0)
		return exchange_refuse(exchange, "malformed");
	return offer_layer(exchange, challenge_out);
}

const struct exchange_kind EXCHANGE_GSSAPI = {
	.name = "GSSAPI",
	.begin = gssapi_begin,
	.step = gssapi_step,
	.end = gssapi_end,
};
