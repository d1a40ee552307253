/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration as bytes, in the order of the table: u32 version; per section u32 how often
 * (TITLED only), then title and fields. Numbers are u64, texts u32 length and bytes (NO_TEXT:
 * NULL), lists u32 count and texts. Master writes it for its children; they check it as strictly
 * as any message, so a decoded configuration is within all bounds of the table.
 */
#include "config/config.h"

#include <string.h>

#include "base/mem.h"
#include "config/settings.h"

/* BYTES_MAX: as PREPARE takes. */
enum { CODEC_VERSION = 1, BYTES_MAX = 1024 * 1024 };
#define NO_TEXT UINT32_MAX

static enum err put_u32(struct buf *out, uint32_t value)
{
	return buf_append(out, &value, sizeof(value));
}

static enum err put_text(struct buf *out, const char *text)
{
	enum err err;

	if (text == NULL)
		return put_u32(out, NO_TEXT);
	if ((err = put_u32(out, (uint32_t)strlen(text))) != ERR_OK)
		return err;
	return buf_append_str(out, text);
}

static enum err put_setting(struct buf *out, const struct setting *setting, const void *base)
{
	uint64_t number;
	enum err err = ERR_OK;

	if (setting_is_text(setting))
		return put_text(out, *setting_text(setting, base));
	if (setting_is_list(setting)) {
		const struct strings *list = setting_list(setting, base);

		err = put_u32(out, (uint32_t)list->count);
		for (size_t i = 0; err == ERR_OK && i < list->count; i++)
			err = put_text(out, list->items[i]);
		return err;
	}
	number = setting_number(setting, base);
	err = buf_append(out, &number, sizeof(number));
	if (err == ERR_OK && setting->type == SET_VIA)
		err = put_text(out, ((const struct config_route *)base)->target);
	return err;
}

static enum err put_section(struct buf *out, const struct section *section, void *base)
{
	enum err err = section->titled ? put_text(out, *section_title(base)) : ERR_OK;

	for (const struct setting *s = setting_first(section); err == ERR_OK && s != NULL;
	     s = setting_next(s))
		err = put_setting(out, s, base);
	return err;
}

enum err config_encode(const struct config *config, struct buf *out)
{
	size_t before = buf_len(out);
	enum err err = put_u32(out, CODEC_VERSION);

	for (size_t i = 0; err == ERR_OK && i < config_section_count; i++) {
		const struct section *section = &config_sections[i];
		size_t uses = section_uses(section, config);

		if (section->titled)
			err = put_u32(out, (uint32_t)uses);
		for (size_t n = 0; err == ERR_OK && n < uses; n++)
			err = put_section(out, section, section_base(section, config, n));
	}
	if (err != ERR_OK)
		buf_truncate(out, before);
	return err;
}

bool config_backend_same(const struct config *a, const struct config *b, size_t index)
{
	const struct section *section = section_find("backend");
	struct buf x, y;
	bool same;

	if (index >= a->backend_count || index >= b->backend_count)
		return false;
	buf_init(&x, BYTES_MAX);
	buf_init(&y, BYTES_MAX);
	same = put_section(&x, section, section_base(section, a, index)) == ERR_OK &&
	       put_section(&y, section, section_base(section, b, index)) == ERR_OK &&
	       slice_equal(buf_data(&x), buf_data(&y));
	buf_release(&x);
	buf_release(&y);
	return same;
}

enum err config_device_encode(const struct config *config, size_t index, struct buf *out)
{
	const struct section *section = section_find("device");

	return put_section(out, section, section_base(section, config, index));
}

static enum err get(struct slice *in, void *value, size_t size)
{
	if (in->len < size)
		return ERR_SYNTAX;
	memcpy(value, in->ptr, size);
	*in = slice_skip(*in, size);
	return ERR_OK;
}

/* *null_out: there is none. The slice points into the input. */
static enum err get_text(struct slice *in, size_t max, struct slice *text_out, bool *null_out)
{
	uint32_t len = 0;
	enum err err = get(in, &len, sizeof(len));

	if (err != ERR_OK)
		return err;
	*null_out = len == NO_TEXT;
	if (*null_out) {
		*text_out = slice_str(NULL);
		return ERR_OK;
	}
	if (len > max)
		return ERR_RANGE;
	if (in->len < len)
		return ERR_SYNTAX;
	*text_out = slice_head(*in, len);
	*in = slice_skip(*in, len);
	return slice_has_byte(*text_out, '\0') ? ERR_SYNTAX : ERR_OK;
}

