/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include <stdio.h>

#include "base/mem.h"

struct certificates {
	char **texts; /* "FINGERPRINT NAME", in order */
	size_t count;
};

struct certificates *certificates_new(void)
{
	return mem_alloc(sizeof(struct certificates));
}

void certificates_free(struct certificates **certificates)
{
	if (*certificates == NULL)
		return;
	account_texts_free((*certificates)->texts, (*certificates)->count);
	MEM_FREE(*certificates);
}

void certificates_set(struct certificates *certificates, char **texts, size_t count)
{
	account_texts_free(certificates->texts, certificates->count);
	certificates->texts = texts;
	certificates->count = count;
}

enum err certificates_open(struct certificates *certificates, struct accounts *accounts)
{
	return accounts_all_certificates(accounts, &certificates->texts, &certificates->count);
}

bool certificates_any(const struct certificates *certificates)
{
	return certificates->count > 0;
}

const char *certificates_find(const struct certificates *certificates, struct slice sha_256)
{
	char text[ACCOUNT_FINGERPRINT + 1] = "";

	if (sha_256.len != CERTIFICATES_SHA_256)
		return NULL;
	for (size_t i = 0; i < sha_256.len; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", (unsigned char)sha_256.ptr[i]);
	for (size_t i = 0; i < certificates->count; i++) /* they are few */
		if (slice_starts(slice_str(certificates->texts[i]), text))
			return certificates->texts[i] + ACCOUNT_FINGERPRINT + 1;
	return NULL;
}
