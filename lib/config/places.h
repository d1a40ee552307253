/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a configuration says what: the file and line of each section and setting, for those who
 * find fault with it later. A configuration that was not read from files has none. Internal to
 * lib/config.
 */
#ifndef POSTERN_CONFIG_PLACES_H
#define POSTERN_CONFIG_PLACES_H

#include <stdbool.h>
#include <stddef.h>

struct config;
struct places;
struct section;
struct setting;

struct place {
	unsigned file, line; /* line 0: nowhere */
};

struct places *places_new(void);
void places_free(struct places **places);
/* The next file; they are numbered from 0. */
void places_add_file(struct places *places, const char *path);
/* index: of a titled section, as in its array; setting: NULL for the section itself. */
void places_add(struct places *places, const struct section *section, size_t index,
		const struct setting *setting, struct place place);
/*
 * Appends "FILE:LINE: " of the setting, else of its section, else "FILE: " of the first file;
 * nothing without places. text: size bytes.
 */
void places_print(const struct places *places, const struct section *section, size_t index,
		  const struct setting *setting, char *text, size_t size);

#endif
