/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

static size_t sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t utf8_next(struct slice s, uint32_t *code_out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code;
	size_t len;

	if (s.len == 0)
		return 0;
	len = sequence_length((unsigned char)s.ptr[0]);
	if (len == 0 || len > s.len)
		return 0;
	code = (unsigned char)s.ptr[0] & mask[len];
	for (size_t i = 1; i < len; i++) {
		unsigned char byte = (unsigned char)s.ptr[i];

		if ((byte & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*code_out = code;
	return len;
}

bool utf8_valid(struct slice s)
{
	uint32_t code;

	while (s.len != 0) {
		size_t len = utf8_next(s, &code);

		if (len == 0)
			return false;
		s = slice_skip(s, len);
	}
	return true;
}

bool utf8_is_ascii(struct slice s)
{
	size_t i = 0;
	uint64_t eight;

	for (; s.len - i >= sizeof(eight); i += sizeof(eight)) { /* whole bodies are looked at */
		memcpy(&eight, s.ptr + i, sizeof(eight));
		if ((eight & 0x8080808080808080u) != 0)
			return false;
	}
	for (; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return false;
	return true;
}

bool utf8_is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe007f);
}
