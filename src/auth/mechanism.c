/* SPDX-License-Identifier: Apache-2.0 */
#include "mechanism.h"

#include <string.h>

#include <gsasl.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "store/password.h"

struct mechanisms {
	Gsasl *gsasl;
};

enum kind { PLAIN, LOGIN };

struct exchange {
	enum kind kind;
	Gsasl_session *session; /* PLAIN only */
	bool recorded;          /* GNU SASL has seen a whole PLAIN message */
	bool asked_name;        /* LOGIN */
	bool has_name;
	char name[CREDENTIAL_NAME_MAX + 1];
	size_t name_len;
	struct secret password;
	const char *why;
};

/* ---- what may come in at all ---------------------------------------------------------------- */

static bool has_control(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return true;
	return false;
}

static enum exchange_result refuse(struct exchange *exchange, const char *why)
{
	exchange->why = why;
	secret_clear(&exchange->password);
	return EXCHANGE_REFUSED;
}

static bool take_name(struct exchange *exchange, struct slice name)
{
	if (name.len == 0 || name.len > CREDENTIAL_NAME_MAX || has_control(name) ||
	    !utf8_valid(name))
		return false;
	memcpy(exchange->name, name.ptr, name.len);
	exchange->name_len = name.len;
	exchange->has_name = true;
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

static enum exchange_result take_password(struct exchange *exchange, struct slice password)
{
	if (password_prepare(password, &exchange->password) != ERR_OK)
		return refuse(exchange, "malformed-password");
	return EXCHANGE_DONE;
}

/* ---- PLAIN ---------------------------------------------------------------------------------- */

/* Records that the message was complete; what it said is read from the session afterwards. */
static int record(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
	struct exchange *exchange = gsasl_session_hook_get(session);

	(void)gsasl;
	if (property != GSASL_VALIDATE_SIMPLE)
		return GSASL_NO_CALLBACK;
	exchange->recorded = true;
	return GSASL_OK; /* not a verdict: nothing asks GNU SASL for one */
}

/* [authzid] NUL authcid NUL passwd, with exactly these NULs; fails closed. */
static bool plain_well_formed(struct slice token)
{
	struct slice part;
	int parts = 0;

	if (token.len == 0 || token.ptr[token.len - 1] == '\0')
		return false;
	while (slice_split(&token, '\0', &part)) {
		if (has_control(part) || !utf8_valid(part))
			return false;
		parts++;
	}
	return parts == 3;
}

static enum exchange_result plain_step(struct exchange *exchange, struct slice token)
{
	char *output = NULL;
	size_t output_len = 0;
	const char *authid, *authzid, *password;
	int code;

	if (!plain_well_formed(token))
		return refuse(exchange, "malformed");
	code = gsasl_step(exchange->session, token.ptr, token.len, &output, &output_len);
	gsasl_free(output);
	if (code != GSASL_OK || !exchange->recorded)
		return refuse(exchange, "malformed");
	authid = gsasl_property_fast(exchange->session, GSASL_AUTHID);
	authzid = gsasl_property_fast(exchange->session, GSASL_AUTHZID);
	password = gsasl_property_fast(exchange->session, GSASL_PASSWORD);
	if (authid == NULL || password == NULL || !take_name(exchange, slice_str(authid)))
		return refuse(exchange, "malformed-name");
	/* To act for somebody else takes a stored right, of which there is none (C3). */
	if (authzid != NULL && authzid[0] != '\0' &&
	    !slice_equal(slice_str(authzid), slice_str(authid)))
		return refuse(exchange, "authorization-identity");
	return take_password(exchange, slice_str(password));
}

/* ---- LOGIN ---------------------------------------------------------------------------------- */

/* draft-murchison-sasl-login: "Username:", then "Password:"; the name may come with AUTH. */
static enum exchange_result login_step(struct exchange *exchange, struct slice token,
				       struct slice *challenge_out)
{
	if (!exchange->asked_name && token.len == 0) {
		/* No initial response, or an empty one, which says nothing. */
		exchange->asked_name = true;
		*challenge_out = SLICE_LIT("Username:");
		return EXCHANGE_CHALLENGE;
	}
	if (!exchange->has_name) {
		if (!take_name(exchange, token))
			return refuse(exchange, "malformed-name");
		exchange->asked_name = true;
		*challenge_out = SLICE_LIT("Password:");
		return EXCHANGE_CHALLENGE;
	}
	return take_password(exchange, token);
}

/* ---- the exchange --------------------------------------------------------------------------- */

enum err mechanisms_new(struct mechanisms **mechanisms_out)
{
	struct mechanisms *mechanisms = mem_alloc(sizeof(*mechanisms));

	if (gsasl_init(&mechanisms->gsasl) != GSASL_OK) {
		mem_free(mechanisms);
		return ERR_INTERNAL;
	}
	gsasl_callback_set(mechanisms->gsasl, record);
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

enum err exchange_new(struct mechanisms *mechanisms, struct slice mechanism,
		      struct exchange **exchange_out)
{
	struct exchange *exchange;
	enum kind kind;

	if (slice_is_nocase(mechanism, "PLAIN"))
		kind = PLAIN;
	else if (slice_is_nocase(mechanism, "LOGIN"))
		kind = LOGIN;
	else
		return ERR_NOT_FOUND;
	exchange = mem_alloc(sizeof(*exchange));
	exchange->kind = kind;
	if (kind == PLAIN) {
		if (gsasl_server_start(mechanisms->gsasl, "PLAIN", &exchange->session) !=
		    GSASL_OK) {
			mem_free(exchange);
			return ERR_NOT_FOUND;
		}
		gsasl_session_hook_set(exchange->session, exchange);
	}
	*exchange_out = exchange;
	return ERR_OK;
}

/* GNU SASL frees the password without wiping it; the property is its own copy, so wipe that. */
static void wipe_session(Gsasl_session *session)
{
	const char *password = gsasl_property_fast(session, GSASL_PASSWORD);

	if (password != NULL)
		explicit_bzero((char *)(uintptr_t)password, strlen(password));
}

void exchange_free(struct exchange **exchange)
{
	if (*exchange == NULL)
		return;
	if ((*exchange)->session != NULL) {
		wipe_session((*exchange)->session);
		gsasl_finish((*exchange)->session);
	}
	secret_clear(&(*exchange)->password);
	MEM_FREE(*exchange);
}

enum exchange_result exchange_step(struct exchange *exchange, bool has_token, struct slice token,
				   struct slice *challenge_out)
{
	if (exchange->kind == LOGIN)
		return login_step(exchange, has_token ? token : SLICE_LIT(""), challenge_out);
	if (!has_token) {
		*challenge_out = SLICE_LIT("");
		return EXCHANGE_CHALLENGE;
	}
	return plain_step(exchange, token);
}

const char *exchange_mechanism(const struct exchange *exchange)
{
	return exchange->kind == PLAIN ? "PLAIN" : "LOGIN";
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
