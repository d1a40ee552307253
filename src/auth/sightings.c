/* SPDX-License-Identifier: Apache-2.0 */
#include "sightings.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "store/account_seen.h"

struct batch {
	struct sightings *sightings;
	size_t count;
	enum err err;
	struct account_sighting items[];
};

struct sightings {
	struct loop *loop;
	struct worker_pool *pool;
	struct timer *timer;
	struct accounts *accounts; /* the thread's, while it works */
	struct batch *gathered;    /* NULL: nothing was seen since the last write */
	struct batch *under_way;   /* with the thread; NULL: none */
	size_t room;
	bool failed; /* said in the log */
};

static void write_batch(struct batch *batch)
{
	batch->err = accounts_add_seen(batch->sightings->accounts, batch->items, batch->count);
}

static void work(void *arg)
{
	write_batch(arg);
}

static void note(struct sightings *sightings, const struct batch *batch)
{
	bool failed = batch->err != ERR_OK;

	if (failed == sightings->failed)
		return;
	sightings->failed = failed;
	if (failed)
		log_note(LOG_ERROR, "from where accounts log in cannot be kept: %s",
			 accounts_why(sightings->accounts));
	else
		log_note(LOG_INFO, "from where accounts log in is kept again");
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

	sightings->under_way = NULL;
	note(sightings, batch);
	mem_free(batch);
	set_timer(sightings);
}

static void on_timer(void *arg)
{
	struct sightings *sightings = arg;
	struct batch *batch = sightings->gathered;

	sightings->gathered = NULL;
	sightings->room = 0;
	if (worker_submit(sightings->pool, work, done, batch) == ERR_OK)
		sightings->under_way = batch;
	else
		mem_free(batch); /* cannot be: nothing else is with the thread; they are seen again
				  */
}

void sightings_keep(struct sightings *sightings, int64_t account,
		    const unsigned char source[SOURCE_BYTES], int64_t now)
{
	struct batch *batch = sightings->gathered;
	struct network network;
	bool first = batch == NULL;

	if (!first && batch->count >= SIGHTINGS_MAX)
		return;
	if (first || batch->count == sightings->room) {
		sightings->room = first ? 16 : 2 * sightings->room;
		batch = mem_resize(batch,
				   sizeof(*batch) + sightings->room * sizeof(batch->items[0]));
		if (first)
			*batch = (struct batch){.sightings = sightings};
		sightings->gathered = batch;
	}
	source_network(source, SOURCE_NARROW, &network);
	batch->items[batch->count] = (struct account_sighting){.account = account, .seen = now};
	memcpy(batch->items[batch->count].source, network.bytes, SOURCE_BYTES);
	batch->count++;
	if (first)
		set_timer(sightings);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct sightings *sightings_new(struct loop *loop)
{
	struct sightings *sightings = mem_alloc(sizeof(*sightings));

	sightings->loop = loop;
	sightings->pool = worker_pool_new(loop, "sightings", 1, 1);
	sightings->timer = timer_new(loop, on_timer, sightings);
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

enum err sightings_open(struct sightings *sightings, const char *path, const char *domain,
			struct known *known, char why[ACCOUNT_WHY])
{
	struct loading loading = {known, domain};
	enum err err = accounts_open(path, &sightings->accounts, why);

	if (err == ERR_OK &&
	    (err = accounts_each_seen(sightings->accounts, os_wall_ms() - KNOWN_TIME, load,
				      &loading)) != ERR_OK)
		(void)snprintf(why, ACCOUNT_WHY, "%s", accounts_why(sightings->accounts));
	return err;
}

void sightings_free(struct sightings **sightings)
{
	if (*sightings == NULL)
		return;
	worker_pool_free(&(*sightings)->pool);
	if ((*sightings)->accounts != NULL) {
		if ((*sightings)->under_way != NULL) /* its thread ended before it came to it */
			write_batch((*sightings)->under_way);
		if ((*sightings)->gathered != NULL)
			write_batch((*sightings)->gathered);
	}
	mem_free((*sightings)->under_way);
	mem_free((*sightings)->gathered);
	timer_free(&(*sightings)->timer);
	accounts_close(&(*sightings)->accounts);
	MEM_FREE(*sightings);
}
