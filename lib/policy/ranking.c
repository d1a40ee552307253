/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of numbers, each with the list of those who have just as many; one step up or down leads
 * to the neighbour. A number that nobody has is not in the list.
 */
#include "policy/ranking.h"

#include <stdbool.h>
#include <utlist.h>

#include "base/mem.h"

struct rank {
	uint32_t count;
	struct ranked *members; /* who came first at the head */
	struct rank *prev, *next;
};

uint32_t ranked_count(const struct ranked *ranked)
{
	return ranked->rank != NULL ? ranked->rank->count : 0;
}

static struct rank *rank_new(uint32_t count)
{
	struct rank *rank = mem_alloc(sizeof(*rank));

	rank->count = count;
	return rank;
}

static bool is_alone(const struct rank *rank)
{
	return rank->members->next == NULL;
}

/* to: NULL for none. */
static void move(struct ranking *ranking, struct ranked *ranked, struct rank *to)
{
	struct rank *from = ranked->rank;

	if (from != NULL) {
		DL_DELETE(from->members, ranked);
		if (from->members == NULL) {
			DL_DELETE(ranking->ranks, from);
			mem_free(from);
		}
	}
	ranked->rank = to;
	if (to != NULL)
		DL_APPEND(to->members, ranked);
}

void ranking_up(struct ranking *ranking, struct ranked *ranked)
{
	struct rank *from = ranked->rank;
	struct rank *to = from != NULL ? from->next : ranking->ranks;
	uint32_t count = ranked_count(ranked) + 1;

	if (to != NULL && to->count == count) {
		move(ranking, ranked, to);
		return;
	}
	if (from != NULL && is_alone(from)) {
		from->count = count;
		return;
	}
	to = rank_new(count);
	if (from != NULL)
		DL_APPEND_ELEM(ranking->ranks, from, to);
	else
		DL_PREPEND(ranking->ranks, to);
	move(ranking, ranked, to);
}

void ranking_down(struct ranking *ranking, struct ranked *ranked)
{
	struct rank *from = ranked->rank;
	bool lowest = from == ranking->ranks; /* its prev is the tail */
	struct rank *to;

	if (from == NULL)
		return;
	if (from->count == 1) {
		move(ranking, ranked, NULL);
	} else if (!lowest && from->prev->count == from->count - 1) {
		move(ranking, ranked, from->prev);
	} else if (is_alone(from)) {
		from->count--;
	} else {
		to = rank_new(from->count - 1);
		DL_PREPEND_ELEM(ranking->ranks, from, to);
		move(ranking, ranked, to);
	}
}

void *ranking_top(const struct ranking *ranking)
{
	return ranking->ranks != NULL ? ranking->ranks->prev->members->who : NULL;
}
