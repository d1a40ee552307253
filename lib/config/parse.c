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

#include <confuse.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "config/reader.h"
#include "config/settings.h"

enum {
	FILE_MAX = 1024 * 1024, /* bytes of one file */
	FILES_MAX = 64,         /* with all includes */
	INCLUDE_DEPTH = 8,
	UNKNOWN_MAX = 32,  /* unknown names until we stop looking for more */
	PROBLEMS_MAX = 50, /* errors until we stop telling more */
	OPTIONS_MAX = SETTING_COUNT_MAX + UNKNOWN_MAX + 16,
};

enum shape { SHAPE_VALUE, SHAPE_SECTION, SHAPE_TITLED, SHAPE_LOST };

struct unknown {
	char *section; /* "" outside of sections */
	char *name;
	enum shape shape;
	unsigned line;
};

struct problem {
	unsigned file, line;
	bool keep; /* survives reading again */
	unsigned order;
	char *text;
};

struct place {
	unsigned file, line; /* line 0: nowhere */
};

struct reader {
	struct config *config;
	char *files[FILES_MAX];
	unsigned file_count;
	unsigned stack[INCLUDE_DEPTH]; /* files that are open */
	unsigned depth;
	cfg_t *parsed[FILES_MAX]; /* freed at the end: cfg_free resets the lexer of them all */
	unsigned parsed_count;
	struct unknown unknown[UNKNOWN_MAX];
	unsigned unknown_count;
	bool again; /* a name was learned: read everything again */
	struct problem problems[PROBLEMS_MAX];
	unsigned problem_count, problem_more;
	/* The section that is open; main when none is. */
	const struct section *section;
	void *base;
	struct place section_place;
	struct place seen[SETTING_COUNT_MAX];
	struct place section_seen[16];
};

/*
 * libConfuse's callbacks get no argument of ours, and its lexer is one for the whole process, so
 * there is one reader at a time.
 */
static struct reader *reader;

