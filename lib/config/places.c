/* SPDX-License-Identifier: Apache-2.0 */
/* A list in the order of the files; it is looked through only when there is something to tell. */
#include "config/places.h"

#include <stdio.h>

#include "base/mem.h"

struct entry {
	const struct section *section;
	const struct setting *setting; /* NULL: the section itself */
	size_t index;
	struct place place;
};

struct places {
	char **files;
	size_t file_count;
	struct entry *entries;
	size_t count, room;
};

struct places *places_new(void)
{
	return mem_alloc(sizeof(struct places));
}

void places_free(struct places **places)
{
	struct places *p = *places;

	if (p == NULL)
		return;
	for (size_t i = 0; i < p->file_count; i++)
		mem_free(p->files[i]);
	mem_free(p->files);
	mem_free(p->entries);
	MEM_FREE(*places);
}

void places_add_file(struct places *places, const char *path)
{
	places->files =
		mem_resize(places->files, (places->file_count + 1) * sizeof(places->files[0]));
	places->files[places->file_count++] = mem_strdup(path);
}

void places_add(struct places *places, const struct section *section, size_t index,
		const struct setting *setting, struct place place)
{
	if (places->count == places->room) {
		places->room = places->room * 2 + 32;
		places->entries =
			mem_resize(places->entries, places->room * sizeof(places->entries[0]));
	}
	places->entries[places->count++] = (struct entry){section, setting, index, place};
}

static const struct entry *find(const struct places *places, const struct section *section,
				size_t index, const struct setting *setting)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct entry *entry = &places->entries[i];

		if (entry->section == section && entry->index == index && entry->setting == setting)
			return entry;
	}
	return NULL;
}

void places_print(const struct places *places, const struct section *section, size_t index,
		  const struct setting *setting, char *text, size_t size)
{
	const struct entry *entry;

	text[0] = '\0';
	if (places == NULL || places->file_count == 0)
		return;
	entry = find(places, section, index, setting);
	if (entry == NULL)
		entry = find(places, section, index, NULL);
	if (entry != NULL)
		snprintf(text, size, "%s:%u: ", places->files[entry->place.file],
			 entry->place.line);
	else
		snprintf(text, size, "%s: ", places->files[0]);
}
