/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one mailbox of a From field, by a grammar narrower than RFC 5322's (threats E2): a field
 * that another parser could read as another address must not pass. Comments and folding are
 * taken around an address, never inside it; the obsolete forms are refused but for dots in a
 * display name, which half the world's mail has. One pass, no recursion: nesting of comments is
 * a counter (E4).
 *
 *	mailbox = [CFWS] ( addr-spec / [phrase] "<" [FWS] addr-spec [FWS] ">" ) [CFWS]
 */
#include "message/submission.h"

#include "base/utf8.h"

struct scan {
	struct slice rest;
};

struct address {
	char *text; /* of size bytes */
	size_t size;
	size_t len;
};

static bool is_atext(char c)
{
	return ascii_is_alnum(c) ||
	       (c != '\0' && slice_has_byte(SLICE_LIT("!#$%&'*+-/=?^_`{|}~"), c));
}

static char peek(const struct scan *scan)
{
	return scan->rest.len > 0 ? scan->rest.ptr[0] : '\0';
}

static void skip(struct scan *scan, size_t count)
{
	scan->rest = slice_skip(scan->rest, count);
}

static bool put(struct address *address, char c)
{
	if (address->len + 1 >= address->size)
		return false;
	address->text[address->len++] = c;
	return true;
}

/* Blanks and folds; header_next has made sure that CR LF comes before a blank. */
static void skip_fws(struct scan *scan)
{
	for (;;) {
		if (peek(scan) == ' ' || peek(scan) == '\t')
			skip(scan, 1);
		else if (slice_starts(scan->rest, "\r\n"))
			skip(scan, 2);
		else
			return;
	}
}

/* One character of a comment or quoted string, a quoted pair being one; false: not allowed. */
static bool skip_text(struct scan *scan, bool *special_out)
{
	uint32_t code;
	size_t len;

	*special_out = false;
	if (peek(scan) == '\\') {
		skip(scan, 1);
		/* Only printable ASCII is quoted: a quoted half of a UTF-8 character is a trap. */
		if (!ascii_is_print(peek(scan)) && peek(scan) != '\t')
			return false;
		skip(scan, 1);
		return true;
	}
	if (ascii_is_print(peek(scan)) || peek(scan) == '\t') {
		*special_out = true;
		return true;
	}
	if (slice_starts(scan->rest, "\r\n")) {
		skip(scan, 2);
		return true;
	}
	len = utf8_next(scan->rest, &code);
	if (len < 2)
		return false;
	skip(scan, len);
	return true;
}

/* Comments and folding white space. */
static bool skip_cfws(struct scan *scan)
{
	size_t depth = 0;
	bool special;

	for (;;) {
		if (depth == 0) {
			skip_fws(scan);
			if (peek(scan) != '(')
				return true;
		}
		if (!skip_text(scan, &special))
			return false;
		if (!special)
			continue;
		if (peek(scan) == '(')
			depth++;
		else if (peek(scan) == ')')
			depth--;
		skip(scan, 1);
	}
}

/* "..." of a display name. */
static bool skip_quoted(struct scan *scan)
{
	bool special;

	skip(scan, 1);
	while (skip_text(scan, &special)) {
		if (!special)
			continue;
		if (peek(scan) == '"') {
			skip(scan, 1);
			return true;
		}
		skip(scan, 1);
	}
	return false;
}

/* A display name up to its angle bracket: words, quoted strings, dots. */
static bool skip_phrase(struct scan *scan)
{
	uint32_t code;
	size_t len;

	for (;;) {
		if (!skip_cfws(scan))
			return false;
		if (peek(scan) == '<')
			return true;
		if (peek(scan) == '"') {
			if (!skip_quoted(scan))
				return false;
			continue;
		}
		len = utf8_next(scan->rest, &code);
		if (len == 0 || (len == 1 && !is_atext(peek(scan)) && peek(scan) != '.'))
			return false;
		skip(scan, len);
	}
}

