/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads replies line by line. What a server says is hostile until it has passed here: a reply is
 * bounded in line length, lines and bytes, has one code, and its text is free of controls.
 */
#include "smtp/reply.h"

#include <string.h>

enum { REPLY_INPUT_MAX = 4 * SMTP_REPLY_MAX }; /* several pipelined replies in one read */

void smtp_reply_init(struct smtp_reply_reader *reader)
{
	*reader = (struct smtp_reply_reader){.code = 0};
	buf_init(&reader->in, REPLY_INPUT_MAX);
	buf_init(&reader->text, SMTP_REPLY_MAX);
}

void smtp_reply_release(struct smtp_reply_reader *reader)
{
	buf_release(&reader->in);
	buf_release(&reader->text);
}

enum err smtp_reply_feed(struct smtp_reply_reader *reader, struct slice bytes)
{
	return buf_append_slice(&reader->in, bytes);
}

/* Digits at the start of text, one to max; 0 if there are none or more. */
static size_t digits(struct slice text, size_t max)
{
	size_t len = 0;

	while (len < text.len && ascii_is_digit(text.ptr[len]))
		len++;
	return len <= max ? len : 0;
}

/* The length of an enhanced status of the code's class ("5.7.1") that stands alone; else 0. */
static size_t status_len(struct slice text, unsigned code)
{
	size_t len = 0;

	if (text.len == 0 || text.ptr[0] != (char)('0' + code / 100) || code / 100 == 3)
		return 0;
	for (int part = 0; part < 3; part++) {
		size_t count = digits(slice_skip(text, len), part == 0 ? 1 : 3);

		if (count == 0)
			return 0;
		len += count;
		if (part == 2)
			break;
		if (len == text.len || text.ptr[len] != '.')
			return 0;
		len++;
	}
	return len == text.len || text.ptr[len] == ' ' ? len : 0;
}

/* Takes the status off the text; that of the first line that has one is the reply's. */
static struct slice take_status(struct smtp_reply_reader *reader, struct slice text)
{
	size_t len = status_len(text, reader->code);

	if (len == 0)
		return text;
	if (reader->status[0] == '\0') {
		memcpy(reader->status, text.ptr, len);
		reader->status[len] = '\0';
	}
	return slice_skip(text, len == text.len ? len : len + 1);
}

static enum err add_text(struct smtp_reply_reader *reader, struct slice text)
{
	if (text.len + 1 > buf_room(&reader->text))
		return ERR_RANGE;
	if (reader->lines > 1)
		buf_append_byte(&reader->text, '\n');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		buf_append_byte(&reader->text, c < 0x20 || c == 0x7f ? '?' : text.ptr[i]);
	}
	return ERR_OK;
}

/* One line without its end; *last_out: no other follows. */
static enum err take_line(struct smtp_reply_reader *reader, struct slice line, bool *last_out)
{
	uint64_t code;
	bool last = line.len < 4 || line.ptr[3] == ' ';
	enum err err;

	if (line.len < 3 || slice_number(slice_head(line, 3), 599, &code) != ERR_OK || code < 200)
		return ERR_SYNTAX;
	if (!last && line.ptr[3] != '-')
		return ERR_SYNTAX;
	if (reader->lines != 0 && reader->code != code)
		return ERR_SYNTAX;
	if (++reader->lines > SMTP_REPLY_LINES_MAX)
		return ERR_RANGE;
	reader->code = (unsigned)code;
	err = add_text(reader, take_status(reader, slice_skip(line, 4)));
	if (err == ERR_OK)
		*last_out = last;
	return err;
}

static enum err give(struct smtp_reply_reader *reader, struct smtp_reply *reply_out)
{
	*reply_out = (struct smtp_reply){.code = reader->code, .text = buf_data(&reader->text)};
	memcpy(reply_out->status, reader->status, sizeof(reader->status));
	reader->lines = 0; /* the next call starts a new reply */
	return ERR_OK;
}

static enum err fail(struct smtp_reply_reader *reader, enum err err)
{
	reader->failed = err;
	return err;
}

enum err smtp_reply_next(struct smtp_reply_reader *reader, struct smtp_reply *reply_out)
{
	bool last = false;

	if (reader->failed != ERR_OK)
		return reader->failed;
	if (reader->lines == 0) {
		buf_release(&reader->text);
		reader->status[0] = '\0';
	}
	while (!last) {
		struct slice data = buf_data(&reader->in);
		struct slice window = slice_head(data, SMTP_REPLY_LINE_MAX);
		size_t at = slice_find(window, '\n');
		struct slice line = slice_head(data, at);
		enum err err;

		if (at == window.len) {
			if (data.len >= SMTP_REPLY_LINE_MAX)
				return fail(reader, ERR_RANGE);
			if (data.len == 0)
				buf_release(&reader->in);
			return ERR_AGAIN;
		}
		if (line.len != 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		err = take_line(reader, line, &last);
		buf_consume(&reader->in, at + 1);
		if (err != ERR_OK)
			return fail(reader, err);
	}
	return give(reader, reply_out);
}

size_t smtp_reply_buffered(const struct smtp_reply_reader *reader)
{
	return buf_len(&reader->in);
}
