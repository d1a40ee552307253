/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one log line looks like. Invariants: whatever the values hold, the result is one line of
 * printable text of at most PIPE_BUF bytes that parses (key=value, or one JSON object), so that a
 * single write puts it whole into a pipe that several processes share.
 */
#include "os/log.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "base/utf8.h"

enum {
	LINE_MAX_BYTES = PIPE_BUF,
	VALUE_MAX = 512, /* bytes of a value as it is printed */
	TAIL = 32,       /* kept free for the mark that pairs were left out, and the end */
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

struct log_value log_text_if(const char *key, struct slice value)
{
	return (struct log_value){key, value.len != 0 ? LOG_VALUE_TEXT : LOG_VALUE_SKIP, value, 0};
}

/* How one character at the start of rest is printed; takes it off rest. */
static void escape_next(struct slice *rest, bool json, char *text, size_t size)
{
	unsigned char byte = (unsigned char)rest->ptr[0];
	uint32_t code = 0;
	size_t len = utf8_next(*rest, &code);

	if (len == 0) { /* not UTF-8 */
		snprintf(text, size, json ? "\\\\x%02X" : "\\x%02X", byte);
		len = 1;
	} else if (byte == '"' || byte == '\\') {
		snprintf(text, size, "\\%c", byte);
	} else if (code < 0x20 || code == 0x7f) {
		snprintf(text, size, json ? "\\u%04X" : "\\x%02X", code);
	} else if (utf8_is_unsafe(code)) {
		snprintf(text, size, json ? "\\\\u{%X}" : "\\u{%X}", code);
	} else {
		snprintf(text, size, "%.*s", (int)len, rest->ptr);
	}
	*rest = slice_skip(*rest, len);
}

/* Appends the quoted text, cut at VALUE_MAX with a mark. */
static enum err quote(struct slice text, bool json, struct buf *out)
{
	enum err err = buf_append_byte(out, '"');
	size_t room = VALUE_MAX - 5; /* quotes and mark */
	char one[16];

	while (text.len != 0 && err == ERR_OK) {
		size_t len;

		escape_next(&text, json, one, sizeof(one));
		len = slice_str(one).len;
		if (len > room) {
			err = buf_append_str(out, "...");
			break;
		}
		room -= len;
		err = buf_append(out, one, len);
	}
	return err == ERR_OK ? buf_append_byte(out, '"') : err;
}

static bool is_plain(struct slice text)
{
	if (text.len == 0 || text.len > VALUE_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_print(text.ptr[i]) ||
		    slice_has_byte(SLICE_LIT(" \"\\="), text.ptr[i]))
			return false;
	return true;
}

static enum err put_value(const struct log_value *value, bool json, struct buf *out)
{
	if (value->kind == LOG_VALUE_NUMBER)
		return buf_printf(out, "%lld", (long long)value->number);
	if (value->kind == LOG_VALUE_BOOL)
		return buf_append_str(out, json ? (value->number ? "true" : "false")
						: (value->number ? "yes" : "no"));
	if (!json && is_plain(value->text))
		return buf_append_slice(out, value->text);
	return quote(value->text, json, out);
}

static enum err put_pair(const struct log_value *value, bool json, struct buf *out)
{
	size_t before = buf_len(out);
	enum err err = buf_printf(out, json ? ",\"%s\":" : " %s=", value->key);

	if (err == ERR_OK)
		err = put_value(value, json, out);
	if (err != ERR_OK)
		buf_truncate(out, before);
	return err;
}

static enum err put_time(int64_t wall, struct buf *out)
{
	time_t seconds = (time_t)(wall / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL)
		return ERR_RANGE;
	return buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
			  tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			  (int)(wall % 1000));
}

/* Time (unless wall is negative: the reader stamps), process, event and level. */
static enum err put_head(int64_t wall, const char *process, bool json, enum log_level level,
			 const char *event, struct buf *out)
{
	enum err err = json ? buf_append_str(out, "{") : ERR_OK;

	if (err == ERR_OK && wall >= 0) {
		if (json)
			err = buf_append_str(out, "\"time\":\"");
		if (err == ERR_OK)
			err = put_time(wall, out);
		if (err == ERR_OK)
			err = buf_append_str(out, json ? "\"," : " ");
	}
	if (err == ERR_OK && json)
		return buf_printf(out, "\"process\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"",
				  process, level_names[level], event);
	if (err == ERR_OK)
		err = buf_printf(out, "%s event=%s", process, event);
	if (err == ERR_OK && level != LOG_INFO)
		err = buf_printf(out, " level=%s", level_names[level]);
	return err;
}

enum err log_format_line(int64_t wall, const char *process, bool json, enum log_level level,
			 const char *event, const struct log_value *values, struct buf *out)
{
	bool left_out = false;
	struct buf line;
	enum err err;

	buf_init(&line, LINE_MAX_BYTES - TAIL);
	err = put_head(wall, process, json, level, event, &line);
	for (; err == ERR_OK && values->key != NULL; values++)
		if (values->kind != LOG_VALUE_SKIP)
			left_out |= put_pair(values, json, &line) != ERR_OK;
	line.max = LINE_MAX_BYTES;
	if (err == ERR_OK && left_out)
		err = buf_append_str(&line, json ? ",\"left_out\":true" : " left_out=yes");
	if (err == ERR_OK)
		err = buf_append_str(&line, json ? "}\n" : "\n");
	if (err == ERR_OK)
		err = buf_append_slice(out, buf_data(&line));
	buf_release(&line);
	return err;
}
