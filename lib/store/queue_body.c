/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large bodies: a file each, written in order, with a checksum for each chunk of 64 KiB. The
 * checksums go into the database where a small body would, so the message's own covers them.
 */
#include "store/queue_internal.h"

#include <string.h>

#include "base/mem.h"
#include "os/disk.h"

enum { SUM = 8, SUMS_MAX = 16 * 1024 * 1024 }; /* 128 GiB of body */

struct queue_upload {
	int fd;
	uint64_t size;
	char path[QUEUE_PATH_MAX];
	struct buf chunk; /* what has come of the chunk that is being gathered */
	struct buf sums;
};

enum err queue_upload_open(const char *folder, uint64_t key, struct queue_upload **upload_out)
{
	struct queue_upload *upload = mem_alloc(sizeof(*upload));
	enum err err;

	queue_body_path(folder, key, "", upload->path);
	buf_init(&upload->chunk, QUEUE_CHUNK);
	buf_init(&upload->sums, SUMS_MAX);
	if ((err = file_create(upload->path, &upload->fd)) != ERR_OK) {
		mem_free(upload);
		return err;
	}
	*upload_out = upload;
	return ERR_OK;
}

static enum err write_chunk(struct queue_upload *upload, struct slice chunk)
{
	uint64_t sum = queue_chunk_checksum(chunk);
	unsigned char wire[SUM];
	enum err err = file_write_at(upload->fd, chunk, upload->size);

	if (err != ERR_OK)
		return err;
	for (int i = 0; i < SUM; i++)
		wire[i] = (unsigned char)(sum >> (8 * i));
	if ((err = buf_append(&upload->sums, wire, SUM)) == ERR_OK)
		upload->size += chunk.len;
	return err;
}

enum err queue_upload_write(struct queue_upload *upload, struct slice data)
{
	enum err err = ERR_OK;

	while (data.len != 0 && err == ERR_OK) {
		struct slice part;

		if (buf_len(&upload->chunk) == 0 && data.len >= QUEUE_CHUNK) {
			err = write_chunk(upload, slice_head(data, QUEUE_CHUNK));
			data = slice_skip(data, QUEUE_CHUNK);
			continue;
		}
		part = slice_head(data, buf_room(&upload->chunk));
		err = buf_append_slice(&upload->chunk, part);
		data = slice_skip(data, part.len);
		if (err == ERR_OK && buf_room(&upload->chunk) == 0) {
			err = write_chunk(upload, buf_data(&upload->chunk));
			buf_clear(&upload->chunk);
		}
	}
	return err;
}

enum err queue_upload_finish(struct queue_upload *upload)
{
	enum err err = ERR_OK;

	if (buf_len(&upload->chunk) != 0)
		err = write_chunk(upload, buf_data(&upload->chunk));
	buf_release(&upload->chunk);
	return err == ERR_OK ? file_sync(upload->fd) : err;
}

struct slice queue_upload_sums(const struct queue_upload *upload)
{
	return buf_data(&upload->sums);
}

uint64_t queue_upload_size(const struct queue_upload *upload)
{
	return upload->size;
}

void queue_upload_close(struct queue_upload **upload, bool remove)
{
	if (*upload == NULL)
		return;
	file_close(&(*upload)->fd);
	if (remove)
		(void)file_remove((*upload)->path);
	buf_release(&(*upload)->chunk);
	buf_release(&(*upload)->sums);
	MEM_FREE(*upload);
}

void queue_body_discard(const char *folder, uint64_t key)
{
	char path[QUEUE_PATH_MAX];

	queue_body_path(folder, key, "", path);
	(void)file_remove(path); /* else an orphan at the next start */
}

static uint64_t sum_at(const struct queue_mail *mail, uint64_t chunk)
{
	uint64_t sum = 0;

	for (int i = 0; i < SUM; i++)
		sum |= (uint64_t)(unsigned char)mail->body[chunk * SUM + (uint64_t)i] << (8 * i);
	return sum;
}

/* One whole chunk, read and checked, at chunk. */
static enum err read_chunk(int fd, const struct queue_mail *mail, uint64_t number, char *chunk,
			   size_t len)
{
	size_t have = 0;
	enum err err = file_read_at(fd, chunk, len, number * QUEUE_CHUNK, &have);

	if (err != ERR_OK)
		return err;
	return have == len && queue_chunk_checksum(slice_of(chunk, len)) == sum_at(mail, number)
		       ? ERR_OK
		       : ERR_CORRUPT;
}

/* What is wanted of one chunk; *spare: memory for a chunk, taken when it is needed. */
static enum err read_part(int fd, const struct queue_mail *mail, uint64_t offset, size_t len,
			  char **spare, struct buf *out, size_t *len_out)
{
	uint64_t number = offset / QUEUE_CHUNK, start = number * QUEUE_CHUNK;
	size_t whole = mail->size - start < QUEUE_CHUNK ? mail->size - start : QUEUE_CHUNK;
	struct slice part;
	size_t room = 0;
	char *at;
	enum err err;

	/* Nearly always all of it is wanted: no copy then. */
	if (offset == start && len >= whole && buf_reserve(out, whole, &at, &room) == ERR_OK &&
	    room == whole) {
		if ((err = read_chunk(fd, mail, number, at, whole)) == ERR_OK)
			buf_commit(out, whole);
		*len_out = whole;
		return err;
	}
	if (*spare == NULL)
		*spare = mem_resize(NULL, QUEUE_CHUNK);
	if ((err = read_chunk(fd, mail, number, *spare, whole)) != ERR_OK)
		return err;
	part = slice_head(slice_skip(slice_of(*spare, whole), offset - start), len);
	*len_out = part.len;
	return buf_append_slice(out, part);
}

enum err queue_body_read(const char *folder, const struct queue_mail *mail, uint64_t offset,
			 size_t len, struct buf *out)
{
	uint64_t chunks = mail->body_len / SUM, file_size;
	char path[QUEUE_PATH_MAX], *spare = NULL;
	size_t part;
	int fd;
	enum err err;

	if (!mail->in_file || mail->body == NULL || mail->body_len % SUM != 0 ||
	    chunks != (mail->size + QUEUE_CHUNK - 1) / QUEUE_CHUNK)
		return ERR_CORRUPT;
	if (offset >= mail->size)
		return ERR_RANGE;
	if (len > mail->size - offset)
		len = mail->size - offset;
	queue_body_path(folder, mail->id.key, "", path);
	if ((err = file_open(path, &fd, &file_size)) != ERR_OK)
		return err;
	if (file_size != mail->size)
		err = ERR_CORRUPT;
	while (len != 0 && err == ERR_OK) {
		if ((err = read_part(fd, mail, offset, len, &spare, out, &part)) == ERR_OK) {
			offset += part;
			len -= part;
		}
	}
	file_close(&fd);
	mem_free(spare);
	return err;
}
