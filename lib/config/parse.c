/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to struct config. libConfuse knows the syntax; all settings are pointers to it whose
 * callback reads the value into the struct, notes errors and goes on, so one run finds many.
 *
 * Three things it does not do are done around it. It stops at the first unknown name: the name
 * is noted, the table is taught to swallow it, and everything is read again. It keeps the files
 * of an include on a stack that an error never unwinds: here an included file is a parse of its
 * own, started from the callback. And doubled settings are counted here.
 */
#include "config/parse.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "config/reader.h"

struct reader *reader;

void note_at(struct place place, bool keep, const char *format, ...)
{
	char text[2 * VALUE_TEXT_MAX];
	va_list args;

	if (reader->problem_count == PROBLEMS_MAX) {
		reader->problem_more++;
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reader->problems[reader->problem_count] = (struct problem){
		place.file, place.line, keep, reader->problem_count, mem_strdup(text)};
	reader->problem_count++;
}

struct place here(const cfg_t *cfg)
{
	return (struct place){reader->stack[reader->depth - 1], (unsigned)cfg->line};
}

const char *section_of(const cfg_t *cfg)
{
	return strcmp(cfg->name, "root") == 0 ? "" : cfg->name;
}

/* ---- files ------------------------------------------------------------------------------- */

static bool read_file(const char *path, unsigned from_line);

/* include("file"): relative names start at the folder of the file that says so. */
int on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct place place = here(cfg);
	const char *slash = strrchr(reader->files[place.file], '/');
	char path[PATH_MAX];

	(void)opt;
	if (argc != 1 || argv[0][0] == '\0') {
		note_at(place, false, "include takes one file: include(\"file\")");
		return 0;
	}
	if (argv[0][0] == '/' || slash == NULL)
		snprintf(path, sizeof(path), "%s", argv[0]);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - reader->files[place.file]),
			 reader->files[place.file], argv[0]);
	read_file(path, place.line);
	return reader->again ? 1 : 0;
}

static enum err load(const char *path, struct buf *text, char *why, size_t size)
{
	FILE *file = fopen(path, "re");
	struct stat st;
	size_t len;
	char *ptr;
	enum err err = ERR_OK;

	if (file == NULL || fstat(fileno(file), &st) != 0) {
		int error = errno;

		explain_file(path, error, why, size);
		err = error == ENOENT || error == ENOTDIR ? ERR_NOT_FOUND
		      : error == EACCES                   ? ERR_DENIED
							  : ERR_IO;
	} else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		snprintf(why, size, "%s: %s", path,
			 S_ISREG(st.st_mode) ? "larger than 1 MiB" : "not a regular file");
		err = ERR_IO;
	} else {
		buf_reserve(text, FILE_MAX + 1, &ptr, &len);
		len = fread(ptr, 1, len, file);
		if (ferror(file) || len > FILE_MAX) {
			snprintf(why, size, "%s: it cannot be read", path);
			err = ERR_IO;
		} else {
			ptr[len] = '\0';
			buf_commit(text, len + 1);
		}
	}
	if (file != NULL)
		fclose(file);
	return err;
}

static void parse_text(const char *text)
{
	cfg_opt_t *options = options_new();
	cfg_t *cfg = cfg_init(options, CFGF_NONE);

	reader->parsed[reader->parsed_count++] = cfg;
	cfg_set_error_function(cfg, on_error);
	reader->section = &config_sections[SECTION_MAIN];
	reader->base = reader->config;
	cfg_parse_buf(cfg, text);
	options_free(options);
}

/* from_line: of the include in the file that is open; the first file has none. */
static enum err open_file(const char *path, struct buf *text, char *why, size_t size)
{
	if (reader->depth == INCLUDE_DEPTH) {
		snprintf(why, size, "%s: files include each other more than %d deep", path,
			 INCLUDE_DEPTH);
		return ERR_IO;
	}
	if (reader->file_count == FILES_MAX) {
		snprintf(why, size, "%s: more than %d files", path, FILES_MAX);
		return ERR_IO;
	}
	return load(path, text, why, size);
}

static void parse_file(const char *path, struct buf *text)
{
	char why[256];
	char *bytes = text->mem + text->start;
	unsigned line = 0;

	reader->files[reader->file_count] = mem_strdup(path);
	places_add_file(reader->config->places, path);
	reader->stack[reader->depth++] = reader->file_count++;
	if (scan_text(bytes, buf_len(text) - 1, &line, why))
		parse_text(bytes);
	else
		note_at((struct place){reader->stack[reader->depth - 1], line}, false, "%s", why);
	reader->depth--;
}

