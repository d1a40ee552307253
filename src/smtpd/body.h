/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a transaction on its way: header, chunk, queue. */
#ifndef POSTERN_SMTPD_BODY_H
#define POSTERN_SMTPD_BODY_H

struct transaction;

/* DATA was answered: what the header and the log will need is taken from the session. */
void body_begin(struct transaction *transaction);

#endif
