/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on the screen: a table or list for people, JSON for programs; any row can be shown. */
#ifndef POSTERN_CLI_SHOW_H
#define POSTERN_CLI_SHOW_H

#include <stdio.h>

#include "cli/ask.h"

enum show_form {
	SHOW_TABLE,    /* a line per row, under the names of the fields; JSON: an array */
	SHOW_RECORD,   /* a line per field of the one row; JSON: an object */
	SHOW_DETAILS,  /* the first row as a record, the others as a table; JSON: object with "rows"
			*/
	SHOW_PASSWORD, /* only a password that was made: what was done is said otherwise; JSON:
			  object */
	SHOW_ANSWERS,  /* only what back ends said: a line for each; JSON as SHOW_DETAILS */
	SHOW_LINES, /* a line per row: process, then its fields in words, and a table each of those
		       with a field "backend", "device" or "limit"; JSON: an array */
};

/* nothing: what is said when there are no rows. Untrusted text is escaped for the terminal. */
void show_rows(const struct answer *answer, enum show_form form, bool json, const char *nothing,
	       FILE *out);
/* Rows that speak of the same process become one; master comes first, then in order of the names.
 */
void answer_merge(struct answer *answer);
/* Appends text so that it neither moves the cursor nor hides or reorders anything. */
void show_escape(const char *text, struct buf *out);

#endif
