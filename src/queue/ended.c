/* SPDX-License-Identifier: Apache-2.0 */
#include "ended.h"

#include "base/mem.h"
#include "delivery.h"
#include "queue.h"

struct ended {
	uint64_t count;
	struct {
		uint64_t key;
		uint32_t n;
	} last[ENDED_KEPT]; /* by count, modulo */
};

struct ended *ended_new(void)
{
	return mem_alloc(sizeof(struct ended));
}

void ended_free(struct ended **ended)
{
	MEM_FREE(*ended);
}

void ended_note(struct ended *ended, uint64_t key, uint32_t n)
{
	size_t at = ended->count++ % ENDED_KEPT;

	ended->last[at].key = key;
	ended->last[at].n = n;
}

uint64_t ended_count(const struct ended *ended)
{
	return ended->count;
}

static bool is_settled(const struct queue *queue, const struct queue_row *row)
{
	const struct delivery *delivery =
		dispatch_find(deliveries_dispatch(queue->deliveries), row->destination, row->key);

	for (uint32_t i = 0; delivery != NULL && i < delivery->row_count; i++)
		if (delivery->rows[i].n == row->n)
			return delivery->rows[i].settled;
	return false;
}

bool ended_since(const struct queue *queue, uint64_t count, const struct queue_row *row)
{
	const struct ended *ended = queue->lately;

	if (ended->count - count > ENDED_KEPT || is_settled(queue, row))
		return true;
	for (uint64_t i = count; i < ended->count; i++)
		if (ended->last[i % ENDED_KEPT].key == row->key &&
		    ended->last[i % ENDED_KEPT].n == row->n)
			return true;
	return false;
}
