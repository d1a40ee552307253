/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * base makes no system call of its own: a program may name what to do with the bad news (os/log
 * does), and the process ends whatever that does.
 */
static void (*when_out)(void);

void mem_when_out(void (*handler)(void))
{
	when_out = handler;
}

static void *checked(void *ptr)
{
	if (ptr == NULL) {
		if (when_out != NULL)
			when_out();
		abort();
	}
	return ptr;
}

void *mem_alloc(size_t size)
{
	return checked(calloc(1, size != 0 ? size : 1));
}

void *mem_array(size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		return checked(NULL);
	return mem_alloc(count * size);
}

void *mem_resize(void *ptr, size_t size)
{
	return checked(realloc(ptr, size != 0 ? size : 1));
}

char *mem_strdup(const char *text)
{
	return text != NULL ? mem_strndup(text, strlen(text)) : NULL;
}

char *mem_strndup(const char *data, size_t len)
{
	char *copy = mem_alloc(len + 1);

	if (len != 0)
		memcpy(copy, data, len);
	return copy;
}

void mem_free(void *ptr)
{
	free(ptr);
}
