/* SPDX-License-Identifier: Apache-2.0 */
#include "frozen.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/message.h"
#include "operator.h"
#include "os/log.h"
#include "queue.h"

enum { NAMES_MAX = 1000000 };

/* Never changes once it is in force: the operators' thread reads it. */
struct frozen_set {
	char **names; /* sorted */
	size_t count;
	uint32_t round; /* of auth */
};

struct frozen {
	struct queue *queue;
	struct channel *auth;    /* that asked last; NULL: gone */
	struct frozen_set *next; /* that is being told */
	struct frozen_set *now;
	struct frozen_set *used; /* by the run */
	bool again;              /* another run is due when this one is through */
	uint64_t held, released; /* since auth told */
};

static struct frozen_set *set_new(void)
{
	return mem_alloc(sizeof(struct frozen_set));
}

static void set_free(struct frozen_set **set)
{
	if (*set == NULL)
		return;
	for (size_t i = 0; i < (*set)->count; i++)
		mem_free((*set)->names[i]);
	mem_free((*set)->names);
	MEM_FREE(*set);
}

struct frozen *frozen_new(struct queue *queue)
{
	struct frozen *frozen = mem_alloc(sizeof(*frozen));

	frozen->queue = queue;
	frozen->next = set_new();
	frozen->now = set_new();
	return frozen;
}

void frozen_free(struct frozen **frozen)
{
	if (*frozen == NULL)
		return;
	if ((*frozen)->used != (*frozen)->now)
		set_free(&(*frozen)->used);
	set_free(&(*frozen)->now);
	set_free(&(*frozen)->next);
	MEM_FREE(*frozen);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_name(const void *key, const void *name)
{
	const struct slice *wanted = key;
	struct slice other = slice_str(*(char *const *)name);
	size_t len = wanted->len < other.len ? wanted->len : other.len;
	int order = memcmp(wanted->ptr, other.ptr, len);

	return order != 0 ? order : wanted->len < other.len ? -1 : wanted->len > other.len;
}

static bool has(const struct frozen_set *set, struct slice account)
{
	return set->count != 0 && account.len != 0 &&
	       bsearch(&account, set->names, set->count, sizeof(char *), compare_name) != NULL;
}

bool frozen_set_wants(const struct frozen_set *set, struct slice account,
		      const struct queue_row *row)
{
	if (row->state != QUEUE_HELD)
		return has(set, account);
	return row->due == QUEUE_FROZEN_DUE && !has(set, account);
}

/* ---- runs through the queue ----------------------------------------------------------------- */

static void run(struct frozen *frozen);

static void answer(struct frozen *frozen)
{
	const struct msg_frozen_done msg = {
		.round = frozen->now->round, .held = frozen->held, .released = frozen->released};

	if (frozen->auth != NULL)
		(void)channel_send(frozen->auth, IPC_FROZEN_DONE, &msg);
	if (frozen->held != 0 || frozen->released != 0)
		log_note(LOG_INFO, "frozen accounts: %llu recipients held, %llu released",
			 (unsigned long long)frozen->held, (unsigned long long)frozen->released);
	frozen->held = frozen->released = 0;
}

static void on_run(void *arg, const struct operators_tally *tally)
{
	struct frozen *frozen = arg;

	frozen->held += tally->held;
	frozen->released += tally->released;
	if (frozen->used != frozen->now)
		set_free(&frozen->used);
	frozen->used = NULL;
	if (frozen->again && !frozen->queue->stopping)
		run(frozen);
	else
		answer(frozen);
}

static void run(struct frozen *frozen)
{
	frozen->again = false;
	frozen->used = frozen->now;
	operators_freeze(frozen->queue->operators, frozen->used, on_run, frozen);
}

static void look(struct frozen *frozen)
{
	if (frozen->used != NULL)
		frozen->again = true;
	else if (!frozen->queue->stopping)
		run(frozen);
}

bool frozen_has(struct frozen *frozen, struct slice account)
{
	if (!has(frozen->now, account))
		return false;
	look(frozen);
	return true;
}

/* ---- what auth says ------------------------------------------------------------------------- */

enum err frozen_name(struct frozen *frozen, struct slice payload)
{
	struct frozen_set *set = frozen->next;
	struct msg_frozen msg;
	enum err err = ipc_decode(IPC_FROZEN, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (set->count == NAMES_MAX)
		return ERR_RANGE;
	if ((set->count & (set->count - 1)) == 0)
		set->names = mem_resize(set->names,
					(set->count == 0 ? 1 : set->count * 2) * sizeof(char *));
	set->names[set->count++] = mem_strndup(msg.account.ptr, msg.account.len);
	return ERR_OK;
}

enum err frozen_end(struct frozen *frozen, struct channel *auth, struct slice payload)
{
	struct msg_frozen_end msg;
	enum err err = ipc_decode(IPC_FROZEN_END, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (frozen->now != frozen->used)
		set_free(&frozen->now);
	frozen->now = frozen->next;
	frozen->now->round = msg.round;
	if (frozen->now->count > 1)
		qsort(frozen->now->names, frozen->now->count, sizeof(char *), compare);
	frozen->next = set_new();
	frozen->auth = auth;
	look(frozen);
	return ERR_OK;
}

void frozen_lost(struct frozen *frozen)
{
	frozen->auth = NULL;
	set_free(&frozen->next);
	frozen->next = set_new();
}
