/* SPDX-License-Identifier: Apache-2.0 */
/* Settings and sections as libConfuse meets them: values go into the config at once. */
#include "config/reader.h"

#include <string.h>

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

/* For those who find fault with it when all is read. setting: NULL for the section itself. */
static void remember(const struct section *section, const struct setting *setting,
		     struct place place)
{
	size_t uses = section_uses(section, reader->config);

	places_add(reader->config->places, section, uses > 0 ? uses - 1 : 0, setting, place);
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
		remember(section, NULL, place);
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
	remember(section, NULL, place);
}

int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
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
		remember(section, setting, place);
	}
	if (value_read(setting, reader->base, slice_str(value), why) != ERR_OK)
		note_at(place, false, "%s %s", opt->name, why);
	return 0;
}

void check_required(const struct section *section, struct place place)
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

int on_section_end(cfg_t *cfg, cfg_opt_t *opt)
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
