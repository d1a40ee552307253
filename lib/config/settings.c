/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings.def as data, and the fields it describes. */
#include "config/settings.h"

#include <string.h>

#include "base/mem.h"

#define KIB    UINT64_C(1024)
#define MIB    (KIB * 1024)
#define GIB    (MIB * 1024)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define WORDS(...)              ((const char *const[]){__VA_ARGS__, NULL})
#define FIELD_SIZE(type, field) sizeof(((struct type *)NULL)->field)

enum section_id {
#define SECTION(id, ...) ID_##id,
#define SETTING(...)
#include "config/settings.def"
#undef SECTION
#undef SETTING
};

/* Rows of one section stand together. */
static const struct setting rows[] = {
#define SECTION(...)
#define SETTING(section, name, type, base, field, initial, min, max, words, help)                  \
	{ID_##section,                                                                             \
	 name,                                                                                     \
	 SET_##type,                                                                               \
	 offsetof(struct base, field),                                                             \
	 FIELD_SIZE(base, field),                                                                  \
	 initial,                                                                                  \
	 min,                                                                                      \
	 max,                                                                                      \
	 words,                                                                                    \
	 help},
#include "config/settings.def"
#undef SECTION
#undef SETTING
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

#define ARRAY_main       0, 0
#define ARRAY_tls        0, 0
#define ARRAY_submission 0, 0
#define ARRAY_limits     0, 0
#define ARRAY_timeouts   0, 0
#define ARRAY_queue      0, 0
#define ARRAY_delivery   0, 0
#define ARRAY_auth       0, 0
#define ARRAY_alert      0, 0
#define ARRAY_log        0, 0
#define ARRAY_listen     offsetof(struct config, listens), offsetof(struct config, listen_count)
#define ARRAY_relay      offsetof(struct config, relays), offsetof(struct config, relay_count)
#define ARRAY_certificate                                                                          \
	offsetof(struct config, certificates), offsetof(struct config, certificate_count)
#define ARRAY_backend offsetof(struct config, backends), offsetof(struct config, backend_count)
#define ARRAY_token   offsetof(struct config, tokens), offsetof(struct config, token_count)
#define ARRAY_device  offsetof(struct config, devices), offsetof(struct config, device_count)
#define ARRAY_route   offsetof(struct config, routes), offsetof(struct config, route_count)
#define TITLED        true
#define SINGLE        false

const struct section config_sections[] = {
#define SECTION(id, name, kind, type, help) {name, kind, sizeof(struct type), ARRAY_##id, help},
#define SETTING(...)
#include "config/settings.def"
#undef SECTION
#undef SETTING
};
const size_t config_section_count = sizeof(config_sections) / sizeof(config_sections[0]);

bool setting_is_list(const struct setting *setting)
{
	return setting->type >= SET_DOMAINS;
}

bool setting_is_text(const struct setting *setting)
{
	return setting->type <= SET_PATH;
}

const struct section *section_find(const char *name)
{
	for (size_t i = 0; i < config_section_count; i++)
		if (strcmp(config_sections[i].name, name) == 0)
			return &config_sections[i];
	return NULL;
}

const struct setting *setting_first(const struct section *section)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (&config_sections[rows[i].section] == section)
			return &rows[i];
	return NULL;
}

const struct setting *setting_next(const struct setting *setting)
{
	const struct setting *next = setting + 1;

	return next < rows + ROW_COUNT && next->section == setting->section ? next : NULL;
}

const struct setting *setting_find(const struct section *section, const char *name)
{
	const struct setting *setting = setting_first(section);

	while (setting != NULL && strcmp(setting->name, name) != 0)
		setting = setting_next(setting);
	return setting;
}

size_t setting_index(const struct setting *setting)
{
	_Static_assert((int)ROW_COUNT <= (int)SETTING_COUNT_MAX, "SETTING_COUNT_MAX is too small");
	return (size_t)(setting - rows);
}

bool setting_is_required(const struct setting *setting)
{
	return setting->min != 0 && (setting_is_text(setting) || setting_is_list(setting) ||
				     setting->type == SET_VIA || setting->type == SET_ENUM);
}

/*
 * Fields are reached through their offset. The config is const for readers; those who may write
 * own it, and get it through the same functions.
 */
static void *field_at(const void *base, size_t offset)
{
	return (char *)(uintptr_t)base + offset;
}

char **section_title(void *base)
{
	return base;
}

size_t section_uses(const struct section *section, const struct config *config)
{
	return section->titled ? *(size_t *)field_at(config, section->count_offset) : 1;
}

void *section_base(const struct section *section, const struct config *config, size_t index)
{
	if (!section->titled)
		return field_at(config, 0);
	return *(char **)field_at(config, section->array_offset) + index * section->size;
}

void *section_add(const struct section *section, struct config *config, struct slice title)
{
	char **array = field_at(config, section->array_offset);
	size_t *count = field_at(config, section->count_offset);

	*array = mem_resize(*array, (*count + 1) * section->size);

	void *base = *array + *count * section->size;

	memset(base, 0, section->size);
	*section_title(base) = mem_strndup(title.ptr, title.len);
	section_defaults(section, base);
	++*count;
	return base;
}

uint64_t setting_number(const struct setting *setting, const void *base)
{
	const void *field = field_at(base, setting->offset);

	switch (setting->size) {
	case 1:
		return *(const uint8_t *)field;
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const uint32_t *)field;
	default:
		return *(const uint64_t *)field;
	}
}

void setting_store(const struct setting *setting, void *base, uint64_t value)
{
	void *field = field_at(base, setting->offset);

	switch (setting->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)value;
		break;
	default:
		*(uint64_t *)field = value;
	}
}

bool setting_in_bounds(const struct setting *setting, uint64_t value)
{
	uint64_t count = 0;

	switch (setting->type) {
	case SET_BOOL:
		return value <= 1;
	case SET_VIA:
		return value <= ROUTE_CAPTURE;
	case SET_ENUM:
		while (setting->words[count] != NULL)
			count++;
		return value < count;
	case SET_LOAD:
		if (value == CONFIG_LOAD_AUTO)
			return true;
		/* fallthrough */
	default:
		return value >= setting->min && value <= setting->max;
	}
}

char **setting_text(const struct setting *setting, const void *base)
{
	return field_at(base, setting->offset);
}

struct strings *setting_list(const struct setting *setting, const void *base)
{
	return field_at(base, setting->offset);
}

void strings_add(struct strings *strings, struct slice text)
{
	strings->items = mem_resize(strings->items, (strings->count + 1) * sizeof(char *));
	strings->items[strings->count++] = mem_strndup(text.ptr, text.len);
}

void strings_clear(struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		mem_free(strings->items[i]);
	MEM_FREE(strings->items);
	strings->count = 0;
}

void section_clear(const struct section *section, void *base)
{
	for (const struct setting *s = setting_first(section); s != NULL; s = setting_next(s)) {
		if (setting_is_list(s))
			strings_clear(setting_list(s, base));
		else if (s->type == SET_VIA)
			MEM_FREE(((struct config_route *)base)->target);
		else if (setting_is_text(s))
			MEM_FREE(*setting_text(s, base));
	}
	if (section->titled)
		MEM_FREE(*section_title(base));
}

void section_defaults(const struct section *section, void *base)
{
	char why[VALUE_WHY_MAX];

	for (const struct setting *s = setting_first(section); s != NULL; s = setting_next(s))
		if (s->initial != NULL)
			value_read(s, base, slice_str(s->initial), why);
}
