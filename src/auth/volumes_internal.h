/* SPDX-License-Identifier: Apache-2.0 */
/* What the two parts of volumes.h share: volumes.c answers, volumes_store.c reads and writes. */
#ifndef POSTERN_AUTH_VOLUMES_INTERNAL_H
#define POSTERN_AUTH_VOLUMES_INTERNAL_H

#include "base/hash.h"
#include "volumes.h"

struct timer;
struct worker_pool;

/* A COUNT that waits for its account to be read. */
struct ask {
	struct ask *prev, *next;
	struct front *front;
	uint64_t session, grant, recipient;
	uint32_t in_message;
};

/* key: one that has limits of its own; 0: the account, with all its other keys. */
struct whose {
	int64_t account, key;
};

struct entry {
	UT_hash_handle hh;
	struct whose whose;
	struct volume *volume; /* NULL: being read */
	struct ask *asks;
	struct volume_read *read; /* with the thread */
};

struct volumes {
	struct auth *auth;
	struct worker_pool *pool;  /* one thread */
	struct accounts *accounts; /* the thread's */
	struct entry *table;       /* by whose */
	size_t asks;               /* of all entries */
	struct timer *timer;
	struct volume_write *write; /* with the thread */
	bool failed;                /* said in the log */
	struct volumes_struck struck;
};

/* Its volume, which may have to be read first. NULL: too many accounts are being read. */
struct entry *volumes_entry(struct volumes *volumes, struct whose whose);
/* The volume of an entry has been read, or cannot be: answers those who waited. */
void volumes_answer(struct volumes *volumes, struct entry *entry);

#endif
