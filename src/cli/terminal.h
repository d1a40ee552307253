/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords from people and programs; never from arguments. */
#ifndef POSTERN_CLI_TERMINAL_H
#define POSTERN_CLI_TERMINAL_H

#include "base/secret.h"

/*
 * Asks on the terminal without echo, twice if asked to; if standard input is no terminal, its
 * first line is taken. why (256 bytes): for people. ERR_SYNTAX: empty, or the two differ;
 * ERR_RANGE: longer than a password may be; ERR_EOF: interrupted, or nothing there.
 */
enum err terminal_password(const char *prompt, bool twice, struct secret *password_out, char *why);

#endif
