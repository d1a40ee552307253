/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operation sees of the queue, step by step. A step runs on the operators' thread with
 * their reader and leaves rows for the answer, or the recipients that are to be changed.
 */
#ifndef POSTERN_QUEUE_VIEW_H
#define POSTERN_QUEUE_VIEW_H

#include "rows.h"
#include "selector.h"

enum {
	VIEW_ROWS = 500,           /* in one step, that were chosen */
	VIEW_VISITS = 20000,       /* in one step, that were looked at with their message */
	VIEW_FAST_VISITS = 100000, /* without */
	VIEW_ADDRESS_MAX = 320,
	VIEW_DOMAIN_MAX = 256,
};

/* A recipient to be changed. */
struct view_row {
	struct queue_row row;
	bool in_file, touched;
	bool scheduled;     /* it waits for the time that its sender set (RFC 4865) */
	int64_t release_at; /* that time, if it is still to come; else 0 */
	char id[MSGID_TEXT_MAX + 1];
	char to[VIEW_ADDRESS_MAX];
	char domain[VIEW_DOMAIN_MAX]; /* in lower case */
};

/* Of one destination, while its rows are being counted. */
struct view_sum {
	int64_t destination, next;
	uint64_t recipients, held, first_key;
	char last[QUEUE_LAST_MAX + 1];
};

struct view {
	enum ipc_op op;
	struct selector selector;
	int64_t now;
	struct queue_scan scan;
	enum err err; /* ERR_OK: there is more; ERR_EOF: that was all */
	uint64_t seen, destinations;
	bool limited;
	struct view_sum sum;
	/* By ID: the message, and the destinations that are left to look at. */
	struct queue_mail *mail;
	int64_t *places;
	size_t place_count, place;
	/* Of this step: */
	struct rows answer;
	struct view_row rows[VIEW_ROWS];
	size_t row_count;
};

void view_init(struct view *view, enum ipc_op op, const struct selector *selector, int64_t now);
void view_release(struct view *view);
void view_step(struct view *view, struct queue_reader *reader);

#endif
