/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum err base64_encode(struct slice data, struct buf *out)
{
	size_t full = (data.len + 2) / 3 * 4;

	if (data.len > SIZE_MAX / 2 || full > buf_room(out))
		return ERR_FULL;
	for (size_t i = 0; i < data.len; i += 3) {
		size_t left = data.len - i;
		uint32_t group = (uint32_t)(unsigned char)data.ptr[i] << 16;
		char four[4];

		if (left > 1)
			group |= (uint32_t)(unsigned char)data.ptr[i + 1] << 8;
		if (left > 2)
			group |= (uint32_t)(unsigned char)data.ptr[i + 2];
		four[0] = digits[group >> 18];
		four[1] = digits[group >> 12 & 63];
		four[2] = left > 1 ? digits[group >> 6 & 63] : '=';
		four[3] = left > 2 ? digits[group & 63] : '=';
		buf_append(out, four, sizeof(four));
	}
	return ERR_OK;
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of two to four digits into one to three bytes. */
static enum err decode_group(struct slice text, struct buf *out)
{
	uint32_t group = 0;
	char three[3];

	if (text.len < 2)
		return ERR_SYNTAX;
	for (size_t i = 0; i < 4; i++) {
		int value = i < text.len ? digit_value(text.ptr[i]) : 0;

		if (value < 0)
			return ERR_SYNTAX;
		group = group << 6 | (uint32_t)value;
	}
	if ((text.len == 2 && (group & 0xffff) != 0) || (text.len == 3 && (group & 0xff) != 0))
		return ERR_SYNTAX;
	three[0] = (char)(group >> 16 & 0xff);
	three[1] = (char)(group >> 8 & 0xff);
	three[2] = (char)(group & 0xff);
	return buf_append(out, three, text.len - 1);
}

enum err base64_decode(struct slice text, struct buf *out)
{
	size_t before = buf_len(out);
	enum err err = ERR_OK;

	if (text.len % 4 == 0)
		for (int i = 0; i < 2 && text.len != 0 && text.ptr[text.len - 1] == '='; i++)
			text.len--;
	for (size_t i = 0; i < text.len && err == ERR_OK; i += 4)
		err = decode_group(slice_head(slice_skip(text, i), 4), out);
	if (err != ERR_OK)
		buf_truncate(out, before);
	return err;
}

enum err base64url_decode(struct slice text, struct buf *out)
{
	size_t before = buf_len(out);
	enum err err = ERR_OK;

	for (size_t i = 0; i < text.len && err == ERR_OK; i += 4) {
		struct slice group = slice_head(slice_skip(text, i), 4);
		char four[4];

		for (size_t n = 0; n < group.len; n++) {
			char c = group.ptr[n];

			/* The two that differ; those of the other alphabet are none here. */
			four[n] = c;
			if (c == '-' || c == '_')
				four[n] = c == '-' ? '+' : '/';
			else if (c == '+' || c == '/')
				four[n] = '=';
		}
		err = decode_group(slice_of(four, group.len), out);
	}
	if (err != ERR_OK)
		buf_truncate(out, before);
	return err;
}
