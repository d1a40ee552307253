/* SPDX-License-Identifier: Apache-2.0 */
/* postern user import */
#include "cli/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/common.h"

enum {
	PART = 100, /* accounts of one question: that they are answered within its time */
	PART_BYTES = 256 * 1024,
	ARGS_MAX = 4096,
};

static const struct source {
	enum option_id option;
	const char *usual; /* NULL: there is no usual place */
	bool has_scheme, has_realm;
	enum foreign_file form;
} SOURCES[] = {
	{OPTION_sasldb2, "/etc/sasldb2", false, true, FOREIGN_PASSWD_FILE},
	{OPTION_sasldblistusers2, NULL, false, true, FOREIGN_PASSWD_FILE},
	{OPTION_shadow, "/etc/shadow", false, false, FOREIGN_SHADOW},
	{OPTION_passwd_file, NULL, true, false, FOREIGN_PASSWD_FILE},
	{OPTION_dovecot, NULL, true, false, FOREIGN_DOVECOT},
};
enum { SOURCE_COUNT = sizeof(SOURCES) / sizeof(SOURCES[0]) };

/* ---- asking --------------------------------------------------------------------------------- */

struct asking {
	const struct import *import;
	size_t next;
	struct ipc_list_builder part;
};

/* The next entries that auth is to judge. */
static bool next_part(void *arg, struct question *question)
{
	struct asking *asking = arg;
	const struct import *import = asking->import;
	size_t count = 0;

	buf_wipe(&asking->part.bytes);
	ipc_list_release(&asking->part);
	ipc_list_begin(&asking->part, PART_BYTES);
	for (; asking->next < import->count && count < PART; asking->next++) {
		const struct import_entry *entry = &import->entries[asking->next];
		struct rec_credential credential = {entry->line, slice_str(entry->name),
						    secret_value(&entry->secret), entry->expires};

		if (entry->problem != NULL)
			continue;
		if (ipc_list_add(&asking->part, IPC_REC_credential, &credential) != ERR_OK)
			break;
		count++;
	}
	question->credentials = ipc_list_view(&asking->part);
	return count > 0;
}

static enum err ask_all(const struct invocation *invocation, const struct import *import,
			const char *source, struct answer *answer_out, char *why)
{
	struct question question = {.op = IPC_OP_USER_IMPORT, .subject = "", .owner = IPC_AUTH};
	struct asking asking = {.import = import};
	struct ipc_list_builder args;
	enum err err = ERR_OK;

	ipc_list_begin(&asking.part, PART_BYTES);
	ipc_list_begin(&args, ARGS_MAX);
	if (invocation_has(invocation, OPTION_replace))
		add_argument(&args, "replace", IPC_FIELD_BOOL, "true");
	if (invocation_has(invocation, OPTION_dry_run))
		add_argument(&args, "dry_run", IPC_FIELD_BOOL, "true");
	if (source != NULL)
		add_argument(&args, "source", IPC_FIELD_TEXT, source);
	question.args = ipc_list_view(&args);
	question.more = next_part;
	question.more_arg = &asking;
	if (next_part(&asking, &question))
		err = ask(import->config, &question, answer_out, why);
	buf_wipe(&asking.part.bytes);
	ipc_list_release(&asking.part);
	ipc_list_release(&args);
	return err;
}

/* ---- the report ----------------------------------------------------------------------------- */

static struct field text_field(const char *key, enum ipc_field_kind kind, const char *value)
{
	return (struct field){mem_strdup(key), kind, mem_strdup(value)};
}

/* Those that auth was not asked about, as it would have told them. */
static void add_problems(const struct import *import, struct answer *answer)
{
	char number[16];

	for (size_t i = 0; i < import->count; i++) {
		const struct import_entry *entry = &import->entries[i];
		struct row row = {mem_array(5, sizeof(struct field)), 5};

		if (entry->problem == NULL) {
			mem_free(row.fields);
			continue;
		}
		(void)snprintf(number, sizeof(number), "%u", entry->line);
		row.fields[0] = text_field("line", IPC_FIELD_NUMBER, number);
		row.fields[1] = text_field("name", IPC_FIELD_TEXT, entry->name);
		row.fields[2] = text_field("result", IPC_FIELD_TEXT, "left out");
		row.fields[3] = text_field("password", IPC_FIELD_TEXT, "");
		row.fields[4] = text_field("note", IPC_FIELD_TEXT, entry->problem);
		answer->rows = mem_resize(answer->rows, (answer->count + 1) * sizeof(row));
		answer->rows[answer->count++] = row;
	}
}

static int by_line(const void *a, const void *b)
{
	const char *left = row_value(a, "line"), *right = row_value(b, "line");
	long x = left != NULL ? strtol(left, NULL, 10) : 0;
	long y = right != NULL ? strtol(right, NULL, 10) : 0;

	return (x > y) - (x < y);
}

static bool is_result(const struct row *row, const char *result)
{
	const char *value = row_value(row, "result");

	return value != NULL && strcmp(value, result) == 0;
}

static size_t count_of(const struct answer *answer, const char *result)
{
	size_t count = 0;

	for (size_t i = 0; i < answer->count; i++)
		count += is_result(&answer->rows[i], result);
	return count;
}

/* Whether it has a hash now, and nothing else. */
static bool has_hash(const struct row *row)
{
	const char *password = row_value(row, "password"), *note = row_value(row, "note");

	return (is_result(row, "imported") || is_result(row, "replaced")) && password != NULL &&
	       strcmp(password, "verifier") != 0 && note != NULL && note[0] == '\0';
}

