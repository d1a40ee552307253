/* SPDX-License-Identifier: Apache-2.0 */
#include "space.h"

#include "base/mem.h"
#include "config/config.h"
#include "delivery.h"
#include "intake.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/memory.h"
#include "os/os.h"
#include "os/worker.h"
#include "queue.h"
#include "writer.h"

enum {
	LOOK_MS = 2000,
	FULL_LOOKS = 2, /* after a write that found no room: what a look says is not believed */
};

/* Why no mail is taken. */
enum shortage { NOTHING_SHORT, NO_DISK, NO_INODES, NO_MEMORY, NO_STORE };

struct space {
	struct queue *queue;
	struct timer *timer;
	uint64_t bytes, inodes; /* inodes: UINT64_MAX: not counted */
	unsigned full;
	bool looking, ok;
	unsigned code;
	uint64_t largest;
	enum err err;
	struct os_memory source;
	uint64_t memory; /* that can be had; UINT64_MAX: nobody says */
	uint32_t load, cores;
	bool overloaded;
	enum shortage shortage;
	struct space_strikes strikes;
};

static void look(void *arg)
{
	struct space *space = arg;

	space->err = os_free_space(space->queue->folder, &space->bytes, &space->inodes);
	if (os_memory_available(&space->source, &space->memory) != ERR_OK)
		space->memory = UINT64_MAX;
}

static uint64_t spare(const struct space *space)
{
	uint64_t reserve = queue_config(space->queue)->limits.disk_reserve;

	return space->bytes > reserve ? space->bytes - reserve : 0;
}

static enum shortage shortage(const struct space *space)
{
	const struct config_limits *limits = &queue_config(space->queue)->limits;

	if (space->err != ERR_OK)
		return NO_STORE;
	if (space->full != 0 || spare(space) == 0)
		return NO_DISK;
	if (space->inodes < limits->inode_reserve)
		return NO_INODES;
	if (space->memory < limits->memory_reserve)
		return NO_MEMORY;
	return writer_failing(space->queue->writer) ? NO_STORE : NOTHING_SHORT;
}

/* Draws the conclusion; true if it is another one. */
static bool judge(struct space *space)
{
	uint64_t room = spare(space), size = queue_config(space->queue)->limits.message_size;
	enum shortage now = shortage(space);
	uint64_t largest = room < size ? room : size;
	bool changed = now != space->shortage ||
		       (largest != space->largest && (largest == size || space->largest == size));

	if (now != space->shortage) {
		space->strikes.disk += now == NO_DISK;
		space->strikes.inodes += now == NO_INODES;
		space->strikes.memory += now == NO_MEMORY;
	}
	space->shortage = now;
	space->ok = now == NOTHING_SHORT;
	space->code = space->ok ? 0 : now == NO_STORE ? 451 : 452;
	space->largest = largest;
	return changed;
}

static void tell_short(const struct space *space)
{
	const struct config_limits *limits = &queue_config(space->queue)->limits;
	unsigned long long mb = space->bytes >> 20, inodes = space->inodes;

	switch (space->shortage) {
	case NO_MEMORY:
		log_note(LOG_WARNING,
			 "no mail is accepted: %llu MB of memory can be had, limits.memory_reserve "
			 "is %llu MB; find what needs so much",
			 (unsigned long long)(space->memory >> 20),
			 (unsigned long long)(limits->memory_reserve >> 20));
		break;
	case NO_DISK:
	case NO_INODES:
		log_note(LOG_WARNING,
			 "no mail is accepted: %llu MB and %llu inodes are free on the disk of %s, "
			 "limits.disk_reserve is %llu MB, limits.inode_reserve %u; make room there",
			 mb, inodes, space->queue->folder,
			 (unsigned long long)(limits->disk_reserve >> 20), limits->inode_reserve);
		break;
	default:
		log_note(LOG_ERROR, "no mail is accepted: the queue in %s cannot be written",
			 space->queue->folder);
	}
}

static void tell(struct space *space)
{
	if (space->ok)
		log_note(LOG_INFO, "mail is accepted: %llu MB are free on the disk of the queue",
			 (unsigned long long)(space->bytes >> 20));
	else
		tell_short(space);
	intake_announce(space->queue->intake);
}

/* The load decides about deliveries only: mail is taken all the same. */
static void weigh(struct space *space)
{
	uint32_t limit = space_load_limit(space);
	bool overloaded;

	space->load = os_load();
	overloaded = limit != 0 && space->load > limit;
	if (overloaded == space->overloaded)
		return;
	space->overloaded = overloaded;
	space->strikes.load += overloaded;
	if (overloaded)
		log_note(LOG_WARNING,
			 "the load is %u.%02u, limits.queue_load is %u.%02u: mail is taken and "
			 "waits, no delivery is started",
			 space->load / 100, space->load % 100, limit / 100, limit % 100);
	else
		log_note(LOG_INFO, "the load is %u.%02u: deliveries are started again",
			 space->load / 100, space->load % 100);
	deliveries_poke(space->queue->deliveries);
}

static void looked(void *arg)
{
	struct space *space = arg;

	space->looking = false;
	if (space->full != 0)
		space->full--;
	if (judge(space))
		tell(space);
	weigh(space);
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
	msg.text = space->shortage == NO_MEMORY
			   ? SLICE_LIT("Server memory is short; try again later")
		   : space->code == 452 ? SLICE_LIT("Server storage is short; try again later")
					: SLICE_LIT("The queue cannot be written; try again later");
	return msg;
}

void space_look(struct space *space)
{
	look(space);
	(void)judge(space);
	weigh(space);
	if (!space->ok)
		tell(space);
}

void space_full(struct space *space)
{
	space->full = FULL_LOOKS;
	if (judge(space))
		tell(space);
}

bool space_overloaded(const struct space *space)
{
	return space->overloaded;
}

uint32_t space_load_limit(const struct space *space)
{
	return config_load(queue_config(space->queue)->limits.queue_load, CONFIG_QUEUE_PER_CORE,
			   space->cores);
}

uint32_t space_load(const struct space *space)
{
	return space->load;
}

uint64_t space_inodes(const struct space *space)
{
	return space->inodes;
}

uint64_t space_memory(const struct space *space)
{
	return space->memory;
}

struct space_strikes space_strikes(const struct space *space)
{
	return space->strikes;
}

uint64_t space_bytes(const struct space *space)
{
	return space->bytes;
}

struct space *space_new(struct queue *queue)
{
	struct space *space = mem_alloc(sizeof(*space));

	space->queue = queue;
	space->cores = os_cpu_count();
	space->memory = UINT64_MAX;
	os_memory_open(&space->source); /* while files may still be opened: the sandbox closes */
	space->timer = timer_new(queue->loop, on_timer, space);
	timer_set(space->timer, LOOK_MS);
	return space;
}

void space_free(struct space **space)
{
	if (*space == NULL)
		return;
	timer_free(&(*space)->timer);
	os_memory_close(&(*space)->source);
	MEM_FREE(*space);
}
