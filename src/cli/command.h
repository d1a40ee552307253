/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: the table of commands as data, and what one invocation asks for. */
#ifndef POSTERN_CLI_COMMAND_H
#define POSTERN_CLI_COMMAND_H

#include "base/buf.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { SEND_AS_MAX = 200, NETWORKS_MAX = 50, ARGUMENTS_MAX = 2 };

#define OPTION(id, ...) OPTION_##id,
#define COMMAND(...)
enum option_id {
#include "cli/commands.def"
	OPTION_COUNT,
};
#undef OPTION
#undef COMMAND

#define OPT(id) (UINT64_C(1) << OPTION_##id)

struct invocation;

struct option_row {
	char letter; /* 0: none */
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
};

struct command {
	const char *name;
	const char *arguments;
	unsigned fewest, most;
	uint64_t options; /* OPT bits, config and help among them */
	const char *summary, *help;
	int (*run)(const struct invocation *invocation);
};

extern const struct option_row option_rows[OPTION_COUNT];
extern const struct command commands[];
extern const size_t command_count;

struct invocation {
	const struct command *command;
	const char *config;               /* path */
	const char *values[OPTION_COUNT]; /* of options; "" for those without argument; NULL: not
					     given */
	const char *send_as[SEND_AS_MAX];
	size_t send_as_count;
	const char *networks[NETWORKS_MAX];
	size_t network_count;
	const char *arguments[ARGUMENTS_MAX];
	unsigned argument_count;
};

/*
 * Reads the command line. ERR_OK: *invocation_out is to be run. ERR_SYNTAX: wrong usage, why
 * (a buffer of at least 1024 bytes) says what and what to do. ERR_NOT_FOUND: no command was
 * given, or help for a group of commands: print command_overview(out, *group_out).
 */
enum err command_read(int argc, char **argv, struct invocation *invocation_out,
		      const char **group_out, struct buf *why);
/* group: "" for all commands, "user" for those that begin so. */
void command_overview(const char *group, struct buf *out);
void command_help(const struct command *command, struct buf *out);
/* postern(8), in mdoc. ERR_FULL. */
enum err command_manual(struct buf *out);
bool invocation_has(const struct invocation *invocation, enum option_id option);

#define OPTION(...)
#define COMMAND(id, ...) int cmd_##id(const struct invocation *invocation);
#include "cli/commands.def"
#undef OPTION
#undef COMMAND

#endif
