/* SPDX-License-Identifier: Apache-2.0 */
#include "base/msgid.h"

#include <string.h>

#include "base/base32.h"

void msgid_print(const struct msgid *id, char text_out[MSGID_TEXT_MAX + 1])
{
	size_t len;

	base32_u64(id->key, text_out);
	len = strlen(text_out);
	text_out[len] = '-';
	base32_bytes(slice_of(id->random, MSGID_RANDOM), text_out + len + 1);
}

enum err msgid_read(struct slice text, struct msgid *id_out)
{
	size_t dash = slice_find(text, '-');
	struct msgid id;
	enum err err;

	if ((err = base32_u64_read(slice_head(text, dash), &id.key)) != ERR_OK ||
	    (err = base32_bytes_read(slice_skip(text, dash + 1), id.random, MSGID_RANDOM)) != ERR_OK)
		return err;
	*id_out = id;
	return ERR_OK;
}

bool msgid_equal(const struct msgid *a, const struct msgid *b)
{
	return a->key == b->key && memcmp(a->random, b->random, MSGID_RANDOM) == 0;
}
