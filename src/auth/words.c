/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void words_time(int64_t ms, char text_out[WORDS_TIME])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text_out, WORDS_TIME, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)snprintf(text_out, WORDS_TIME, "%" PRId64, ms);
}
