/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of the mail of accounts, told to auth in gathered counts (ENDED): how many recipients
 * are done with, and how many of them do not exist. It is for a rule that looks at a whole hour, so
 * what is lost with auth or queue is lost.
 */
#ifndef POSTERN_QUEUE_OUTCOMES_H
#define POSTERN_QUEUE_OUTCOMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct outcomes;
struct queue;

enum {
	OUTCOMES_EVERY = 1000, /* ms between two reports */
	OUTCOMES_MAX = 4096,   /* accounts in one; more are not counted */
};

struct outcomes *outcomes_new(struct queue *queue);
void outcomes_free(struct outcomes **outcomes);
/*
 * A recipient is done with; status: what was said of it. Mail that is nobody's (account "") does
 * not count.
 */
void outcomes_note(struct outcomes *outcomes, struct slice account, bool failed,
		   struct slice status);

#endif
