/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a server as it is shipped: the N-th allocation of a process fails, once. Which and
 * when stands in a file that the test maps too ($FAIL_MALLOC), so that it can be any time in the
 * life of the process, and of one of many that are started alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The layout is also test_memory.py's. */
struct order {
	atomic_int left;  /* allocations to go; that which makes it 0 fails */
	atomic_int count; /* allocations since it was set to 0, of the process named */
	char process[56];
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *ptr, size_t size);

static struct order *the_order;

__attribute__((constructor)) static void map(void)
{
	const char *path = getenv("FAIL_MALLOC");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *order = MAP_FAILED;

	if (fd != -1) {
		order = mmap(NULL, sizeof(struct order), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (order != MAP_FAILED)
		the_order = order;
}

static int fails(void)
{
	struct order *order = the_order;

	if (order == NULL || strstr(program_invocation_short_name, order->process) == NULL)
		return 0;
	atomic_fetch_add(&order->count, 1);
	if (atomic_load(&order->left) <= 0 || atomic_fetch_sub(&order->left, 1) != 1)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
	return fails() ? NULL : __libc_realloc(ptr, size);
}
