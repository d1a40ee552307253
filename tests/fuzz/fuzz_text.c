/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small readers that everything rests on: base64, xtext, base 32, UTF-8, numbers, names of
 * messages, and the line of the log that any value ends up in.
 */
#include <string.h>

#include "base/base64.h"
#include "base/msgid.h"
#include "base/utf8.h"
#include "os/log.h"
#include "smtp/xtext.h"

#include "fuzz.h"

enum { ROOM = 32768 };

/* What is taken is the one way to write those bytes, padding apart (threats C2). */
static void check_base64(struct slice text)
{
	struct buf bytes, again;

	buf_init(&bytes, ROOM);
	buf_init(&again, ROOM);
	if (base64_decode(text, &bytes) == ERR_OK) {
		HOLDS(base64_encode(buf_data(&bytes), &again) == ERR_OK);
		HOLDS(buf_len(&again) >= text.len && buf_len(&again) - text.len <= 2);
		HOLDS(slice_equal(slice_head(buf_data(&again), text.len), text));
	} else {
		HOLDS(buf_len(&bytes) == 0);
	}
	buf_clear(&bytes);
	buf_clear(&again);
	HOLDS(base64_encode(text, &again) == ERR_OK);
	HOLDS(base64_decode(buf_data(&again), &bytes) == ERR_OK);
	HOLDS(slice_equal(buf_data(&bytes), text));
	buf_release(&bytes);
	buf_release(&again);
}

/* What it stands for can be written so that it is read as the same, and is no control. */
static void check_xtext(struct slice text)
{
	char plain[ROOM], again[ROOM];
	struct buf written;

	if (smtp_xtext_decode(text, plain, sizeof(plain)) != ERR_OK)
		return;
	HOLDS(strlen(plain) <= text.len);
	buf_init(&written, 3 * ROOM);
	for (const char *c = plain; *c != '\0'; c++) {
		HOLDS((unsigned char)*c >= 0x20 && *c != 0x7f);
		HOLDS(buf_printf(&written, "+%02X", (unsigned char)*c) == ERR_OK);
	}
	HOLDS(smtp_xtext_decode(buf_data(&written), again, sizeof(again)) == ERR_OK);
	HOLDS(strcmp(plain, again) == 0);
	buf_release(&written);
}

static void check_utf8(struct slice text)
{
	struct slice rest = text;
	uint32_t code = 0;
	size_t len;

	while (rest.len != 0 && (len = utf8_next(rest, &code)) != 0) {
		HOLDS(len <= 4 && len <= rest.len && code <= 0x10ffff);
		HOLDS(code < 0xd800 || code > 0xdfff);
		HOLDS(len == (code < 0x80 ? 1u : code < 0x800 ? 2u : code < 0x10000 ? 3u : 4u));
		rest = slice_skip(rest, len);
	}
	HOLDS(utf8_valid(text) == (rest.len == 0));
}

static void check_names(struct slice text)
{
	char printed[MSGID_TEXT_MAX + 1];
	struct msgid id, again;
	uint64_t number;

	if (msgid_read(text, &id) == ERR_OK) {
		msgid_print(&id, printed);
		HOLDS(msgid_read(slice_str(printed), &again) == ERR_OK);
		HOLDS(msgid_equal(&id, &again));
	}
	if (slice_number(text, 1000, &number) == ERR_OK)
		HOLDS(number <= 1000);
}

/* One line, whatever is in it (threats N1). */
static void check_log(struct slice text, bool json)
{
	const struct log_value values[] = {LOG_SLICE("a", text),
					   LOG_SLICE_IF("b", slice_skip(text, 3)),
					   LOG_NUMBER("c", -1),
					   LOG_BOOL("d", true),
					   {.key = NULL}};
	struct slice line;
	struct buf out;
	uint32_t code = 0;

	buf_init(&out, ROOM);
	HOLDS(log_format_line(1700000000000, "smtpd-0", json, LOG_INFO, "refused", values, &out) ==
	      ERR_OK);
	line = buf_data(&out);
	HOLDS(line.len != 0 && line.len <= 4096 && slice_find(line, '\n') == line.len - 1);
	line = slice_head(line, line.len - 1);
	HOLDS(!json || (line.ptr[0] == '{' && line.ptr[line.len - 1] == '}'));
	while (line.len != 0) {
		size_t len = utf8_next(line, &code);

		HOLDS(len != 0 && code >= 0x20 && !utf8_is_unsafe(code));
		line = slice_skip(line, len);
	}
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_head(slice_of(data, size), ROOM / 4);

	check_base64(text);
	check_xtext(text);
	check_utf8(text);
	check_names(text);
	check_log(text, false);
	check_log(text, true);
	return 0;
}
