/* SPDX-License-Identifier: Apache-2.0 */
/* bin/postern: finds the command and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "cli/command.h"
#include "os/log.h"
#include "os/os.h"

static int wrong_usage(const struct buf *why)
{
	fprintf(stderr, "postern: %.*s\n", SLICE_ARG(buf_data(why)));
	return EXIT_USAGE;
}

static int overview(int argc, char **argv, const char *group)
{
	/* Asked for it goes to standard output; "postern" alone is wrong usage. */
	bool asked = false;
	struct buf text;

	for (int i = 1; i < argc; i++)
		asked = asked || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
	buf_init(&text, 65536);
	command_overview(group, &text);
	fprintf(asked ? stdout : stderr, "%.*s", SLICE_ARG(buf_data(&text)));
	buf_release(&text);
	return asked ? EXIT_DONE : EXIT_USAGE;
}

static int help(const struct command *command)
{
	struct buf text;

	buf_init(&text, 65536);
	command_help(command, &text);
	printf("%.*s", SLICE_ARG(buf_data(&text)));
	buf_release(&text);
	return EXIT_DONE;
}

static void begin(void)
{
	unsigned char key[16];

	os_random(key, sizeof(key));
	hash_set_key(key);
	signal(SIGPIPE, SIG_IGN); /* the server went away: an error, not a death */
	log_open("postern", LOG_OUTPUT_STREAM, 2, false);
	log_set_gathered(false);
}

int main(int argc, char **argv)
{
	struct invocation invocation;
	const char *group;
	struct buf why;
	enum err err;
	int status;

	if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		puts("postern " POSTERN_VERSION);
		return EXIT_DONE;
	}
	begin();
	buf_init(&why, 4096);
	err = command_read(argc, argv, &invocation, &group, &why);
	if (err == ERR_NOT_FOUND)
		status = overview(argc, argv, group);
	else if (err != ERR_OK)
		status = wrong_usage(&why);
	else if (invocation_has(&invocation, OPTION_help))
		status = help(invocation.command);
	else
		status = invocation.command->run(&invocation);
	buf_release(&why);
	if (fflush(stdout) != 0 && status == EXIT_DONE) {
		fprintf(stderr, "postern: standard output cannot be written\n");
		status = EXIT_FAILED;
	}
	return status;
}
