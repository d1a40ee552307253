/* SPDX-License-Identifier: Apache-2.0 */
#include "sightings.h"

#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "alarm.h"
#include "auth.h"
#include "base/mem.h"
#include "os/loop.h"
#include "os/os.h"
#include "store/account_seen.h"

/* On its way to the store. */
struct batch {
	struct sightings *sightings;
	struct admin_errand errand;
	struct account_sighting *items;
	size_t count, room;
	enum err err;
	char why[ACCOUNT_WHY];
};

struct sightings {
	struct auth *auth;
	struct timer *timer;
	struct batch *gathered;  /* NULL: nothing was seen since the last write */
	struct batch *under_way; /* with the thread; NULL: none */
	bool failed;             /* said in the log */
};

static void batch_free(struct batch **batch)
{
	if (*batch == NULL)
		return;
	mem_free((*batch)->items);
	MEM_FREE(*batch);
}

static void work(void *arg, struct accounts *accounts)
{
	struct batch *batch = arg;

	batch->err = accounts_add_seen(accounts, batch->items, batch->count);
	if (batch->err != ERR_OK)
		(void)snprintf(batch->why, sizeof(batch->why), "%s", accounts_why(accounts));
}

static void set_timer(struct sightings *sightings)
{
	if (sightings->gathered != NULL && sightings->under_way == NULL)
		timer_set(sightings->timer, SIGHTINGS_EVERY);
}

static void done(void *arg)
{
	struct batch *batch = arg;
	struct sightings *sightings = batch->sightings;

	alarm_store(sightings->auth, &sightings->failed, "places", batch->err, batch->why,
		    "from where accounts log in cannot be kept",
		    "from where accounts log in is kept again");
	batch_free(&sightings->under_way);
	set_timer(sightings);
}

static void on_timer(void *arg)
{
	struct sightings *sightings = arg;
	struct batch *batch = sightings->gathered;

	batch->errand = (struct admin_errand){.work = work, .done = done, .arg = batch};
	if (admin_submit(sightings->auth->admin, &batch->errand) == ERR_OK) {
		sightings->under_way = batch;
		sightings->gathered = NULL;
	} else {
		set_timer(sightings); /* operators ask that much: later, then */
	}
}

void sightings_keep(struct sightings *sightings, int64_t account,
		    const unsigned char source[SOURCE_BYTES], int64_t now)
{
	struct batch *batch = sightings->gathered;
	struct account_sighting *item;
	struct network network;

	if (batch == NULL) {
		batch = mem_alloc(sizeof(*batch));
		batch->sightings = sightings;
		sightings->gathered = batch;
		set_timer(sightings);
	}
	if (batch->count >= SIGHTINGS_MAX)
		return;
	if (batch->count == batch->room) {
		batch->room = batch->room == 0 ? 16 : 2 * batch->room;
		batch->items = mem_resize(batch->items, batch->room * sizeof(*batch->items));
	}
	source_network(source, SOURCE_NARROW, &network);
	item = &batch->items[batch->count++];
	*item = (struct account_sighting){.account = account, .seen = now};
	memcpy(item->source, network.bytes, SOURCE_BYTES);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct sightings *sightings_new(struct auth *auth)
{
	struct sightings *sightings = mem_alloc(sizeof(*sightings));

	sightings->auth = auth;
	sightings->timer = timer_new(auth->loop, on_timer, sightings);
	return sightings;
}

struct loading {
	struct known *known;
	const char *domain;
};

static void load(void *arg, const char *name, const unsigned char source[SOURCE_BYTES],
		 int64_t first, int64_t last)
{
	const struct loading *loading = arg;
	char canonical[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];

	/* The domain of bare names may be another now. */
	if (account_name_read(slice_str(name), loading->domain, canonical, why) == ERR_OK)
		known_load(loading->known, canonical, source, first, last);
}

enum err sightings_load(struct accounts *accounts, const char *domain, struct known *known)
{
	struct loading loading = {known, domain};

	return accounts_each_seen(accounts, os_wall_ms() - KNOWN_TIME, load, &loading);
}

void sightings_save(struct sightings *sightings, struct accounts *accounts)
{
	if (sightings->under_way != NULL) /* its thread ended before it came to it */
		work(sightings->under_way, accounts);
	if (sightings->gathered != NULL)
		work(sightings->gathered, accounts);
	batch_free(&sightings->under_way);
	batch_free(&sightings->gathered);
}

void sightings_free(struct sightings **sightings)
{
	if (*sightings == NULL)
		return;
	batch_free(&(*sightings)->under_way);
	batch_free(&(*sightings)->gathered);
	timer_free(&(*sightings)->timer);
	MEM_FREE(*sightings);
}