static void note_at(struct place place, bool keep, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void note_at(struct place place, bool keep, const char *format, ...)
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

static struct place here(const cfg_t *cfg)
{
	return (struct place){reader->stack[reader->depth - 1], (unsigned)cfg->line};
}

static const char *section_of(const cfg_t *cfg)
{
	return strcmp(cfg->name, "root") == 0 ? "" : cfg->name;
}

/* ---- values ------------------------------------------------------------------------------ */

static void check_title(const struct section *section, const cfg_t *cfg, struct place place)
{
	struct slice title = slice_str(cfg->title);
	char why[VALUE_WHY_MAX];
	size_t uses = section_uses(section, reader->config);

	if (value_check(SET_TEXT, title, why) != ERR_OK)
		note_at(place, false, "the name of this %s %s", section->name, why);
	else if (title.len > VALUE_TITLE_MAX)
		note_at(place, false, "the name of this %s is longer than %d bytes", section->name,
			VALUE_TITLE_MAX);
	else if (slice_has_byte(title, '"') || slice_has_byte(title, '\\') ||
		 slice_has_byte(title, '$'))
		note_at(place, false, "the name of this %s holds a quote, backslash or dollar sign",
			section->name);
	for (size_t i = 0; i < uses; i++)
		if (slice_is(title, *section_title(section_base(section, reader->config, i)))) {
			note_at(place, false,
				"%s \"%s\" is defined a second time; names must differ",
				section->name, cfg->title);
			break;
		}
}

/* The first thing within a section, or its end. */
static void open_section(const struct section *section, const cfg_t *cfg, struct place place)
{
	struct place *seen = &reader->section_seen[section - config_sections];

	reader->section = section;
	reader->section_place = place;
	if (section->titled) {
		check_title(section, cfg, place);
		if (section_uses(section, reader->config) == VALUE_TITLED_MAX)
			note_at(place, false, "more than %d sections of this kind",
				VALUE_TITLED_MAX);
		else
			reader->base = section_add(section, reader->config, slice_str(cfg->title));
		for (const struct setting *s = setting_first(section); s != NULL;
		     s = setting_next(s))
			reader->seen[setting_index(s)] = (struct place){0};
		return;
	}
	reader->base = reader->config;
	if (seen->line != 0)
		note_at(place, false, "section %s is here a second time; the first is at %s:%u",
			section->name, reader->files[seen->file], seen->line);
	else
		*seen = place;
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const struct section *section = section_find(section_of(cfg));
	const struct setting *setting = setting_find(section, opt->name);
	struct place place = here(cfg), *seen = &reader->seen[setting_index(setting)];
	char why[VALUE_WHY_MAX];

	*(void **)result = NULL;
	if (section != reader->section)
		open_section(section, cfg, place);
	/* A list calls once per entry: nvalues counts those since the equal sign. */
	if (opt->nvalues <= 1) {
		if (seen->line != 0)
			note_at(place, false, "%s is set a second time; the first is at %s:%u",
				opt->name, reader->files[seen->file], seen->line);
		else
			*seen = place;
	}
	if (value_read(setting, reader->base, slice_str(value), why) != ERR_OK)
		note_at(place, false, "%s %s", opt->name, why);
	return 0;
}

static void check_required(const struct section *section, struct place place)
{
	for (const struct setting *s = setting_first(section); s != NULL; s = setting_next(s))
		if (setting_is_required(s) && reader->seen[setting_index(s)].line == 0) {
			struct buf form;

			buf_init(&form, 256);
			value_describe(s, &form);
			if (section->titled)
				note_at(place, false, "%s \"%s\" has no %s; it takes %.*s",
					section->name, *section_title(reader->base), s->name,
					SLICE_ARG(buf_data(&form)));
			else
				note_at(place, false, "%s is not set; it takes %.*s", s->name,
					SLICE_ARG(buf_data(&form)));
			buf_release(&form);
		}
}

static void choose_relay_tls(struct config_relay *relay)
{
	const struct setting *setting = setting_find(section_find("relay"), "tls");
	struct slice host = slice_str(relay->host);
	struct slice port = slice_skip(host, slice_find_last(host, ':'));

	if (reader->seen[setting_index(setting)].line != 0)
		return;
	if (slice_is(port, ":465") || slice_is(port, ":submissions"))
		relay->tls = RELAY_TLS_IMPLICIT;
	else
		relay->tls = relay->user != NULL ? RELAY_TLS_REQUIRED : RELAY_TLS_OPPORTUNISTIC;
}

static int on_section_end(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct section *section = section_find(opt->name);
	const cfg_t *inner = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	if (section != reader->section)
		open_section(section, inner, here(cfg));
	check_required(section, reader->section_place);
	if (strcmp(section->name, "relay") == 0)
		choose_relay_tls(reader->base);
	reader->section = &config_sections[SECTION_MAIN];
	reader->base = reader->config;
	return 0;
}

/* ---- unknown names ----------------------------------------------------------------------- */

static int swallow(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	(void)cfg;
	(void)opt;
	(void)value;
	*(void **)result = NULL;
	return 0;
}

static struct unknown *find_unknown(const char *section, const char *name)
{
	for (unsigned i = 0; i < reader->unknown_count; i++)
		if (strcmp(reader->unknown[i].section, section) == 0 &&
		    strcmp(reader->unknown[i].name, name) == 0)
			return &reader->unknown[i];
	return NULL;
}

static void take_nearer(const char *typed, const char *name, const char **best, unsigned *least)
{
	unsigned distance = nearest_distance(typed, name);

	if (distance < *least && nearest_enough(typed, distance)) {
		*least = distance;
		*best = name;
	}
}

static const char *nearest_name(const struct section *section, const char *typed)
{
	const char *best = NULL;
	unsigned least = NEAREST_NAME_MAX;

	for (const struct setting *s = setting_first(section); s != NULL; s = setting_next(s))
		take_nearer(typed, s->name, &best, &least);
	if (section == &config_sections[SECTION_MAIN])
		for (size_t i = 1; i < config_section_count; i++)
			take_nearer(typed, config_sections[i].name, &best, &least);
	return best;
}

static void note_unknown(const struct section *section, const char *name, struct place place)
{
	const char *near = nearest_name(section, name);
	char in[VALUE_TITLE_MAX + 16] = "";

	if (section != &config_sections[SECTION_MAIN])
		snprintf(in, sizeof(in), " in section %s", section->name);
	for (size_t i = 0; i < config_section_count; i++)
		if (&config_sections[i] != section &&
		    setting_find(&config_sections[i], name) != NULL) {
			if (i == SECTION_MAIN)
				note_at(place, true,
					"unknown setting %s%s; it stands outside of sections", name,
					in);
			else
				note_at(place, true,
					"unknown setting %s%s; it belongs into section %s", name,
					in, config_sections[i].name);
			return;
		}
	if (near != NULL)
		note_at(place, true, "unknown setting %s%s; did you mean %s?", name, in, near);
	else
		note_at(place, true,
			"unknown setting %s%s; see postern.conf(5) for those there are", name, in);
}

static void learn(const cfg_t *cfg, const char *name)
{
	const char *section_name = section_of(cfg);
	const struct section *section = section_find(section_name);

	/* What is inside an unknown section is not told: the section is. */
	if (section != NULL)
		note_unknown(section, name, here(cfg));
	if (reader->unknown_count == UNKNOWN_MAX)
		return;
	reader->unknown[reader->unknown_count++] = (struct unknown){
		mem_strdup(section_name), mem_strdup(name), SHAPE_VALUE, (unsigned)cfg->line};
	reader->again = true;
}

/* It was taken for another kind of thing than it is: true if the next kind can be tried. */
static bool reshape(const cfg_t *cfg, const char *name)
{
	struct unknown *unknown = find_unknown(section_of(cfg), name);

	if (unknown == NULL)
		return false;
	if (unknown->shape < SHAPE_LOST)
		unknown->shape++;
	reader->again = unknown->shape != SHAPE_LOST;
	return true;
}

/* ---- what libConfuse says ---------------------------------------------------------------- */

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
	struct place place = here(cfg);
	char text[VALUE_TEXT_MAX];
	const char *name;
	va_list again;

	va_copy(again, args);
	name = strstr(format, "'%s'") != NULL ? va_arg(again, const char *) : "";
	va_end(again);
	if (strncmp(format, "no such option", 14) == 0) {
		learn(cfg, name);
	} else if (strncmp(format, "missing equal sign", 18) == 0) {
		if (!reshape(cfg, name))
			note_at(place, false, "after %s there must be = and a value", name);
	} else if (strncmp(format, "missing opening brace", 21) == 0) {
		if (!reshape(cfg, name))
			note_at(place, false, "%s is a section: %s%s { ... }", name, name,
				section_find(name) != NULL && section_find(name)->titled
					? " \"NAME\""
					: "");
	} else if (strncmp(format, "missing title", 13) == 0) {
		if (!reshape(cfg, name))
			note_at(place, false, "a section %s needs a name: %s \"NAME\" { ... }",
				name, name);
	} else if (strncmp(format, "unexpected token", 16) == 0) {
		note_at(place, false,
			"%s is not expected here: a setting is written name = value, "
			"a list name = { value, value }",
			name);
	} else if (strncmp(format, "premature end", 13) == 0) {
		note_at(place, false, "the file ends where a value should be");
	} else {
		vsnprintf(text, sizeof(text), format, args);
		note_at(place, false, "%s", text);
	}
}

