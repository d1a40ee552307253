/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/xtext.h"

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; /* capitals only */
}

enum err smtp_xtext_decode(struct slice text, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c <= ' ' || c > '~' ||
		    c == '=') /* char may be signed: bytes above ASCII, too */
			return ERR_SYNTAX;
		if (c == '+') {
			int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_SYNTAX;
			c = (char)(high * 16 + low);
			if ((unsigned char)c < ' ' || c == 0x7f)
				return ERR_SYNTAX;
			i += 2;
		}
		if (len + 1 >= size)
			return ERR_FULL;
		out[len++] = c;
	}
	if (size == 0)
		return ERR_FULL;
	out[len] = '\0';
	return ERR_OK;
}
