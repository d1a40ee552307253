/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipients of those who are logged in are counted by auth, before they are answered: accounts
 * have limits over all their sessions. What was counted for a message that is given up before
 * queue has it is given back.
 */
#ifndef POSTERN_SMTPD_COUNT_H
#define POSTERN_SMTPD_COUNT_H

#include "ipc/message.h"

struct session;
struct smtp_rcpt;
struct smtpd;
struct transaction;

/* Asks auth; transaction_add_rcpt follows, or a refusal, now or later. */
void count_rcpt(struct session *session, const struct smtp_rcpt *rcpt);
void count_answered(struct smtpd *smtpd, const struct msg_counted *msg);
/* auth is gone: no answer will come. */
void count_fail(struct session *session);
/* The message is given up. */
void count_back(struct smtpd *smtpd, const struct transaction *transaction);

#endif
