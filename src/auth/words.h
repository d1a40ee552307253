/* SPDX-License-Identifier: Apache-2.0 */
/* Words that several parts of auth say alike. */
#ifndef POSTERN_AUTH_WORDS_H
#define POSTERN_AUTH_WORDS_H

#include <stdint.h>

enum { WORDS_TIME = 32 };

/* "2027-01-31 00:00 UTC", of ms since 1970: the minute that it is in. */
void words_time(int64_t ms, char text_out[WORDS_TIME]);

#endif