static enum err get_single_text(struct slice *in, const struct setting *setting, void *base)
{
	char why[VALUE_WHY_MAX];
	struct slice text;
	bool null;
	enum err err = get_text(in, VALUE_TEXT_MAX, &text, &null);

	if (err != ERR_OK)
		return err;
	if (null && (setting_is_required(setting) || setting->initial != NULL))
		return ERR_SYNTAX; /* what has a default is never missing */
	if (!null && (err = value_check(setting->type, text, why)) != ERR_OK)
		return err;
	MEM_FREE(*setting_text(setting, base));
	*setting_text(setting, base) = null ? NULL : mem_strndup(text.ptr, text.len);
	return ERR_OK;
}

static enum err get_list(struct slice *in, const struct setting *setting, void *base)
{
	struct strings *list = setting_list(setting, base);
	char why[VALUE_WHY_MAX];
	uint32_t count = 0;
	enum err err = get(in, &count, sizeof(count));

	strings_clear(list);
	if (err == ERR_OK &&
	    (count > VALUE_LIST_MAX || (count == 0 && setting_is_required(setting))))
		err = ERR_RANGE;
	for (uint32_t i = 0; err == ERR_OK && i < count; i++) {
		struct slice text;
		bool null;

		err = get_text(in, VALUE_TEXT_MAX, &text, &null);
		if (err == ERR_OK)
			err = null ? ERR_SYNTAX : value_check(setting->type, text, why);
		if (err == ERR_OK)
			strings_add(list, text);
	}
	return err;
}

static enum err get_via(struct slice *in, uint64_t kind, struct config_route *route)
{
	struct slice text;
	bool null;
	enum err err = get_text(in, VALUE_TEXT_MAX, &text, &null);

	if (err != ERR_OK)
		return err;
	if (null != (kind == ROUTE_MX) || (!null && text.len == 0))
		return ERR_SYNTAX;
	route->kind = (enum route_kind)kind;
	MEM_FREE(route->target);
	route->target = null ? NULL : mem_strndup(text.ptr, text.len);
	return ERR_OK;
}

static enum err get_setting(struct slice *in, const struct setting *setting, void *base)
{
	uint64_t number = 0;
	enum err err;

	if (setting_is_text(setting))
		return get_single_text(in, setting, base);
	if (setting_is_list(setting))
		return get_list(in, setting, base);
	if ((err = get(in, &number, sizeof(number))) != ERR_OK)
		return err;
	if (!setting_in_bounds(setting, number))
		return ERR_RANGE;
	if (setting->type == SET_VIA)
		return get_via(in, number, base);
	setting_store(setting, base, number);
	return ERR_OK;
}

static enum err get_settings(struct slice *in, const struct section *section, void *base)
{
	enum err err = ERR_OK;

	for (const struct setting *s = setting_first(section); err == ERR_OK && s != NULL;
	     s = setting_next(s))
		err = get_setting(in, s, base);
	return err;
}

static enum err get_titled(struct slice *in, const struct section *section, struct config *config)
{
	char why[VALUE_WHY_MAX];
	uint32_t count = 0;
	enum err err = get(in, &count, sizeof(count));

	if (err == ERR_OK && count > VALUE_TITLED_MAX)
		err = ERR_RANGE;
	for (uint32_t i = 0; err == ERR_OK && i < count; i++) {
		struct slice title;
		bool null;

		err = get_text(in, VALUE_TITLE_MAX, &title, &null);
		if (err == ERR_OK)
			err = null ? ERR_SYNTAX : value_check(SET_TEXT, title, why);
		if (err == ERR_OK)
			err = get_settings(in, section, section_add(section, config, title));
	}
	return err;
}

enum err config_decode(struct slice bytes, struct config **config_out)
{
	struct config *config = config_new();
	uint32_t version = 0;
	enum err err = get(&bytes, &version, sizeof(version));

	if (err == ERR_OK && version != CODEC_VERSION)
		err = ERR_SYNTAX;
	for (size_t i = 0; err == ERR_OK && i < config_section_count; i++) {
		const struct section *section = &config_sections[i];

		err = section->titled ? get_titled(&bytes, section, config)
				      : get_settings(&bytes, section, config);
	}
	if (err == ERR_OK && bytes.len != 0)
		err = ERR_SYNTAX;
	if (err != ERR_OK)
		config_free(&config);
	else
		*config_out = config;
	return err;
}

enum err config_copy(const struct config *config, struct config **copy_out)
{
	struct buf bytes;
	enum err err;

	buf_init(&bytes, BYTES_MAX);
	err = config_encode(config, &bytes);
	if (err == ERR_OK)
		err = config_decode(buf_data(&bytes), copy_out);
	buf_release(&bytes);
	return err;
}
