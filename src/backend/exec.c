/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of the administrator's that says by its exit status whether a password is right, with
 * the interface of checkpassword (https://cr.yp.to/checkpwd/interface.html): on descriptor 3 name,
 * password and time, each ended by NUL; 0 right, 1 wrong, anything else it could not find out.
 */
#include "backend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/helper.h"
#include "os/os.h"
#include "os/sandbox.h"

enum {
	INPUT_MAX = 512,  /* as the interface has it */
	SAID_MAX = 200,   /* of what it prints, for a sentence */
	ANSWER_MS = 150,  /* before the deadline, so that the reason gets through */
	CLIENT_MAX = 100, /* "TCPREMOTEIP=" and an address */
};

/* The program that is running, for whoever ends this process. */
static _Atomic pid_t running;

static enum err make_input(const struct backend_question *question, struct buf *input)
{
	enum err err = buf_append_str(input, question->name);

	if (err == ERR_OK)
		err = buf_append_byte(input, '\0');
	if (err == ERR_OK)
		err = buf_append_str(input, question->password);
	if (err == ERR_OK)
		err = buf_append_byte(input, '\0');
	if (err == ERR_OK)
		err = buf_printf(input, "%" PRId64, os_wall_ms() / 1000);
	return err == ERR_OK ? buf_append_byte(input, '\0') : err;
}

/* Its first line, for people: not if the password is in it. */
static void quote(const struct buf *said, const char *password, char *words_out, size_t size)
{
	struct slice line = slice_line(buf_data(said));

	words_out[0] = '\0';
	if (password[0] != '\0' &&
	    slice_search(buf_data(said), slice_str(password)) < buf_len(said))
		backend_words(SLICE_LIT("(not shown: the password is in it)"), words_out, size);
	else
		backend_words(line, words_out, size);
}

static void tell(const char *path, int status, int signum, const char *words,
		 struct backend_answer *answer)
{
	const char *says = words[0] != '\0' ? "; it says: " : "";

	if (signum != 0)
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%.200s was ended by signal %d%s%s",
			    path, signum, says, words);
	else if (status == 0)
		backend_say(answer, IPC_CHECK_YES, "%.200s: password correct", path);
	else if (status == 1)
		backend_say(answer, IPC_CHECK_NO,
			    "%.200s: no such user, or password wrong (exit status 1)%s%s", path,
			    says, words);
	else
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "%.200s could not find out (exit status %d)%s%s", path, status, says,
			    words);
}

static void run(const struct config_backend *section, const struct backend_question *question,
		struct slice input, struct backend_answer *answer)
{
	char path_variable[] = "PATH=/usr/local/bin:/usr/bin:/bin", protocol[] = "PROTO=TCP";
	char client[CLIENT_MAX], words[SAID_MAX], why[BACKEND_WHY];
	char *const environment[] = {path_variable, protocol,
				     question->client[0] != '\0' ? client : NULL, NULL};
	char *arguments[CONFIG_COMMAND_MAX] = {NULL}; /* ended by NULL */
	const struct helper helper = {
		.path = section->command.items[0],
		.arguments = arguments,
		.environment = environment,
		.input = input,
		.input_on_3 = true,
	};
	int status = -1, signum = 0;
	struct buf said;
	enum err err;

	for (size_t i = 1; i < section->command.count && i < CONFIG_COMMAND_MAX; i++)
		arguments[i - 1] = section->command.items[i];
	(void)snprintf(client, sizeof(client), "TCPREMOTEIP=%s", question->client);
	buf_init(&said, SAID_MAX);
	err = helper_run(&helper, question->until - ANSWER_MS, &said, &running, &status, &signum);
	quote(&said, question->password, words, sizeof(words));
	if (err == ERR_OK) {
		tell(helper.path, status, signum, words, answer);
	} else if (err == ERR_TIMEOUT) {
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%.200s took too long and was ended%s%s",
			    helper.path, words[0] != '\0' ? "; it says: " : "", words);
	} else {
		os_explain_file(helper.path, errno, why, sizeof(why));
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "it cannot be run: %.400s", why);
	}
	buf_wipe(&said);
}

static void check(const struct config_backend *section, const struct backend_question *question,
		  struct backend_answer *answer)
{
	struct buf input;

	buf_init(&input, INPUT_MAX);
	if (make_input(question, &input) == ERR_OK)
		run(section, question, buf_data(&input), answer);
	else
		backend_say(answer, IPC_CHECK_NO,
			    "not asked: name and password are longer than the %d bytes that such a "
			    "program takes",
			    INPUT_MAX);
	buf_wipe(&input);
}

static void give_up(void)
{
	helper_kill(running);
}

static void set_sandbox(const struct config_backend *section, struct sandbox *sandbox_out)
{
	(void)section;
	*sandbox_out = (struct sandbox){.powers = SANDBOX_OPEN};
}

int main(int argc, char **argv)
{
	static const struct backend_driver EXEC = {
		.type = BACKEND_EXEC,
		.may_be_root = true,
		.sandbox = set_sandbox,
		.check = check,
		.give_up = give_up,
	};
	static const struct backend_driver *const DRIVERS[] = {&EXEC, NULL};

	return backend_main(argc, argv, DRIVERS);
}
