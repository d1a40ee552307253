/* SPDX-License-Identifier: Apache-2.0 */
/* Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef POSTERN_BASE_UTF8_H
#define POSTERN_BASE_UTF8_H

#include "base/slice.h"

/* Length in bytes (1 to 4) of the character at the start of s, its code point in *code_out; 0 if
 * s is empty or does not start with a whole valid character. */
size_t utf8_next(struct slice s, uint32_t *code_out);
bool utf8_valid(struct slice s);
bool utf8_is_ascii(struct slice s);
/* Controls, and characters that reorder or hide text on a terminal (bidi, zero width). */
bool utf8_is_unsafe(uint32_t code);

#endif
