/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the value, but that a member is looked at twice: as a bare address, and if it is
 * none as a display name with one in angle brackets.
 */
#include "message/mailbox.h"

#include <stdio.h>

#include "base/utf8.h"
#include "message/scan.h"

/*
 * Forms of ASCII characters that Unicode's compatibility mapping (NFKC) makes those characters: a
 * program that maps would find another '@' than we do. U+FE50..FE6F small, U+FF00..FF5E full width.
 */
static bool hides_ascii(uint32_t code)
{
	return (code >= 0xfe50 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff5e) ||
	       code == 0x2024 /* one dot leader */;
}

static bool any_hides_ascii(struct slice text)
{
	uint32_t code;
	size_t len;

	while ((len = utf8_next(text, &code)) > 0) {
		if (hides_ascii(code))
			return true;
		text = slice_skip(text, len);
	}
	return false;
}

/* What ends an addr-spec; a colon only outside of an address literal. */
static bool ends_spec(char c, bool literal)
{
	switch (c) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
	case '(':
	case ')':
	case '<':
	case '>':
	case ',':
	case ';':
	case '"':
	case '\\':
		return true;
	case ':':
		return !literal;
	default:
		return false;
	}
}

/* Takes what could be an addr-spec: up to a blank or a character that ends one. */
static bool take_spec(struct slice *rest, struct slice *spec_out)
{
	struct slice start = *rest;
	bool literal = false;
	size_t len;

	if (scan_peek(*rest) == '"' && !scan_quoted(rest))
		return false;
	for (len = 0; len < rest->len && !ends_spec(rest->ptr[len], literal); len++) {
		if (rest->ptr[len] == '[' || rest->ptr[len] == ']')
			literal = rest->ptr[len] == '[';
	}
	*rest = slice_skip(*rest, len);
	*spec_out = slice_head(start, start.len - rest->len);
	return spec_out->len > 0;
}

/* "root": no '@' and no quotes, so that nobody can see an address in it. */
static bool is_local_alone(struct slice spec)
{
	char before = '.';

	if (spec.len > SMTP_LOCAL_MAX)
		return false;
	for (size_t i = 0; i < spec.len; i++) {
		if (spec.ptr[i] == '.' ? before == '.' : !scan_is_atext(spec.ptr[i]))
			return false;
		before = spec.ptr[i];
	}
	return before != '.';
}

static bool read_spec(const struct mailbox_list *list, struct mailbox *mailbox)
{
	struct slice spec = mailbox->spec;
	char whole[SMTP_LOCAL_MAX + 1 + SMTP_DOMAIN_MAX + 1];

	mailbox->bare = list->qualify != NULL && is_local_alone(spec);
	mailbox->address.len = 0;
	if (list->shallow)
		return mailbox->bare || slice_has_byte(spec, '@');
	if (mailbox->bare) {
		int len = snprintf(whole, sizeof(whole), "%.*s@%s", SLICE_ARG(spec), list->qualify);

		if (len < 0 || (size_t)len >= sizeof(whole))
			return false;
		spec = slice_of(whole, (size_t)len);
	}
	return smtp_mailbox_parse(spec, true, &mailbox->address) == SMTP_ADDRESS_OK &&
	       (list->utf8 || !mailbox->address.utf8) && !any_hides_ascii(spec);
}

static bool at_end(struct slice rest)
{
	return rest.len == 0 || rest.ptr[0] == ',';
}

/* A display name up to its angle bracket: words, quoted strings, dots. */
static bool take_phrase(struct slice *rest, struct slice *phrase_out)
{
	struct slice start = *rest;
	size_t used = 0;
	uint32_t code;
	size_t len;

	for (;;) {
		if (!scan_cfws(rest))
			return false;
		if (scan_peek(*rest) == '<')
			break;
		if (scan_peek(*rest) == '"') {
			if (!scan_quoted(rest))
				return false;
		} else {
			len = utf8_next(*rest, &code);
			if (len == 0 || (len == 1 && !scan_is_atext(scan_peek(*rest)) &&
					 scan_peek(*rest) != '.'))
				return false;
			*rest = slice_skip(*rest, len);
		}
		used = start.len - rest->len;
	}
	*phrase_out = slice_head(start, used);
	return true;
}

/* One member of the list, up to its comma or the end. */
static bool take_mailbox(struct mailbox_list *list, struct mailbox *mailbox)
{
	struct slice *rest = &list->rest;
	struct slice start;

	if (!scan_cfws(rest))
		return false;
	start = *rest;
	mailbox->phrase = SLICE_LIT("");
	if (take_spec(rest, &mailbox->spec) && scan_cfws(rest) && at_end(*rest))
		return read_spec(list, mailbox);
	/* Not a bare address: then it is a display name and one in angle brackets. */
	*rest = start;
	if (!take_phrase(rest, &mailbox->phrase))
		return false;
	*rest = slice_skip(*rest, 1);
	scan_fws(rest);
	if (!take_spec(rest, &mailbox->spec) || !read_spec(list, mailbox))
		return false;
	scan_fws(rest);
	if (scan_peek(*rest) != '>')
		return false;
	*rest = slice_skip(*rest, 1);
	return scan_cfws(rest) && at_end(*rest);
}

enum err mailbox_next(struct mailbox_list *list, struct mailbox *mailbox_out)
{
	if (list->started && list->rest.len == 0)
		return ERR_EOF;
	if (list->started)
		list->rest = slice_skip(list->rest, 1); /* the comma */
	list->started = true;
	return take_mailbox(list, mailbox_out) ? ERR_OK : ERR_SYNTAX;
}
