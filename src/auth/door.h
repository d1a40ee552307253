/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may come in, over all smtpd processes: they ask for each connection (KNOCK), and are
 * answered at once or when its turn comes. The rules are policy/admission.h's; here are who asked,
 * the words, and the load of the machine. One process counts, so the limits hold exactly.
 */
#ifndef POSTERN_AUTH_DOOR_H
#define POSTERN_AUTH_DOOR_H

#include "ipc/message.h"
#include "policy/admission.h"

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
/* The client's address, as smtpd told it when it came; NULL: there is no such session. */
const char *door_client(struct front *front, uint64_t session);
/* A login of the session failed; how many have. */
void door_login_failed(struct front *front, uint64_t session);
uint32_t door_login_failures(struct front *front, uint64_t session);
void door_drop_front(struct front *front);

/* For the operator (limits.c). */
struct door_use {
	struct admission_use admission;
	struct admission_limits rules;    /* in force */
	uint64_t struck[IPC_LIMIT_COUNT]; /* what smtpd processes told */
	uint32_t load_limit;              /* in hundredths; 0: none */
	uint64_t load_struck;
};
void door_use(const struct door *door, struct door_use *use_out);

#endif
