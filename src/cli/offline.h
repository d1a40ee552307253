/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions while the server is down: the process that owns the files is started as our child,
 * led through the start of its life as master would (ipc/child.h), and asked. The caller holds
 * the server's lock.
 */
#ifndef POSTERN_CLI_OFFLINE_H
#define POSTERN_CLI_OFFLINE_H

#include "cli/ask.h"

enum err offline_ask(const struct config *config, const struct question *question,
		     struct answer *answer_out, char *why);
/* Starts and stops it without a question: does it open its files? */
enum err offline_try(const struct config *config, enum ipc_role owner, char *why);

#endif
