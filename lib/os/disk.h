/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a folder that we own, by descriptor: the bodies of large messages. Nothing is
 * followed that somebody else could have planted: links, devices, pipes, files with a second
 * name or of another user are ERR_DENIED. All calls may block: they belong on worker threads.
 */
#ifndef POSTERN_OS_DISK_H
#define POSTERN_OS_DISK_H

#include "base/slice.h"

/* A new file, for us alone to read. ERR_EXISTS, ERR_NO_SPACE, ERR_DENIED, ERR_IO. */
enum err file_create(const char *path, int *fd_out);
/* An existing one, for reading. ERR_NOT_FOUND, ERR_DENIED, ERR_IO. */
enum err file_open(const char *path, int *fd_out, uint64_t *size_out);
void file_close(int *fd); /* closes if it is not -1 and sets it to -1 */
/* All of it or an error. ERR_NO_SPACE, ERR_IO. */
enum err file_write_at(int fd, struct slice data, uint64_t offset);
/* Fewer bytes than len only at the end of the file. ERR_IO. */
enum err file_read_at(int fd, void *data, size_t len, uint64_t offset, size_t *len_out);
/* ERR_IO: what was written since the last success may or may not be there, for good. */
enum err file_sync(int fd);
enum err file_sync_folder(const char *path);
enum err file_remove(const char *path);                 /* ERR_NOT_FOUND, ERR_DENIED, ERR_IO */
enum err file_rename(const char *from, const char *to); /* replaces; ERR_NOT_FOUND, ERR_IO */
/* For us alone; its parent is there. ERR_OK if it is there already. ERR_DENIED, ERR_NO_SPACE. */
enum err file_make_folder(const char *path);
bool file_exists(const char *path);
/* Calls fn for each name in the folder but "." and "..". ERR_NOT_FOUND, ERR_DENIED, ERR_IO. */
enum err file_each(const char *folder, void (*fn)(void *arg, const char *name), void *arg);

#endif
