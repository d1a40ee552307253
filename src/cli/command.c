/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "config/manual.h"

enum { WIDTH = 92, WORDS_MAX = 2 };

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(id, letter, name, argument, text) {letter, name, argument, text},
#define COMMAND(...)
#include "cli/commands.def"
#undef OPTION
#undef COMMAND
};

_Static_assert(OPTION_COUNT <= 64, "a bit of uint64_t for each option");

/* Every command takes these. */
#define ALWAYS (OPT(config) | OPT(help))

const struct command commands[] = {
#define OPTION(...)
#define COMMAND(id, name, arguments, fewest, most, options, summary, text)                         \
	{name, arguments, fewest, most, (options) | ALWAYS, summary, text, cmd_##id},
#include "cli/commands.def"
#undef OPTION
#undef COMMAND
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);

bool invocation_has(const struct invocation *invocation, enum option_id option)
{
	return invocation->values[option] != NULL;
}

/* ---- reading ----------------------------------------------------------------------------- */

struct reading {
	struct invocation *invocation;
	const char *words[WORDS_MAX + ARGUMENTS_MAX]; /* what is no option */
	unsigned word_count;
	bool only_words; /* after -- */
	struct buf *why;
};

static enum err wrong(struct reading *reading, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static enum err wrong(struct reading *reading, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(reading->why, format, args);
	va_end(args);
	return ERR_SYNTAX;
}

static int find_option(struct slice name)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (slice_is(name, option_rows[i].name) ||
		    (name.len == 1 && option_rows[i].letter == name.ptr[0]))
			return i;
	return -1;
}

static const char *nearest_option(const char *name)
{
	unsigned least = NEAREST_NAME_MAX;
	const char *best = NULL;

	for (int i = 0; i < OPTION_COUNT; i++) {
		unsigned distance = nearest_distance(name, option_rows[i].name);

		if (distance < least && nearest_enough(name, distance)) {
			least = distance;
			best = option_rows[i].name;
		}
	}
	return best;
}

static enum err unknown_option(struct reading *reading, const char *text)
{
	const char *near = nearest_option(text + strspn(text, "-"));

	if (near != NULL)
		return wrong(reading, "unknown option %s; did you mean --%s?", text, near);
	return wrong(reading, "unknown option %s", text);
}

static enum err keep_option(struct reading *reading, int option, const char *value)
{
	struct invocation *invocation = reading->invocation;

	if (option == OPTION_send_as) {
		if (invocation->send_as_count == SEND_AS_MAX)
			return wrong(reading,
				     "more than %d --send-as; use a pattern such as *@example.org",
				     SEND_AS_MAX);
		invocation->send_as[invocation->send_as_count++] = value;
	} else if (option == OPTION_network) {
		if (invocation->network_count == NETWORKS_MAX)
			return wrong(reading, "more than %d --network", NETWORKS_MAX);
		invocation->networks[invocation->network_count++] = value;
	} else if (invocation->values[option] != NULL && option_rows[option].argument != NULL) {
		return wrong(reading, "--%s is given twice", option_rows[option].name);
	}
	invocation->values[option] = value;
	return ERR_OK;
}

/* "--name", "--name=value", "-c"; the value may be the next argument, and is then taken. */
static enum err read_option(struct reading *reading, char **argv, int *at)
{
	const char *text = argv[*at];
	const char *name = text + (text[1] == '-' ? 2 : 1);
	size_t len = strcspn(name, "=");
	int option = find_option(slice_of(name, len));

	if (option < 0 || (text[1] == '-' && len == 1))
		return unknown_option(reading, text);
	if (option_rows[option].argument == NULL) {
		if (name[len] == '=')
			return wrong(reading, "--%s takes no value", option_rows[option].name);
		return keep_option(reading, option, "");
	}
	if (name[len] == '=')
		return keep_option(reading, option, name + len + 1);
	if (argv[*at + 1] == NULL)
		return wrong(reading, "--%s needs a value: --%s %s", option_rows[option].name,
			     option_rows[option].name, option_rows[option].argument);
	++*at;
	return keep_option(reading, option, argv[*at]);
}

static enum err read_words(struct reading *reading, char **argv)
{
	enum err err = ERR_OK;

	for (int at = 1; err == ERR_OK && argv[at] != NULL; at++) {
		const char *text = argv[at];

		if (!reading->only_words && strcmp(text, "--") == 0)
			reading->only_words = true;
		else if (!reading->only_words && text[0] == '-' && text[1] != '\0')
			err = read_option(reading, argv, &at);
		else if (reading->word_count == sizeof(reading->words) / sizeof(reading->words[0]))
			err = wrong(reading, "too many arguments, from \"%s\" on", text);
		else
			reading->words[reading->word_count++] = text;
	}
	return err;
}

static bool has_group(const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < command_count; i++)
		if (strncmp(commands[i].name, word, len) == 0 && commands[i].name[len] == ' ')
			return true;
	return false;
}

