/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections at the door: between accept (or the PROXY header) and the session. auth, which
 * counts for all smtpd processes, is asked whether each may come in, and answers at once or when
 * its turn comes. Until then nothing is said to the client, and it costs a descriptor and a few
 * hundred bytes. One that leaves meanwhile gives up its turn. When as many as there may be are
 * waiting, nothing more is accepted: the rest wait in the kernel's backlog.
 */
#ifndef POSTERN_SMTPD_KNOCK_H
#define POSTERN_SMTPD_KNOCK_H

#include <stdbool.h>
#include <stdint.h>

struct front;
struct knocks;
struct msg_turn_away;
struct smtpd;

/* At a time, of this process: more than auth lets wait for their turn (src/auth/door.c), so that it
 * is full only while auth is away or very busy. */
enum { KNOCKS_MAX = 2048 };

struct knocks *knocks_new(struct smtpd *smtpd);
void knocks_free(struct knocks **knocks);
/* A new connection; takes fd. client: numeric, as it counts for limits. */
void knocks_start(struct knocks *knocks, int fd, const char *client, struct front *front);
bool knocks_full(const struct knocks *knocks);

/* auth's answers. A number that nobody has is of one that is gone. */
void knocks_admit(struct knocks *knocks, uint64_t id);
void knocks_turn_away(struct knocks *knocks, const struct msg_turn_away *msg);
/* There is a new auth, which has heard of nobody. */
void knocks_again(struct knocks *knocks);
/* Shutting down: turns all away. */
void knocks_drop(struct knocks *knocks);

#endif
