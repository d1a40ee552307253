/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: bounded and clean, and the same however they are cut. */
#include <string.h>

#include "smtp/reply.h"

#include "fuzz.h"

static void check(const struct smtp_reply *reply)
{
	HOLDS(reply->code >= 200 && reply->code <= 599);
	HOLDS(strlen(reply->status) < sizeof(reply->status));
	HOLDS(reply->status[0] == '\0' || (unsigned)(reply->status[0] - '0') == reply->code / 100);
	HOLDS(reply->text.len <= SMTP_REPLY_MAX);
	for (size_t i = 0; i < reply->text.len; i++) {
		unsigned char c = (unsigned char)reply->text.ptr[i];

		HOLDS((c >= 0x20 && c != 0x7f) || c == '\n');
	}
}

/* Reads all replies; their codes and texts go to log. Returns the error at the end. */
static enum err read_all(struct slice bytes, size_t step, struct buf *log)
{
	struct smtp_reply_reader reader;
	enum err err = ERR_AGAIN;

	smtp_reply_init(&reader);
	while (err == ERR_AGAIN && bytes.len != 0) {
		struct smtp_reply reply;

		HOLDS(smtp_reply_feed(&reader, slice_head(bytes, step)) == ERR_OK);
		bytes = slice_skip(bytes, step);
		while ((err = smtp_reply_next(&reader, &reply)) == ERR_OK) {
			check(&reply);
			buf_printf(log, "%u %s ", reply.code, reply.status);
			buf_append_slice(log, reply.text);
			buf_append_byte(log, '\0');
		}
	}
	smtp_reply_release(&reader);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size);
	unsigned step = fuzz_byte(&bytes) + 1;
	struct buf whole, cut;
	enum err err;

	if (bytes.len > SMTP_REPLY_MAX)
		return 0;
	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	err = read_all(bytes, bytes.len, &whole);
	HOLDS(read_all(bytes, step, &cut) == err);
	HOLDS(slice_equal(buf_data(&whole), buf_data(&cut)));
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
