/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit. What is handed in while a commit runs goes into the next one; when none runs the
 * next starts at the end of the loop's iteration. Results alone wait a few milliseconds for
 * company. What is handed in must stay valid until its function is called.
 *
 * A commit that fails refuses the messages of clients in it, with certainty or with ERR_TIMEOUT
 * if nobody can say whether they are stored; everything else in it is tried again until it works.
 */
#ifndef POSTERN_QUEUE_WRITER_H
#define POSTERN_QUEUE_WRITER_H

#include "store/queue.h"

struct queue;
struct writer;

typedef void writer_fn(void *arg, enum err err);

struct writer *writer_new(struct queue *queue);
void writer_free(struct writer **writer);

/*
 * A client's message: takes a reference. fn gets ERR_OK once it is on disk; ERR_EXISTS,
 * ERR_RANGE: not taken; ERR_NO_SPACE, ERR_IO: not stored; ERR_TIMEOUT: unsure.
 */
void writer_put(struct writer *writer, struct queue_mail *mail, writer_fn *fn, void *arg);
/* Our own message: is kept until it can be stored; fn gets ERR_OK, or ERR_EXISTS, ERR_RANGE. */
void writer_put_own(struct writer *writer, struct queue_mail *mail, writer_fn *fn, void *arg);
void writer_change(struct writer *writer, const struct queue_change *change);
void writer_destination(struct writer *writer, const struct queue_destination *destination);
void writer_aside(struct writer *writer, const struct queue_aside *aside);
/* A time to deliver by has been dealt with. */
void writer_deadline(struct writer *writer, const struct queue_deadline *deadline);
/* fn is called when all handed in so far is on disk. */
void writer_after(struct writer *writer, writer_fn *fn, void *arg);
/* Somebody waits for it: does not wait for company. */
void writer_hurry(struct writer *writer);
bool writer_idle(const struct writer *writer);
/* Microseconds a commit takes at present. */
uint32_t writer_commit_us(const struct writer *writer);
/* The last commits could not be written. */
bool writer_failing(const struct writer *writer);

struct writer_totals {
	uint64_t commits, messages, rows_ended;
};
struct writer_totals writer_totals(const struct writer *writer);

#endif
