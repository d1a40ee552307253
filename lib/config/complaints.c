/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libConfuse complains about. It stops at the first unknown name: the name is noted and
 * learned, so that the table swallows it when everything is read again.
 */
#include "config/reader.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"

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

void on_error(cfg_t *cfg, const char *format, va_list args)
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
