/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slice is a borrowed run of bytes: pointer and length, no terminator, no ownership. It is
 * passed by value. It lives as long as what it points into; each function that returns one says
 * how long that is. All comparisons of letters are ASCII, whatever the locale.
 */
#ifndef POSTERN_BASE_SLICE_H
#define POSTERN_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct slice {
	const char *ptr;
	size_t len;
};

/* For printf: printf("%.*s", SLICE_ARG(s)). Evaluates its argument twice. */
#define SLICE_ARG(s) (int)(s).len, (s).ptr
/* A slice over a string literal. */
#define SLICE_LIT(text) ((struct slice){"" text, sizeof(text) - 1})

struct slice slice_of(const void *data, size_t len);
struct slice slice_str(const char *text); /* NULL gives an empty slice */
struct slice slice_skip(struct slice s, size_t count); /* past the end gives an empty slice */
struct slice slice_head(struct slice s, size_t count); /* at most count bytes */
struct slice slice_trim(struct slice s);               /* blanks and tabs off both ends */
bool slice_equal(struct slice a, struct slice b);
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_is(struct slice s, const char *text);        /* byte for byte */
bool slice_is_nocase(struct slice s, const char *text); /* ASCII letters in any case */
bool slice_starts(struct slice s, const char *prefix);
bool slice_starts_nocase(struct slice s, const char *prefix);
bool slice_has_byte(struct slice s, char byte);
/* Index of the first, last byte; s.len when there is none. */
size_t slice_find(struct slice s, char byte);
size_t slice_find_last(struct slice s, char byte);
/* Index of the first occurrence of needle; s.len when there is none. */
size_t slice_search(struct slice s, struct slice needle);
/* Takes what is before the first sep off *rest into *part_out; false when *rest is used up. */
bool slice_split(struct slice *rest, char sep, struct slice *part_out);
/* What is before the first line feed, if there is one, without a carriage return at its end. */
struct slice slice_line(struct slice s);
/* Decimal digits only: no sign, no blank, 1 to 19 digits. ERR_SYNTAX, or ERR_RANGE above max. */
enum err slice_number(struct slice s, uint64_t max, uint64_t *value_out);
/* Copies into size bytes with a terminator. ERR_FULL if it does not fit, ERR_SYNTAX at a NUL. */
enum err slice_copy(struct slice s, char *text_out, size_t size);

/* ASCII classes and case; any byte value may be given, locale plays no part. */
bool ascii_is_alpha(char c);
bool ascii_is_digit(char c);
bool ascii_is_alnum(char c);
bool ascii_is_print(char c); /* 0x20 to 0x7e */
char ascii_lower(char c);

#endif
