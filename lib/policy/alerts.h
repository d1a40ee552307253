/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator was told, so that he is told each thing once: an alert is of a kind
 * ("account-frozen") and about a subject ("alice"); the same one again is no news until some time
 * has passed. One that lasts is told again by itself after that time, until it is over. Pure; times
 * are ms since 1970. Of bounded size: what was told longest ago goes first.
 */
#ifndef POSTERN_POLICY_ALERTS_H
#define POSTERN_POLICY_ALERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct alerts;

enum {
	ALERTS_MAX = 256,
	ALERT_KIND_MAX = 64, /* as the message ALERT takes */
	ALERT_SUBJECT_MAX = 512,
	ALERT_TEXT_MAX = 1024,
	/* What was not told because its telling failed is tried again: first after so long. */
	ALERT_RETRY = 60000,
	ALERT_RETRIES = 6, /* each pause is twice the one before */
	/* What was over and begins again is news after so long: something may come and go all day.
	 */
	ALERT_AGAIN = 900000,
};

struct alert { /* valid until the next call that changes something */
	char kind[ALERT_KIND_MAX + 1];
	char subject[ALERT_SUBJECT_MAX + 1];
	char text[ALERT_TEXT_MAX + 1];
	struct slice evidence; /* whatever the caller made of it */
	int64_t since;         /* when it was raised first */
	int64_t told;          /* when it was told last */
	uint32_t times;        /* told, in all */
	bool lasts;
	bool over;
};

struct alert_news { /* what is raised; all is copied */
	struct slice kind, subject, text, evidence;
	unsigned owner; /* who knows when it is over */
	bool lasts;
};

/* remind: ms until the same is told again. */
struct alerts *alerts_new(int64_t remind);
void alerts_free(struct alerts **alerts);
void alerts_set_remind(struct alerts *alerts, int64_t remind);
/* The alert if it is to be told now; NULL: it was told a short while ago. */
const struct alert *alerts_raise(struct alerts *alerts, const struct alert_news *news, int64_t now);
/* The alert if it is to be told that it is over; NULL: nobody was told that it began. */
const struct alert *alerts_end(struct alerts *alerts, struct slice kind, struct slice subject);
/* Nobody knows any more when what this owner raised is over: it is not told again by itself. */
void alerts_disown(struct alerts *alerts, unsigned owner);
/* How its telling went. */
void alerts_result(struct alerts *alerts, const char *kind, const char *subject, bool ok,
		   int64_t now);
/* One that is to be told again now, and counts as told then; NULL: none. */
const struct alert *alerts_due(struct alerts *alerts, int64_t now);
/* When alerts_due has one next; 0: not by itself. */
int64_t alerts_next(const struct alerts *alerts);
/* What was told within the time of remind, or lasts; in the order of its telling. */
void alerts_each(const struct alerts *alerts, int64_t now,
		 void (*fn)(void *arg, const struct alert *alert), void *arg);

#endif
