/* SPDX-License-Identifier: Apache-2.0 */
#include "frozen.h"

#include <utlist.h>

#include "auth.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"

/* Somebody who waits for queue's answer. */
struct waiter {
	struct waiter *prev, *next;
	struct frozen *frozen;
	struct timer *timer;
	uint32_t round;
	frozen_done_fn *done;
	void *arg;
};

struct frozen {
	struct auth *auth;
	struct channel *queue; /* NULL: it is not there */
	uint32_t round;
	char **names;
	size_t count;
	struct waiter *waiters;
};

struct frozen *frozen_new(struct auth *auth)
{
	struct frozen *frozen = mem_alloc(sizeof(*frozen));

	frozen->auth = auth;
	return frozen;
}

static void end_wait(struct waiter *waiter, bool told, uint64_t held, uint64_t released)
{
	frozen_done_fn *done = waiter->done;
	void *arg = waiter->arg;

	DL_DELETE(waiter->frozen->waiters, waiter);
	timer_free(&waiter->timer);
	mem_free(waiter);
	done(arg, told, held, released);
}

void frozen_free(struct frozen **frozen)
{
	if (*frozen == NULL)
		return;
	while ((*frozen)->waiters != NULL)
		end_wait((*frozen)->waiters, false, 0, 0);
	account_texts_free((*frozen)->names, (*frozen)->count);
	MEM_FREE(*frozen);
}

/* ---- who is frozen -------------------------------------------------------------------------- */

enum err frozen_open(struct frozen *frozen, struct accounts *accounts)
{
	return accounts_frozen(accounts, &frozen->names, &frozen->count);
}

static void tell(struct frozen *frozen, uint16_t type, const void *message)
{
	enum err err = channel_send(frozen->queue, type, message);

	if (err != ERR_OK && err != ERR_EOF)
		log_note(LOG_ERROR, "cannot send %s to queue: %s", ipc_type_name(type),
			 err_name(err));
}

static void tell_all(struct frozen *frozen)
{
	struct msg_frozen_end end = {.round = ++frozen->round};

	if (frozen->queue == NULL)
		return;
	for (size_t i = 0; i < frozen->count; i++)
		tell(frozen, IPC_FROZEN, &(struct msg_frozen){slice_str(frozen->names[i])});
	tell(frozen, IPC_FROZEN_END, &end);
}

static void on_overdue(void *arg)
{
	end_wait(arg, false, 0, 0);
}

void frozen_set(struct frozen *frozen, char **names, size_t count, frozen_done_fn *done, void *arg)
{
	struct waiter *waiter = mem_alloc(sizeof(*waiter));

	account_texts_free(frozen->names, frozen->count);
	frozen->names = names;
	frozen->count = count;
	tell_all(frozen);
	*waiter =
		(struct waiter){.frozen = frozen, .round = frozen->round, .done = done, .arg = arg};
	waiter->timer = timer_new(frozen->auth->loop, on_overdue, waiter);
	timer_set(waiter->timer, frozen->queue != NULL ? FROZEN_PATIENCE : 0);
	DL_APPEND(frozen->waiters, waiter);
}

void frozen_queue(struct frozen *frozen, struct channel *queue)
{
	frozen->queue = queue;
	tell_all(frozen);
}

void frozen_queue_lost(struct frozen *frozen)
{
	frozen->queue = NULL;
}

/* It has looked since this round began, and so since those before. */
enum err frozen_answer(struct frozen *frozen, const struct msg_frozen_done *msg)
{
	struct waiter *waiter, *next;

	DL_FOREACH_SAFE (frozen->waiters, waiter, next)
		if (waiter->round <= msg->round)
			end_wait(waiter, true, msg->held, msg->released);
	return ERR_OK;
}
