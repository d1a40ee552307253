/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A password or key in memory: wiped when cleared, compared in constant time, never given to a
 * function that prints. Nothing that holds one is ever logged.
 */
#ifndef POSTERN_BASE_SECRET_H
#define POSTERN_BASE_SECRET_H

#include "base/slice.h"

struct secret {
	char *mem;
	size_t len;
};

void secret_set(struct secret *secret, struct slice value); /* copies; wipes what was there */
void secret_clear(struct secret *secret);                   /* wipes and frees; may be empty */
struct slice secret_value(const struct secret *secret);     /* valid until set or clear */
/* Constant time in the contents; the lengths are not secret. */
bool secret_equal(struct slice a, struct slice b);

#endif
