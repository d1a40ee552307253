/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a login may send as: the patterns of its key if that has its own; else those of the account,
 * or its own address if it has none, and besides the addresses of the groups that it is in.
 */
#ifndef POSTERN_AUTH_SENDERS_H
#define POSTERN_AUTH_SENDERS_H

#include "ipc/message.h"

struct account;

/* For messages; the caller releases the builder, also after an error. ERR_FULL. */
enum err senders_list(const struct account *account, const char *address,
		      struct ipc_list_builder *list_out);
/* For people: "alice@example.org, *@lab.example.org". ERR_FULL. */
enum err senders_text(const struct account *account, const char *address, struct buf *out);

#endif
