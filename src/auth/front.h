/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One smtpd process: its channel, its logins under way, its standing grant. A message that it
 * must not send ends its channel, and with it its grants, and nothing else.
 */
#ifndef POSTERN_AUTH_FRONT_H
#define POSTERN_AUTH_FRONT_H

#include "ipc/message.h"

struct auth;
struct channel;
struct device_ask;
struct grant;
struct guest;
struct login;

enum {
	/* Logins under way of one smtpd; a session has one at most. Beyond: 454. */
	FRONT_LOGINS_MAX = 32768,
	/* Sessions of one smtpd that are logged in: far above what descriptors allow, so that one
	 * that never ends its grants cannot fill our memory and queue's. */
	FRONT_GRANTS_MAX = 65536,
};

struct front {
	struct front *prev, *next; /* of auth->fronts */
	struct auth *auth;
	struct channel *channel; /* NULL when it has ended */
	uint16_t index;
	uint32_t incarnation;
	struct login *logins;    /* by session */
	struct device_ask *devices; /* by session (devices.c) */
	struct guest *guests;    /* those at the door and inside, by session (door.c) */
	struct grant *standing;  /* NULL: accept_for is empty */
	struct grant *replacing; /* its successor, which queue has not acknowledged yet */
	size_t grants;           /* live and pending, the standing ones too */
	bool offered;            /* it was told what is offered */
	bool settled;            /* it has told who is inside already, all of them */
	struct ipc_list_builder offers; /* as it was told last */
	char *accept_for;        /* what standing (or replacing) permits, joined */
};

/* Takes the channel of smtpd number index; one of the same number that was there is dropped. */
void front_add(struct auth *auth, uint16_t index, uint32_t incarnation, int fd);
void front_free(struct front **front);
/* Makes the standing grant that the configuration asks for, then says what is offered. */
void front_offer(struct front *front);
/* Says so anew if it has been said and other mechanisms are offered now. */
void front_offer_mechanisms(struct front *front);
/* Says so anew, if it has been said: something else of it is different now. */
void front_offer_again(struct front *front);
void front_send(struct front *front, uint16_t type, const void *message);
void front_grant_lost(struct front *front, uint64_t grant, const char *reason);
void front_grants_synced(struct front *front, uint32_t queue_incarnation);

#endif
