/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a transaction is from: the envelope sender and AUTH= of MAIL against what the account may
 * send as, by submission { sender_check }.
 */
#ifndef POSTERN_SMTPD_SENDER_H
#define POSTERN_SMTPD_SENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "message/submission.h"

struct config;
struct session;
struct transaction;

/*
 * MAIL of somebody logged in: is the grant alive, is *sender theirs. With rewrite, *sender becomes
 * the account's address; *foreign_out: it was not the account's. false: the refusal was given.
 */
bool sender_take(struct session *session, struct slice *sender, bool *foreign_out);
/*
 * What goes on of AUTH= (RFC 4954 5): "" without one; what was given if it is an address of who is
 * logged in; else "<>", since nobody vouches for it. Points into auth or is constant.
 */
struct slice sender_auth(const struct session *session, struct slice auth);
/* "alice may not send as bob@example.org (allowed: alice@example.org; ask postmaster@...)". */
void sender_explain(const struct session *session, struct slice address, char *text, size_t size);
enum submission_policy sender_policy(const struct config *config);
/* The line sender-mismatch of an accepted message, if there is a reason for one. */
void sender_log(const struct transaction *transaction);

#endif
