/* SPDX-License-Identifier: Apache-2.0 */
#include "token/bearer.h"

#include <string.h>

#include "base/utf8.h"
#include "token/internal.h"

enum { SEPARATOR = 0x01 };

static enum err malformed(const char **why_out)
{
	*why_out = "malformed";
	return ERR_SYNTAX;
}

/* A name without controls, in which "=2C" is a comma and "=3D" an equals sign (RFC 5801 section 4).
 */
static bool read_name(struct slice text, bool escaped, char name_out[TOKEN_USER_MAX + 1])
{
	size_t len = 0;

	if (text.len == 0 || !utf8_valid(text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if ((unsigned char)c < 0x20 || c == 0x7f || len >= TOKEN_USER_MAX)
			return false;
		if (escaped && c == '=') {
			struct slice code = slice_head(slice_skip(text, i), 3);

			if (!slice_is(code, "=2C") && !slice_is(code, "=3D"))
				return false;
			c = code.ptr[1] == '2' ? ',' : '=';
			i += 2;
		}
		name_out[len++] = c;
	}
	name_out[len] = '\0';
	return true;
}

/* gs2-header of RFC 5801: no channel binding, which this mechanism does not have. */
static bool take_header(struct slice *rest, struct bearer *bearer)
{
	struct slice flag, name;

	if (!slice_split(rest, ',', &flag) || (!slice_is(flag, "n") && !slice_is(flag, "y")) ||
	    !slice_has_byte(*rest, ',') || !slice_split(rest, ',', &name))
		return false;
	if (name.len > 0 &&
	    (!slice_starts(name, "a=") || !read_name(slice_skip(name, 2), true, bearer->user)))
		return false;
	/* What follows are the pairs, after one separator. */
	if (rest->len == 0 || rest->ptr[0] != SEPARATOR)
		return false;
	*rest = slice_skip(*rest, 1);
	return true;
}

/* b64token of RFC 6750 section 2.1. */
static bool is_token(struct slice text)
{
	while (text.len > 1 && text.ptr[text.len - 1] == '=')
		text.len--;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]) &&
		    !slice_has_byte(SLICE_LIT("-._~+/"), text.ptr[i]))
			return false;
	return text.len > 0;
}

/* "Bearer TOKEN", or nothing at all: who sends that asks what would be right. */
static bool read_credentials(struct slice value, struct slice *token_out)
{
	struct slice scheme;

	*token_out = SLICE_LIT("");
	if (value.len == 0)
		return true;
	if (!slice_split(&value, ' ', &scheme) || !slice_is_nocase(scheme, "Bearer") ||
	    !is_token(value))
		return false;
	*token_out = value;
	return true;
}

static bool value_is_sound(struct slice value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!ascii_is_print(value.ptr[i]) &&
		    !slice_has_byte(SLICE_LIT("\t\r\n"), value.ptr[i]))
			return false;
	return true;
}

static bool key_is_sound(struct slice key)
{
	for (size_t i = 0; i < key.len; i++)
		if (!ascii_is_alpha(key.ptr[i]))
			return false;
	return key.len > 0;
}

/* Names and values; host, port and others that we do not know are of no matter here. */
static bool read_pairs(enum bearer_kind kind, struct slice rest, struct bearer *bearer)
{
	bool has_auth = false, has_user = false;
	struct slice pair, key;

	/* Each ends in a separator, and one more stands at the end of all. */
	if (rest.len < 2 || rest.ptr[rest.len - 1] != SEPARATOR ||
	    rest.ptr[rest.len - 2] != SEPARATOR)
		return false;
	rest.len -= 2;
	if (rest.len > 0 && rest.ptr[rest.len - 1] == SEPARATOR)
		return false;
	while (slice_split(&rest, SEPARATOR, &pair)) {
		if (!slice_has_byte(pair, '='))
			return false;
		(void)slice_split(&pair, '=', &key);
		if (!key_is_sound(key))
			return false;
		if (slice_is_nocase(key, "auth")) {
			if (has_auth || !read_credentials(pair, &bearer->token))
				return false;
			has_auth = true;
		} else if (kind == BEARER_XOAUTH2 && slice_is_nocase(key, "user")) {
			if (has_user || !read_name(pair, false, bearer->user))
				return false;
			has_user = true;
		} else if (!value_is_sound(pair)) {
			return false;
		}
	}
	return has_auth && (has_user || kind == BEARER_OAUTHBEARER);
}

enum err bearer_read(enum bearer_kind kind, struct slice message, struct bearer *bearer_out,
		     const char **why_out)
{
	struct bearer bearer = {.user = ""};

	if (kind == BEARER_OAUTHBEARER && !take_header(&message, &bearer))
		return malformed(why_out);
	if (!read_pairs(kind, message, &bearer))
		return malformed(why_out);
	if (bearer.token.len > TOKEN_MAX) {
		*why_out = "token-too-long";
		return ERR_RANGE;
	}
	*bearer_out = bearer;
	return ERR_OK;
}

static int set(json_t *object, const char *name, const char *value)
{
	return value != NULL ? json_object_set_new(object, name, json_string(value)) : 0;
}

enum err bearer_refusal(enum bearer_kind kind, bool missing_scope, const char *scope,
			const char *issuer, struct buf *out)
{
	json_t *object = json_object();
	struct buf address;
	char *room;
	size_t size = 0, len = 0;

	buf_init(&address, 2 * TOKEN_ISSUER_MAX);
	if (issuer != NULL &&
	    buf_printf(&address, "%s%s.well-known/openid-configuration", issuer,
		       slice_str(issuer).len > 0 && issuer[slice_str(issuer).len - 1] == '/'
			       ? ""
			       : "/") == ERR_OK)
		(void)buf_append_byte(&address, '\0');
	if (kind == BEARER_XOAUTH2) {
		(void)set(object, "status", missing_scope ? "403" : "401");
		(void)set(object, "schemes", "Bearer");
		(void)set(object, "scope", scope != NULL ? scope : "");
	} else {
		(void)set(object, "status", missing_scope ? "insufficient_scope" : "invalid_token");
		(void)set(object, "scope", scope);
		(void)set(object, "openid-configuration",
			  buf_len(&address) > 0 ? buf_data(&address).ptr : NULL);
	}
	if (buf_reserve(out, BEARER_REFUSAL_MAX, &room, &size) == ERR_OK) {
		len = json_dumpb(object, room, size, JSON_COMPACT | JSON_ENSURE_ASCII);
		if (len <= size)
			buf_commit(out, len);
	}
	json_decref(object);
	buf_release(&address);
	return len > 0 && len <= size ? ERR_OK : ERR_FULL;
}
