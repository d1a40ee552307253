/* SPDX-License-Identifier: Apache-2.0 */
#include "message/scan.h"

#include "base/utf8.h"

bool scan_is_atext(char c)
{
	switch (c) {
	case '!':
	case '#':
	case '$':
	case '%':
	case '&':
	case '\'':
	case '*':
	case '+':
	case '-':
	case '/':
	case '=':
	case '?':
	case '^':
	case '_':
	case '`':
	case '{':
	case '|':
	case '}':
	case '~':
		return true;
	default:
		return ascii_is_alnum(c);
	}
}

char scan_peek(struct slice rest)
{
	return rest.len > 0 ? rest.ptr[0] : '\0';
}

static void skip(struct slice *rest, size_t count)
{
	*rest = slice_skip(*rest, count);
}

void scan_fws(struct slice *rest)
{
	for (;;) {
		if (scan_peek(*rest) == ' ' || scan_peek(*rest) == '\t')
			skip(rest, 1);
		else if (slice_starts(*rest, "\r\n"))
			skip(rest, 2);
		else
			return;
	}
}

/*
 * One character of a comment or quoted string, a quoted pair being one; false: not allowed. A
 * character that may have a meaning is left to the caller: *special_out.
 */
static bool scan_text(struct slice *rest, bool *special_out)
{
	uint32_t code;
	size_t len;

	*special_out = false;
	if (scan_peek(*rest) == '\\') {
		skip(rest, 1);
		/* Only printable ASCII is quoted: a quoted half of a UTF-8 character is a trap. */
		if (!ascii_is_print(scan_peek(*rest)) && scan_peek(*rest) != '\t')
			return false;
		skip(rest, 1);
		return true;
	}
	if (ascii_is_print(scan_peek(*rest)) || scan_peek(*rest) == '\t') {
		*special_out = true;
		return true;
	}
	if (slice_starts(*rest, "\r\n")) {
		skip(rest, 2);
		return true;
	}
	len = utf8_next(*rest, &code);
	if (len < 2)
		return false;
	skip(rest, len);
	return true;
}

bool scan_cfws(struct slice *rest)
{
	size_t depth = 0;
	bool special;

	for (;;) {
		if (depth == 0) {
			scan_fws(rest);
			if (scan_peek(*rest) != '(')
				return true;
		}
		if (!scan_text(rest, &special))
			return false;
		if (!special)
			continue;
		if (scan_peek(*rest) == '(')
			depth++;
		else if (scan_peek(*rest) == ')')
			depth--;
		skip(rest, 1);
	}
}

bool scan_quoted(struct slice *rest)
{
	bool special;

	skip(rest, 1);
	while (scan_text(rest, &special)) {
		if (!special)
			continue;
		if (scan_peek(*rest) == '"') {
			skip(rest, 1);
			return true;
		}
		skip(rest, 1);
	}
	return false;
}
