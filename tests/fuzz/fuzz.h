/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the harnesses share. Each is one function over bytes: libFuzzer calls it (tests/fuzz/run),
 * and so does main.c, which replays the corpus in the ordinary tests. A property that does not
 * hold ends the program.
 */
#ifndef POSTERN_TESTS_FUZZ_H
#define POSTERN_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Evaluates its argument once; stays in every build. */
#define HOLDS(property)                                                                            \
	do {                                                                                       \
		if (!(property)) {                                                                 \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
				#property);                                                        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Inputs are records with this byte between them: what arrives together. */
#define FUZZ_RECORD_END '\x1e'

/* Takes the next byte off; 0 at the end. */
static inline unsigned fuzz_byte(struct slice *rest)
{
	unsigned byte = rest->len != 0 ? (unsigned char)rest->ptr[0] : 0;

	*rest = slice_skip(*rest, 1);
	return byte;
}

/* The same bytes in memory of their own, so that a read past their end is seen; mem_free. */
static inline char *fuzz_copy(struct slice bytes)
{
	return mem_resize(mem_strndup(bytes.ptr, bytes.len), bytes.len);
}

#endif
