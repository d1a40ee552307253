/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask of the defence: who is blocked, and to let somebody in again. */
#ifndef POSTERN_AUTH_BLOCKED_H
#define POSTERN_AUTH_BLOCKED_H

#include "ipc/message.h"

struct defence;

enum {
	BLOCKED_ROWS_MAX = 10000, /* of one answer */
	BLOCKED_TEXT = 512,
};

/* Is this operation answered here? */
bool blocked_is(uint16_t op);
/* Does it, at once: row is called for each row of the answer. false: it failed; text says what was
 * done, or why not. */
bool blocked_run(struct defence *defence, const struct msg_op *msg,
		 void (*row)(void *arg, struct ipc_list fields), void *arg,
		 char text_out[BLOCKED_TEXT]);

#endif
