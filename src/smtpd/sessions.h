/* SPDX-License-Identifier: Apache-2.0 */
/* All sessions of this process: found by number, flushed together, made small when idle. */
#ifndef POSTERN_SMTPD_SESSIONS_H
#define POSTERN_SMTPD_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

struct front;
struct session;
struct sessions;
struct smtpd;

struct sessions *sessions_new(struct smtpd *smtpd);
void sessions_free(struct sessions **sessions);
uint32_t sessions_count(const struct sessions *sessions);
/* A number for a session that may begin; it is started, or released. */
uint64_t sessions_reserve(struct sessions *sessions);
void sessions_release(struct sessions *sessions, uint64_t id);
/* Begins the session of a reserved number; takes fd. */
void sessions_start(struct sessions *sessions, uint64_t id, int fd, const char *client,
		    struct front *front);
/*
 * Ends the oldest session that is not logged in and not quite new, so that its descriptor is free
 * at once. false: there is none. Not from within a session's callbacks.
 */
bool sessions_make_room(struct sessions *sessions);
/* NULL: it is over. A number is never used twice. */
struct session *sessions_find(const struct sessions *sessions, uint64_t id);
/* fn may end the session it is given, and no other. */
void sessions_each(struct sessions *sessions, void (*fn)(struct session *session, void *arg),
		   void *arg);

/* For session.c only. */
void sessions_remove(struct sessions *sessions, struct session *session);
/* It has output, or is to be closed: looked at before the loop sleeps. */
void sessions_mark(struct sessions *sessions, struct session *session);
/* It did something just now. */
void sessions_touch(struct sessions *sessions, struct session *session);

#endif
