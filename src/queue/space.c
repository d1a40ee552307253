/* SPDX-License-Identifier: Apache-2.0 */
#include "space.h"

#include "base/mem.h"
#include "config/config.h"
#include "intake.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"
#include "writer.h"

enum {
	LOOK_MS = 2000,
	INODES_MIN = 128, /* for bodies that are files, and for what is not mail */
	FULL_LOOKS = 2,   /* after a write that found no room: what a look says is not believed */
};

struct space {
	struct queue *queue;
	struct timer *timer;
	uint64_t bytes, inodes;
	unsigned full;
	bool looking, ok;
	unsigned code;
	uint64_t largest;
	enum err err;
};

static void look(void *arg)
{
	struct space *space = arg;

	space->err = os_free_space(space->queue->folder, &space->bytes, &space->inodes);
}

static uint64_t spare(const struct space *space)
{
	uint64_t reserve = queue_config(space->queue)->limits.disk_reserve;

	return space->bytes > reserve ? space->bytes - reserve : 0;
}

/* Draws the conclusion; true if it is another one. */
static bool judge(struct space *space)
{
	uint64_t room = spare(space), size = queue_config(space->queue)->limits.message_size;
	bool ok = true;
	unsigned code = 0;
	uint64_t largest = room < size ? room : size;
	bool changed;

	/* Some file systems have no count of inodes: 0. */
	if (space->err == ERR_OK &&
	    (space->full != 0 || room == 0 || (space->inodes != 0 && space->inodes < INODES_MIN))) {
		ok = false;
		code = 452;
	} else if (space->err != ERR_OK || writer_failing(space->queue->writer)) {
		ok = false;
		code = 451;
	}
	changed = ok != space->ok || code != space->code ||
		  (largest != space->largest && (largest == size || space->largest == size));
	space->ok = ok;
	space->code = code;
	space->largest = largest;
	return changed;
}

static void tell(struct space *space)
{
	if (space->ok)
		log_note(LOG_INFO, "mail is accepted: %llu MB are free on the disk of the queue",
			 (unsigned long long)(space->bytes >> 20));
	else if (space->code == 452)
		log_note(LOG_WARNING,
			 "no mail is accepted: %llu MB and %llu inodes are free on the disk of %s, "
			 "limits.disk_reserve is %llu MB; make room there",
			 (unsigned long long)(space->bytes >> 20),
			 (unsigned long long)space->inodes, space->queue->folder,
			 (unsigned long long)(queue_config(space->queue)->limits.disk_reserve >>
					      20));
	else
		log_note(LOG_ERROR, "no mail is accepted: the queue in %s cannot be written",
			 space->queue->folder);
	intake_announce(space->queue->intake);
}

static void looked(void *arg)
{
	struct space *space = arg;

	space->looking = false;
	if (space->full != 0)
		space->full--;
	if (judge(space))
		tell(space);
	timer_set(space->timer, LOOK_MS);
}

static void on_timer(void *arg)
{
	struct space *space = arg;

	if (space->looking)
		return;
	space->looking = true;
	queue_job(space->queue->body_pool, look, looked, space);
}

struct msg_accepting space_accepting(const struct space *space)
{
	struct msg_accepting msg = {.ok = space->ok, .largest = space->largest};

	if (space->ok) {
		msg.status = msg.text = SLICE_LIT("");
		return msg;
	}
	msg.code = (uint16_t)space->code;
	msg.status = space->code == 452 ? SLICE_LIT("4.3.1") : SLICE_LIT("4.3.0");
	msg.text = space->code == 452 ? SLICE_LIT("Server storage is short; try again later")
				      : SLICE_LIT("The queue cannot be written; try again later");
	return msg;
}

void space_look(struct space *space)
{
	look(space);
	(void)judge(space);
	if (!space->ok)
		tell(space);
}

void space_full(struct space *space)
{
	space->full = FULL_LOOKS;
	if (judge(space))
		tell(space);
}

uint64_t space_bytes(const struct space *space)
{
	return space->bytes;
}

struct space *space_new(struct queue *queue)
{
	struct space *space = mem_alloc(sizeof(*space));

	space->queue = queue;
	space->timer = timer_new(queue->loop, on_timer, space);
	timer_set(space->timer, LOOK_MS);
	return space;
}

void space_free(struct space **space)
{
	if (*space == NULL)
		return;
	timer_free(&(*space)->timer);
	MEM_FREE(*space);
}
