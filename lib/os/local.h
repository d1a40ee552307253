/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with a local server (a socket in the file system) that waits for each answer: for
 * worker threads. Every call ends by its deadline, until (os_monotonic_ms).
 *
 * Errors of all: ERR_TIMEOUT; ERR_EOF the server closed; ERR_IO: errno says why.
 */
#ifndef POSTERN_OS_LOCAL_H
#define POSTERN_OS_LOCAL_H

#include "base/slice.h"

/* Besides: ERR_RANGE the path is too long, ERR_NOT_FOUND, ERR_DENIED; errno is kept. */
enum err local_connect(const char *path, int64_t until, int *fd_out);
enum err local_send(int fd, struct slice data, int64_t until);
/* Exactly len bytes. */
enum err local_receive(int fd, void *data, size_t len, int64_t until);
/* What there is, one byte at least and size at most. */
enum err local_receive_some(int fd, void *data, size_t size, int64_t until, size_t *len_out);

#endif
