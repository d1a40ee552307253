/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"

enum { PASSWORD_MAX = 1024, INTERRUPT = 3, WHY = 256 };

static enum err read_line(struct buf *line, char *why)
{
	int c;

	/* No buffer of the C library keeps a copy. */
	setvbuf(stdin, NULL, _IONBF, 0);
	while ((c = getchar()) != EOF && c != '\n') {
		if (c == INTERRUPT) {
			snprintf(why, WHY, "interrupted");
			return ERR_EOF;
		}
		if (buf_append_byte(line, (char)c) != ERR_OK) {
			snprintf(why, WHY, "the password is longer than %d bytes", PASSWORD_MAX);
			return ERR_RANGE;
		}
	}
	if (c == EOF && buf_len(line) == 0) {
		snprintf(why, WHY, "no password on standard input");
		return ERR_EOF;
	}
	if (buf_len(line) != 0 && buf_data(line).ptr[buf_len(line) - 1] == '\r')
		buf_truncate(line, buf_len(line) - 1);
	return ERR_OK;
}

/* Without echo; and with Ctrl-C as a byte, so that the terminal is put right again after it. */
static enum err ask_once(const char *prompt, struct buf *line, char *why)
{
	struct termios before, quiet;
	enum err err;

	if (tcgetattr(STDIN_FILENO, &before) != 0) {
		snprintf(why, WHY, "the terminal cannot be made to hide what is typed");
		return ERR_IO;
	}
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	quiet.c_cc[VEOL] = INTERRUPT; /* hands the line over at once, as Enter does */
	fprintf(stderr, "%s: ", prompt);
	fflush(stderr);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0) {
		snprintf(why, WHY, "the terminal cannot be made to hide what is typed");
		return ERR_IO;
	}
	err = read_line(line, why);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return err;
}

enum err terminal_password(const char *prompt, bool twice, struct secret *password_out, char *why)
{
	bool person = isatty(STDIN_FILENO) != 0;
	struct buf first, second;
	enum err err;

	buf_init(&first, PASSWORD_MAX + 1);
	buf_init(&second, PASSWORD_MAX + 1);
	err = person ? ask_once(prompt, &first, why) : read_line(&first, why);
	if (err == ERR_OK && person && twice)
		err = ask_once("The same again", &second, why);
	if (err == ERR_OK && person && twice &&
	    !secret_equal(buf_data(&first), buf_data(&second))) {
		snprintf(why, WHY, "the two passwords differ; nothing was changed");
		err = ERR_SYNTAX;
	}
	if (err == ERR_OK && buf_len(&first) == 0) {
		snprintf(why, WHY, "the password is empty; nothing was changed");
		err = ERR_SYNTAX;
	}
	if (err == ERR_OK && buf_len(&first) > PASSWORD_MAX) {
		snprintf(why, WHY, "the password is longer than %d bytes", PASSWORD_MAX);
		err = ERR_RANGE;
	}
	if (err == ERR_OK)
		secret_set(password_out, buf_data(&first));
	buf_wipe(&first);
	buf_wipe(&second);
	return err;
}
