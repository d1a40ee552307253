/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base32.h"

#include <string.h>

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static int digit_value(char c)
{
	const char *at;

	c = ascii_lower(c);
	if (c == 'o')
		c = '0';
	if (c == 'i' || c == 'l')
		c = '1';
	at = c != '\0' ? strchr(digits, c) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

void base32_u64(uint64_t value, char text_out[BASE32_U64_MAX + 1])
{
	char back[BASE32_U64_MAX];
	size_t len = 0;

	do {
		back[len++] = digits[value & 31];
		value >>= 5;
	} while (value != 0);
	for (size_t i = 0; i < len; i++)
		text_out[i] = back[len - 1 - i];
	text_out[len] = '\0';
}

enum err base32_u64_read(struct slice text, uint64_t *value_out)
{
	uint64_t value = 0;

	if (text.len == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++) {
		int digit = digit_value(text.ptr[i]);

		if (digit < 0)
			return ERR_SYNTAX;
		if (value >> 59 != 0)
			return ERR_RANGE;
		value = value << 5 | (uint64_t)digit;
	}
	*value_out = value;
	return ERR_OK;
}

void base32_bytes(struct slice data, char *text_out)
{
	uint32_t bits = 0;
	int have = 0;

	for (size_t i = 0; i < data.len; i++) {
		bits = bits << 8 | (unsigned char)data.ptr[i];
		for (have += 8; have >= 5; have -= 5)
			*text_out++ = digits[bits >> (have - 5) & 31];
	}
	if (have > 0)
		*text_out++ = digits[bits << (5 - have) & 31];
	*text_out = '\0';
}

enum err base32_bytes_read(struct slice text, unsigned char *data_out, size_t len)
{
	uint32_t bits = 0;
	int have = 0;
	size_t done = 0;
	unsigned char data[64];

	if (len > sizeof(data) || text.len != (len * 8 + 4) / 5)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++) {
		int digit = digit_value(text.ptr[i]);

		if (digit < 0)
			return ERR_SYNTAX;
		bits = bits << 5 | (uint32_t)digit;
		have += 5;
		if (have >= 8) {
			data[done++] = (unsigned char)(bits >> (have - 8) & 0xff);
			have -= 8;
		}
	}
	if ((bits & ((1u << have) - 1)) != 0)
		return ERR_SYNTAX;
	memcpy(data_out, data, len);
	return ERR_OK;
}
