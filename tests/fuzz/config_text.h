/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration from bytes in memory, as if it were a file. */
#ifndef POSTERN_TESTS_FUZZ_CONFIG_TEXT_H
#define POSTERN_TESTS_FUZZ_CONFIG_TEXT_H

#include <sys/mman.h>
#include <unistd.h>

#include "config/parse.h"
#include "fuzz.h"

/* As config_read. Text that may include files is not read: they would be this machine's. */
static inline enum err fuzz_config_read(struct slice text, struct config **config_out,
					struct buf *errors)
{
	char path[64];
	enum err err;
	int fd;

	if (slice_search(text, SLICE_LIT("include")) < text.len)
		return ERR_NOT_FOUND;
	fd = memfd_create("conf", 0);
	HOLDS(fd != -1 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = config_read(path, config_out, errors);
	close(fd);
	return err;
}

#endif
