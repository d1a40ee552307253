/* SPDX-License-Identifier: Apache-2.0 */
#include "etrn.h"

#include "base/mem.h"
#include "delivery.h"
#include "intake.h"
#include "os/log.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"
#include "writer.h"

enum {
	PAGE = 500, /* rows changed in one commit */
	CODE_STARTED = 253,
	CODE_NOTHING = 251,
	CODE_UNABLE = 458,
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
	deliveries_try_again(etrn->queue->deliveries);
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
	queue_job(queue->operator_pool, work, done, etrn);
	return ERR_OK;
}
