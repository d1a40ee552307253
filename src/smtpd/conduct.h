/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows from how a client behaves: refused recipients slow its session down, a message that
 * trickles in is cut off; and each limit that strikes is counted for the operator.
 */
#ifndef POSTERN_SMTPD_CONDUCT_H
#define POSTERN_SMTPD_CONDUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct session;
struct smtp_rcpt;

/* RCPT: handled at once, or, after too many that were refused, a second later. */
void conduct_rcpt(struct session *session, const struct smtp_rcpt *rcpt);
/* A reply refused something; text: the line of the client, if the machine refused it. */
void conduct_refused(struct session *session, struct slice text, struct slice reply);
/* Bytes of a message came. false: too slowly, the session is to end. */
bool conduct_bytes(struct session *session, size_t len);
/* Whose turn it is may have changed. client: it is to send more of a message. */
void conduct_turn(struct session *session, bool client);
/* The session is over. */
void conduct_release(struct session *session);

#endif