/* ---- files ------------------------------------------------------------------------------- */

static bool read_file(const char *path, unsigned from_line);

/* include("file"): relative names start at the folder of the file that says so. */
static int on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
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

/* One option of the table for libConfuse; strings are copied by it. */
static cfg_opt_t option(const char *name, cfg_type_t type, cfg_flag_t flags, cfg_opt_t *inner)
{
	cfg_opt_t opt = {.name = name, .type = type, .flags = flags, .subopts = inner};

	return opt;
}

static void add_unknown(const char *section, cfg_opt_t *options, size_t *count)
{
	for (unsigned i = 0; i < reader->unknown_count; i++) {
		const struct unknown *unknown = &reader->unknown[i];
		cfg_opt_t inner[UNKNOWN_MAX + 1] = {CFG_END()};
		size_t inner_count = 0;

		if (strcmp(unknown->section, section) != 0)
			continue;
		if (unknown->shape == SHAPE_VALUE) {
			options[*count] = option(unknown->name, CFGT_PTR, CFGF_LIST, NULL);
			options[(*count)++].parsecb = swallow;
			continue;
		}
		/* One level down: what stands in an unknown section. */
		for (unsigned j = 0; j < reader->unknown_count; j++)
			if (strcmp(reader->unknown[j].section, unknown->name) == 0) {
				inner[inner_count] =
					option(reader->unknown[j].name, CFGT_PTR, CFGF_LIST, NULL);
				inner[inner_count++].parsecb = swallow;
			}
		options[(*count)++] = option(
			unknown->name, CFGT_SEC,
			CFGF_MULTI | (unknown->shape == SHAPE_TITLED ? CFGF_TITLE : 0), NULL);
		options[*count - 1].subopts = mem_alloc(sizeof(inner));
		memcpy(options[*count - 1].subopts, inner, sizeof(inner));
	}
}

