/* SPDX-License-Identifier: Apache-2.0 */
#include "habits.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "alarm.h"
#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "front.h"
#include "grants.h"
#include "os/loop.h"
#include "os/os.h"

/* What makes one of its own; bytes behind the value are zero. */
struct what {
	int64_t account;
	int64_t kind;
	char value[HABIT_VALUE_MAX + 8];
};

struct entry {
	UT_hash_handle hh;
	struct what what;
	uint64_t count;
	int64_t first, last;
};

struct habits {
	struct auth *auth;
	struct entry *table;
	struct timer *timer;
	struct batch *batch; /* with the thread */
	bool waiting;        /* the timer runs */
	bool failed;         /* said in the log */
};

/* On its way to the store. */
struct batch {
	struct habits *habits;
	struct admin_errand errand;
	struct entry *table;
	enum err err;
	char why[ACCOUNT_WHY];
};

static void on_timer(void *arg)
{
	habits_flush(arg);
}

struct habits *habits_new(struct auth *auth)
{
	struct habits *habits = mem_alloc(sizeof(*habits));

	habits->auth = auth;
	habits->timer = timer_new(auth->loop, on_timer, habits);
	return habits;
}

static void clear(struct entry **table)
{
	struct entry *entry, *next;

	HASH_ITER (hh, *table, entry, next) {
		HASH_DEL(*table, entry);
		mem_free(entry);
	}
}

static void batch_free(struct batch *batch)
{
	clear(&batch->table);
	mem_free(batch);
}

void habits_free(struct habits **habits)
{
	if (*habits == NULL)
		return;
	clear(&(*habits)->table);
	if ((*habits)->batch != NULL)
		batch_free((*habits)->batch);
	timer_free(&(*habits)->timer);
	MEM_FREE(*habits);
}

static void wait(struct habits *habits)
{
	if (!habits->waiting)
		timer_set(habits->timer, HABITS_PAUSE);
	habits->waiting = true;
}

void habits_add(struct habits *habits, int64_t account, enum habit_kind kind, struct slice value)
{
	struct what what;
	struct entry *entry = NULL;

	if (value.len > HABIT_VALUE_MAX)
		return;
	memset(&what, 0, sizeof(what));
	what.account = account;
	what.kind = kind;
	for (size_t i = 0; i < value.len; i++)
		what.value[i] = kind < HABIT_TLS ? (char)tolower((unsigned char)value.ptr[i])
						 : value.ptr[i];
	HASH_FIND(hh, habits->table, &what, sizeof(what), entry);
	if (entry == NULL) {
		if (HASH_COUNT(habits->table) >= HABITS_MAX)
			return;
		entry = mem_alloc(sizeof(*entry));
		entry->what = what;
		entry->first = os_wall_ms();
		HASH_ADD(hh, habits->table, what, sizeof(entry->what), entry);
	}
	entry->count++;
	entry->last = os_wall_ms();
	wait(habits);
}

enum err habits_foreign(struct front *front, const struct msg_foreign_sender *msg)
{
	struct habits *habits = front->auth->habits;
	struct grant_owner owner;

	/* The session may be over by now, and its grant with it: one message goes untold. */
	if (!grants_owner(front->auth->grants, front, msg->grant, &owner))
		return ERR_OK;
	if (msg->envelope)
		habits_add(habits, owner.account_id, HABIT_ENVELOPE,
			   msg->sender.len > 0 ? msg->sender : SLICE_LIT("<>"));
	if (msg->from.len > 0)
		habits_add(habits, owner.account_id, HABIT_FROM, msg->from);
	return ERR_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

static struct batch *take(struct habits *habits)
{
	struct batch *batch = mem_alloc(sizeof(*batch));

	batch->habits = habits;
	batch->table = habits->table;
	habits->table = NULL;
	return batch;
}

static void work(void *arg, struct accounts *accounts)
{
	struct batch *batch = arg;
	struct account_habit *list = mem_array(HASH_COUNT(batch->table), sizeof(*list));
	size_t count = 0;

	for (const struct entry *i = batch->table; i != NULL; i = i->hh.next) {
		list[count] = (struct account_habit){.account = i->what.account,
						     .kind = (enum habit_kind)i->what.kind,
						     .value = i->what.value,
						     .count = i->count,
						     .first = i->first,
						     .last = i->last};
		count++;
	}
	batch->err = accounts_add_habits(accounts, list, count, os_wall_ms());
	if (batch->err != ERR_OK)
		(void)snprintf(batch->why, sizeof(batch->why), "%s", accounts_why(accounts));
	mem_free(list);
}

static void done(void *arg)
{
	struct batch *batch = arg;
	struct habits *habits = batch->habits;

	alarm_store(habits->auth, &habits->failed, "habits", batch->err, batch->why,
		    "what the reports tell of accounts cannot be kept",
		    "what the reports tell of accounts is kept again");
	habits->batch = NULL;
	batch_free(batch);
	if (habits->table != NULL)
		wait(habits);
}

void habits_flush(struct habits *habits)
{
	struct batch *batch;

	habits->waiting = false;
	if (habits->table == NULL || habits->batch != NULL)
		return;
	batch = take(habits);
	batch->errand = (struct admin_errand){.work = work, .done = done, .arg = batch};
	if (admin_submit(habits->auth->admin, &batch->errand) == ERR_OK)
		habits->batch = batch;
	else
		batch_free(batch); /* operators ask that much: these few go untold */
}

void habits_save(struct habits *habits, struct accounts *accounts)
{
	struct batch *batch = habits->batch;

	if (batch == NULL && habits->table != NULL)
		batch = take(habits);
	while (batch != NULL) {
		work(batch, accounts);
		done(batch);
		batch = habits->table != NULL ? take(habits) : NULL;
	}
}
