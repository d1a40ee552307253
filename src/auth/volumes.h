/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What accounts have sent, and whether they may send more (policy/volume.h): asked by smtpd for
 * each recipient of those who are logged in, over all smtpd processes. An account's past is read
 * from the store when its first recipient comes, and what came since is written every few
 * seconds, so a restart gives nobody a new day.
 *
 * queue tells what was really mailed under each grant (grants.c): a smtpd that mails more than it
 * had counted here loses the grant.
 */
#ifndef POSTERN_AUTH_VOLUMES_H
#define POSTERN_AUTH_VOLUMES_H

#include "ipc/message.h"
#include "policy/volume.h"
#include "store/accounts.h"

struct auth;
struct front;
struct volumes;

enum {
	VOLUMES_SAVE = 10 * 1000,  /* ms */
	VOLUMES_WAITING = 1024,    /* jobs for the disk: accounts that are read or written */
	VOLUMES_ASKS_MAX = 100000, /* recipients that wait for an account to be read */
};

/* How often each limit struck. */
struct volumes_struck {
	uint64_t message, hour, day, strangers;
};

/* Starts its thread: before the sandbox closes. */
struct volumes *volumes_new(struct auth *auth);
enum err volumes_open(struct volumes *volumes, const char *path, char why[ACCOUNT_WHY]);
/* Writes what was not written yet. */
void volumes_free(struct volumes **volumes);

/* Answers COUNTED, now or when the account has been read. ERR_DENIED: not a grant of this smtpd. */
enum err volumes_count(struct front *front, const struct msg_count *msg);
enum err volumes_uncount(struct front *front, const struct msg_uncount *msg);
void volumes_drop_front(struct volumes *volumes, const struct front *front);
/* What holds for this account: its own limits, else those of limits { }. */
void volumes_limits(const struct auth *auth, const struct account_limits *own,
		    struct volume_limits *limits_out);
const struct volumes_struck *volumes_struck(const struct volumes *volumes);

#endif
