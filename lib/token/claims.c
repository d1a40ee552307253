/* SPDX-License-Identifier: Apache-2.0 */
/* What a token says, against what it has to say (RFC 7519 section 4.1, RFC 7662 section 2.2). */
#include "token/internal.h"

#include <string.h>

#include "base/utf8.h"

enum { SECONDS_MAX = 253402300 }; /* thousands of seconds: the year 9999 */

/* A NumericDate as ms since 1970: a number that may have a fraction. */
static bool read_time(const json_t *value, int64_t *ms_out)
{
	double seconds = json_number_value(value);

	if (!json_is_number(value) || !(seconds >= 0 && seconds <= SECONDS_MAX * 1000.0))
		return false;
	*ms_out = (int64_t)(seconds * 1000);
	return true;
}

static bool is_ours(const struct token_rules *rules, const json_t *text)
{
	struct slice name = slice_of(json_string_value(text), json_string_length(text));

	for (size_t i = 0; json_is_string(text) && i < rules->audience_count; i++)
		if (slice_is(name, rules->audience[i]))
			return true;
	return false;
}

/* One name, or a list of names of which one is ours. */
static bool audience_fits(const struct token_rules *rules, const json_t *audience)
{
	const json_t *one;
	bool found = false;
	size_t i;

	if (!json_is_array(audience))
		return is_ours(rules, audience);
	json_array_foreach(audience, i, one)
	{
		if (!json_is_string(one))
			return false;
		found = found || is_ours(rules, one);
	}
	return found;
}

/* "scope" as in RFC 8693 section 4.2, or a list as some issuers have it under "scp". */
static bool scope_fits(const char *scope, const json_t *claims)
{
	const json_t *one, *value = json_object_get(claims, "scope");
	struct slice rest, part;
	size_t i;

	if (scope == NULL)
		return true;
	if (value == NULL)
		value = json_object_get(claims, "scp");
	json_array_foreach(value, i,
			   one) if (json_is_string(one) &&
				    slice_is(slice_str(json_string_value(one)), scope)) return true;
	rest = slice_str(json_string_value(value));
	while (json_is_string(value) && slice_split(&rest, ' ', &part))
		if (slice_is(part, scope))
			return true;
	return false;
}

static const char *check_times(const json_t *claims, enum token_claims_of of, int64_t now,
			       int64_t *expires_out)
{
	const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
	const json_t *iat = json_object_get(claims, "iat");
	int64_t expires = 0, time;

	if (exp == NULL && of == CLAIMS_OF_TOKEN)
		return "token-without-end";
	if (exp != NULL && !read_time(exp, &expires))
		return "token-malformed";
	if (exp != NULL && expires <= now - TOKEN_SKEW_MS)
		return "token-expired";
	if (nbf != NULL && !read_time(nbf, &time))
		return "token-malformed";
	if (nbf != NULL && time > now + TOKEN_SKEW_MS)
		return "token-not-yet-valid";
	if (iat != NULL && !read_time(iat, &time))
		return "token-malformed";
	if (iat != NULL && time > now + TOKEN_SKEW_MS)
		return "token-not-yet-valid";
	*expires_out = expires;
	return NULL;
}

/* What cannot be a name is none: nothing below ever sees it (C1). */
static bool name_is_sound(struct slice name)
{
	if (name.len == 0 || name.len > TOKEN_USER_MAX || !utf8_valid(name))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
			return false;
	return true;
}

const char *token_claims_check(const struct token_rules *rules, const json_t *claims,
			       enum token_claims_of of, int64_t now, struct token_who *who_out)
{
	const json_t *issuer = json_object_get(claims, "iss");
	struct slice user = token_text(claims, rules->user_claim);
	int64_t expires = 0;
	const char *why;

	if ((issuer != NULL || of == CLAIMS_OF_TOKEN) &&
	    !slice_is(token_text(claims, "iss"), rules->issuer))
		return "token-issuer";
	if (!audience_fits(rules, json_object_get(claims, "aud")))
		return "token-audience";
	if ((why = check_times(claims, of, now, &expires)) != NULL)
		return why;
	if (!scope_fits(rules->scope, claims))
		return "token-scope";
	if (!name_is_sound(user))
		return "token-without-user";
	/* Whoever may write any address into his profile could be anyone. */
	if (slice_is(slice_str(rules->user_claim), "email") &&
	    json_object_get(claims, "email_verified") != NULL &&
	    !json_is_true(json_object_get(claims, "email_verified")))
		return "token-email-not-verified";
	memcpy(who_out->user, user.ptr, user.len);
	who_out->user[user.len] = '\0';
	who_out->expires = expires;
	return NULL;
}
