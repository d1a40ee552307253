/* SPDX-License-Identifier: Apache-2.0 */
/* The command line is read as people write it, and every command explains itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/command.h"

static struct invocation invocation;
static const char *group;
static struct buf why;

/* words: arguments separated by blanks. */
static enum err read_words(const char *words)
{
	static char text[1024];
	static char *argv[64];
	int argc = 0;
	enum err err;

	assert_int_equal(slice_copy(slice_str(words), text, sizeof(text)), ERR_OK);
	argv[argc++] = text + sizeof(text) - 1;
	for (char *at = text; *at != '\0';) {
		argv[argc++] = at;
		at += strcspn(at, " ");
		if (*at != '\0')
			*at++ = '\0';
	}
	argv[argc] = NULL;
	buf_release(&why);
	buf_init(&why, 4096);
	err = command_read(argc, argv, &invocation, &group, &why);
	assert_int_equal(buf_append_byte(&why, '\0'), ERR_OK);
	return err;
}

static void refuses(const char *words, const char *expected)
{
	assert_int_equal(read_words(words), ERR_SYNTAX);
	assert_string_equal(buf_data(&why).ptr, expected);
}

static void finds_commands_and_options(void **state)
{
	(void)state;
	assert_int_equal(
		read_words("user add alice --send-as a@b.example --send-as=*@c.example --json"),
		ERR_OK);
	assert_string_equal(invocation.command->name, "user add");
	assert_int_equal(invocation.argument_count, 1);
	assert_string_equal(invocation.arguments[0], "alice");
	assert_int_equal(invocation.send_as_count, 2);
	assert_string_equal(invocation.send_as[0], "a@b.example");
	assert_string_equal(invocation.send_as[1], "*@c.example");
	assert_true(invocation_has(&invocation, OPTION_json));
	assert_false(invocation_has(&invocation, OPTION_generate));
	assert_int_equal(read_words("-c a.conf queue list --limit 5"), ERR_OK);
	assert_string_equal(invocation.command->name, "queue list");
	assert_string_equal(invocation.config, "a.conf");
	assert_string_equal(invocation.values[OPTION_limit], "5");
	assert_int_equal(read_words("queue --config=b.conf"), ERR_OK);
	assert_string_equal(invocation.command->name, "queue");
	assert_string_equal(invocation.config, "b.conf");
	/* After -- even what begins with a dash is an argument. */
	assert_int_equal(read_words("queue show -- -x"), ERR_OK);
	assert_string_equal(invocation.arguments[0], "-x");
}

static void finds_the_configuration(void **state)
{
	(void)state;
	unsetenv("POSTERN_CONFIG");
	assert_int_equal(read_words("status"), ERR_OK);
	assert_string_equal(invocation.config, "/etc/postern/postern.conf");
	setenv("POSTERN_CONFIG", "/tmp/other.conf", 1);
	assert_int_equal(read_words("status"), ERR_OK);
	assert_string_equal(invocation.config, "/tmp/other.conf");
	assert_int_equal(read_words("status -c x"), ERR_OK);
	assert_string_equal(invocation.config, "x");
	unsetenv("POSTERN_CONFIG");
}

static void helps(void **state)
{
	(void)state;
	assert_int_equal(read_words(""), ERR_NOT_FOUND);
	assert_string_equal(group, "");
	assert_int_equal(read_words("--help"), ERR_NOT_FOUND);
	assert_int_equal(read_words("user"), ERR_NOT_FOUND);
	assert_string_equal(group, "user");
	assert_int_equal(read_words("queue --help"), ERR_NOT_FOUND);
	assert_string_equal(group, "queue");
	/* Arguments that are missing do not matter to one who asks for help. */
	assert_int_equal(read_words("user add -h"), ERR_OK);
	assert_true(invocation_has(&invocation, OPTION_help));
}

static void refuses_with_the_nearest_name(void **state)
{
	(void)state;
	refuses("chekc", "unknown command chekc; did you mean postern check?");
	refuses("usr list", "unknown command usr list; did you mean postern user list?");
	refuses("user lits", "unknown command user lits; did you mean postern user list?");
	refuses("xyzzy", "unknown command xyzzy; postern --help lists those there are");
	refuses("user add --sendas a", "unknown option --sendas; did you mean --send-as?");
	refuses("status --frobnicate", "unknown option --frobnicate");
	refuses("status -x", "unknown option -x");
	refuses("status --force", "postern status does not take --force");
	refuses("status --json=yes", "--json takes no value");
	refuses("queue list --limit", "--limit needs a value: --limit NUMBER");
	refuses("queue list --limit 1 --limit 2", "--limit is given twice");
	refuses("user add", "postern user add needs NAME");
	refuses("reload now",
		"postern reload takes no argument (passwords are never given as arguments)");
	refuses("a b c d e", "too many arguments, from \"e\" on");
}

static void a_password_as_argument_is_not_repeated(void **state)
{
	(void)state;
	refuses("user add alice secret",
		"postern user add takes only NAME (passwords are never given as arguments)");
}

static void each_command_explains_itself(void **state)
{
	struct buf text, manual, overview;

	(void)state;
	buf_init(&manual, 1 << 20);
	buf_init(&overview, 1 << 16);
	assert_int_equal(command_manual(&manual), ERR_OK);
	assert_int_equal(buf_append_byte(&manual, '\0'), ERR_OK);
	command_overview("", &overview);
	assert_int_equal(buf_append_byte(&overview, '\0'), ERR_OK);
	for (size_t i = 0; i < command_count; i++) {
		char item[128] = "\n.It Ic ";

		assert_true(strlen(commands[i].summary) > 10);
		assert_true(strlen(commands[i].help) > 15);
		assert_non_null(commands[i].run);
		assert_non_null(strstr(buf_data(&overview).ptr, commands[i].summary));
		assert_non_null(strstr(buf_data(&manual).ptr, commands[i].name));
		if (i != 0) {
			assert_int_equal(
				slice_copy(slice_str(commands[i].name), item + 9, sizeof(item) - 9),
				ERR_OK);
			assert_non_null(strstr(buf_data(&manual).ptr, item));
		}
		buf_init(&text, 1 << 16);
		command_help(&commands[i], &text);
		assert_int_equal(buf_append_byte(&text, '\0'), ERR_OK);
		assert_non_null(strstr(buf_data(&text).ptr, commands[i].name));
		for (int n = 0; n < OPTION_COUNT; n++) {
			char option[64] = "--";

			assert_int_equal(slice_copy(slice_str(option_rows[n].name), option + 2, 60),
					 ERR_OK);
			if (commands[i].options & (UINT64_C(1) << n))
				assert_non_null(strstr(buf_data(&text).ptr, option));
		}
		buf_release(&text);
	}
	buf_release(&manual);
	buf_release(&overview);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_commands_and_options),
		cmocka_unit_test(finds_the_configuration),
		cmocka_unit_test(helps),
		cmocka_unit_test(refuses_with_the_nearest_name),
		cmocka_unit_test(a_password_as_argument_is_not_repeated),
		cmocka_unit_test(each_command_explains_itself),
	};

	buf_init(&why, 4096);

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&why);
	return failed;
}
