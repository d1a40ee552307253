/* SPDX-License-Identifier: Apache-2.0 */
/* The writer's state, which queue_open.c and queue_write.c share. */
#ifndef POSTERN_STORE_QUEUE_WRITER_H
#define POSTERN_STORE_QUEUE_WRITER_H

#include "store/queue_internal.h"

struct queue_names;

struct queue_writer {
	struct queue_db db;
	char folder[QUEUE_PATH_MAX];
	struct queue_names *names; /* so that a message costs no look-up of its destinations */
	int wal_pages;
	int64_t next_key;
	int64_t overwritten;
};

enum err queue_writer_prepare(struct queue_writer *writer); /* its statements */

/* Names of destinations that were used lately, with their numbers. */
struct queue_names *queue_names_new(void);
void queue_names_free(struct queue_names **names);
bool queue_names_find(const struct queue_names *names, struct slice name, int64_t *id_out);
void queue_names_add(struct queue_names *names, struct slice name, int64_t id);
/* Their destinations may be gone. */
void queue_names_clear(struct queue_names *names);

#endif
