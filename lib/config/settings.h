/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of settings as data, and values as text: internal to lib/config. A setting's field
 * is found by its offset from the struct of its section: struct config for SINGLE sections.
 */
#ifndef POSTERN_CONFIG_SETTINGS_H
#define POSTERN_CONFIG_SETTINGS_H

#include "config/config.h"

enum {
	VALUE_TEXT_MAX = 1024,  /* a text in bytes: longer than any path or pattern in use */
	VALUE_LIST_MAX = 4096,  /* entries of a list: fits the grant's list of domains */
	VALUE_TITLE_MAX = 64,   /* name of a section */
	VALUE_TITLED_MAX = 256, /* sections of one kind */
	VALUE_WHY_MAX = 512,
	SETTING_COUNT_MAX = 256,
};

enum setting_type {
	SET_TEXT,      /* char * */
	SET_WORD,      /* char *: letters, digits, - _; may be empty */
	SET_HOST,      /* char *: a host name */
	SET_HOST_PORT, /* char * */
	SET_URL,       /* char *: https://HOST[:PORT]/... */
	SET_PATH,      /* char *: absolute */
	SET_VIA,       /* enum route_kind, and target of struct config_route */
	SET_SIZE,      /* uint64_t */
	SET_TIME,      /* uint64_t, ms */
	SET_COUNT,     /* uint16_t, uint32_t or uint64_t */
	SET_LOAD, /* uint32_t: a load average in hundredths; 0 off, CONFIG_LOAD_AUTO by the cores */
	SET_BOOL, /* bool */
	SET_ENUM, /* enum, or bool for two words */
	/* struct strings of: */
	SET_DOMAINS,
	SET_ADDRESSES,
	SET_PATTERNS,
	SET_RESOLVERS,
	SET_NETWORKS,
	SET_MECHANISMS,
	SET_TEXTS,
};

struct setting {
	int section; /* index in config_sections */
	const char *name;
	enum setting_type type;
	size_t offset;
	size_t size; /* of the field */
	const char *initial;
	uint64_t min, max;
	const char *const *words; /* ended by NULL */
	const char *help;
};

struct section {
	const char *name;
	bool titled;
	size_t size;         /* of the struct of a titled section */
	size_t array_offset; /* titled: of the array and its count in struct config */
	size_t count_offset;
	const char *help;
};

enum { SECTION_MAIN = 0 };
extern const struct section config_sections[];
extern const size_t config_section_count;

bool setting_is_list(const struct setting *setting);
bool setting_is_text(const struct setting *setting); /* a single char * */
const struct section *section_find(const char *name);
const struct setting *setting_find(const struct section *section, const char *name);
/* The rows of a section in order: for (s = setting_first(section); s; s = setting_next(s)). */
const struct setting *setting_first(const struct section *section);
const struct setting *setting_next(const struct setting *setting);

/* A number of its own for each row, below SETTING_COUNT_MAX. */
size_t setting_index(const struct setting *setting);
/* Must the file give it? */
bool setting_is_required(const struct setting *setting);

/* The title of a TITLED struct: its first field. */
char **section_title(void *base);
/* The struct number index of a section: struct config for SINGLE ones. */
void *section_base(const struct section *section, const struct config *config, size_t index);
size_t section_uses(const struct section *section, const struct config *config);
/* Appends an entry with all defaults; title is copied. */
void *section_add(const struct section *section, struct config *config, struct slice title);

/* Frees what the fields of base hold. */
void section_clear(const struct section *section, void *base);
/* Gives every field of base its default; base is zeroed. */
void section_defaults(const struct section *section, void *base);

/* A field as a number: all types but texts and lists. */
uint64_t setting_number(const struct setting *setting, const void *base);
void setting_store(const struct setting *setting, void *base, uint64_t value);
/* Inside the bounds of the row, and of the field? */
bool setting_in_bounds(const struct setting *setting, uint64_t value);
char **setting_text(const struct setting *setting, const void *base);
struct strings *setting_list(const struct setting *setting, const void *base);
void strings_add(struct strings *strings, struct slice text);
void strings_clear(struct strings *strings);

/*
 * Sets a field from text, or appends an entry to a list. why (VALUE_WHY_MAX bytes) says what is
 * wrong and what the allowed form is. Nothing changes on error.
 */
enum err value_read(const struct setting *setting, void *base, struct slice text, char *why);
/* Checks a text or list entry without storing it: for the decoder. */
enum err value_check(enum setting_type type, struct slice text, char *why);
/* Appends the value as in the file, lists in braces; false if it is not set. */
bool value_print(const struct setting *setting, const void *base, struct buf *out);
/* Appends the form of the values, for people: "a size such as 50M". */
void value_describe(const struct setting *setting, struct buf *out);
/* Appends a number in the largest unit that holds it exactly. */
void value_print_number(enum setting_type type, uint64_t value, struct buf *out);

#endif
