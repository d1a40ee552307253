/* SPDX-License-Identifier: Apache-2.0 */
#include "ldap_names.h"

#include <string.h>

#include "base/buf.h"

enum { PLAIN_MAX = 64 * 1024 };

static bool is_plain(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_';
}

/* "\2a": what both RFC 4514 (2.4) and RFC 4515 (3) read as that byte, and as nothing else. */
static enum err put(struct buf *out, struct slice value, bool escape)
{
	static const char digits[] = "0123456789abcdef";
	enum err err = ERR_OK;

	for (size_t i = 0; i < value.len && err == ERR_OK; i++) {
		unsigned char byte = (unsigned char)value.ptr[i];
		const char escaped[3] = {'\\', digits[byte >> 4], digits[byte & 15]};

		if (is_plain(value.ptr[i]))
			err = buf_append_byte(out, value.ptr[i]);
		else if (escape)
			err = buf_append(out, escaped, sizeof(escaped));
		else
			err = ERR_SYNTAX;
	}
	return err;
}

static enum err put_address(struct buf *out, struct slice user, struct slice domain, bool escape)
{
	enum err err = put(out, user, escape);

	if (err == ERR_OK)
		err = escape ? put(out, SLICE_LIT("@"), true) : buf_append_byte(out, '@');
	return err == ERR_OK ? put(out, domain, escape) : err;
}

static bool tells_domain(const char *template)
{
	for (const char *at = template; *at != '\0'; at++)
		if (*at == '%' && at[1] != '\0' && (*++at == 'd' || *at == 's'))
			return true;
	return false;
}

static enum err fill_in(const char *template, struct slice user, struct slice domain,
			struct buf *out)
{
	bool escape = strchr(template, '=') != NULL;
	enum err err = ERR_OK;

	for (const char *at = template; *at != '\0' && err == ERR_OK; at++) {
		bool filled = *at == '%' && at[1] != '\0';

		at += filled;
		if (filled && *at == 'u')
			err = put(out, user, escape);
		else if (filled && *at == 'd')
			err = put(out, domain, escape);
		else if (filled && *at == 's')
			err = put_address(out, user, domain, escape);
		else
			err = buf_append_byte(out, *at);
	}
	return err;
}

enum err ldap_fill_in(const char *template, const char *name, const char *domain, char *text_out,
		      size_t size)
{
	struct slice whole = slice_str(name), ours = slice_str(domain);
	size_t at = slice_find_last(whole, '@');
	struct slice user = slice_head(whole, at), its = slice_skip(whole, at + 1);
	struct buf out;
	enum err err;

	if (at == whole.len)
		its = ours;
	if (!slice_equal_nocase(its, ours) && !tells_domain(template))
		return ERR_NOT_FOUND;
	buf_init(&out, PLAIN_MAX);
	err = fill_in(template, user, its, &out);
	if (err == ERR_OK)
		err = slice_copy(buf_data(&out), text_out, size);
	buf_release(&out);
	return err;
}
