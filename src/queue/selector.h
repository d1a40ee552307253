/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which recipients an operation is about: an ID, or any of to, from, account, destination, older
 * than, held. Several must all fit. An address is chosen by a pattern of policy/rights.h if it
 * has an @, else by a part of it.
 */
#ifndef POSTERN_QUEUE_SELECTOR_H
#define POSTERN_QUEUE_SELECTOR_H

#include "ipc/message.h"
#include "store/queue.h"

struct frozen_set;

enum { SELECTOR_TEXT_MAX = 512 };

struct selector {
	bool by_id, all, held, any; /* any: something was chosen by */
	struct msgid id;
	char to[SELECTOR_TEXT_MAX], from[SELECTOR_TEXT_MAX], account[SELECTOR_TEXT_MAX];
	char destination[SELECTOR_TEXT_MAX];
	int64_t before; /* arrived before; 0: whenever */
	uint64_t limit; /* rows; 0: all */
	/* Instead of all that: what is to be held, or let go, for these accounts being frozen. */
	const struct frozen_set *frozen;
};

/* ERR_SYNTAX, ERR_RANGE: why (256 bytes) says what. */
enum err selector_read(const struct msg_op *op, int64_t now, struct selector *selector_out,
		       char *why);
bool selector_fits(const struct selector *selector, const struct queue_view *view);

#endif
