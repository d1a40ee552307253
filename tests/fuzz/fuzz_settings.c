/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file. Whatever is in it, each error is a line, and what is taken prints as a
 * file that is taken and means the same.
 */
#include "config/config.h"

#include "config_text.h"
#include "fuzz.h"

enum { TEXT_MAX = 1 << 20 };

static void check_same(const struct config *config)
{
	struct config *again = NULL;
	struct buf text, errors, once, twice;

	buf_init(&text, TEXT_MAX);
	buf_init(&errors, TEXT_MAX);
	buf_init(&once, TEXT_MAX);
	buf_init(&twice, TEXT_MAX);
	HOLDS(config_print(config, false, &text) == ERR_OK);
	if (fuzz_config_read(buf_data(&text), &again, &errors) != ERR_OK)
		fprintf(stderr, "%.*s\n%.*s\n", SLICE_ARG(buf_data(&text)),
			SLICE_ARG(buf_data(&errors)));
	HOLDS(again != NULL);
	HOLDS(config_encode(config, &once) == ERR_OK && config_encode(again, &twice) == ERR_OK);
	HOLDS(slice_equal(buf_data(&once), buf_data(&twice)));
	config_free(&again);
	buf_release(&text);
	buf_release(&errors);
	buf_release(&once);
	buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct slice text = slice_of(data, size);
	struct buf errors;
	enum err err;

	buf_init(&errors, TEXT_MAX);
	err = fuzz_config_read(text, &config, &errors);
	if (err == ERR_OK) {
		check_same(config);
	} else if (err != ERR_NOT_FOUND) {
		HOLDS(config == NULL && buf_len(&errors) != 0);
		HOLDS(buf_data(&errors).ptr[buf_len(&errors) - 1] == '\n');
	}
	config_free(&config);
	buf_release(&errors);
	return 0;
}
