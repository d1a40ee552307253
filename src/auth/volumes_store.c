/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of accounts and the store: one is read when it is first asked for, and all that
 * changed are written together every few seconds. */
#include "volumes_internal.h"

#include <stdio.h>

#include <utlist.h>

#include "alarm.h"
#include "auth.h"
#include "base/mem.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "store/account_volume.h"

enum { DAY_MS = 24 * 60 * 60 * 1000, KNOWN_AT_ONCE = 512 };

struct volume_read {
	struct volumes *volumes;
	struct entry *entry; /* stays while it is being read */
	struct whose whose;
	int64_t now;
	struct volume *volume;
	enum err err;
	char why[ACCOUNT_WHY];
};

/* item[i] is of entries[i]. */
struct volume_write {
	struct volumes *volumes;
	struct entry **entries;
	struct account_volume *items;
	size_t count;
	enum err err;
	char why[ACCOUNT_WHY];
};

static void note(struct volumes *volumes, enum err err, const char *why)
{
	alarm_store(volumes->auth, &volumes->failed, "volumes", err, why,
		    "what accounts have sent cannot be read or written",
		    "what accounts have sent can be read and written again");
}

/* ---- reading -------------------------------------------------------------------------------- */

static void take_hour(void *arg, const struct volume_hour *hour)
{
	const struct volume_read *read = arg;

	volume_load_hour(read->volume, hour, read->now);
}

static void take_known(void *arg, const struct volume_known *known)
{
	const struct volume_read *read = arg;

	volume_load_known(read->volume, known);
}

static void read_work(void *arg)
{
	struct volume_read *read = arg;
	struct accounts *accounts = read->volumes->accounts;
	const struct accounts_volume_reader reader = {take_hour, take_known, read};

	read->err = accounts_load_volume(accounts, read->whose.account, read->whose.key,
					 read->now - DAY_MS, &reader);
	if (read->err != ERR_OK)
		(void)snprintf(read->why, sizeof(read->why), "%s", accounts_why(accounts));
}

static void read_free(struct volume_read *read)
{
	volume_free(&read->volume);
	mem_free(read);
}

static void forget(struct volumes *volumes, struct entry *entry)
{
	struct ask *ask, *next;

	DL_FOREACH_SAFE (entry->asks, ask, next) {
		DL_DELETE(entry->asks, ask);
		volumes->asks--;
		mem_free(ask);
	}
	HASH_DEL(volumes->table, entry);
	volume_free(&entry->volume);
	mem_free(entry);
}

static void read_done(void *arg)
{
	struct volume_read *read = arg;
	struct volumes *volumes = read->volumes;
	struct entry *entry = read->entry;

	note(volumes, read->err, read->why);
	entry->read = NULL;
	if (read->err == ERR_OK) {
		entry->volume = read->volume;
		read->volume = NULL;
	}
	volumes_answer(volumes, entry);
	if (entry->volume == NULL)
		forget(volumes, entry);
	read_free(read);
}

struct entry *volumes_entry(struct volumes *volumes, struct whose whose)
{
	struct entry *entry = NULL;
	struct volume_read *read;

	HASH_FIND(hh, volumes->table, &whose, sizeof(whose), entry);
	if (entry != NULL)
		return entry;
	read = mem_alloc(sizeof(*read));
	*read = (struct volume_read){
		.volumes = volumes, .whose = whose, .now = os_wall_ms(), .volume = volume_new()};
	if (worker_submit(volumes->pool, read_work, read_done, read) != ERR_OK) {
		read_free(read);
		return NULL;
	}
	entry = mem_alloc(sizeof(*entry));
	entry->whose = whose;
	entry->read = read;
	read->entry = entry;
	HASH_ADD(hh, volumes->table, whose, sizeof(entry->whose), entry);
	return entry;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void write_work(void *arg)
{
	struct volume_write *write = arg;
	struct accounts *accounts = write->volumes->accounts;

	write->err = accounts_save_volumes(accounts, write->items, write->count);
	if (write->err != ERR_OK)
		(void)snprintf(write->why, sizeof(write->why), "%s", accounts_why(accounts));
}

static void write_free(struct volume_write *write)
{
	for (size_t i = 0; i < write->count; i++)
		mem_free((void *)(uintptr_t)write->items[i].known);
	mem_free(write->items);
	mem_free(write->entries);
	mem_free(write);
}

/* What is in it has not been written: it will be with the next. */
static void write_undo(struct volume_write *write)
{
	for (size_t i = 0; i < write->count; i++)
		volume_not_saved(write->entries[i]->volume, write->items[i].known,
				 write->items[i].known_count);
}

static void take(struct account_volume *item, struct entry *entry, int64_t now)
{
	struct volume_known *known = mem_array(KNOWN_AT_ONCE, sizeof(*known));

	*item = (struct account_volume){
		.account = entry->whose.account, .key = entry->whose.key, .known = known};
	volume_save_hours(entry->volume, now, item->hours);
	item->known_count = volume_save_known(entry->volume, known, KNOWN_AT_ONCE);
	if (item->known_count < KNOWN_AT_ONCE)
		volume_saved(entry->volume);
}

static bool has_news(const struct entry *entry)
{
	return entry->volume != NULL && volume_unsaved(entry->volume);
}

/* NULL: there is nothing to write. */
static struct volume_write *gather(struct volumes *volumes)
{
	struct volume_write *write;
	struct entry *entry, *next;
	size_t count = 0;