static const struct command *find_command(const char *first, const char *second)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s%s", first, second != NULL ? " " : "",
		 second != NULL ? second : "");
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static enum err unknown_command(struct reading *reading, const char *first, const char *second)
{
	unsigned least = NEAREST_NAME_MAX;
	const char *best = NULL;
	char typed[128];

	snprintf(typed, sizeof(typed), "%s%s%s", first, second != NULL ? " " : "",
		 second != NULL ? second : "");
	for (size_t i = 0; i < command_count; i++) {
		unsigned distance = nearest_distance(typed, commands[i].name);

		if (distance < least && nearest_enough(typed, distance)) {
			least = distance;
			best = commands[i].name;
		}
	}
	if (best != NULL)
		return wrong(reading, "unknown command %s; did you mean postern %s?", typed, best);
	return wrong(reading, "unknown command %s; postern --help lists those there are", typed);
}

/* Which command, and how many words its name took. */
static enum err choose_command(struct reading *reading, unsigned *taken_out)
{
	struct invocation *invocation = reading->invocation;
	const char *first = reading->words[0];
	const char *second = reading->word_count > 1 ? reading->words[1] : NULL;

	if (second != NULL && has_group(first)) {
		*taken_out = 2;
		invocation->command = find_command(first, second);
		return invocation->command != NULL ? ERR_OK
						   : unknown_command(reading, first, second);
	}
	*taken_out = 1;
	invocation->command = find_command(first, NULL);
	return invocation->command != NULL ? ERR_OK : unknown_command(reading, first, second);
}

static enum err check_options(struct reading *reading)
{
	const struct invocation *invocation = reading->invocation;

	for (int i = 0; i < OPTION_COUNT; i++)
		if (invocation->values[i] != NULL &&
		    !(invocation->command->options & (UINT64_C(1) << i)))
			return wrong(reading, "postern %s does not take --%s",
				     invocation->command->name, option_rows[i].name);
	return ERR_OK;
}

static enum err check_arguments(struct reading *reading, unsigned taken)
{
	struct invocation *invocation = reading->invocation;
	const struct command *command = invocation->command;

	invocation->argument_count = reading->word_count - taken;
	for (unsigned i = 0; i < invocation->argument_count && i < ARGUMENTS_MAX; i++)
		invocation->arguments[i] = reading->words[taken + i];
	if (invocation->values[OPTION_help] != NULL)
		return ERR_OK;
	if (invocation->argument_count < command->fewest)
		return wrong(reading, "postern %s needs %s", command->name, command->arguments);
	if (invocation->argument_count > command->most)
		/* Not repeated: it may be a password. */
		return wrong(reading,
			     "postern %s takes %s%s (passwords are never given as arguments)",
			     command->name, command->most == 0 ? "no argument" : "only ",
			     command->arguments);
	return ERR_OK;
}

enum err command_read(int argc, char **argv, struct invocation *invocation_out,
		      const char **group_out, struct buf *why)
{
	struct reading reading = {.invocation = invocation_out, .why = why};
	unsigned taken;
	enum err err;

	(void)argc;
	*invocation_out = (struct invocation){0};
	*group_out = "";
	if ((err = read_words(&reading, argv)) != ERR_OK)
		return err;
	if (reading.word_count == 0)
		return ERR_NOT_FOUND;
	if (reading.word_count == 1 && has_group(reading.words[0]) &&
	    (find_command(reading.words[0], NULL) == NULL ||
	     invocation_has(invocation_out, OPTION_help))) {
		*group_out = reading.words[0];
		return ERR_NOT_FOUND;
	}
	if ((err = choose_command(&reading, &taken)) != ERR_OK ||
	    (err = check_options(&reading)) != ERR_OK ||
	    (err = check_arguments(&reading, taken)) != ERR_OK)
		return err;
	invocation_out->config = invocation_out->values[OPTION_config];
	if (invocation_out->config == NULL)
		invocation_out->config = getenv("POSTERN_CONFIG");
	if (invocation_out->config == NULL || invocation_out->config[0] == '\0')
		invocation_out->config = "/etc/postern/postern.conf";
	return ERR_OK;
}

