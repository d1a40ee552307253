/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration as bytes, as every process but master gets it: what is decoded encodes to the
 * same again, and can be freed.
 */
#include "config/config.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL, *again = NULL;
	struct buf once, twice;

	if (config_decode(slice_of(data, size), &config) != ERR_OK) {
		HOLDS(config == NULL);
		return 0;
	}
	buf_init(&once, 1 << 24);
	buf_init(&twice, 1 << 24);
	HOLDS(config_encode(config, &once) == ERR_OK);
	HOLDS(config_decode(buf_data(&once), &again) == ERR_OK);
	HOLDS(config_encode(again, &twice) == ERR_OK);
	HOLDS(slice_equal(buf_data(&once), buf_data(&twice)));
	config_domain(config);
	config_free(&config);
	config_free(&again);
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
