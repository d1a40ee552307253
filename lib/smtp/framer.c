/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The automaton. A byte whose meaning the next one decides (CR, or a dot at the start of a line)
 * stays in the buffer until that one is there, so the state between calls is one bit: whether
 * the body is at the start of a line. Ordinary text is skipped 16 bytes at a time.
 */
#include "smtp/framer.h"

#include <assert.h>
#include <string.h>

typedef unsigned char block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

enum { SHRINK_TO = 64 }; /* this little input never holds a large buffer */

void smtp_framer_init(struct smtp_framer *framer)
{
	*framer = (struct smtp_framer){.lent = 0};
	buf_init(&framer->in, SMTP_INPUT_MAX);
}

void smtp_framer_wipe(struct smtp_framer *framer)
{
	buf_wipe(&framer->in);
	smtp_framer_init(framer);
}

size_t smtp_framer_room(const struct smtp_framer *framer)
{
	return buf_room(&framer->in) + framer->lent;
}

void smtp_framer_settle(struct smtp_framer *framer, bool secret)
{
	if (secret && framer->lent != 0)
		explicit_bzero(framer->in.mem + framer->in.start, framer->lent);
	buf_consume(&framer->in, framer->lent);
	framer->lent = 0;
}

void smtp_framer_feed(struct smtp_framer *framer, struct slice bytes)
{
	enum err err = buf_append_slice(&framer->in, bytes);

	assert(err == ERR_OK);
	(void)err;
}

struct slice smtp_framer_rest(const struct smtp_framer *framer)
{
	return slice_skip(buf_data(&framer->in), framer->lent);
}

void smtp_framer_shrink(struct smtp_framer *framer)
{
	struct slice data = buf_data(&framer->in);
	char few[SHRINK_TO];

	if (data.len == 0)
		buf_release(&framer->in);
	if (framer->lent != 0 || data.len > sizeof(few) || framer->in.size <= 4 * sizeof(few))
		return;
	memcpy(few, data.ptr, data.len);
	/* It may be the beginning of a password. */
	explicit_bzero(framer->in.mem + framer->in.start, data.len);
	buf_release(&framer->in);
	buf_append(&framer->in, few, data.len);
	explicit_bzero(few, sizeof(few));
}

/* Throws bytes away up to and with the next CR LF. */
static enum smtp_frame discard(struct smtp_framer *framer)
{
	struct slice data = buf_data(&framer->in);
	size_t at = 0;

	while (at < data.len) {
		at += slice_find(slice_skip(data, at), '\n');
		if (at < data.len && (at != 0 ? data.ptr[at - 1] == '\r' : framer->after_cr))
			break;
		at++;
	}
	if (at > data.len)
		at = data.len;
	if (framer->discarded + at > SMTP_DISCARD_MAX)
		return SMTP_FRAME_ENDLESS;
	if (at < data.len) {
		buf_consume(&framer->in, at + 1);
		framer->discarding = false;
		return SMTP_FRAME_LONG_LINE;
	}
	framer->discarded += data.len;
	if (data.len != 0)
		framer->after_cr = data.ptr[data.len - 1] == '\r';
	buf_consume(&framer->in, data.len);
	return SMTP_FRAME_MORE;
}

enum smtp_frame smtp_framer_line(struct smtp_framer *framer, size_t limit, bool lf_ends,
				 struct slice *line_out)
{
	struct slice window;

	smtp_framer_settle(framer, false);
	if (framer->discarding)
		return discard(framer);
	window = slice_head(buf_data(&framer->in), limit);
	while (framer->scanned < window.len) {
		size_t at = framer->scanned + slice_find(slice_skip(window, framer->scanned), '\n');
		bool after_cr = at != 0 && window.ptr[at - 1] == '\r';

		if (at < window.len && (after_cr || lf_ends)) {
			*line_out = slice_head(window, at - (after_cr ? 1 : 0));
			framer->lent = at + 1;
			framer->scanned = 0;
			return SMTP_FRAME_LINE;
		}
		framer->scanned = at < window.len ? at + 1 : window.len;
	}
	if (window.len < limit)
		return SMTP_FRAME_MORE;
	framer->scanned = 0;
	framer->discarded = 0;
	framer->discarding = true;
	framer->after_cr = false;
	return discard(framer);
}

/* Index of the first CR, LF or NUL; text.len if there is none. */
static size_t find_special(struct slice text)
{
	size_t i = 0;

	for (; i + sizeof(block) <= text.len; i += sizeof(block)) {
		block bytes, hits;
		halves any;

		memcpy(&bytes, text.ptr + i, sizeof(bytes));
		hits = (block)((bytes == '\r') | (bytes == '\n') | (bytes == 0));
		memcpy(&any, &hits, sizeof(any));
		if ((any[0] | any[1]) != 0)
			break;
	}
	while (i < text.len && text.ptr[i] != '\r' && text.ptr[i] != '\n' && text.ptr[i] != '\0')
		i++;
	return i;
}

void smtp_framer_start_body(struct smtp_framer *framer, size_t line_max)
{
	framer->at_line_start = true;
	framer->held_cr = false;
	framer->line_max = line_max;
	framer->long_text_line = false;
	framer->line_len = 0;
}

/*
 * Counts bytes of the current line. true: with them it is too long for the first time; then
 * *len is what fits.
 */
