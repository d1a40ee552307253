/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that print a report share; nobody else includes it. */
#ifndef POSTERN_MESSAGE_REPORT_PRIVATE_H
#define POSTERN_MESSAGE_REPORT_PRIVATE_H

#include "message/report.h"

enum {
	REPORT_HEADER_MAX = 32 * 1024, /* of the old header, as it goes out */
	REPORT_LINE_MAX = 900,         /* of a quoted line; RFC 5322 2.1.1 allows 998 */
	REPORT_WORDS_LINES = 10,       /* of the remote server's words, per recipient */
	REPORT_WORDS_LINE = 512,
	REPORT_WORDS_ALL = 24 * 1024, /* of all recipients together */
	REPORT_WORDS_LEAST = 80,
	REPORT_FOLD = 72,
	REPORT_LISTED = 50, /* recipients that the part for people names */
};

struct report_writer {
	const struct report *report;
	struct report_form form;
	struct buf *out;
	bool wide; /* UTF-8 may go into what is printed now */
	enum err err;
	char boundary[48];
};

enum report_encoding { REPORT_7BIT, REPORT_8BIT, REPORT_QUOTED };

void report_put(struct report_writer *writer, const char *text);
/* At most max bytes of untrusted text: printable ASCII, and UTF-8 where it may stand. */
void report_put_clean(struct report_writer *writer, struct slice text, size_t max);
/*
 * The remote server's words on folded lines: each begins with indent, words are cut at blanks
 * where that is possible.
 */
void report_put_words(struct report_writer *writer, struct slice text, const char *indent);
/* Starts a part. */
void report_put_part(struct report_writer *writer, const char *type, const char *description,
		     enum report_encoding encoding);
/* The text, any bytes with CRLF line ends, as quoted-printable (RFC 2045 6.7). */
void report_put_quoted(struct report_writer *writer, struct slice text);
/* At most so many bytes come of it. */
size_t report_quoted_len(struct slice text);
/* The part for programs. */
void report_put_fields(struct report_writer *writer);

#endif