static bool take_dot_atom(struct scan *scan, struct address *address)
{
	size_t start = address->len;

	while (is_atext(peek(scan)) || peek(scan) == '.') {
		if (peek(scan) == '.' &&
		    (address->len == start || address->text[address->len - 1] == '.'))
			return false;
		if (!put(address, peek(scan)))
			return false;
		skip(scan, 1);
	}
	return address->len > start && address->text[address->len - 1] != '.';
}

/* A quoted local part becomes a dot-atom where it can be one, so that it has one form only. */
static bool take_quoted_local(struct scan *scan, struct address *address)
{
	size_t start = address->len;
	struct scan again;
	struct address plain;
	char c;
	char text[512];
	size_t len = 0;

	skip(scan, 1);
	while (peek(scan) != '"') {
		if (peek(scan) == '\\')
			skip(scan, 1);
		c = peek(scan);
		if (!ascii_is_print(c) || len + 1 >= sizeof(text))
			return false;
		text[len++] = c;
		skip(scan, 1);
	}
	skip(scan, 1);
	again.rest = slice_of(text, len);
	plain = *address;
	if (take_dot_atom(&again, &plain) && again.rest.len == 0) {
		address->len = plain.len;
		return true;
	}
	address->len = start;
	if (!put(address, '"'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((text[i] == '"' || text[i] == '\\') && !put(address, '\\'))
			return false;
		if (!put(address, text[i]))
			return false;
	}
	return put(address, '"');
}

static bool take_literal(struct scan *scan, struct address *address)
{
	do {
		if (!put(address, ascii_lower(peek(scan))))
			return false;
		skip(scan, 1);
	} while (ascii_is_alnum(peek(scan)) || peek(scan) == '.' || peek(scan) == ':' ||
		 peek(scan) == '-');
	if (peek(scan) != ']')
		return false;
	skip(scan, 1);
	return put(address, ']');
}

static bool take_domain(struct scan *scan, struct address *address)
{
	char before = '.';
	char c;

	if (peek(scan) == '[')
		return take_literal(scan, address);
	for (;;) {
		c = peek(scan);
		if (c == '.' || c == '-') {
			/* No empty label, none that starts or ends with a hyphen. */
			if (before == '.' || (c == '.' && before == '-'))
				return false;
		} else if (!ascii_is_alnum(c) && c != '_') {
			return before != '.' && before != '-';
		}
		if (!put(address, ascii_lower(c)))
			return false;
		before = c;
		skip(scan, 1);
	}
}

static bool take_addr_spec(struct scan *scan, struct address *address)
{
	bool local =
		peek(scan) == '"' ? take_quoted_local(scan, address) : take_dot_atom(scan, address);

	if (!local || peek(scan) != '@' || !put(address, '@'))
		return false;
	skip(scan, 1);
	return take_domain(scan, address);
}

static bool take_mailbox(struct scan *scan, struct address *address)
{
	struct scan start;

	if (!skip_cfws(scan))
		return false;
	start = *scan;
	if (take_addr_spec(scan, address) && skip_cfws(scan) && scan->rest.len == 0)
		return true;
	/* Not a bare address: then it is a display name and one in angle brackets. */
	*scan = start;
	address->len = 0;
	if (!skip_phrase(scan))
		return false;
	skip(scan, 1);
	skip_fws(scan);
	if (!take_addr_spec(scan, address))
		return false;
	skip_fws(scan);
	if (peek(scan) != '>')
		return false;
	skip(scan, 1);
	return skip_cfws(scan) && scan->rest.len == 0;
}

enum err message_from_address(struct slice value, char address_out[512])
{
	char text[512];
	struct scan scan = {value};
	struct address address = {text, sizeof(text), 0};

	if (!take_mailbox(&scan, &address))
		return ERR_SYNTAX;
	return slice_copy(slice_of(text, address.len), address_out, 512);
}
