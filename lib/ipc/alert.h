/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling an administrator, through master: what he must know now, with the command that helps.
 * Whoever sends has logged it already; master sees that the same is not told over and over.
 */
#ifndef POSTERN_IPC_ALERT_H
#define POSTERN_IPC_ALERT_H

#include "ipc/message.h"

struct channel;

struct alert_words {
	const char *kind;    /* "account-frozen" */
	const char *subject; /* whom or what it is about; "" if that is the server */
	const char *text;    /* one line: what happened, and what to do */
	const struct rec_field *evidence;
	size_t evidence_count; /* 32 at most */
};

/* master: the channel to it. Texts are cut to what the message takes. */
void alert_send(struct channel *master, enum ipc_alert state, const struct alert_words *words);
/* What was sent as IPC_ALERT_LASTS is over; nothing happens if it was not. */
void alert_send_over(struct channel *master, const char *kind, const char *subject);

#endif
