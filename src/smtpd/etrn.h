/* SPDX-License-Identifier: Apache-2.0 */
/* ETRN (RFC 1985): somebody who is logged in has the mail for a domain tried now, by queue. */
#ifndef POSTERN_SMTPD_ETRN_H
#define POSTERN_SMTPD_ETRN_H

#include "base/slice.h"

struct msg_etrn_done;
struct session;
struct smtpd;

/* Asks queue, and answers the machine: 251, 253 or 458, now or later. */
void etrn_ask(struct session *session, struct slice domain);
/* queue's answer. */
void etrn_done(struct smtpd *smtpd, const struct msg_etrn_done *msg);
/* queue is gone: nobody will answer those who wait. */
void etrn_forget_all(struct smtpd *smtpd);

#endif
