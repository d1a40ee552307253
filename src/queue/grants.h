/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What auth permits each smtpd process to submit. A message is taken only under a grant of that
 * very process (index and incarnation), from its senders, to its recipients, within its budget
 * and its time. All grants go when the channel to auth does.
 */
#ifndef POSTERN_QUEUE_GRANTS_H
#define POSTERN_QUEUE_GRANTS_H

#include "ipc/message.h"

struct queue;
struct channel;
struct grants;

struct grants *grants_new(struct queue *queue);
void grants_free(struct grants **grants);
/* A channel to auth, which replaces the one before; its grants are forgotten. Takes fd. */
void grants_connect(struct grants *grants, int fd);

struct grant_view { /* valid until the loop goes on */
	struct slice account, bounce;
};
/*
 * Whether this may be taken; if so, count recipients are taken off the budget.
 * recipients: struct rec_recipient.
 */
enum ipc_verdict grants_use(struct grants *grants, uint64_t number, uint16_t index,
			    uint32_t incarnation, struct slice sender, struct ipc_list recipients,
			    struct grant_view *view_out);
/* Bytes that a message under it may have. */
uint64_t grants_message_size(const struct grants *grants, uint64_t number);
/* It was not stored after all. */
void grants_give_back(struct grants *grants, uint64_t number, uint32_t count);
/* NULL: it is not there. */
struct channel *grants_auth(const struct grants *grants);
size_t grants_count(const struct grants *grants);

#endif
