/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration as bytes, as every process but master gets it: what is decoded encodes to the
 * same again, and can be freed. Input: the text of a file, which is encoded, a record's end, and
 * what somebody did to the bytes: edits of four, two that say where, one how, one with what. So
 * the corpus stays of use when a setting is added.
 */
#include "base/mem.h"
#include "config/config.h"

#include "config_text.h"
#include "fuzz.h"

enum { BYTES_MAX = 1 << 20, EDIT = 4 };

/* As master reads and sends it; false: it is no configuration. */
static bool encode_text(struct slice text, struct buf *out)
{
	struct config *config = NULL;
	struct buf errors;
	bool taken;

	buf_init(&errors, BYTES_MAX);
	taken = fuzz_config_read(text, &config, &errors) == ERR_OK;
	if (taken)
		HOLDS(config_encode(config, out) == ERR_OK);
	config_free(&config);
	buf_release(&errors);
	return taken;
}

/* Returns what is left of len. */
static size_t edit(char *bytes, size_t len, struct slice edits)
{
	while (edits.len >= EDIT && len != 0) {
		size_t low = fuzz_byte(&edits);
		size_t at = (low | (size_t)fuzz_byte(&edits) << 8) % len;
		unsigned how = fuzz_byte(&edits) % 4;
		unsigned what = fuzz_byte(&edits);

		if (how == 0)
			bytes[at] = (char)what;
		else if (how == 1)
			bytes[at] = (char)((unsigned char)bytes[at] + what);
		else if (how == 2)
			len = at;
		else /* the same again, from elsewhere */
			bytes[at] = bytes[(at + what) % len];
	}
	return len;
}

static void check(struct slice bytes)
{
	struct config *config = NULL, *again = NULL;
	struct buf once, twice;

	if (config_decode(bytes, &config) != ERR_OK) {
		HOLDS(config == NULL);
		return;
	}
	buf_init(&once, BYTES_MAX);
	buf_init(&twice, BYTES_MAX);
	HOLDS(config_encode(config, &once) == ERR_OK);
	HOLDS(config_decode(buf_data(&once), &again) == ERR_OK);
	HOLDS(config_encode(again, &twice) == ERR_OK);
	HOLDS(slice_equal(buf_data(&once), buf_data(&twice)));
	config_domain(config);
	config_free(&config);
	config_free(&again);
	buf_release(&once);
	buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice edits = slice_of(data, size), text, bytes;
	struct buf encoded;
	char *copy;
	size_t len;

	if (!slice_split(&edits, FUZZ_RECORD_END, &text))
		return 0;
	buf_init(&encoded, BYTES_MAX);
	if (encode_text(text, &encoded)) {
		copy = fuzz_copy(buf_data(&encoded));
		len = edit(copy, buf_len(&encoded), edits);
		copy = mem_resize(copy, len);
		bytes = slice_of(copy, len);
		HOLDS(edits.len >= EDIT || slice_equal(bytes, buf_data(&encoded)));
		check(bytes);
		mem_free(copy);
	}
	buf_release(&encoded);
	return 0;
}