static bool count_line(struct smtp_framer *framer, size_t *len)
{
	size_t room = framer->line_max - framer->line_len;

	if (*len <= room || framer->long_text_line) {
		framer->line_len += *len;
		return false;
	}
	framer->long_text_line = true;
	framer->line_len += room;
	*len = room;
	return true;
}

static enum smtp_frame lend_text(struct smtp_framer *framer, size_t len, struct slice *text_out)
{
	framer->lent = len;
	*text_out = slice_head(buf_data(&framer->in), len);
	return SMTP_FRAME_TEXT;
}

/* The line starts with a dot: the end (END), a stuffed dot that is removed (TEXT), or MORE. */
static enum smtp_frame leading_dot(struct smtp_framer *framer, struct slice data)
{
	if (data.len == 1 || (data.len == 2 && data.ptr[1] == '\r'))
		return SMTP_FRAME_MORE;
	if (data.ptr[1] == '\r' && data.ptr[2] == '\n') {
		buf_consume(&framer->in, 3);
		return SMTP_FRAME_END;
	}
	buf_consume(&framer->in, 1);
	framer->at_line_start = false;
	return SMTP_FRAME_TEXT;
}

/* data starts with CR, LF or NUL that is no line end; it is taken. */
static enum smtp_frame take_special(struct smtp_framer *framer, struct slice data)
{
	char c = data.ptr[0];

	if (c == '\r' && data.len == 1)
		return SMTP_FRAME_MORE;
	buf_consume(&framer->in, 1);
	framer->at_line_start = false;
	if (c != '\0')
		framer->line_len = 0;
	return c == '\0' ? SMTP_FRAME_NUL : SMTP_FRAME_BARE;
}

enum smtp_frame smtp_framer_body(struct smtp_framer *framer, struct slice *text_out)
{
	struct slice data;
	bool too_long = false;
	size_t at = 0;

	smtp_framer_settle(framer, false);
	data = buf_data(&framer->in);
	if (framer->at_line_start && data.len != 0 && data.ptr[0] == '.') {
		enum smtp_frame frame = leading_dot(framer, data);

		if (frame != SMTP_FRAME_TEXT)
			return frame;
		data = buf_data(&framer->in);
	}
	while (at < data.len) {
		size_t text = find_special(slice_skip(data, at));

		too_long = count_line(framer, &text);
		at += text;
		if (text != 0)
			framer->at_line_start = false;
		if (too_long || data.len - at < 2 || data.ptr[at] != '\r' ||
		    data.ptr[at + 1] != '\n')
			break;
		at += 2;
		framer->line_len = 0;
		framer->at_line_start = true;
		if (at < data.len && data.ptr[at] == '.')
			break;
	}
	if (at != 0 || too_long)
		return lend_text(framer, at, text_out);
	return data.len != 0 ? take_special(framer, data) : SMTP_FRAME_MORE;
}

void smtp_framer_start_chunk(struct smtp_framer *framer, uint64_t size)
{
	framer->chunk = size;
}

static void take_chunk(struct smtp_framer *framer, size_t len)
{
	buf_consume(&framer->in, len);
	framer->chunk -= len;
}

/* The octet behind a CR that was kept back; data may be empty. */
static enum smtp_frame after_held_cr(struct smtp_framer *framer, struct slice data,
				     struct slice *text_out)
{
	if (data.len == 0)
		return framer->chunk == 0 ? SMTP_FRAME_END : SMTP_FRAME_MORE;
	framer->held_cr = false;
	framer->line_len = 0;
	if (data.ptr[0] != '\n')
		return SMTP_FRAME_BARE;
	take_chunk(framer, 1);
	*text_out = SLICE_LIT("\r\n");
	return SMTP_FRAME_TEXT;
}

enum smtp_frame smtp_framer_chunk(struct smtp_framer *framer, struct slice *text_out)
{
	struct slice data;
	bool too_long = false;
	size_t at = 0;

	smtp_framer_settle(framer, false);
	data = slice_head(buf_data(&framer->in),
			  framer->chunk < SIZE_MAX ? (size_t)framer->chunk : SIZE_MAX);
	if (framer->held_cr)
		return after_held_cr(framer, data, text_out);
	while (at < data.len) {
		size_t text = find_special(slice_skip(data, at));

		too_long = count_line(framer, &text);
		at += text;
		if (too_long || data.len - at < 2 || data.ptr[at] != '\r' ||
		    data.ptr[at + 1] != '\n')
			break;
		at += 2;
		framer->line_len = 0;
	}
	if (at != 0 || too_long) {
		framer->chunk -= at;
		return lend_text(framer, at, text_out);
	}
	if (data.len == 0)
		return framer->chunk == 0 ? SMTP_FRAME_END : SMTP_FRAME_MORE;
	if (data.ptr[0] == '\r' && data.len == 1) {
		take_chunk(framer, 1);
		framer->held_cr = true;
		return framer->chunk == 0 ? SMTP_FRAME_END : SMTP_FRAME_MORE;
	}
	framer->chunk--;
	return take_special(framer, data);
}

bool smtp_framer_end_chunks(struct smtp_framer *framer)
{
	bool held = framer->held_cr;

	framer->held_cr = false;
	return held;
}

enum smtp_frame smtp_framer_skip_chunk(struct smtp_framer *framer)
{
	size_t here;

	smtp_framer_settle(framer, false);
	here = buf_len(&framer->in);
	take_chunk(framer, framer->chunk < here ? (size_t)framer->chunk : here);
	return framer->chunk == 0 ? SMTP_FRAME_END : SMTP_FRAME_MORE;
}
