/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte queue that is born with its maximum: bytes are appended at the end and consumed from
 * the front. Memory is taken when the first byte comes and given back by buf_release, so an
 * idle buffer costs only the struct. A slice of it is valid until the next call that is not
 * buf_data or buf_len.
 */
#ifndef POSTERN_BASE_BUF_H
#define POSTERN_BASE_BUF_H

#include <stdarg.h>

#include "base/err.h"
#include "base/slice.h"

struct buf {
	char *mem;
	size_t start; /* first byte not consumed */
	size_t end;   /* one past the last byte */
	size_t size;  /* of mem */
	size_t max;   /* most bytes that may be held */
};

void buf_init(struct buf *buf, size_t max); /* takes no memory */
void buf_release(struct buf *buf);          /* frees the memory; the buffer is empty and usable */
void buf_wipe(struct buf *buf);             /* as buf_release, contents overwritten first: secrets */
size_t buf_len(const struct buf *buf);
size_t buf_room(const struct buf *buf); /* bytes that may still be appended */
struct slice buf_data(const struct buf *buf);
void buf_clear(struct buf *buf); /* empty, memory kept */

/* ERR_FULL, with nothing appended, if it would pass the maximum. */
enum err buf_append(struct buf *buf, const void *data, size_t len);
enum err buf_append_slice(struct buf *buf, struct slice s);
enum err buf_append_str(struct buf *buf, const char *text);
enum err buf_append_byte(struct buf *buf, char byte);
enum err buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum err buf_vprintf(struct buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/*
 * Room to write into directly, for reads from a socket: at least one and at most want bytes at
 * *ptr_out, then buf_commit what was written. ERR_FULL when no byte fits.
 */
enum err buf_reserve(struct buf *buf, size_t want, char **ptr_out, size_t *len_out);
void buf_commit(struct buf *buf, size_t len);

/* Drops len bytes from the front; len must be at most buf_len. */
void buf_consume(struct buf *buf, size_t len);
/* Drops the last bytes so that len remain; len must be at most buf_len. */
void buf_truncate(struct buf *buf, size_t len);

#endif
