/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/alerts.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"

struct item {
	struct item *prev, *next; /* in the order of their telling */
	struct alert alert;
	char *evidence;
	unsigned owner;
	unsigned failures; /* to tell it, in a row */
	int64_t due;       /* 0: not by itself */
};

struct alerts {
	struct item *items;
	size_t count;
	int64_t remind;
};

struct alerts *alerts_new(int64_t remind)
{
	struct alerts *alerts = mem_alloc(sizeof(*alerts));

	alerts->remind = remind;
	return alerts;
}

static void forget(struct alerts *alerts, struct item *item)
{
	DL_DELETE(alerts->items, item);
	alerts->count--;
	mem_free(item->evidence);
	mem_free(item);
}

void alerts_free(struct alerts **alerts)
{
	if (*alerts == NULL)
		return;
	while ((*alerts)->items != NULL)
		forget(*alerts, (*alerts)->items);
	MEM_FREE(*alerts);
}

static struct item *find(const struct alerts *alerts, struct slice kind, struct slice subject)
{
	struct item *item;

	DL_FOREACH (alerts->items, item)
		if (slice_is(kind, item->alert.kind) && slice_is(subject, item->alert.subject))
			return item;
	return NULL;
}

static void set_text(char *text, size_t size, struct slice value)
{
	size_t len = value.len < size - 1 ? value.len : size - 1;

	if (len != 0)
		memcpy(text, value.ptr, len);
	text[len] = '\0';
}

/* Room for one more: what lasts stays longest. */
static void make_room(struct alerts *alerts)
{
	struct item *item, *oldest = alerts->items;

	if (alerts->count < ALERTS_MAX)
		return;
	DL_FOREACH (alerts->items, item)
		if (!item->alert.lasts) {
			oldest = item;
			break;
		}
	forget(alerts, oldest);
}

static void describe(struct item *item, const struct alert_news *news)
{
	struct alert *alert = &item->alert;

	set_text(alert->text, sizeof(alert->text), news->text);
	mem_free(item->evidence);
	item->evidence = mem_strndup(news->evidence.ptr, news->evidence.len);
	alert->evidence = (struct slice){item->evidence, news->evidence.len};
	alert->lasts = news->lasts;
	item->owner = news->owner;
}

static void set_told(struct alerts *alerts, struct item *item, int64_t now)
{
	item->alert.told = now;
	item->alert.times++;
	item->due = item->alert.lasts ? now + alerts->remind : 0;
	DL_DELETE(alerts->items, item);
	DL_APPEND(alerts->items, item);
}

const struct alert *alerts_raise(struct alerts *alerts, const struct alert_news *news, int64_t now)
{
	struct slice kind = slice_head(news->kind, ALERT_KIND_MAX);
	struct slice subject = slice_head(news->subject, ALERT_SUBJECT_MAX);
	struct item *item = find(alerts, kind, subject);
	bool is_new = item == NULL, was_over = !is_new && item->alert.over;
	int64_t pause = alerts->remind;

	if (is_new) {
		make_room(alerts);
		item = mem_alloc(sizeof(*item));
		set_text(item->alert.kind, sizeof(item->alert.kind), kind);
		set_text(item->alert.subject, sizeof(item->alert.subject), subject);
		DL_APPEND(alerts->items, item);
		alerts->count++;
	}
	if (is_new || was_over)
		item->alert.since = now;
	item->alert.over = false;
	describe(item, news);
	if (was_over && pause > ALERT_AGAIN)
		pause = ALERT_AGAIN;
	if (is_new || now - item->alert.told >= pause || now < item->alert.told) {
		item->failures = 0;
		set_told(alerts, item, now);
		return &item->alert;
	}
	/* No news yet, but if it lasts until then it is. */
	if (item->alert.lasts && item->due == 0)
		item->due = item->alert.told + pause;
	return NULL;
}

const struct alert *alerts_end(struct alerts *alerts, struct slice kind, struct slice subject)
{
	struct item *item = find(alerts, slice_head(kind, ALERT_KIND_MAX),
				 slice_head(subject, ALERT_SUBJECT_MAX));
	bool told;

	if (item == NULL || item->alert.over)
		return NULL;
	/* Since it began: what comes and goes is told once, its end too. */
	told = item->alert.told >= item->alert.since;
	item->alert.over = true;
	item->alert.lasts = false;
	item->due = 0;
	return told ? &item->alert : NULL;
}

void alerts_disown(struct alerts *alerts, unsigned owner)
{
	struct item *item;

	DL_FOREACH (alerts->items, item)
		if (item->owner == owner && item->alert.lasts) {
			item->alert.lasts = false;
			if (item->failures == 0)
				item->due = 0;
		}
}

void alerts_set_remind(struct alerts *alerts, int64_t remind)
{
	struct item *item;

	DL_FOREACH (alerts->items, item)
		if (item->due != 0 && item->failures == 0)
			item->due += remind - alerts->remind;
	alerts->remind = remind;
}

void alerts_result(struct alerts *alerts, const char *kind, const char *subject, bool ok,
		   int64_t now)
{
	struct item *item = find(alerts, slice_str(kind), slice_str(subject));

	if (item == NULL || item->alert.over)
		return;
	if (ok) {
		item->failures = 0;
	} else if (item->failures < ALERT_RETRIES) {
		item->due = now + ((int64_t)ALERT_RETRY << item->failures);
		item->failures++;
	}
}

const struct alert *alerts_due(struct alerts *alerts, int64_t now)
{
	struct item *item;

	DL_FOREACH (alerts->items, item)
		if (item->due != 0 && item->due <= now) {
			set_told(alerts, item, now);
			return &item->alert;
		}
	return NULL;
}

int64_t alerts_next(const struct alerts *alerts)
{
	const struct item *item;
	int64_t next = 0;

	DL_FOREACH (alerts->items, item)
		if (item->due != 0 && (next == 0 || item->due < next))
			next = item->due;
	return next;
}

void alerts_each(const struct alerts *alerts, int64_t now,
		 void (*fn)(void *arg, const struct alert *alert), void *arg)
{
	const struct item *item;

	DL_FOREACH (alerts->items, item)
		if (item->alert.lasts ||
		    (!item->alert.over && now - item->alert.told < alerts->remind))
			fn(arg, &item->alert);
}
