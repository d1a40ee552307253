/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 of RFC 4648 section 4, strict: no white space, no other alphabet, canonical end. */
#ifndef POSTERN_BASE_BASE64_H
#define POSTERN_BASE_BASE64_H

#include "base/buf.h"

/* Appends the encoding of data, padded. ERR_FULL. */
enum err base64_encode(struct slice data, struct buf *out);
/*
 * Appends the bytes that text stands for. Missing padding is accepted (some devices leave it
 * out); stray bits in the last digit, padding in the middle and every other byte are
 * ERR_SYNTAX. ERR_FULL. On error nothing is appended.
 */
enum err base64_decode(struct slice text, struct buf *out);
/*
 * The alphabet for URLs and file names (RFC 4648 section 5), as RFC 7515 section 2 has it: padding is
 * ERR_SYNTAX, else as above.
 */
enum err base64url_decode(struct slice text, struct buf *out);

#endif
