/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <stdio.h>

#include "admin.h"
#include "alarm.h"
#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "os/loop.h"
#include "os/os.h"
#include "store/account_use.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

struct owner {
	int64_t account, key;
};

struct entry {
	UT_hash_handle hh;
	struct owner owner;
	struct account_use use;
};

struct usage {
	struct auth *auth;
	struct entry *table; /* by owner */
	struct timer *timer; /* runs while there is something to write */
	struct batch *batch; /* with the thread */
	bool waiting;
	bool failed; /* said in the log */
};

/* On its way to the store. */
struct batch {
	struct usage *usage;
	struct admin_errand errand;
	struct account_use *uses;
	size_t count;
	enum err err;
	char why[ACCOUNT_WHY];
};

static void on_timer(void *arg)
{
	usage_flush(arg);
}

struct usage *usage_new(struct auth *auth)
{
	struct usage *usage = mem_alloc(sizeof(*usage));

	usage->auth = auth;
	usage->timer = timer_new(auth->loop, on_timer, usage);
	return usage;
}

static void clear(struct usage *usage)
{
	struct entry *entry, *next;

	HASH_ITER (hh, usage->table, entry, next) {
		HASH_DEL(usage->table, entry);
		mem_free(entry);
	}
}

static void batch_free(struct batch *batch)
{
	mem_free(batch->uses);
	mem_free(batch);
}

void usage_free(struct usage **usage)
{
	if (*usage == NULL)
		return;
	clear(*usage);
	if ((*usage)->batch != NULL)
		batch_free((*usage)->batch);
	timer_free(&(*usage)->timer);
	MEM_FREE(*usage);
}

/* NULL: there is no room. */
static struct account_use *of(struct usage *usage, int64_t account, int64_t key)
{
	struct owner owner = {account, key};
	struct entry *entry = NULL;

	HASH_FIND(hh, usage->table, &owner, sizeof(owner), entry);
	if (entry == NULL) {
		if (HASH_COUNT(usage->table) >= USAGE_MAX)
			return NULL;
		entry = mem_alloc(sizeof(*entry));
		entry->owner = owner;
		entry->use = (struct account_use){
			.account = account, .key = key, .day = os_wall_ms() / DAY_MS};
		HASH_ADD(hh, usage->table, owner, sizeof(entry->owner), entry);
	}
	if (!usage->waiting)
		timer_set(usage->timer, USAGE_PAUSE);
	usage->waiting = true;
	return &entry->use;
}

void usage_login(struct usage *usage, int64_t account, int64_t key, const char *client)
{
	struct account_use *use = of(usage, account, key);

	if (use == NULL)
		return;
	use->logins++;
	use->last = os_wall_ms();
	(void)snprintf(use->client, sizeof(use->client), "%s", client);
}

void usage_sent(struct usage *usage, int64_t account, int64_t key, uint32_t messages,
		uint32_t recipients)
{
	struct account_use *use = of(usage, account, key);
	int64_t today = os_wall_ms() / DAY_MS;

	if (use == NULL)
		return;
	use->messages += messages;
	use->recipients += recipients;
	if (use->day != today)
		use->day_messages = use->day_recipients = 0;
	use->day = today;
	use->day_messages += messages;
	use->day_recipients += recipients;
}

static struct batch *take(struct usage *usage)
{
	struct batch *batch = mem_alloc(sizeof(*batch));
	struct entry *entry, *next;

	batch->usage = usage;
	batch->uses = mem_array(HASH_COUNT(usage->table), sizeof(*batch->uses));
	HASH_ITER (hh, usage->table, entry, next)
		batch->uses[batch->count++] = entry->use;
	clear(usage);
	return batch;
}

static void work(void *arg, struct accounts *accounts)
{
	struct batch *batch = arg;

	batch->err = accounts_add_use(accounts, batch->uses, batch->count);
	if (batch->err != ERR_OK)
		(void)snprintf(batch->why, sizeof(batch->why), "%s", accounts_why(accounts));
}

static void done(void *arg)
{
	struct batch *batch = arg;
	struct usage *usage = batch->usage;

	alarm_store(usage->auth, &usage->failed, "use", batch->err, batch->why,
		    "when accounts are used cannot be kept",
		    "when accounts are used is kept again");
	usage->batch = NULL;
	batch_free(batch);
	if (usage->table != NULL && !usage->waiting) {
		usage->waiting = true;
		timer_set(usage->timer, USAGE_PAUSE);
	}
}

void usage_flush(struct usage *usage)
{
	struct batch *batch;

	usage->waiting = false;
	if (usage->table == NULL || usage->batch != NULL)
		return;
	batch = take(usage);
	batch->errand = (struct admin_errand){.work = work, .done = done, .arg = batch};
	if (admin_submit(usage->auth->admin, &batch->errand) == ERR_OK)
		usage->batch = batch;
	else
		batch_free(batch); /* operators ask that much: these few logins go untold */
}

void usage_save(struct usage *usage, struct accounts *accounts)
{
	struct batch *batch = usage->batch;

	if (batch == NULL && usage->table != NULL)
		batch = take(usage);
	while (batch != NULL) {
		work(batch, accounts);
		done(batch);
		batch = usage->table != NULL ? take(usage) : NULL;
	}
}