static bool read_file(const char *path, unsigned from_line)
{
	char why[PATH_MAX + 256];
	struct buf text;
	enum err err;

	buf_init(&text, FILE_MAX + 1);
	err = open_file(path, &text, why, sizeof(why));
	if (err == ERR_OK)
		parse_file(path, &text);
	else
		note_at((struct place){reader->stack[reader->depth - 1], from_line}, false,
			"include: %s", why);
	buf_release(&text);
	return err == ERR_OK;
}

/* ---- the whole --------------------------------------------------------------------------- */

static void add_listen(struct config *config, const char *name, const char *address,
		       enum tls_mode tls)
{
	struct config_listen *listen = section_add(section_find("listen"), config, slice_str(name));

	strings_add(&listen->address, slice_str(address));
	listen->tls = tls;
}

/* Defaults that depend on what else is set. */
static void complete(struct config *config, bool certificate_set)
{
	if (config->listen_count == 0) {
		add_listen(config, "submission", "*:587", TLS_MODE_STARTTLS);
		add_listen(config, "submissions", "*:465", TLS_MODE_IMPLICIT);
	}
	if (config->tls.key == NULL)
		config->tls.key = mem_strdup(certificate_set ? config->tls.certificate
							     : "/etc/postern/tls/key.pem");
}

enum err config_fresh(const char *hostname, struct config **config_out, char *why)
{
	const struct setting *setting = setting_find(&config_sections[SECTION_MAIN], "hostname");
	struct config *config = config_new();
	enum err err = value_read(setting, config, slice_str(hostname), why);

	if (err != ERR_OK) {
		config_free(&config);
		return err;
	}
	complete(config, false);
	*config_out = config;
	return ERR_OK;
}

static void finish(void)
{
	const struct setting *certificate = setting_find(section_find("tls"), "certificate");

	check_required(&config_sections[SECTION_MAIN], (struct place){0, 1});
	complete(reader->config, reader->seen[setting_index(certificate)].line != 0);
}

static void forget_problems(bool all)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < reader->problem_count; i++) {
		if (!all && reader->problems[i].keep)
			reader->problems[kept++] = reader->problems[i];
		else
			mem_free(reader->problems[i].text);
	}
	reader->problem_count = kept;
	reader->problem_more = 0;
}

static void start_over(void)
{
	/* The outermost was begun first; freeing it resets the lexer. */
	for (unsigned i = 0; i < reader->parsed_count; i++)
		cfg_free(reader->parsed[i]);
	for (unsigned i = 0; i < reader->file_count; i++)
		mem_free(reader->files[i]);
	reader->parsed_count = reader->file_count = reader->depth = 0;
	memset(reader->seen, 0, sizeof(reader->seen));
	memset(reader->section_seen, 0, sizeof(reader->section_seen));
	config_free(&reader->config);
}

static int by_place(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static void tell_problems(struct buf *errors)
{
	qsort(reader->problems, reader->problem_count, sizeof(struct problem), by_place);
	for (unsigned i = 0; i < reader->problem_count; i++) {
		const struct problem *problem = &reader->problems[i];

		buf_printf(errors, "%s:%u: %s\n", reader->files[problem->file], problem->line,
			   problem->text);
	}
	if (reader->problem_more != 0)
		buf_printf(errors, "and %u more\n", reader->problem_more);
}

static enum err read_all(const char *path, struct buf *errors)
{
	char why[PATH_MAX + 256];
	struct buf text;
	enum err err;

	do {
		start_over();
		forget_problems(false);
		reader->again = false;
		reader->config = config_new();
		reader->config->places = places_new();
		buf_init(&text, FILE_MAX + 1);
		err = open_file(path, &text, why, sizeof(why));
		if (err == ERR_OK)
			parse_file(path, &text);
		else
			buf_printf(errors, "%s\n", why);
		buf_release(&text);
	} while (err == ERR_OK && reader->again);
	if (err == ERR_OK) {
		finish();
		tell_problems(errors);
		if (reader->problem_count != 0)
			err = ERR_SYNTAX;
	}
	return err;
}

enum err config_read(const char *path, struct config **config_out, struct buf *errors)
{
	enum err err;

	reader = mem_alloc(sizeof(*reader));
	err = read_all(path, errors);
	if (err == ERR_OK) {
		*config_out = reader->config;
		reader->config = NULL;
	}
	forget_problems(true);
	start_over();
	for (unsigned i = 0; i < reader->unknown_count; i++) {
		mem_free(reader->unknown[i].section);
		mem_free(reader->unknown[i].name);
	}
	MEM_FREE(reader);
	return err;
}
