/* SPDX-License-Identifier: Apache-2.0 */
/* Names of accounts: what people type, and the one form in which the store holds it. */
#include "store/accounts.h"

#include <stdio.h>
#include <string.h>

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
