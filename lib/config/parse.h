/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to struct config, with libConfuse; linked into master and the CLI only. All errors of a
 * file are gathered, each with file, line, what is wrong and what to do, nearest known name
 * included; a doubled setting or section is one.
 */
#ifndef POSTERN_CONFIG_PARSE_H
#define POSTERN_CONFIG_PARSE_H

#include "config/config.h"

/*
 * Reads path and what it includes. ERR_SYNTAX: errors holds a line per error, "file:line: ...";
 * ERR_NOT_FOUND, ERR_DENIED, ERR_IO: the file cannot be read, errors says so and how to mend it.
 */
enum err config_read(const char *path, struct config **config_out, struct buf *errors);
/*
 * What a syntax cannot tell: relays that routes name exist, listeners do not collide, files are
 * readable, hostname is a public name where mail is delivered by mx. Same form of errors.
 */
enum err config_verify(const struct config *config, struct buf *errors);
/*
 * What a file with nothing but this hostname gives. ERR_SYNTAX, ERR_RANGE: why (512 bytes) goes
 * on after "hostname ".
 */
enum err config_fresh(const char *hostname, struct config **config_out, char *why);
/* The settings as a commented file, values as in config; for setup and "check --effective". */
enum err config_print(const struct config *config, bool comments, struct buf *out);
/* The settings part of postern.conf(5), in mdoc. */
enum err config_manual(struct buf *out);

#endif
