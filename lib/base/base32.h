/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base 32 with the digits 0-9 and the letters without i, l, o and u, in lower case: what people
 * read to each other on the telephone. Reading takes either case, and o for 0, i and l for 1.
 */
#ifndef POSTERN_BASE_BASE32_H
#define POSTERN_BASE_BASE32_H

#include "base/buf.h"

enum { BASE32_U64_MAX = 13 };

/* Writes value without leading zeros (at least one digit) and a terminator. */
void base32_u64(uint64_t value, char text_out[BASE32_U64_MAX + 1]);
/* ERR_SYNTAX for another byte or no digit, ERR_RANGE above 64 bits. */
enum err base32_u64_read(struct slice text, uint64_t *value_out);
/* 5 bits a digit, len bytes give (len * 8 + 4) / 5 digits and a terminator. */
void base32_bytes(struct slice data, char *text_out);
/* Reads exactly len bytes; the digits must be (len * 8 + 4) / 5, spare bits zero. ERR_SYNTAX. */
enum err base32_bytes_read(struct slice text, unsigned char *data_out, size_t len);

#endif
