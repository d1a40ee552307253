/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { BUF_FIRST = 256 };

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){.max = max};
}

void buf_release(struct buf *buf)
{
	mem_free(buf->mem);
	buf_init(buf, buf->max);
}

void buf_wipe(struct buf *buf)
{
	if (buf->mem != NULL)
		explicit_bzero(buf->mem, buf->size);
	buf_release(buf);
}

size_t buf_len(const struct buf *buf)
{
	return buf->end - buf->start;
}

size_t buf_room(const struct buf *buf)
{
	return buf->max - buf_len(buf);
}

struct slice buf_data(const struct buf *buf)
{
	return slice_of(buf->mem != NULL ? buf->mem + buf->start : "", buf_len(buf));
}

void buf_clear(struct buf *buf)
{
	buf->start = buf->end = 0;
}

/* Makes len bytes available behind the end; the caller has checked the maximum. */
static void make_room(struct buf *buf, size_t len)
{
	size_t used = buf_len(buf);
	size_t size = buf->size;

	if (buf->size - buf->end >= len && buf->mem != NULL)
		return;
	if (buf->start != 0 && buf->mem != NULL) {
		size_t stale = buf->start > used ? buf->start : used;

		memmove(buf->mem, buf->mem + buf->start, used);
		explicit_bzero(buf->mem + stale, buf->end - stale); /* of what was moved */
		buf->start = 0;
		buf->end = used;
		if (buf->size - used >= len)
			return;
	}
	if (size == 0)
		size = BUF_FIRST;
	while (size < used + len)
		size *= 2;
	if (size > buf->max)
		size = buf->max;
	/*
	 * Not realloc: a copy that realloc left behind could not be wiped, and buffers hold
	 * passwords at times.
	 */
	char *mem = mem_alloc(size);

	if (buf->mem != NULL) {
		memcpy(mem, buf->mem, used);
		explicit_bzero(buf->mem, used);
		mem_free(buf->mem);
	}
	buf->mem = mem;
	buf->size = size;
}

enum err buf_append(struct buf *buf, const void *data, size_t len)
{
	if (len > buf_room(buf))
		return ERR_FULL;
	if (len == 0)
		return ERR_OK;
	make_room(buf, len);
	memcpy(buf->mem + buf->end, data, len);
	buf->end += len;
	return ERR_OK;
}

enum err buf_append_slice(struct buf *buf, struct slice s)
{
	return buf_append(buf, s.ptr, s.len);
}

enum err buf_append_str(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

enum err buf_append_byte(struct buf *buf, char byte)
{
	return buf_append(buf, &byte, 1);
}

enum err buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	enum err err;

	va_start(args, format);
	err = buf_vprintf(buf, format, args);
	va_end(args);
	return err;
}

enum err buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	int len;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (len < 0)
		return ERR_INTERNAL;
	/* The terminator needs a byte of memory, but is not content. */
	if ((size_t)len >= buf_room(buf))
		return ERR_FULL;
	make_room(buf, (size_t)len + 1);
	vsnprintf(buf->mem + buf->end, (size_t)len + 1, format, args);
	buf->end += (size_t)len;
	return ERR_OK;
}

enum err buf_reserve(struct buf *buf, size_t want, char **ptr_out, size_t *len_out)
{
	size_t room = buf_room(buf);

	if (room == 0)
		return ERR_FULL;
	if (want > room)
		want = room;
	make_room(buf, want);
	*ptr_out = buf->mem + buf->end;
	*len_out = want;
	return ERR_OK;
}

void buf_commit(struct buf *buf, size_t len)
{
	assert(len <= buf->size - buf->end);
	buf->end += len;
}

void buf_consume(struct buf *buf, size_t len)
{
	assert(len <= buf_len(buf));
	buf->start += len;
	if (buf->start == buf->end)
		buf_clear(buf);
}

void buf_truncate(struct buf *buf, size_t len)
{
	assert(len <= buf_len(buf));
	buf->end = buf->start + len;
}
