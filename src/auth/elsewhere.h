/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern user test for a name that the store does not decide: each back end is asked, and what it
 * said becomes a row.
 */
#ifndef POSTERN_AUTH_ELSEWHERE_H
#define POSTERN_AUTH_ELSEWHERE_H

struct backends;
struct elsewhere; /* a list: those that are being asked */
struct operation;

/*
 * The operation has found that others decide (operation->elsewhere). done is called with it when
 * all have answered, maybe at once; its text, rows and failed are the result then.
 */
void elsewhere_ask(struct elsewhere **list, struct backends *backends, struct operation *operation,
		   void (*done)(struct operation *operation));
/* Takes all back; their operations are freed. */
void elsewhere_cancel_all(struct elsewhere **list);

#endif
