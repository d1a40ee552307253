/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded before the C library into the queue process: makes calls to the disk fail when the test
 * says so. The order comes through a page that both map, for the process can open nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"

static volatile struct fault *fault;

__attribute__((constructor)) static void map_page(void)
{
	const char *path = getenv("FAULT_PAGE");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED)
		fault = page;
	close(fd);
}

static int fails(volatile int *error)
{
	if (fault == NULL || *error == 0)
		return 0;
	errno = *error;
	fault->count++;
	return 1;
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	static int (*real)(int);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	return fault != NULL && fails(&fault->sync_error) ? -1 : real(fd);
}

__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *data, size_t len,
							off64_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off64_t);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
	if (fault != NULL && (fault->spared == 0 || len < fault->spared) &&
	    fails(&fault->write_error))
		return -1;
	return real(fd, data, len, offset);
}
