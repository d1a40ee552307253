/* SPDX-License-Identifier: Apache-2.0 */
/* Authentication-Results (RFC 8601 2.2): only whose they claim to be is looked at. */
#include "message/pass.h"
#include "message/scan.h"

/* A token of RFC 2045 5.1. */
static bool is_token_byte(char c)
{
	return ascii_is_print(c) && !slice_has_byte(SLICE_LIT(" ()<>@,;:\\\"/[]?="), c);
}

/* Appends what is quoted in text, a quoted string, to id of size bytes; false: it does not fit. */
static bool unquote(struct slice text, char *id, size_t size, size_t *len_out)
{
	size_t len = 0;

	for (size_t i = 1; i + 1 < text.len; i++) {
		if (text.ptr[i] == '\r' || text.ptr[i] == '\n')
			continue; /* a fold is no part of the value */
		if (text.ptr[i] == '\\')
			i++;
		if (len == size)
			return false;
		id[len++] = text.ptr[i];
	}
	*len_out = len;
	return true;
}

static bool is_name(struct slice id, const char *name)
{
	id = slice_trim(id);
	while (id.len > 0 && id.ptr[id.len - 1] == '.')
		id.len--;
	return name != NULL && slice_is_nocase(id, name);
}

bool results_claim(const struct submission *submission, struct slice value)
{
	struct slice rest = value;
	struct slice id;
	char plain[320];
	size_t len = 0;

	/* What cannot be read, somebody behind us could read as ours. */
	if (!scan_cfws(&rest))
		return true;
	id = rest;
	if (scan_peek(rest) == '"') {
		if (!scan_quoted(&rest))
			return true;
		id = slice_head(id, id.len - rest.len);
		if (!unquote(id, plain, sizeof(plain), &len))
			return false; /* longer than any name of ours */
		id = slice_of(plain, len);
	} else {
		while (len < id.len && is_token_byte(id.ptr[len]))
			len++;
		id = slice_head(id, len);
	}
	return id.len == 0 || is_name(id, submission->trace.hostname) ||
	       is_name(id, submission->domain);
}
