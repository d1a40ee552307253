/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may come in, over all smtpd processes: they ask for each connection (KNOCK), and are
 * answered at once or when its turn comes. The rules are policy/admission.h's; here are who asked,
 * the words, and the load of the machine. One process counts, so the limits hold exactly.
 */
#ifndef POSTERN_AUTH_DOOR_H
#define POSTERN_AUTH_DOOR_H

#include "ipc/message.h"

struct admission;
struct auth;
struct config;
struct door;
struct front;

struct door *door_new(struct auth *auth);
void door_free(struct door **door); /* when the fronts are gone */
void door_configure(struct door *door, const struct config *config);
/* For grants.c: logins of accounts. */
struct admission *door_admission(struct door *door);

/* Errors: smtpd sent what it must not. */
enum err door_knock(struct front *front, const struct msg_knock *msg);
enum err door_left(struct front *front, const struct msg_left *msg);
enum err door_struck(struct front *front, const struct msg_struck *msg);
/* The session of this number is logged in now. */
void door_logged_in(struct front *front, uint64_t session);
void door_drop_front(struct front *front);

/* A limit as the operator sees it. */
struct door_row {
	const char *limit;
	char value[64];  /* as configured, or what it comes to */
	char now[24];    /* how much of it is used; "": that cannot be said */
	uint64_t struck; /* how often since the start */
};
void door_rows(const struct door *door, void (*row)(void *arg, const struct door_row *row),
	       void *arg);

#endif
