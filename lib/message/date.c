/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates of RFC 5322, always in UTC and computed here: the C library's way depends on the locale
 * and reads the time zone database, which a sandboxed process cannot open.
 */
#include "message/submission.h"

#include <stdio.h>

enum {
	MS_PER_DAY = 86400000,
	DAYS_PER_ERA = 146097, /* 400 years of the Gregorian calendar */
	DAYS_TO_EPOCH = 719468 /* from 0000-03-01, where an era begins, to 1970-01-01 */
};

struct civil {
	int64_t year;
	unsigned month; /* 1 to 12 */
	unsigned day;
};

/* Years counted from March, so that the leap day is the last of its year. */
static struct civil civil_from_days(int64_t days)
{
	int64_t shifted = days + DAYS_TO_EPOCH;
	int64_t era = (shifted >= 0 ? shifted : shifted - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
	unsigned in_era = (unsigned)(shifted - era * DAYS_PER_ERA);
	unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * in_year + 2) / 153;
	struct civil civil;

	civil.day = in_year - (153 * month + 2) / 5 + 1;
	civil.month = month < 10 ? month + 3 : month - 9;
	civil.year = era * 400 + (int64_t)year + (civil.month <= 2 ? 1 : 0);
	return civil;
}

void message_date(int64_t wall, char text_out[40])
{
	static const char *const weekdays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64_t days = wall / MS_PER_DAY - (wall % MS_PER_DAY < 0);
	int64_t in_day = (wall % MS_PER_DAY + MS_PER_DAY) % MS_PER_DAY;
	unsigned second = (unsigned)(in_day / 1000);
	unsigned weekday = (unsigned)(((days % 7) + 7) % 7);
	struct civil civil;

	/* Four digits of year are all that the grammar has room for; a clock beyond is broken. */
	if (days < -719162 || days > 2932896) {
		days = 0;
		weekday = 0;
		second = 0;
	}
	civil = civil_from_days(days);
	snprintf(text_out, 40, "%s, %02u %s %04d %02u:%02u:%02u +0000", weekdays[weekday],
		 civil.day, months[civil.month - 1], (int)civil.year, second / 3600,
		 second / 60 % 60, second % 60);
}
