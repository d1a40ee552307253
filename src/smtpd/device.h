/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that are devices: known by their address, they need not log in. Their login is asked for
 * when they begin a message, not before, so that a session that only looks in costs nothing; auth
 * decides, and queue holds the grant, as for everybody.
 */
#ifndef POSTERN_SMTPD_DEVICE_H
#define POSTERN_SMTPD_DEVICE_H

#include <stdbool.h>

struct msg_auth_fail;
struct msg_auth_ok;
struct session;
struct smtp_mail;

/* Whether the configuration has the client's address, on its listener, as that of a device. */
bool device_is(const struct session *session);
/* Answers MAIL, now or when auth has said who the device is. mail is the machine's, and stays. */
void device_mail(struct session *session, const struct smtp_mail *mail);
/* The client logs in as somebody: it is no device until that has failed. */
void device_forget(struct session *session);
/* auth has answered what device_mail asked. false: nothing was asked, or the session is over. */
bool device_ok(struct session *session, const struct msg_auth_ok *msg);
bool device_refused(struct session *session, const struct msg_auth_fail *msg);
/* It never will. */
void device_unanswered(struct session *session);

#endif
