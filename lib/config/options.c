/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings as libConfuse wants it. */
#include "config/reader.h"

#include <string.h>

#include "base/mem.h"

static int swallow(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	(void)cfg;
	(void)opt;
	(void)value;
	*(void **)result = NULL;
	return 0;
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

void options_free(cfg_opt_t *options)
{
	for (size_t i = 0; options[i].name != NULL; i++)
		if (options[i].subopts != NULL)
			options_free(options[i].subopts);
	mem_free(options);
}

cfg_opt_t *options_new(void)
{
	return section_options(&config_sections[SECTION_MAIN]);
}