static cfg_opt_t *section_options(const struct section *section)
{
	cfg_opt_t *options = mem_array(OPTIONS_MAX, sizeof(*options));
	size_t count = 0;

	for (const struct setting *s = setting_first(section); s != NULL; s = setting_next(s)) {
		options[count] =
			option(s->name, CFGT_PTR, setting_is_list(s) ? CFGF_LIST : 0, NULL);
		options[count++].parsecb = on_value;
	}
	if (section == &config_sections[SECTION_MAIN]) {
		for (size_t i = 1; i < config_section_count; i++) {
			const struct section *inner = &config_sections[i];

			options[count] = option(inner->name, CFGT_SEC,
						CFGF_MULTI | (inner->titled ? CFGF_TITLE : 0),
						section_options(inner));
			options[count++].validcb = on_section_end;
		}
		options[count] = option("include", CFGT_FUNC, 0, NULL);
		options[count++].func = on_include;
	}
	add_unknown(section->name, options, &count);
	return options;
}

static void free_options(cfg_opt_t *options)
{
	for (size_t i = 0; options[i].name != NULL; i++)
		if (options[i].subopts != NULL)
			free_options(options[i].subopts);
	mem_free(options);
}

static void parse_text(const char *text)
{
	cfg_opt_t *options = section_options(&config_sections[SECTION_MAIN]);
	cfg_t *cfg = cfg_init(options, CFGF_NONE);

	reader->parsed[reader->parsed_count++] = cfg;
	cfg_set_error_function(cfg, on_error);
	reader->section = &config_sections[SECTION_MAIN];
	reader->base = reader->config;
	cfg_parse_buf(cfg, text);
	free_options(options);
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

static void add_listen(const char *name, const char *address, enum tls_mode tls)
{
	struct config_listen *listen =
		section_add(section_find("listen"), reader->config, slice_str(name));

	strings_add(&listen->address, slice_str(address));
	listen->tls = tls;
}

/* Defaults that depend on what else is set. */
static void finish(void)
{
	const struct section *tls = section_find("tls");
	struct config *config = reader->config;

	check_required(&config_sections[SECTION_MAIN], (struct place){0, 1});
	if (config->listen_count == 0) {
		add_listen("submission", "*:587", TLS_MODE_STARTTLS);
		add_listen("submissions", "*:465", TLS_MODE_IMPLICIT);
	}
	if (config->tls.key == NULL) {
		bool set = reader->seen[setting_index(setting_find(tls, "certificate"))].line != 0;

		config->tls.key =
			mem_strdup(set ? config->tls.certificate : "/etc/postern/tls/key.pem");
	}
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
