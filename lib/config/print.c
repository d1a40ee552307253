/* SPDX-License-Identifier: Apache-2.0 */
/* The settings as text for people: the file that setup writes, and the manual. */
#include "config/parse.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/manual.h"
#include "config/settings.h"

enum { WIDTH = 92 };

/* text in lines of at most WIDTH, each after prefix. */
static void print_wrapped(const char *prefix, const char *text, struct buf *out)
{
	struct slice rest = slice_str(text), word;
	size_t column = 0;

	while (slice_split(&rest, ' ', &word)) {
		if (column != 0 && column + 1 + word.len > WIDTH) {
			buf_append_byte(out, '\n');
			column = 0;
		}
		if (column == 0) {
			buf_append_str(out, prefix);
			column = strlen(prefix);
		} else {
			buf_append_byte(out, ' ');
			column++;
		}
		buf_append_slice(out, word);
		column += word.len;
	}
	buf_append_byte(out, '\n');
}

/* Is the value what it would be without being set? */
static bool is_default(const struct setting *setting, const struct buf *value)
{
	struct buf initial;
	bool same;
	char why[VALUE_WHY_MAX];
	union {
		struct config config;
		struct config_listen listen;
		struct config_relay relay;
		struct config_route route;
		struct config_certificate certificate;
	} fresh;

	if (setting->initial == NULL)
		return false;
	memset(&fresh, 0, sizeof(fresh));
	buf_init(&initial, 2 * VALUE_TEXT_MAX + 16);
	value_read(setting, &fresh, slice_str(setting->initial), why);
	value_print(setting, &fresh, &initial);
	same = slice_equal(buf_data(&initial), buf_data(value));
	buf_release(&initial);
	if (setting_is_text(setting))
		mem_free(*setting_text(setting, &fresh));
	return same;
}

/*
 * One line. With comments the help comes first, and what is at its default or not set stands
 * there as a comment.
 */
static enum err print_setting(const struct setting *setting, const void *base, const char *indent,
			      bool comments, struct buf *out)
{
	struct buf value;
	char prefix[32];
	enum err err = ERR_OK;
	bool set;

	buf_init(&value, 8 * 1024 * 1024);
	set = value_print(setting, base, &value);
	if (comments) {
		snprintf(prefix, sizeof(prefix), "%s# ", indent);
		print_wrapped(prefix, setting->help, out);
	}
	if (set)
		err = buf_printf(out, "%s%s%s = %.*s\n", indent,
				 comments && is_default(setting, &value) ? "# " : "", setting->name,
				 SLICE_ARG(buf_data(&value)));
	else if (comments)
		err = buf_printf(out, "%s# %s =\n", indent, setting->name);
	buf_release(&value);
	return err;
}

static enum err print_section(const struct section *section, const void *base, bool comments,
			      struct buf *out)
{
	bool inside = section != &config_sections[SECTION_MAIN];
	enum err err = ERR_OK;

	if (section->titled)
		err = buf_printf(out, "%s \"%s\" {\n", section->name,
				 *(char *const *)base); /* titles hold no quotes: parse.c */
	else if (inside)
		err = buf_printf(out, "%s {\n", section->name);
	for (const struct setting *s = setting_first(section); err == ERR_OK && s != NULL;
	     s = setting_next(s)) {
		err = print_setting(s, base, inside ? "\t" : "", comments, out);
		if (comments && setting_next(s) != NULL)
			buf_append_byte(out, '\n');
	}
	if (err == ERR_OK && inside)
		err = buf_append_str(out, "}\n");
	return err;
}

enum err config_print(const struct config *config, bool comments, struct buf *out)
{
	size_t before = buf_len(out);
	enum err err = ERR_OK;

	if (comments)
		buf_append_str(out,
			       "# The configuration of postern; see postern.conf(5). What begins "
			       "with # is at its default.\n"
			       "# After a change: postern check, then postern reload.\n\n");
	for (size_t i = 0; err == ERR_OK && i < config_section_count; i++) {
		const struct section *section = &config_sections[i];
		size_t uses = section_uses(section, config);

		if (comments && section->help[0] != '\0') {
			buf_append_byte(out, '\n');
			print_wrapped("# ", section->help, out);
		}
		for (size_t n = 0; err == ERR_OK && n < uses; n++) {
			err = print_section(section, section_base(section, config, n),
					    comments && n == 0, out);
			if (err == ERR_OK)
				err = buf_append_byte(out, '\n');
		}
	}
	if (err != ERR_OK)
		buf_truncate(out, before);
	return err;
}

void manual_text(const char *text, struct buf *out)
{
	if (*text == '.' || *text == '\'')
		buf_append_str(out, "\\&");
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			buf_append_str(out, "\\e");
		else if (*text == '-')
			buf_append_str(out, "\\-");
		else
			buf_append_byte(out, *text);
	}
	buf_append_byte(out, '\n');
}

static enum err manual_setting(const struct setting *setting, struct buf *out)
{
	struct buf form;

	buf_init(&form, 512);
	buf_printf(out, ".It Ic %s No =\n", setting->name);
	manual_text(setting->help, out);
	value_describe(setting, &form);
	buf_append_str(out, ".br\nValue: ");
	buf_append_slice(out, buf_data(&form));
	if (setting_is_list(setting))
		buf_append_str(out, "; several as { \"...\", \"...\" }");
	if (setting->initial == NULL) {
		buf_append_str(out, setting_is_required(setting) ? ". Must be given.\n" : ".\n");
	} else {
		buf_printf(out, ". Default: %s", setting->initial);
		if (setting->max != 0) {
			buf_append_str(out, "; from ");
			value_print_number(setting->type, setting->min, out);
			buf_append_str(out, " to ");
			value_print_number(setting->type, setting->max, out);
		}
		buf_append_str(out, ".\n");
	}
	buf_release(&form);
	return buf_room(out) > VALUE_TEXT_MAX ? ERR_OK : ERR_FULL;
}

enum err config_manual(struct buf *out)
{
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < config_section_count; i++) {
		const struct section *section = &config_sections[i];

		if (i == SECTION_MAIN)
			buf_append_str(out, ".Ss Outside of sections\n");
		else
			buf_printf(out, ".Ss %s%s { ... }\n", section->name,
				   section->titled ? " \\(dqNAME\\(dq" : "");
		if (section->help[0] != '\0')
			manual_text(section->help, out);
		buf_append_str(out, ".Bl -tag -width Ds\n");
		for (const struct setting *s = setting_first(section); err == ERR_OK && s != NULL;
		     s = setting_next(s))
			err = manual_setting(s, out);
		buf_append_str(out, ".El\n");
	}
	return err;
}
