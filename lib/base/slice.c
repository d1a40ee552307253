/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <string.h>

struct slice slice_of(const void *data, size_t len)
{
	return (struct slice){data, len};
}

struct slice slice_str(const char *text)
{
	return (struct slice){text != NULL ? text : "", text != NULL ? strlen(text) : 0};
}

struct slice slice_skip(struct slice s, size_t count)
{
	if (count > s.len)
		count = s.len;
	return (struct slice){count != 0 ? s.ptr + count : s.ptr, s.len - count};
}

struct slice slice_head(struct slice s, size_t count)
{
	return (struct slice){s.ptr, count < s.len ? count : s.len};
}

struct slice slice_trim(struct slice s)
{
	while (s.len != 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = slice_skip(s, 1);
	while (s.len != 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	return true;
}

bool slice_is(struct slice s, const char *text)
{
	return slice_equal(s, slice_str(text));
}

bool slice_is_nocase(struct slice s, const char *text)
{
	return slice_equal_nocase(s, slice_str(text));
}

bool slice_starts(struct slice s, const char *prefix)
{
	return slice_equal(slice_head(s, strlen(prefix)), slice_str(prefix));
}

bool slice_starts_nocase(struct slice s, const char *prefix)
{
	return slice_equal_nocase(slice_head(s, strlen(prefix)), slice_str(prefix));
}

bool slice_has_byte(struct slice s, char byte)
{
	return s.len != 0 && memchr(s.ptr, byte, s.len) != NULL;
}

size_t slice_find(struct slice s, char byte)
{
	const char *at = s.len != 0 ? memchr(s.ptr, byte, s.len) : NULL;

	return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

size_t slice_find_last(struct slice s, char byte)
{
	const char *at = s.len != 0 ? memrchr(s.ptr, byte, s.len) : NULL;

	return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

size_t slice_search(struct slice s, struct slice needle)
{
	const char *at;

	if (needle.len == 0)
		return 0;
	at = s.len != 0 ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
	return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

bool slice_split(struct slice *rest, char sep, struct slice *part_out)
{
	size_t at;

	if (rest->ptr == NULL || rest->len == 0)
		return false;
	at = slice_find(*rest, sep);
	*part_out = slice_head(*rest, at);
	*rest = slice_skip(*rest, at + 1);
	return true;
}

struct slice slice_line(struct slice s)
{
	s = slice_head(s, slice_find(s, '\n'));
	if (s.len != 0 && s.ptr[s.len - 1] == '\r')
		s.len--;
	return s;
}

enum err slice_number(struct slice s, uint64_t max, uint64_t *value_out)
{
	uint64_t value = 0;

	/* 19 digits always fit 64 bits, so the sum below cannot overflow. */
	if (s.len == 0 || s.len > 19)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_digit(s.ptr[i]))
			return ERR_SYNTAX;
		value = value * 10 + (uint64_t)(s.ptr[i] - '0');
	}
	if (value > max)
		return ERR_RANGE;
	*value_out = value;
	return ERR_OK;
}

enum err slice_copy(struct slice s, char *text_out, size_t size)
{
	if (s.len >= size)
		return ERR_FULL;
	if (slice_has_byte(s, '\0'))
		return ERR_SYNTAX;
	if (s.len != 0)
		memcpy(text_out, s.ptr, s.len);
	text_out[s.len] = '\0';
	return ERR_OK;
}

bool ascii_is_alpha(char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

bool ascii_is_print(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
