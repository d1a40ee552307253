/* SPDX-License-Identifier: Apache-2.0 */
/* PLAIN and LOGIN: the client shows its password, and TLS hides it from others. */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "exchange.h"

struct plain {
	Gsasl_session *session;
	bool recorded; /* GNU SASL has seen a whole message */
};

struct login_steps {
	bool asked_name;
	bool has_name;
};

static enum exchange_result take_password(struct exchange *exchange, struct slice password)
{
	if (password_prepare(password, &exchange->password) != ERR_OK)
		return exchange_refuse(exchange, "malformed-password");
	return EXCHANGE_PASSWORD;
}

/* ---- PLAIN ---------------------------------------------------------------------------------- */

/* Records that the message was complete; what it said is read from the session afterwards. */
int exchange_plain_callback(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
	struct plain *plain = gsasl_session_hook_get(session);

	(void)gsasl;
	if (property != GSASL_VALIDATE_SIMPLE || plain == NULL)
		return GSASL_NO_CALLBACK;
	plain->recorded = true;
	return GSASL_OK; /* not a verdict: nothing asks GNU SASL for one */
}

static enum err plain_begin(struct exchange *exchange, const struct exchange_terms *terms)
{
	struct plain *plain = mem_alloc(sizeof(*plain));

	(void)terms;
	exchange->state = plain;
	if (gsasl_server_start(exchange->gsasl, "PLAIN", &plain->session) != GSASL_OK)
		return ERR_NOT_FOUND;
	gsasl_session_hook_set(plain->session, plain);
	return ERR_OK;
}

static void plain_end(struct exchange *exchange)
{
	struct plain *plain = exchange->state;

	if (plain->session != NULL) {
		exchange_wipe_property(plain->session, GSASL_PASSWORD);
		gsasl_finish(plain->session);
	}
	MEM_FREE(exchange->state);
}

/* [authzid] NUL authcid NUL passwd, with exactly these NULs; fails closed. */
static bool plain_well_formed(struct slice token)
{
	struct slice part;
	int parts = 0;

	if (token.len == 0 || token.ptr[token.len - 1] == '\0')
		return false;
	while (slice_split(&token, '\0', &part)) {
		if (exchange_has_control(part) || !utf8_valid(part))
			return false;
		parts++;
	}
	return parts == 3;
}

static enum exchange_result plain_step(struct exchange *exchange, bool has_token,
				       struct slice token, struct slice *challenge_out)
{
	struct plain *plain = exchange->state;
	char *output = NULL;
	size_t output_len = 0;
	const char *authid, *authzid, *password;
	int code;

	if (!has_token) {
		*challenge_out = SLICE_LIT("");
		return EXCHANGE_CHALLENGE;
	}
	if (!plain_well_formed(token))
		return exchange_refuse(exchange, "malformed");
	code = gsasl_step(plain->session, token.ptr, token.len, &output, &output_len);
	gsasl_free(output);
	if (code != GSASL_OK || !plain->recorded)
		return exchange_refuse(exchange, "malformed");
	authid = gsasl_property_fast(plain->session, GSASL_AUTHID);
	authzid = gsasl_property_fast(plain->session, GSASL_AUTHZID);
	password = gsasl_property_fast(plain->session, GSASL_PASSWORD);
	if (authid == NULL || password == NULL || !exchange_take_name(exchange, slice_str(authid)))
		return exchange_refuse(exchange, "malformed-name");
	/* To act for somebody else takes a stored right, of which there is none (C3). */
	if (authzid != NULL && authzid[0] != '\0' &&
	    !slice_equal(slice_str(authzid), slice_str(authid)))
		return exchange_refuse(exchange, "authorization-identity");
	return take_password(exchange, slice_str(password));
}

const struct exchange_kind EXCHANGE_PLAIN = {
	.name = "PLAIN",
	.begin = plain_begin,
	.step = plain_step,
	.end = plain_end,
};

/* ---- LOGIN ---------------------------------------------------------------------------------- */

static enum err login_begin(struct exchange *exchange, const struct exchange_terms *terms)
{
	(void)terms;
	exchange->state = mem_alloc(sizeof(struct login_steps));
	return ERR_OK;
}

static void login_end(struct exchange *exchange)
{
	MEM_FREE(exchange->state);
}

/* draft-murchison-sasl-login: "Username:", then "Password:"; the name may come with AUTH. */
static enum exchange_result login_step(struct exchange *exchange, bool has_token,
				       struct slice token, struct slice *challenge_out)
{
	struct login_steps *steps = exchange->state;

	if (!has_token)
		token = SLICE_LIT("");
	if (!steps->asked_name && token.len == 0) {
		/* No initial response, or an empty one, which says nothing. */
		steps->asked_name = true;
		*challenge_out = SLICE_LIT("Username:");
		return EXCHANGE_CHALLENGE;
	}
	if (!steps->has_name) {
		if (!exchange_take_name(exchange, token))
			return exchange_refuse(exchange, "malformed-name");
		steps->asked_name = steps->has_name = true;
		*challenge_out = SLICE_LIT("Password:");
		return EXCHANGE_CHALLENGE;
	}
	return take_password(exchange, token);
}

const struct exchange_kind EXCHANGE_LOGIN = {
	.name = "LOGIN",
	.begin = login_begin,
	.step = login_step,
	.end = login_end,
};
