/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathering and scanning of a header. Only CR LF ends a line and only an empty line ends the
 * header: a parser behind us that also accepts less must not find another header than we do, so
 * a bare CR, LF or NUL inside a field is a syntax error here (threats A11, E2).
 */
#include "message/header.h"

enum gather_state {
	GATHER_LINE_START,
	GATHER_IN_LINE,
	GATHER_CR,       /* in a line */
	GATHER_EMPTY_CR, /* the first byte of a line was CR */
};

void header_gather_init(struct header_gather *gather)
{
	buf_init(&gather->bytes, HEADER_SIZE_MAX);
	gather->complete = false;
	gather->state = GATHER_LINE_START;
}

void header_gather_release(struct header_gather *gather)
{
	buf_release(&gather->bytes);
	header_gather_init(gather);
}

static uint8_t gather_step(uint8_t state, char byte, bool *complete_out)
{
	if (byte == '\r')
		return state == GATHER_LINE_START ? GATHER_EMPTY_CR : GATHER_CR;
	if (byte == '\n' && state == GATHER_EMPTY_CR) {
		*complete_out = true;
		return GATHER_LINE_START;
	}
	if (byte == '\n' && state == GATHER_CR)
		return GATHER_LINE_START;
	return GATHER_IN_LINE;
}

enum err header_gather_feed(struct header_gather *gather, struct slice part, struct slice *rest_out)
{
	bool complete = gather->complete;
	uint8_t state = gather->state;
	size_t used = 0;
	enum err err;

	while (!complete && used < part.len)
		state = gather_step(state, part.ptr[used++], &complete);
	err = buf_append(&gather->bytes, part.ptr, used);
	if (err != ERR_OK)
		return err;
	gather->state = state;
	gather->complete = complete;
	*rest_out = slice_skip(part, used);
	return ERR_OK;
}

void header_gather_end(struct header_gather *gather)
{
	gather->complete = true;
}

/* Length of the line at the start of s, CR LF included; 0 if it has none or a stray byte. */
static size_t line_length(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\0' || s.ptr[i] == '\n')
			return 0;
		if (s.ptr[i] == '\r')
			return i + 1 < s.len && s.ptr[i + 1] == '\n' ? i + 2 : 0;
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

enum err header_next(struct slice *rest, struct header_field *field_out)
{
	struct slice s = *rest;
	size_t name = 0;
	size_t colon;
	size_t end;
	size_t line;

	if (s.len == 0 || slice_starts(s, "\r\n"))
		return ERR_EOF;
	/* A field's name: printable, no blank, no colon (RFC 5322 2.2); blanks behind it: 4.5.8. */
	while (name < s.len && s.ptr[name] != ':' && s.ptr[name] != ' ' &&
	       ascii_is_print(s.ptr[name]))
		name++;
	colon = name;
	while (colon < s.len && is_blank(s.ptr[colon]))
		colon++;
	if (name == 0 || colon == s.len || s.ptr[colon] != ':')
		return ERR_SYNTAX;
	end = line_length(s);
	if (end == 0)
		return ERR_SYNTAX;
	while (end < s.len && is_blank(s.ptr[end])) {
		line = line_length(slice_skip(s, end));
		if (line == 0)
			return ERR_SYNTAX;
		end += line;
	}
	field_out->name = slice_head(s, name);
	field_out->odd = colon != name;
	field_out->whole = slice_head(s, end);
	field_out->value = slice_of(s.ptr + colon + 1, end - 2 - (colon + 1));
	*rest = slice_skip(s, end);
	return ERR_OK;
}
