/* SPDX-License-Identifier: Apache-2.0 */
/* The channel side of ask.h: one question sent, rows gathered until the end comes. */
#ifndef POSTERN_CLI_EXCHANGE_H
#define POSTERN_CLI_EXCHANGE_H

#include "cli/ask.h"

struct loop;

/*
 * Asks over fd, which it takes, and waits for the end of the answer. ERR_TIMEOUT: nothing came
 * for half a minute; ERR_EOF: the other end closed.
 */
enum err exchange(struct loop *loop, int fd, const struct question *question,
		  struct answer *answer_out, char *why);

#endif
