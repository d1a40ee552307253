/* SPDX-License-Identifier: Apache-2.0 */
/* How long what a server answered may be used (RFC 9111 section 5.2.2). */
#include "token/token.h"

/* "3600", also within quotes as some write it. */
static bool read_seconds(struct slice text, uint64_t *seconds_out)
{
	if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
		text = slice_head(slice_skip(text, 1), text.len - 2);
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]))
			return false;
	/* More than we can count is as long as we can count. */
	if (text.len > 0 && slice_number(text, TOKEN_FRESH_MAX, seconds_out) != ERR_OK)
		*seconds_out = TOKEN_FRESH_MAX;
	return text.len > 0;
}

bool token_fresh_for(struct slice cache_control, uint64_t *seconds_out)
{
	struct slice rest = cache_control, directive, name;
	bool found = false;
	uint64_t seconds;

	while (slice_split(&rest, ',', &directive)) {
		name = (struct slice){0};
		directive = slice_trim(directive);
		(void)slice_split(&directive, '=', &name);
		name = slice_trim(name);
		if (slice_is_nocase(name, "no-cache") || slice_is_nocase(name, "no-store")) {
			*seconds_out = 0;
			return true;
		}
		if (!slice_is_nocase(name, "max-age") ||
		    !read_seconds(slice_trim(directive), &seconds))
			continue;
		/* Of two the shorter (section 4.2.1). */
		if (!found || seconds < *seconds_out)
			*seconds_out = seconds;
		found = true;
	}
	return found;
}
