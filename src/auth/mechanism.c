/* SPDX-License-Identifier: Apache-2.0 */
/* Which mechanisms there are, and what is the same for all of them. */
#include "mechanism.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "exchange.h"
#include "store/password.h"

struct mechanisms {
	Gsasl *gsasl;
};

static const struct exchange_kind *const KINDS[] = {
	&EXCHANGE_PLAIN,         &EXCHANGE_LOGIN,
	&EXCHANGE_SCRAM_SHA_256, &EXCHANGE_SCRAM_SHA_256_PLUS,
	&EXCHANGE_SCRAM_SHA_1,   &EXCHANGE_SCRAM_SHA_1_PLUS,
	&EXCHANGE_CRAM_MD5,      &EXCHANGE_EXTERNAL,
	&EXCHANGE_GSSAPI,        &EXCHANGE_OAUTHBEARER,
	&EXCHANGE_XOAUTH2,
};

/* ---- what may come in at all ---------------------------------------------------------------- */

bool exchange_has_control(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return true;
	return false;
}

enum exchange_result exchange_refuse(struct exchange *exchange, const char *why)
{
	exchange->why = why;
	secret_clear(&exchange->password);
	return EXCHANGE_REFUSED;
}

bool exchange_take_name(struct exchange *exchange, struct slice name)
{
	if (name.len == 0 || name.len > CREDENTIAL_NAME_MAX || exchange_has_control(name) ||
	    !utf8_valid(name))
		return false;
	memcpy(exchange->name, name.ptr, name.len);
	exchange->name_len = name.len;
	return true;
}

enum err password_prepare(struct slice password, struct secret *prepared_out)
{
	char *text, *prepared = NULL;
	int code;

	if (!password_well_formed(password))
		return ERR_SYNTAX;
	if (utf8_is_ascii(password)) {
		secret_set(prepared_out, password);
		return ERR_OK;
	}
	text = mem_strndup(password.ptr, password.len);
	code = gsasl_saslprep(text, (Gsasl_saslprep_flags)0, &prepared, NULL);
	explicit_bzero(text, password.len);
	mem_free(text);
	if (code != GSASL_OK)
		return ERR_SYNTAX;
	secret_set(prepared_out, slice_str(prepared));
	explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	return prepared_out->len > 0 ? ERR_OK : ERR_SYNTAX;
}

/* ---- GNU SASL ------------------------------------------------------------------------------- */

enum err mechanisms_new(struct mechanisms **mechanisms_out)
{
	struct mechanisms *mechanisms = mem_alloc(sizeof(*mechanisms));

	if (gsasl_init(&mechanisms->gsasl) != GSASL_OK) {
		mem_free(mechanisms);
		return ERR_INTERNAL;
	}
	gsasl_callback_set(mechanisms->gsasl, exchange_plain_callback);
	*mechanisms_out = mechanisms;
	return ERR_OK;
}

void mechanisms_free(struct mechanisms **mechanisms)
{
	if (*mechanisms == NULL)
		return;
	gsasl_done((*mechanisms)->gsasl);
	MEM_FREE(*mechanisms);
}

/* The property is GNU SASL's own copy. */
void exchange_wipe_property(Gsasl_session *session, Gsasl_property property)
{
	const char *value = gsasl_property_fast(session, property);

	if (value != NULL)
		explicit_bzero((char *)(uintptr_t)value, strlen(value));
}

/* ---- the exchange --------------------------------------------------------------------------- */

static const struct exchange_kind *find_kind(struct slice mechanism)
{
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
		if (slice_is_nocase(mechanism, KINDS[i]->name))
			return KINDS[i];
	return NULL;
}

static size_t take_binding(struct slice value, unsigned char out[CHANNEL_BINDING_MAX])
{
	if (value.len == 0 || value.len > CHANNEL_BINDING_MAX)
		return 0;
	memcpy(out, value.ptr, value.len);
	return value.len;
}

enum err exchange_new(struct mechanisms *mechanisms, struct slice mechanism,
		      const struct exchange_terms *terms, struct exchange **exchange_out)
{
	const struct exchange_kind *kind = find_kind(mechanism);
	struct exchange *exchange;
	enum err err;

	if (kind == NULL)
		return ERR_NOT_FOUND;
	exchange = mem_alloc(sizeof(*exchange));
	exchange->kind = kind;
	exchange->gsasl = mechanisms->gsasl;
	(void)slice_copy(slice_str(terms->domain), exchange->domain, sizeof(exchange->domain));
	exchange->plus_offered = terms->plus_offered;
	exchange->exporter_len = take_binding(terms->exporter, exchange->exporter);
	exchange->unique_len = take_binding(terms->unique, exchange->unique);
	buf_init(&exchange->challenge, CHALLENGE_MAX);
	if ((err = kind->begin(exchange, terms)) != ERR_OK) {
		exchange_free(&exchange);
		return err;
	}
	*exchange_out = exchange;
	return ERR_OK;
}

void exchange_free(struct exchange **exchange)
{
	struct exchange *gone = *exchange;

	*exchange = NULL;
	if (gone == NULL)
		return;
	if (gone->kind->end != NULL && gone->state != NULL)
		gone->kind->end(gone);
	secret_clear(&gone->password);
	buf_wipe(&gone->challenge);
	explicit_bzero(gone->exporter, sizeof(gone->exporter));
	explicit_bzero(gone->unique, sizeof(gone->unique));
	mem_free(gone);
}

enum exchange_result exchange_step(struct exchange *exchange, bool has_token, struct slice token,
				   struct slice *challenge_out)
{
	return exchange->kind->step(exchange, has_token, token, challenge_out);
}

enum exchange_result exchange_give_verifier(struct exchange *exchange,
					    const struct verifier *verifier,
					    struct slice *challenge_out)
{
	if (exchange->kind->verifier == NULL)
		return exchange_refuse(exchange, "no-verifier-wanted");
	return exchange->kind->verifier(exchange, verifier, challenge_out);
}

enum verifier_hash exchange_hash(const struct exchange *exchange)
{
	return exchange->kind->hash;
}

bool exchange_last(const struct exchange *exchange, struct slice *challenge_out)
{
	if (exchange->has_last)
		*challenge_out = buf_data(&exchange->challenge);
	return exchange->has_last;
}

struct slice exchange_token(const struct exchange *exchange)
{
	return exchange->kind->token != NULL ? exchange->kind->token(exchange) : SLICE_LIT("");
}

struct slice exchange_deny(struct exchange *exchange, const char *scope, const char *issuer,
			   const char *why)
{
	if (exchange->kind->deny != NULL)
		return exchange->kind->deny(exchange, scope, issuer, why);
	(void)exchange_refuse(exchange, why);
	return SLICE_LIT("");
}

bool exchange_is_denied(const struct exchange *exchange)
{
	return exchange->kind->is_denied != NULL && exchange->kind->is_denied(exchange);
}

const char *exchange_mechanism(const struct exchange *exchange)
{
	return exchange->kind->name;
}

struct slice exchange_name(const struct exchange *exchange)
{
	return slice_of(exchange->name, exchange->name_len);
}

struct slice exchange_password(const struct exchange *exchange)
{
	return secret_value(&exchange->password);
}

const char *exchange_why(const struct exchange *exchange)
{
	return exchange->why != NULL ? exchange->why : "";
}
