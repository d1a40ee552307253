/* SPDX-License-Identifier: Apache-2.0 */
/* Quoted-printable (RFC 2045 6.7), for UTF-8 on its way to a mailbox that knows only ASCII. */
#include "message/report_private.h"

enum { QUOTED_LINE_MAX = 76 };

/* Whether the byte stands for itself; last: nothing else follows it on its line. */
static bool is_plain(char c, bool last)
{
	return (ascii_is_print(c) && c != '=' && !(c == ' ' && last)) || (c == '\t' && !last);
}

static bool at_line_end(struct slice text)
{
	return slice_starts(text, "\r\n");
}

void report_put_quoted(struct report_writer *writer, struct slice text)
{
	size_t column = 0;

	while (text.len != 0 && writer->err == ERR_OK) {
		struct slice rest = slice_skip(text, 1);
		bool last = rest.len == 0 || at_line_end(rest);
		bool plain = is_plain(text.ptr[0], last);

		if (at_line_end(text)) {
			writer->err = buf_append(writer->out, "\r\n", 2);
			text = slice_skip(text, 2);
			column = 0;
			continue;
		}
		/* One column stays for the "=" of a line that goes on. */
		if (column + (plain ? 1 : 3) > QUOTED_LINE_MAX - 1) {
			writer->err = buf_append(writer->out, "=\r\n", 3);
			column = 0;
		}
		if (writer->err == ERR_OK)
			writer->err = plain ? buf_append_byte(writer->out, text.ptr[0])
					    : buf_printf(writer->out, "=%02X",
							 (unsigned)(unsigned char)text.ptr[0]);
		column += plain ? 1 : 3;
		text = rest;
	}
}

size_t report_quoted_len(struct slice text)
{
	size_t len = 0;

	for (struct slice rest; text.len != 0; text = rest) {
		rest = slice_skip(text, at_line_end(text) ? 2 : 1);
		if (at_line_end(text))
			len += 2;
		else
			len += is_plain(text.ptr[0], rest.len == 0 || at_line_end(rest)) ? 1 : 3;
	}
	/* A line is broken with three bytes at most before its end, and gets three. */
	return len + len / (QUOTED_LINE_MAX - 3) * 3 + 3;
}
