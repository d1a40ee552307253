/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That a message is delayed, told to its sender, and a mark at its recipients' rows in the same
 * commit, so that nothing is told twice.
 */
#ifndef POSTERN_QUEUE_NOTICE_H
#define POSTERN_QUEUE_NOTICE_H

#include "message/report.h"
#include "store/queue.h"

struct queue;

enum { NOTICE_LAST_MAX = 256 };

struct notice_item {
	struct queue_row row;
	char last[NOTICE_LAST_MAX]; /* the last answer heard; "" none */
};

/*
 * One report on all items, rows of this message; bits are added to their notice. mail: with its
 * body or, of a file, its sums. Items are copied. If no key can be had nothing is marked: whoever
 * looks again finds them again. *open counts the notices that are not on disk yet, which may take
 * as long as the disk is full: what is read until then does not show the marks. since: ended_count
 * before the rows were read: what has ended meanwhile is not told of.
 */
void notice_send(struct queue *queue, struct queue_mail *mail, const struct notice_item *items,
		 size_t count, uint8_t bits, enum report_cause cause, uint64_t since,
		 unsigned *open);

#endif
