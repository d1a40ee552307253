/* SPDX-License-Identifier: Apache-2.0 */
/* xtext (RFC 3461 section 4): bytes that are not printable, '+' and '=' as "+XX". */
#ifndef POSTERN_SMTP_XTEXT_H
#define POSTERN_SMTP_XTEXT_H

#include "base/slice.h"

/*
 * Decodes text into size bytes with a terminator. ERR_SYNTAX: it is no xtext, or stands for a
 * control character (a line break comes in through no "+0A"); ERR_FULL: it does not fit.
 */
enum err smtp_xtext_decode(struct slice text, char *out, size_t size);

#endif
