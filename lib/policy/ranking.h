/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has most of something, where what each has changes by one at a time: every step takes the
 * same time, however many there are. Those with as many as others stand in the order in which they
 * came to that number. Pure.
 */
#ifndef POSTERN_POLICY_RANKING_H
#define POSTERN_POLICY_RANKING_H

#include <stdint.h>

struct rank;

/* One of them: part of what is counted, zeroed at first but for who. */
struct ranked {
	void *who;         /* what it is part of */
	struct rank *rank; /* NULL: it has none */
	struct ranked *prev, *next;
};

/* Zeroed at first. It holds memory for those who have at least one, and no other. */
struct ranking {
	struct rank *ranks; /* the lowest number first */
};

uint32_t ranked_count(const struct ranked *ranked);
/* One more. */
void ranking_up(struct ranking *ranking, struct ranked *ranked);
/* One less; whoever has none stays so. */
void ranking_down(struct ranking *ranking, struct ranked *ranked);
/* Of those with most the one that came to that number first; NULL: nobody has any. */
void *ranking_top(const struct ranking *ranking);

#endif
