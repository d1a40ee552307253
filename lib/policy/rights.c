/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/rights.h"

static bool is_name_byte(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

/* Letters, digits, hyphens in labels that are not empty. */
static bool domain_valid(struct slice domain)
{
	char before = '.';

	if (domain.len > 255)
		return false;
	for (size_t i = 0; i < domain.len; i++) {
		if (domain.ptr[i] == '.' ? before == '.' : !is_name_byte(domain.ptr[i]))
			return false;
		before = domain.ptr[i];
	}
	return before != '.';
}

static bool domain_pattern_valid(struct slice pattern)
{
	if (slice_starts(pattern, "*."))
		pattern = slice_skip(pattern, 2);
	return domain_valid(pattern);
}

bool rights_pattern_valid(struct slice pattern)
{
	size_t at = slice_find_last(pattern, '@');
	struct slice local = slice_head(pattern, at);

	if (slice_is(pattern, "*"))
		return true;
	if (at == pattern.len || !domain_pattern_valid(slice_skip(pattern, at + 1)))
		return false;
	if (local.len == 0 || slice_is(local, "*"))
		return true;
	for (size_t i = 0; i < local.len; i++) {
		if (!ascii_is_print(local.ptr[i]) || local.ptr[i] == '*')
			return false;
		/* A blank or another @ only in quotes. */
		if ((local.ptr[i] == ' ' || local.ptr[i] == '@') && local.ptr[0] != '"')
			return false;
	}
	return local.len <= 128;
}

bool rights_match_domain(struct slice pattern, struct slice domain)
{
	struct slice suffix;

	if (domain.len == 0)
		return false;
	if (!slice_starts(pattern, "*."))
		return slice_equal_nocase(pattern, domain);
	suffix = slice_skip(pattern, 1); /* with its dot */
	return domain.len > suffix.len &&
	       slice_equal_nocase(slice_skip(domain, domain.len - suffix.len), suffix);
}

static bool local_match(struct slice pattern, struct slice local)
{
	if (pattern.len == 0 || slice_is(pattern, "*"))
		return true;
	if (slice_equal_nocase(pattern, local))
		return true;
	return local.len > pattern.len && local.ptr[pattern.len] == '+' &&
	       slice_equal_nocase(slice_head(local, pattern.len), pattern);
}

bool rights_match(struct slice pattern, struct slice address)
{
	size_t pattern_at = slice_find_last(pattern, '@');
	size_t at = slice_find_last(address, '@');

	if (slice_is(pattern, "*"))
		return true;
	if (pattern_at == pattern.len || at == address.len || at == 0)
		return false;
	return rights_match_domain(slice_skip(pattern, pattern_at + 1),
				   slice_skip(address, at + 1)) &&
	       local_match(slice_head(pattern, pattern_at), slice_head(address, at));
}

bool rights_asks_routing(struct slice address)
{
	struct slice local = slice_head(address, slice_find_last(address, '@'));

	return slice_has_byte(local, '%') || slice_has_byte(local, '!') ||
	       slice_has_byte(local, '@');
}
