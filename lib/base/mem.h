/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that cannot fail: when memory runs out the process ends master starts it anew, and nothing that was not committed has been acknowledged.
 * Everything is zeroed. malloc and free are called nowhere else.
 */
#ifndef POSTERN_BASE_MEM_H
#define POSTERN_BASE_MEM_H

#include <stddef.h>

/* handler is called once before the process ends; it must not allocate. NULL: none. */
void mem_when_out(void (*handler)(void));

void *mem_alloc(size_t size);                    /* zeroed; size 0 gives a unique pointer */
void *mem_array(size_t count, size_t size);      /* zeroed; ends the process if count * size overflows */
void *mem_resize(void *ptr, size_t size);        /* ptr may be NULL; new bytes are not zeroed */
char *mem_strdup(const char *text);              /* text may be NULL: NULL is returned */
char *mem_strndup(const char *data, size_t len); /* always terminated */
void mem_free(void *ptr);                        /* ptr may be NULL */

/* Frees *pointer and sets it to NULL. UPPERCASE: evaluates its argument twice. */
#define MEM_FREE(pointer)                                                                          \
	do {                                                                                       \
		mem_free(pointer);                                                                 \
		(pointer) = NULL;                                                                  \
	} while (0)

#endif
