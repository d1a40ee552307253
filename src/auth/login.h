/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One AUTH command of one session.
 *
 *	EXCHANGING --tokens--> VERIFYING --thread--> GRANTING --queue--> AUTH_OK
 *	     |                     |                     |
 *	     +---------------------+---------------------+--> AUTH_FAIL, or nothing if cancelled
 *
 * VERIFYING is left out for a password that was proven a short while ago. The client hears the
 * same words for every reason that is about who it is (C9); the reason is for the log.
 */
#ifndef POSTERN_AUTH_LOGIN_H
#define POSTERN_AUTH_LOGIN_H

#include "ipc/message.h"

struct front;

/* Errors other than ERR_OK: smtpd sent what it must not. */
enum err login_start(struct front *front, const struct msg_auth_start *msg);
enum err login_token(struct front *front, const struct msg_auth_token *msg);
enum err login_cancel(struct front *front, const struct msg_auth_cancel *msg);
void login_drop_all(struct front *front);

#endif
