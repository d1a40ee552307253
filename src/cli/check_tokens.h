/* SPDX-License-Identifier: Apache-2.0 */
/* Of postern check: the files that token sections name. */
#ifndef POSTERN_CLI_CHECK_TOKENS_H
#define POSTERN_CLI_CHECK_TOKENS_H

struct config;

/*
 * Says on standard error what in them would keep the server from starting; how many it was. A file
 * that cannot be read is told by config_verify. No issuer is asked.
 */
unsigned check_tokens(const struct config *config);

#endif
