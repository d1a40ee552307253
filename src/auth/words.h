/* SPDX-License-Identifier: Apache-2.0 */
/* Words that several parts of auth say alike. */
#ifndef POSTERN_AUTH_WORDS_H
#define POSTERN_AUTH_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { WORDS_TIME = 32 };

/* "2027-01-31 00:00 UTC", of ms since 1970: the minute that it is in. */
void words_time(int64_t ms, char text_out[WORDS_TIME]);
/*
 * Something was tried with the account store. Says in the log that it fails ("FAILS: WHY") and
 * that it works again, each once; *failed is what was said last. why: "" for no more than err.
 */
void words_store(bool *failed, enum err err, const char *why, const char *fails, const char *works);

#endif
