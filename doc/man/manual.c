/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the manual pages that come from the tables: manual commands, manual settings. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "config/parse.h"

int main(int argc, char **argv)
{
	struct buf text;
	enum err err = ERR_SYNTAX;

	buf_init(&text, 1024 * 1024);
	if (argc == 2 && strcmp(argv[1], "commands") == 0)
		err = command_manual(&text);
	else if (argc == 2 && strcmp(argv[1], "settings") == 0)
		err = config_manual(&text);
	if (err == ERR_OK)
		printf("%.*s", SLICE_ARG(buf_data(&text)));
	else
		fprintf(stderr, "usage: manual commands|settings\n");
	buf_release(&text);
	return err == ERR_OK ? 0 : 2;
}
