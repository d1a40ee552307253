/* SPDX-License-Identifier: Apache-2.0 */
/* Names of accounts: what people type, and the one form in which the store holds it. */
#include "store/account.h"

#include <stdio.h>
#include <string.h>

#include "store/password.h"

enum { LOCAL_MAX = 64, DOMAIN_MAX = 253, LABEL_MAX = 63 };

static const char *local_part_error(struct slice local)
{
	if (local.len == 0)
		return "there is nothing before the @";
	if (local.len > LOCAL_MAX)
		return "it has more than 64 characters before the @";
	for (size_t i = 0; i < local.len; i++) {
		char c = local.ptr[i];

		if (c == '+')
			return "a + marks a sub-address; use the name before it";
		if (!ascii_is_alnum(c) && (c == '\0' || strchr("._-'", c) == NULL))
			return "only the letters a-z, digits and . _ - ' may stand before the @";
		if (c == '.' && (i == 0 || i + 1 == local.len || local.ptr[i - 1] == '.'))
			return "a dot must stand between other characters";
	}
	return local.ptr[0] == '-' ? "it must not start with a -" : NULL;
}

static const char *domain_error(struct slice domain)
{
	struct slice label;

	if (domain.len == 0 || domain.len > DOMAIN_MAX || domain.ptr[domain.len - 1] == '.')
		return "its domain is empty, too long or ends in a dot";
	while (slice_split(&domain, '.', &label)) {
		if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' ||
		    label.ptr[label.len - 1] == '-')
			return "its domain has an empty or bad label";
		for (size_t i = 0; i < label.len; i++)
			if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
				return "its domain holds something else than letters, digits, - "
				       "and .";
	}
	return NULL;
}

enum err account_name_read(struct slice text, const char *domain,
			   char name_out[ACCOUNT_NAME_MAX + 1], char why[ACCOUNT_WHY])
{
	size_t at = slice_find_last(text, '@');
	struct slice local = slice_head(text, at), rest = slice_skip(text, at + 1);
	const char *wrong = local_part_error(local);
	size_t keep = local.len;

	if (wrong == NULL && at < text.len) {
		wrong = domain_error(rest);
		if (!slice_is_nocase(rest, domain))
			keep = text.len;
	}
	if (wrong != NULL) {
		(void)snprintf(why, ACCOUNT_WHY, "not a login name: %s", wrong);
		return ERR_SYNTAX;
	}
	for (size_t i = 0; i < keep; i++)
		name_out[i] = ascii_lower(text.ptr[i]);
	name_out[keep] = '\0';
	return ERR_OK;
}

enum err account_key_name_read(struct slice text, char name_out[ACCOUNT_KEY_NAME_MAX + 1],
			       char why[ACCOUNT_WHY])
{
	bool good = text.len > 0 && text.len <= ACCOUNT_KEY_NAME_MAX && text.ptr[0] != '-' &&
		    text.ptr[0] != '.';

	for (size_t i = 0; good && i < text.len; i++)
		good = ascii_is_alnum(text.ptr[i]) ||
		       (text.ptr[i] != '\0' && strchr("._-", text.ptr[i]) != NULL);
	if (!good) {
		(void)snprintf(why, ACCOUNT_WHY,
			       "not a name of a key: 1 to %d letters a-z, digits and . _ - make "
			       "one, such as scanner",
			       ACCOUNT_KEY_NAME_MAX);
		return ERR_SYNTAX;
	}
	for (size_t i = 0; i < text.len; i++)
		name_out[i] = ascii_lower(text.ptr[i]);
	name_out[text.len] = '\0';
	return ERR_OK;
}

/* The key's name is out of it: alice#scanner@example.org is alice@example.org and scanner. */
static enum err join_parts(struct slice local, struct slice domain, char *text_out, size_t size)
{
	if (local.len + domain.len >= size)
		return ERR_RANGE;
	memcpy(text_out, local.ptr, local.len);
	memcpy(text_out + local.len, domain.ptr, domain.len);
	text_out[local.len + domain.len] = '\0';
	return ERR_OK;
}

enum err account_login_read(struct slice text, struct slice password, const char *domain,
			    struct account_login *login_out, char why[ACCOUNT_WHY])
{
	struct account_login login = {0};
	char name[ACCOUNT_NAME_MAX + 1];
	size_t mark = slice_find(text, '#');
	struct slice rest = slice_skip(text, mark + 1);
	size_t at = slice_find(rest, '@');
	enum err err;

	if (mark == text.len) {
		err = account_name_read(text, domain, login.name, why);
	} else if (join_parts(slice_head(text, mark), slice_skip(rest, at), name, sizeof(name)) !=
		   ERR_OK) {
		(void)snprintf(why, ACCOUNT_WHY, "not a login name: it is too long");
		err = ERR_SYNTAX;
	} else if ((err = account_name_read(slice_str(name), domain, login.name, why)) == ERR_OK) {
		err = account_key_name_read(slice_head(rest, at), login.key, why);
	}
	if (err != ERR_OK)
		return err;
	if (login.key[0] == '\0')
		(void)password_key_tag(password, login.tag);
	*login_out = login;
	return ERR_OK;
}

/* Neither a # nor a space can be in any of the parts. */
void account_login_print(const struct account_login *login,
			 char text_out[ACCOUNT_CREDENTIAL_MAX + 1])
{
	(void)snprintf(text_out, ACCOUNT_CREDENTIAL_MAX + 1, "%s%s%s%s%s", login->name,
		       login->key[0] != '\0' ? "#" : "", login->key,
		       login->tag[0] != '\0' ? " " : "", login->tag);
}

enum err account_address(const char *name, const char *domain,
			 char address_out[ACCOUNT_NAME_MAX + 1])
{
	bool bare = strchr(name, '@') == NULL;

	if (strlen(name) + (bare ? 1 + strlen(domain) : 0) > ACCOUNT_NAME_MAX)
		return ERR_RANGE;
	(void)snprintf(address_out, ACCOUNT_NAME_MAX + 1, "%s%s%s", name, bare ? "@" : "",
		       bare ? domain : "");
	for (char *c = address_out; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return ERR_OK;
}

bool account_is_device(const char *name)
{
	return slice_starts(slice_str(name), ACCOUNT_DEVICE);
}