	HASH_ITER (hh, volumes->table, entry, next)
		count += has_news(entry);
	if (count == 0)
		return NULL;
	write = mem_alloc(sizeof(*write));
	write->volumes = volumes;
	write->entries = mem_array(count, sizeof(struct entry *));
	write->items = mem_array(count, sizeof(*write->items));
	HASH_ITER (hh, volumes->table, entry, next) {
		if (!has_news(entry))
			continue;
		write->entries[write->count] = entry;
		take(&write->items[write->count++], entry, os_wall_ms());
	}
	return write;
}

static void write_done(void *arg)
{
	struct volume_write *write = arg;
	struct volumes *volumes = write->volumes;

	note(volumes, write->err, write->why);
	volumes->write = NULL;
	if (write->err != ERR_OK)
		write_undo(write);
	write_free(write);
}

/* Those who sent nothing for a day are read anew when they do. */
static void forget_idle(struct volumes *volumes)
{
	struct entry *entry, *next;
	struct volume_sums sums;

	HASH_ITER (hh, volumes->table, entry, next) {
		if (entry->volume == NULL || volume_unsaved(entry->volume))
			continue;
		volume_sums(entry->volume, os_wall_ms(), &sums);
		if (sums.day == 0 && sums.strangers == 0)
			forget(volumes, entry);
	}
}

static void on_timer(void *arg)
{
	struct volumes *volumes = arg;
	struct volume_write *write;

	timer_set(volumes->timer, VOLUMES_SAVE);
	if (volumes->write != NULL)
		return; /* the disk is slow; its entries must stay until it is done */
	forget_idle(volumes);
	write = gather(volumes);
	if (write == NULL)
		return;
	if (worker_submit(volumes->pool, write_work, write_done, write) == ERR_OK) {
		volumes->write = write;
		return;
	}
	write_undo(write);
	write_free(write);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct volumes *volumes_new(struct auth *auth)
{
	struct volumes *volumes = mem_alloc(sizeof(*volumes));

	volumes->auth = auth;
	volumes->pool = worker_pool_new(auth->loop, "volumes", 1, VOLUMES_WAITING);
	volumes->timer = timer_new(auth->loop, on_timer, volumes);
	timer_set(volumes->timer, VOLUMES_SAVE);
	return volumes;
}

enum err volumes_open(struct volumes *volumes, const char *path, char why[ACCOUNT_WHY])
{
	return accounts_open(path, &volumes->accounts, why);
}

/* What the thread did not come to, and what came since. */
static void write_rest(struct volumes *volumes)
{
	struct volume_write *write = volumes->write;
	bool failed = false;

	if (write == NULL)
		write = gather(volumes);
	while (write != NULL) {
		write_work(write);
		failed = write->err != ERR_OK;
		write_free(write);
		write = failed ? NULL : gather(volumes);
	}
}

void volumes_free(struct volumes **volumes)
{
	struct volumes *v = *volumes;
	struct entry *entry, *next;

	if (v == NULL)
		return;
	*volumes = NULL;
	worker_pool_free(&v->pool);
	timer_free(&v->timer);
	if (v->accounts != NULL)
		write_rest(v);
	HASH_ITER (hh, v->table, entry, next) {
		if (entry->read != NULL)
			read_free(entry->read);
		forget(v, entry);
	}
	accounts_close(&v->accounts);
	mem_free(v);
}