/* ---- explaining -------------------------------------------------------------------------- */

static void print_wrapped(const char *text, size_t indent, struct buf *out)
{
	struct slice rest = slice_str(text), word;
	size_t column = 0;

	while (slice_split(&rest, ' ', &word)) {
		if (column != 0 && column + 1 + word.len > WIDTH) {
			buf_append_byte(out, '\n');
			column = 0;
		}
		if (column == 0)
			column = indent;
		else
			column++;
		buf_printf(out, "%*s%.*s", column == indent ? (int)indent : 1, "", SLICE_ARG(word));
		column += word.len;
	}
	buf_append_byte(out, '\n');
}

static bool in_group(const struct command *command, const char *group)
{
	size_t len = strlen(group);

	return len == 0 || (strncmp(command->name, group, len) == 0 &&
			    (command->name[len] == ' ' || command->name[len] == '\0'));
}

void command_overview(const char *group, struct buf *out)
{
	buf_printf(out, "usage: postern [-c FILE] %s%sCOMMAND [OPTIONS] [ARGUMENTS]\n\n", group,
		   group[0] != '\0' ? " " : "");
	for (size_t i = 0; i < command_count; i++) {
		char left[64];

		if (!in_group(&commands[i], group))
			continue;
		snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].arguments);
		buf_printf(out, "  %-22s %s\n", left, commands[i].summary);
	}
	buf_append_str(out, "\npostern COMMAND --help explains a command; postern --version tells "
			    "the version.\n"
			    "Exit status: 0 done, 1 it failed, 2 wrong usage.\n");
}

void command_help(const struct command *command, struct buf *out)
{
	buf_printf(out, "usage: postern %s%s%s%s\n\n", command->name,
		   command->options != ALWAYS ? " [OPTIONS]" : "",
		   command->arguments[0] != '\0' ? " " : "", command->arguments);
	print_wrapped(command->help, 0, out);
	buf_append_str(out, "\nOptions:\n");
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];

		if (!(command->options & (UINT64_C(1) << i)))
			continue;
		buf_append_str(out, "  ");
		if (row->letter != '\0')
			buf_printf(out, "-%c, ", row->letter);
		buf_printf(out, "--%s%s%s\n", row->name, row->argument != NULL ? " " : "",
			   row->argument != NULL ? row->argument : "");
		print_wrapped(row->help, 8, out);
	}
}

enum err command_manual(struct buf *out)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &commands[i];

		buf_printf(out, ".It Ic %s", command->name);
		for (int n = 0; n < OPTION_COUNT; n++) {
			const struct option_row *row = &option_rows[n];

			if (!(command->options & (UINT64_C(1) << n)) || n == OPTION_config ||
			    n == OPTION_help)
				continue;
			buf_printf(out, " Oo Fl \\-%s%s%s Oc", row->name,
				   row->argument != NULL ? " Ar " : "",
				   row->argument != NULL ? row->argument : "");
		}
		buf_printf(out, "%s%s\n", command->arguments[0] != '\0' ? " Ar " : "",
			   command->arguments);
		manual_text(command->help, out);
	}
	buf_append_str(out, ".El\n.Sh OPTIONS\n.Bl -tag -width Ds\n");
	for (int n = 0; n < OPTION_COUNT; n++) {
		const struct option_row *row = &option_rows[n];

		buf_append_str(out, ".It ");
		if (row->letter != '\0')
			buf_printf(out, "Fl %c , ", row->letter);
		buf_printf(out, "Fl \\-%s%s%s\n", row->name, row->argument != NULL ? " Ar " : "",
			   row->argument != NULL ? row->argument : "");
		manual_text(row->help, out);
	}
	return buf_append_str(out, ".El\n");
}
