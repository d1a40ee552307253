/* SPDX-License-Identifier: Apache-2.0 */
#include "etrn.h"

#include <string.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"
#include "delivery.h"
#include "intake.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"
#include "writer.h"

enum {
	PAGE = 500, /* rows changed in one commit */
	EVERY_MS = 60000,
	RECENT_MAX = 4096, /* domains tried within that time */
	CODE_RECENT = 250,
	CODE_STARTED = 253,
	CODE_NOTHING = 251,
	CODE_UNABLE = 458,
};

struct recent {
	UT_hash_handle hh;
	struct recent *prev, *next; /* oldest first */
	int64_t until;              /* the loop's time */
	size_t len;
	char name[];
};

struct etrns {
	struct recent *table, *list;
};

struct etrn {
	struct queue *queue;
	struct front *front;
	uint64_t session;
	int64_t now, destination;
	uint64_t waiting;
	bool answered;
	enum err err;
	struct queue_row rows[PAGE];
	size_t count;
	size_t name_len;
	char name[QUEUE_NAME_MAX];
};

/* ---- what was tried a moment ago --------------------------------------------------------- */
static void forget(struct etrns *etrns, struct recent *recent)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what is in the list is in it */
	HASH_DEL(etrns->table, recent);
	DL_DELETE(etrns->list, recent);
	mem_free(recent);
}

static struct recent *find(const struct etrns *etrns, const struct etrn *etrn)
{
	struct recent *recent;

	HASH_FIND(hh, etrns->table, etrn->name, etrn->name_len, recent);
	return recent;
}

/* 0: it may be tried, and is remembered; else the code to answer. */
static uint16_t remember(struct etrns *etrns, const struct etrn *etrn, int64_t now)
{
	struct recent *recent;

	while (etrns->list != NULL && etrns->list->until <= now)
		forget(etrns, etrns->list);
	if (find(etrns, etrn) != NULL)
		return CODE_RECENT;
	if (HASH_COUNT(etrns->table) == RECENT_MAX)
		return CODE_UNABLE;
	recent = mem_alloc(sizeof(*recent) + etrn->name_len);
	recent->until = now + EVERY_MS;
	recent->len = etrn->name_len;
	memcpy(recent->name, etrn->name, etrn->name_len);
	HASH_ADD(hh, etrns->table, name, recent->len, recent);
	DL_APPEND(etrns->list, recent);
	return 0;
}

struct etrns *etrns_new(void)
{
	return mem_alloc(sizeof(struct etrns));
}

void etrns_free(struct etrns **etrns)
{
	if (*etrns == NULL)
		return;
	while ((*etrns)->list != NULL)
		forget(*etrns, (*etrns)->list);
	MEM_FREE(*etrns);
}

/* ---- one request ------------------------------------------------------------------------- */
static void etrn_free(struct etrn *etrn)
{
	front_etrn_end(&etrn->front);
	mem_free(etrn);
}

static void answer(struct etrn *etrn, uint16_t code)
{
	if (!etrn->answered)
		front_etrn_done(etrn->front, etrn->session, code,
				etrn->waiting < UINT32_MAX ? (uint32_t)etrn->waiting : UINT32_MAX);
	etrn->answered = true;
}

static void work(void *arg)
{
	struct etrn *etrn = arg;

	etrn->err = queue_reader_place(etrn->queue->views, slice_of(etrn->name, etrn->name_len),
				       etrn->now, PAGE, &etrn->destination, &etrn->waiting,
				       etrn->rows, &etrn->count);
}

static void done(void *arg);

static void changed(void *arg, enum err err)
{
	struct etrn *etrn = arg;

	(void)err;
	deliveries_try_again(etrn->queue->deliveries, slice_of(etrn->name, etrn->name_len));
	dispatch_wake(deliveries_dispatch(etrn->queue->deliveries), etrn->destination, etrn->now);
	deliveries_poke(etrn->queue->deliveries);
	/* Those that were moved are due now: the next page begins behind them. */
	if (etrn->count == PAGE)
		queue_job(etrn->queue->operator_pool, work, done, etrn);
	else
		etrn_free(etrn);
}

static void done(void *arg)
{
	struct etrn *etrn = arg;
	struct writer *writer = etrn->queue->writer;

	if (etrn->err == ERR_CORRUPT)
		queue_damaged(etrn->queue, "looking for a domain's mail");
	if (etrn->err != ERR_OK || etrn->waiting == 0) {
		struct recent *recent = find(etrn->queue->etrns, etrn);

		if (!etrn->answered && recent != NULL)
			forget(etrn->queue->etrns, recent); /* nothing was tried */
		answer(etrn, etrn->err != ERR_OK ? CODE_UNABLE : CODE_NOTHING);
		etrn_free(etrn);
		return;
	}
	if (!etrn->answered)
		log_note(LOG_INFO, "ETRN: %llu recipients at %.*s are tried now",
			 (unsigned long long)etrn->waiting, (int)etrn->name_len, etrn->name);
	answer(etrn, CODE_STARTED);
	for (size_t i = 0; i < etrn->count; i++) {
		const struct queue_change change = {.row = etrn->rows[i],
						    .due = etrn->now,
						    .attempts = etrn->rows[i].attempts,
						    .state = etrn->rows[i].state};

		writer_change(writer, &change);
	}
	if (etrn->count == 0) {
		changed(etrn, ERR_OK);
		return;
	}
	writer_after(writer, changed, etrn);
	writer_hurry(writer);
}

enum err etrn_start(struct queue *queue, struct front *front, uint64_t session, struct slice domain)
{
	struct etrn *etrn;
	uint16_t code;

	if (domain.len == 0 || domain.len > QUEUE_NAME_MAX)
		return ERR_RANGE;
	etrn = mem_alloc(sizeof(*etrn));
	etrn->queue = queue;
	etrn->front = front_ref(front);
	etrn->session = session;
	etrn->now = os_wall_ms();
	etrn->name_len = domain.len;
	for (size_t i = 0; i < domain.len; i++)
		etrn->name[i] = ascii_lower(domain.ptr[i]);
	code = remember(queue->etrns, etrn, loop_now(queue->loop));
	if (code != 0) {
		answer(etrn, code);
		etrn_free(etrn);
		return ERR_OK;
	}
	queue_job(queue->operator_pool, work, done, etrn);
	return ERR_OK;
}
