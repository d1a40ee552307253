/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share. */
#ifndef POSTERN_CLI_COMMON_H
#define POSTERN_CLI_COMMON_H

#include "cli/ask.h"
#include "cli/command.h"
#include "cli/show.h"

/* "postern: ..." on standard error; returns EXIT_FAILED. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The configuration, read but not verified; NULL, with everything said, if it cannot be used. */
struct config *load_config(const struct invocation *invocation);
/*
 * Asks, shows what came, and says how it ended: text on standard output if it was done (not with
 * --json), else on standard error. Returns the exit status. nothing: as in show_rows.
 */
int ask_and_show(const struct invocation *invocation, const struct question *question,
		 enum show_form form, const char *nothing);
/* Adds a field to the arguments of a question. */
void add_argument(struct ipc_list_builder *args, const char *key, enum ipc_field_kind kind,
		  const char *value);

#endif
