/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the parser share: internal to lib/config. */
#ifndef POSTERN_CONFIG_READER_H
#define POSTERN_CONFIG_READER_H

#include <confuse.h>

#include "config/places.h"
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
	struct place section_seen[32];
};

/*
 * libConfuse's callbacks get no argument of ours, and its lexer is one for the whole process, so
 * there is one reader at a time: the one exception to having no static state.
 */
extern struct reader *reader;

/* Notes an error; keep: it stays when everything is read again. */
void note_at(struct place place, bool keep, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Where libConfuse is in the file that is open. */
struct place here(const cfg_t *cfg);
/* The name of the section that cfg is, "" outside of sections. */
const char *section_of(const cfg_t *cfg);

/* Callbacks of libConfuse for settings, ends of sections, and include("file"). */
int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result);
int on_section_end(cfg_t *cfg, cfg_opt_t *opt);
/* Notes what the section must have and has not. */
void check_required(const struct section *section, struct place place);

/* What libConfuse complains about, in words that say what to do; learns unknown names. */
void on_error(cfg_t *cfg, const char *format, va_list args);

int on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv);

/* The table of options for libConfuse, with the unknown names that were learned. */
cfg_opt_t *options_new(void);
void options_free(cfg_opt_t *options);

/*
 * libConfuse loses count of lines at comments, refuses them within lists, accepts a file that
 * ends inside a section, and takes strings over several lines. So comments are blanked before
 * it sees the text, and what is open at the end is found here. text is changed in place and
 * keeps its length and lines. false: *line_out and why (256 bytes) tell the first fault.
 */
bool scan_text(char *text, size_t len, unsigned *line_out, char *why);

/* Why a file cannot be used and how to mend it, for people; error: an errno. */
void explain_file(const char *path, int error, char *why, size_t size);

#endif
