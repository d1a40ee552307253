/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "os/log.h"

void words_time(int64_t ms, char text_out[WORDS_TIME])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text_out, WORDS_TIME, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)snprintf(text_out, WORDS_TIME, "%" PRId64, ms);
}

void words_store(bool *failed, enum err err, const char *why, const char *fails, const char *works)
{
	bool fails_now = err != ERR_OK;

	if (fails_now == *failed)
		return;
	*failed = fails_now;
	if (fails_now)
		log_note(LOG_ERROR, "%s: %s", fails, why[0] != '\0' ? why : err_name(err));
	else
		log_note(LOG_INFO, "%s", works);
}