/* People see only what was not done; the rest is in the sum. */
static void show_people(const struct answer *answer, bool dry_run, bool with_hashes)
{
	struct answer left = {.rows = mem_array(answer->count, sizeof(struct row))};
	size_t hashes = 0;

	for (size_t i = 0; i < answer->count; i++) {
		const struct row *row = &answer->rows[i];

		hashes += has_hash(row);
		if (!is_result(row, "imported") && !is_result(row, "replaced"))
			left.rows[left.count++] = *row;
	}
	if (left.count > 0) {
		show_rows(&left, SHOW_TABLE, false, "", stdout);
		fputc('\n', stdout);
	}
	mem_free(left.rows);
	printf("%s%zu imported, %zu replaced, %zu kept as they were, %zu left out\n",
	       dry_run ? "Dry run, nothing was changed: " : "", count_of(answer, "imported"),
	       count_of(answer, "replaced"), count_of(answer, "kept"),
	       count_of(answer, "left out"));
	if (hashes > 0 && with_hashes)
		printf("%zu of them ha%s a hash, which becomes a verifier at the first good login; "
		       "until then SCRAM is not offered unless mechanisms says so\n",
		       hashes, hashes == 1 ? "s" : "ve");
}

static void report(const struct invocation *invocation, const struct import *import,
		   struct answer *answer, bool with_hashes)
{
	bool json = invocation_has(invocation, OPTION_json);

	add_problems(import, answer);
	if (answer->count > 1)
		qsort(answer->rows, answer->count, sizeof(answer->rows[0]), by_line);
	if (json)
		show_rows(answer, SHOW_TABLE, true, "", stdout);
	else
		show_people(answer, invocation_has(invocation, OPTION_dry_run), with_hashes);
}

/* ---- the command ---------------------------------------------------------------------------- */

/* The one that the options name; NULL, with a complaint: none, several, or one that does not fit.
 */
static const struct source *choose(const struct invocation *invocation)
{
	const struct source *source = NULL;

	for (size_t i = 0; i < SOURCE_COUNT; i++) {
		if (!invocation_has(invocation, SOURCES[i].option))
			continue;
		if (source != NULL) {
			complain("--%s and --%s are two sources: import one after the other",
				 option_rows[source->option].name,
				 option_rows[SOURCES[i].option].name);
			return NULL;
		}
		source = &SOURCES[i];
	}
	if (source == NULL)
		complain("what is it to import? --sasldb2, --sasldblistusers2 FILE, --shadow, "
			 "--passwd-file FILE or --dovecot FILE");
	else if (source->usual == NULL && invocation->argument_count == 0)
		complain("--%s needs the name of a file", option_rows[source->option].name);
	else if (!source->has_scheme && invocation_has(invocation, OPTION_scheme))
		complain("--scheme is of no use with --%s", option_rows[source->option].name);
	else if (!source->has_realm && invocation_has(invocation, OPTION_realm))
		complain("--realm is of no use with --%s", option_rows[source->option].name);
	else if (source->option != OPTION_sasldblistusers2 &&
		 invocation_has(invocation, OPTION_backend))
		complain("--backend is of no use with --%s", option_rows[source->option].name);
	else
		return source;
	return NULL;
}

/* The back end that is to prove the passwords; NULL, with a complaint, if that is not clear. */
static const char *choose_backend(const struct invocation *invocation, const struct config *config)
{
	const char *named = invocation->values[OPTION_backend];

	if (named == NULL && config->backend_count == 1)
		return config->backends[0].name;
	for (size_t i = 0; named != NULL && i < config->backend_count; i++)
		if (strcmp(config->backends[i].name, named) == 0)
			return config->backends[i].name;
	if (named != NULL)
		complain("there is no backend \"%s\" in %s", named, invocation->config);
	else if (config->backend_count == 0)
		complain("sasldblistusers2 prints no passwords, so a back end has to prove them, "
			 "and "
			 "%s has no backend section; --sasldb2 brings the passwords along",
			 invocation->config);
	else
		complain("which back end is to prove the passwords? --backend NAME says it");
	return NULL;
}

static enum err read_source(const struct source *source, struct import *import, char *why)
{
	if (source->option == OPTION_sasldb2)
		return import_read_sasldb(import, why);
	if (source->option == OPTION_sasldblistusers2)
		return import_read_list(import, why);
	return import_read_file(import, source->form, why);
}

static int run(const struct invocation *invocation, const struct source *source,
	       const struct config *config)
{
	struct import import = {
		.config = config,
		.path = invocation->argument_count != 0 ? invocation->arguments[0] : source->usual,
		.scheme = invocation_has(invocation, OPTION_scheme)
				  ? invocation->values[OPTION_scheme]
				  : "",
		.realm = invocation->values[OPTION_realm],
	};
	bool names_only = source->option == OPTION_sasldblistusers2;
	const char *backend = names_only ? choose_backend(invocation, config) : NULL;
	char why[IMPORT_WHY + ASK_WHY_MAX] = "";
	struct answer answer = {0};
	int status = EXIT_DONE;

	if (names_only && backend == NULL)
		return EXIT_FAILED;
	if (read_source(source, &import, why) != ERR_OK ||
	    ask_all(invocation, &import, backend, &answer, why) != ERR_OK) {
		status = complain("%s", why);
	} else {
		report(invocation, &import, &answer, !names_only);
		if (answer.failed)
			status = complain("%s; what is told above is done, and the same command "
					  "goes on with the rest",
					  answer.text);
	}
	answer_release(&answer);
	import_release(&import);
	return status;
}

int cmd_user_import(const struct invocation *invocation)
{
	const struct source *source = choose(invocation);
	struct config *config;
	int status;

	if (source == NULL)
		return EXIT_USAGE;
	config = load_config(invocation);
	if (config == NULL)
		return EXIT_FAILED;
	status = run(invocation, source, config);
	config_free(&config);
	return status;
}
