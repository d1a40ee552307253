/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: bounded, printable, never read past their end, and the same however cut. */
#include <arpa/inet.h>
#include <string.h>

#include "smtp/proxy.h"

#include "fuzz.h"

static enum err read_all(struct slice bytes, size_t step, struct proxy_reader *reader, size_t *end)
{
	enum err err = ERR_AGAIN;

	*end = 0;
	proxy_init(reader);
	while (err == ERR_AGAIN && *end < bytes.len) {
		struct slice part = slice_head(slice_skip(bytes, *end), step);
		size_t used;

		err = proxy_feed(reader, part, &used);
		HOLDS(used >= 1 && used <= part.len);
		HOLDS(err != ERR_AGAIN || used == part.len);
		*end += used;
	}
	return err;
}

static void check(const struct proxy_reader *reader, enum err err, struct slice bytes, size_t end)
{
	unsigned char binary[16];
	bool version_2 = bytes.len > 0 && bytes.ptr[0] == '\r';

	HOLDS(end <= (version_2 ? PROXY_V2_HEAD + PROXY_V2_MAX : PROXY_V1_MAX));
	HOLDS(strlen(reader->client) < PROXY_CLIENT_MAX);
	if (err == ERR_OK && reader->client[0] != '\0')
		HOLDS(inet_pton(AF_INET, reader->client, binary) == 1 ||
		      inet_pton(AF_INET6, reader->client, binary) == 1);
	if (err == ERR_OK && reader->local)
		HOLDS(reader->client[0] == '\0');
	if (err == ERR_SYNTAX)
		HOLDS(reader->client[0] == '\0' && reader->why[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size);
	unsigned step = fuzz_byte(&bytes) + 1;
	struct proxy_reader whole, cut;
	size_t whole_end, cut_end, used;
	enum err err = read_all(bytes, bytes.len, &whole, &whole_end);

	check(&whole, err, bytes, whole_end);
	HOLDS(read_all(bytes, step, &cut, &cut_end) == err);
	HOLDS(cut_end == whole_end && cut.local == whole.local && cut.missing == whole.missing);
	HOLDS(strcmp(cut.client, whole.client) == 0 && strcmp(cut.why, whole.why) == 0);
	/* The end stays the end. */
	if (err != ERR_AGAIN)
		HOLDS(proxy_feed(&whole, bytes, &used) == err && used == 0);
	return 0;
}
