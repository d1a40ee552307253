/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <string.h>

#include "base/mem.h"

void secret_set(struct secret *secret, struct slice value)
{
	char *mem = mem_strndup(value.ptr, value.len);

	secret_clear(secret);
	secret->mem = mem;
	secret->len = value.len;
}

void secret_clear(struct secret *secret)
{
	if (secret->mem != NULL) {
		explicit_bzero(secret->mem, secret->len);
		mem_free(secret->mem);
	}
	*secret = (struct secret){0};
}

struct slice secret_value(const struct secret *secret)
{
	return slice_of(secret->mem != NULL ? secret->mem : "", secret->len);
}

bool secret_equal(struct slice a, struct slice b)
{
	unsigned char diff = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		diff |= (unsigned char)(a.ptr[i] ^ b.ptr[i]);
	return diff == 0;
}
