/* SPDX-License-Identifier: Apache-2.0 */
#include "store/foreign_file.h"

#include "store/foreign_internal.h"

enum { SHADOW_EXPIRES = 7, DOVECOT_EXTRA = 7, DAYS_MAX = 1000000 };
#define DAY_MS INT64_C(86400000)

/* The field of that number, from 0; empty if there are not so many. rest_out: with all after it. */
static struct slice field(struct slice line, unsigned number, struct slice *rest_out)
{
	struct slice part = {0};

	for (unsigned i = 0; i < number; i++)
		if (!slice_split(&line, ':', &part))
			break;
	*rest_out = line;
	return slice_split(&line, ':', &part) ? part : slice_of("", 0);
}

static enum err read_expiry(struct slice days, struct foreign_line *out, char why[FOREIGN_WHY])
{
	uint32_t number;

	if (days.len == 0)
		return ERR_OK;
	if (!foreign_number(days, &number) || number > DAYS_MAX)
		return foreign_explain(why, ERR_SYNTAX,
				       "the eighth field is not the number of a day");
	/* 0 is said to mean never by some and long ago by others: shadow(5) tells not to use it. */
	out->expires = (int64_t)number * DAY_MS;
	return ERR_OK;
}

/* Dovecot's extra fields that say who may log in. */
static enum err read_extra(struct slice extra, char why[FOREIGN_WHY])
{
	struct slice word;

	while (slice_split(&extra, ' ', &word)) {
		if (slice_is(word, "nopassword") || slice_starts(word, "nopassword="))
			return foreign_explain(why, ERR_DENIED,
					       "any password would do for it (nopassword)");
		if (slice_is(word, "nologin") || slice_starts(word, "nologin="))
			return foreign_explain(why, ERR_DENIED, "it may not log in (nologin)");
		if (slice_starts(word, "allow_nets="))
			return foreign_explain(why, ERR_DENIED,
					       "it may log in from some networks only "
					       "(allow_nets): an account here cannot be so "
					       "limited, but its keys can");
	}
	return ERR_OK;
}

enum err foreign_line_read(struct slice line, enum foreign_file form, struct foreign_line *out,
			   char why[FOREIGN_WHY])
{
	struct foreign_line read = {0};
	struct slice rest;
	enum err err = ERR_OK;

	while (line.len > 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' ' ||
				line.ptr[line.len - 1] == '\t'))
		line.len--;
	if (line.len == 0 || line.ptr[0] == '#')
		return ERR_EOF;
	if (slice_has_byte(line, '\0'))
		return foreign_explain(why, ERR_SYNTAX, "the line holds a NUL: is this a text?");
	if (!slice_has_byte(line, ':'))
		return foreign_explain(why, ERR_SYNTAX,
				       "expected NAME:HASH, and there is no colon");
	read.name = field(line, 0, &rest);
	read.hash = field(line, 1, &rest);
	if (read.name.len == 0)
		return foreign_explain(why, ERR_SYNTAX, "there is no name before the colon");
	if (form == FOREIGN_SHADOW)
		err = read_expiry(field(line, SHADOW_EXPIRES, &rest), &read, why);
	else if (form == FOREIGN_DOVECOT) {
		(void)field(line, DOVECOT_EXTRA, &rest);
		err = read_extra(rest, why);
	}
	if (err == ERR_OK || err == ERR_DENIED)
		*out = read;
	return err;
}
