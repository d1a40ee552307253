/* SPDX-License-Identifier: Apache-2.0 */
#include "outcomes.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "grants.h"
#include "ipc/channel.h"
#include "ipc/message.h"
#include "os/loop.h"
#include "queue.h"

struct entry {
	UT_hash_handle hh;
	uint32_t ended, refused;
	size_t len;
	char name[];
};

struct outcomes {
	struct queue *queue;
	struct entry *table;
	struct timer *timer;
};

static void flush(struct outcomes *outcomes, struct channel *auth)
{
	struct entry *entry, *next;

	HASH_ITER (hh, outcomes->table, entry, next) {
		const struct msg_ended msg = {.account = slice_of(entry->name, entry->len),
					      .recipients = entry->ended,
					      .refused = entry->refused};

		if (auth != NULL)
			(void)channel_send(auth, IPC_ENDED, &msg);
		HASH_DEL(outcomes->table, entry);
		mem_free(entry);
	}
}

static void on_timer(void *arg)
{
	struct outcomes *outcomes = arg;

	flush(outcomes, grants_auth(outcomes->queue->grants));
}

struct outcomes *outcomes_new(struct queue *queue)
{
	struct outcomes *outcomes = mem_alloc(sizeof(*outcomes));

	outcomes->queue = queue;
	outcomes->timer = timer_new(queue->loop, on_timer, outcomes);
	return outcomes;
}

void outcomes_free(struct outcomes **outcomes)
{
	if (*outcomes == NULL)
		return;
	flush(*outcomes, NULL);
	timer_free(&(*outcomes)->timer);
	MEM_FREE(*outcomes);
}

/*
 * RFC 3463 3.2, RFC 7505: no such mailbox, no such domain, no such form of an address, moved, no
 * mail at all. Of a server that has no such codes relay makes 5.1.1 of a refusal of one recipient.
 */
static bool is_unknown(struct slice status)
{
	static const char *const unknown[] = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		if (slice_is(status, unknown[i]))
			return true;
	return false;
}

void outcomes_note(struct outcomes *outcomes, struct slice account, bool failed,
		   struct slice status)
{
	struct entry *entry = NULL;

	if (account.len == 0)
		return;
	HASH_FIND(hh, outcomes->table, account.ptr, account.len, entry);
	if (entry == NULL) {
		if (HASH_COUNT(outcomes->table) >= OUTCOMES_MAX)
			return;
		if (outcomes->table == NULL)
			timer_set(outcomes->timer, OUTCOMES_EVERY);
		entry = mem_alloc(sizeof(*entry) + account.len);
		entry->len = account.len;
		memcpy(entry->name, account.ptr, account.len);
		HASH_ADD_KEYPTR(hh, outcomes->table, entry->name, entry->len, entry);
	}
	entry->ended++;
	entry->refused += failed && is_unknown(status);
}
