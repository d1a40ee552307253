/* SPDX-License-Identifier: Apache-2.0 */
/* Values of settings as text: reading, checking, printing. No I/O; names are not looked up. */
#include "config/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/network.h"
#include "base/utf8.h"

struct unit {
	const char *name;
	uint64_t value;
};

/* Largest first: printing takes the first that divides. */
static const struct unit size_units[] = {
	{"G", 1u << 30}, {"M", 1u << 20}, {"K", 1u << 10}, {NULL, 0}};
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
					 {"s", 1000},     {"ms", 1},      {NULL, 0}};

static enum err complain(enum err err, char *why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static enum err complain(enum err err, char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, VALUE_WHY_MAX, format, args);
	va_end(args);
	return err;
}

/* As in EHLO. Those that are not here are never offered: ANONYMOUS, NTLM, OTP, DIGEST-MD5. */
static const char *const mechanisms[] = {"PLAIN",         "LOGIN",
					 "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
					 "SCRAM-SHA-1",   "SCRAM-SHA-1-PLUS",
					 "CRAM-MD5",      "EXTERNAL",
					 "GSSAPI",        "OAUTHBEARER",
					 "XOAUTH2"};
#define MECHANISMS_TEXT                                                                            \
	"PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, SCRAM-SHA-1, SCRAM-SHA-1-PLUS, "         \
	"CRAM-MD5, EXTERNAL, GSSAPI, OAUTHBEARER, XOAUTH2"

const char *config_mechanism(struct slice name)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (slice_is_nocase(name, mechanisms[i]))
			return mechanisms[i];
	return NULL;
}

static const char *type_form(enum setting_type type)
{
	static const char *const forms[] = {
		[SET_TEXT] = "a text",
		[SET_WORD] = "a word of letters, digits, - and _",
		[SET_HOST] = "a host name such as mail.example.org",
		[SET_HOST_PORT] = "a host and port such as smtp.isp.example:587",
		[SET_URL] = "an address such as https://idp.example.org/keys",
		[SET_PATH] = "an absolute path",
		[SET_VIA] =
			"mx, relay:NAME, lmtp:/path/of/socket, lmtp:host:port or capture:/folder",
		[SET_SIZE] = "a size in bytes, or with K, M or G: 50M",
		[SET_TIME] = "a time with its unit ms, s, m, h or d: 5m",
		[SET_COUNT] = "a whole number",
		[SET_LOAD] = "a load average such as 12 or 0.5, auto, or off",
		[SET_BOOL] = "yes or no",
		[SET_ENUM] = "one of a few words",
		[SET_DOMAINS] = "a domain such as example.org or *.example.org",
		[SET_ADDRESSES] = "an address and port such as *:587, 192.0.2.1:25 or [::1]:smtp",
		[SET_PATTERNS] = "an address or pattern such as alice@example.org or *@example.org",
		[SET_RESOLVERS] = "an address such as 127.0.0.1 or 127.0.0.1@5353",
		[SET_NETWORKS] = "a network such as 192.0.2.0/24 or 2001:db8::/32, or an address",
		[SET_MECHANISMS] = ("one of " MECHANISMS_TEXT),
		[SET_TEXTS] = "a text, or a list of them",
	};

	return forms[type];
}

static bool is_word(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]) && text.ptr[i] != '-' && text.ptr[i] != '_')
			return false;
	return true;
}

/* Labels of letters, digits and hyphens, 1 to 63 each, 253 in all. */
static bool is_host(struct slice text)
{
	struct slice rest = text, label;

	if (text.len == 0 || text.len > 253 || text.ptr[text.len - 1] == '.')
		return false;
	while (slice_split(&rest, '.', &label)) {
		if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' ||
		    label.ptr[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
				return false;
	}
	return true;
}

/* A domain as in an address: also in UTF-8. */
static bool is_domain(struct slice text)
{
	if (slice_starts(text, "*."))
		text = slice_skip(text, 2);
	if (utf8_is_ascii(text))
		return is_host(text);
	return text.len <= 253 && !slice_has_byte(text, '@') && !slice_has_byte(text, ' ');
}

static bool is_ip_text(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (strchr("0123456789abcdefABCDEF.:%", text.ptr[i]) == NULL)
			return false;
	return text.len != 0;
}

static bool is_port(struct slice text)
{
	uint64_t number;

	if (text.len != 0 && ascii_is_digit(text.ptr[0]))
		return slice_number(text, 65535, &number) == ERR_OK && number != 0;
	return text.len != 0 && is_word(text);
}

/* HOST:PORT, [IPv6]:PORT; any: also *. */
static bool is_host_port(struct slice text, bool any)
{
	size_t colon = slice_find_last(text, ':');
	struct slice host = slice_head(text, colon);

	if (colon == text.len || !is_port(slice_skip(text, colon + 1)))
		return false;
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		return is_ip_text(slice_head(slice_skip(host, 1), host.len - 2));
	return (any && slice_is(host, "*")) || is_host(host);
}

/*
 * https alone, with a host, without a name or password in it, which would be in everybody's sight
 * (RFC 3986).
 */
static bool is_url(struct slice text)
{
	struct slice host;

	if (!slice_starts(text, "https://"))
		return false;
	text = slice_skip(text, 8);
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_print(text.ptr[i]) ||
		    slice_has_byte(SLICE_LIT(" \"<>\\^`{|}#"), text.ptr[i]))
			return false;
	host = slice_head(text, slice_find(text, '/'));
	host = slice_head(host, slice_find(host, '?'));
	if (host.len > 0 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		return is_ip_text(slice_head(slice_skip(host, 1), host.len - 2));
	return is_host(host) || is_host_port(host, false);
}

static bool is_pattern(struct slice text)
{
	size_t at = slice_find_last(text, '@');
	struct slice domain = slice_skip(text, at + 1);

	if (slice_is(text, "*"))
		return true;
	return at < text.len && !slice_has_byte(text, ' ') &&
	       (slice_is(domain, "*") || is_domain(domain));
}

static bool is_resolver(struct slice text)
{
	size_t at = slice_find(text, '@');
	uint64_t port;

	if (at < text.len &&
	    (slice_number(slice_skip(text, at + 1), 65535, &port) != ERR_OK || port == 0))
		return false;
	return is_ip_text(slice_head(text, at));
}

static bool is_network(struct slice text)
{
	struct network network;

	return network_read(text, &network) == ERR_OK;
}

static bool has_form(enum setting_type type, struct slice text)
{
	switch (type) {
	case SET_WORD:
		return is_word(text);
	case SET_HOST:
		return is_host(text);
	case SET_HOST_PORT:
		return is_host_port(text, false);
	case SET_URL:
		return is_url(text);
	case SET_PATH:
		return slice_starts(text, "/");
	case SET_DOMAINS:
		return is_domain(text);
	case SET_ADDRESSES:
		return is_host_port(text, true);
	case SET_PATTERNS:
		return is_pattern(text);
	case SET_RESOLVERS:
		return is_resolver(text);
	case SET_NETWORKS:
		return is_network(text);
	case SET_MECHANISMS:
		return config_mechanism(text) != NULL;
	default:
		return true;
	}
}

static bool is_clean(struct slice text)
{
	struct slice rest = text;
	uint32_t code;

	while (rest.len != 0) {
		size_t len = utf8_next(rest, &code);

		if (len == 0 || utf8_is_unsafe(code))
			return false;
		rest = slice_skip(rest, len);
	}
	return true;
}

enum err value_check(enum setting_type type, struct slice text, char *why)
{
	char network[NETWORK_TEXT_MAX];

	if (text.len > VALUE_TEXT_MAX)
		return complain(ERR_RANGE, why, "is longer than %d bytes", VALUE_TEXT_MAX);
	if (!is_clean(text))
		return complain(
			ERR_SYNTAX, why,
			"has a character that cannot be in it (a control character, or no UTF-8)");
	if (text.len == 0 && type != SET_WORD)
		return complain(ERR_SYNTAX, why, "is empty; expected %s", type_form(type));
	if (has_form(type, text))
		return ERR_OK;
	if (type == SET_PATTERNS && is_domain(text))
		return complain(ERR_SYNTAX, why,
				"is \"%.*s\"; for all addresses of the domain write *@%.*s",
				SLICE_ARG(text), SLICE_ARG(text));
	if (type == SET_NETWORKS && network_correct(text, network) == ERR_OK)
		return complain(
			ERR_SYNTAX, why,
			"is \"%.*s\", an address within a network; write %s for the network, "
			"or the address without /",
			SLICE_ARG(text), network);
	return complain(ERR_SYNTAX, why, "is \"%.*s\"; expected %s", SLICE_ARG(text),
			type_form(type));
}

static enum err read_units(struct slice text, const struct unit *units, bool bare,
			   uint64_t *value_out)
{
	uint64_t number, factor = 0;
	size_t digits = 0;
	enum err err;

	while (digits < text.len && ascii_is_digit(text.ptr[digits]))
		digits++;
	if ((err = slice_number(slice_head(text, digits), INT64_MAX, &number)) != ERR_OK)
		return err;

	struct slice unit = slice_skip(text, digits);

	if (unit.len == 0 && (bare || number == 0))
		factor = 1;
	for (; factor == 0 && units->name != NULL; units++)
		if (slice_is_nocase(unit, units->name))
			factor = units->value;
	if (factor == 0)
		return ERR_SYNTAX;
	if (number > INT64_MAX / factor)
		return ERR_RANGE;
	*value_out = number * factor;
	return ERR_OK;
}

enum err config_read_size(struct slice text, uint64_t *bytes_out)
{
	return read_units(text, size_units, true, bytes_out);
}

void config_print_size(uint64_t bytes, struct buf *out)
{
	value_print_number(SET_SIZE, bytes, out);
}

static enum err read_bool(struct slice text, uint64_t *value_out)
{
	static const char *const words[] = {"no", "yes", "off", "on", "false", "true"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_is_nocase(text, words[i])) {
			*value_out = i % 2;
			return ERR_OK;
		}
	return ERR_SYNTAX;
}

static enum err read_enum(struct slice text, const char *const *words, uint64_t *value_out)
{
	for (size_t i = 0; words[i] != NULL; i++)
		if (slice_is_nocase(text, words[i])) {
			*value_out = i;
			return ERR_OK;
		}
	return ERR_SYNTAX;
}

/* "12", "0.5", "0.05": in hundredths. */
static enum err read_hundredths(struct slice text, uint64_t *value_out)
{
	size_t point = slice_find(text, '.');
	struct slice part = slice_skip(text, point + 1);
	uint64_t whole, rest = 0;
	enum err err = slice_number(slice_head(text, point), INT64_MAX / 100 - 1, &whole);

	if (err == ERR_OK && point < text.len) {
		if (part.len > 2)
			return ERR_SYNTAX;
		err = slice_number(part, 99, &rest);
		rest *= part.len == 1 ? 10 : 1;
	}
	if (err == ERR_OK)
		*value_out = whole * 100 + rest;
	return err;
}

static enum err read_load(struct slice text, uint64_t *value_out)
{
	if (slice_is_nocase(text, "auto")) {
		*value_out = CONFIG_LOAD_AUTO;
		return ERR_OK;
	}
	if (slice_is_nocase(text, "off")) {
		*value_out = 0;
		return ERR_OK;
	}
	return read_hundredths(text, value_out);
}

void value_print_number(enum setting_type type, uint64_t value, struct buf *out)
{
	const struct unit *unit = type == SET_SIZE ? size_units : time_units;

	if (type == SET_LOAD && (value == 0 || value == CONFIG_LOAD_AUTO)) {
		buf_append_str(out, value == 0 ? "off" : "auto");
		return;
	}
	if (type == SET_LOAD) {
		buf_printf(out, "%llu", (unsigned long long)(value / 100));
		if (value % 100 != 0)
			buf_printf(out, ".%02u", (unsigned)(value % 100));
		return;
	}
	if (type == SET_SIZE || type == SET_TIME)
		for (; value != 0 && unit->name != NULL; unit++)
			if (value % unit->value == 0) {
				buf_printf(out, "%llu%s", (unsigned long long)(value / unit->value),
					   unit->name);
				return;
			}
	buf_printf(out, "%llu", (unsigned long long)value);
}

void value_describe(const struct setting *setting, struct buf *out)
{
	if (setting->type != SET_ENUM) {
		buf_append_str(out, type_form(setting->type));
		return;
	}
	for (size_t i = 0; setting->words[i] != NULL; i++) {
		if (i != 0)
			buf_append_str(out, setting->words[i + 1] != NULL ? ", " : " or ");
		buf_append_str(out, setting->words[i]);
	}
}

static enum err complain_form(const struct setting *setting, struct slice text, char *why)
{
	struct buf form;

	buf_init(&form, 256);
	value_describe(setting, &form);
	complain(ERR_SYNTAX, why, "is \"%.*s\"; expected %.*s", SLICE_ARG(slice_head(text, 100)),
		 SLICE_ARG(buf_data(&form)));
	buf_release(&form);
	return ERR_SYNTAX;
}

static enum err complain_bounds(const struct setting *setting, struct slice text, char *why)
{
	struct buf low, high;

	buf_init(&low, 32);
	buf_init(&high, 32);
	value_print_number(setting->type, setting->min, &low);
	value_print_number(setting->type, setting->max, &high);
	complain(ERR_RANGE, why, "is %.*s; it must be between %.*s and %.*s",
		 SLICE_ARG(slice_head(text, 40)), SLICE_ARG(buf_data(&low)),
		 SLICE_ARG(buf_data(&high)));
	buf_release(&low);
	buf_release(&high);
	return ERR_RANGE;
}

static enum err read_number(const struct setting *setting, struct slice text, char *why,
			    uint64_t *value_out)
{
	uint64_t value = 0;
	enum err err;

	switch (setting->type) {
	case SET_SIZE:
		err = read_units(text, size_units, true, &value);
		break;
	case SET_TIME:
		err = read_units(text, time_units, false, &value);
		break;
	case SET_BOOL:
		err = read_bool(text, &value);
		break;
	case SET_ENUM:
		err = read_enum(text, setting->words, &value);
		break;
	case SET_LOAD:
		err = read_load(text, &value);
		break;
	default:
		err = slice_number(text, INT64_MAX, &value);
	}
	if (err == ERR_SYNTAX)
		return complain_form(setting, text, why);
	if (err != ERR_OK || !setting_in_bounds(setting, value))
		return complain_bounds(setting, text, why);
	*value_out = value;
	return ERR_OK;
}

/* "lmtp:..." and its like into kind and target. */
static enum err read_via(const struct setting *setting, struct config_route *route,
			 struct slice text, char *why)
{
	struct slice target = slice_skip(text, slice_find(text, ':') + 1);
	enum route_kind kind;
	bool good;

	if (slice_is(text, "mx")) {
		kind = ROUTE_MX;
		good = true;
	} else if (slice_starts(text, "relay:")) {
		kind = ROUTE_RELAY;
		good = target.len != 0 && target.len <= VALUE_TITLE_MAX;
	} else if (slice_starts(text, "lmtp:")) {
		kind = ROUTE_LMTP;
		good = slice_starts(target, "/") || is_host_port(target, false);
	} else {
		kind = ROUTE_CAPTURE;
		good = slice_starts(text, "capture:/");
	}
	if (!good || !is_clean(text) || text.len > VALUE_TEXT_MAX)
		return complain_form(setting, text, why);
	route->kind = kind;
	MEM_FREE(route->target);
	if (kind != ROUTE_MX)
		route->target = mem_strndup(target.ptr, target.len);
	return ERR_OK;
}

enum err value_read(const struct setting *setting, void *base, struct slice text, char *why)
{
	uint64_t number;
	enum err err;

	if (setting->type == SET_VIA)
		return read_via(setting, base, text, why);
	if (setting_is_list(setting)) {
		struct strings *list = setting_list(setting, base);

		if ((err = value_check(setting->type, text, why)) != ERR_OK)
			return err;
		if (list->count == VALUE_LIST_MAX)
			return complain(ERR_RANGE, why, "has more than %d entries", VALUE_LIST_MAX);
		strings_add(list, text);
		return ERR_OK;
	}
	if (setting_is_text(setting)) {
		if ((err = value_check(setting->type, text, why)) != ERR_OK)
			return err;
		MEM_FREE(*setting_text(setting, base));
		*setting_text(setting, base) = mem_strndup(text.ptr, text.len);
		return ERR_OK;
	}
	if ((err = read_number(setting, text, why, &number)) == ERR_OK)
		setting_store(setting, base, number);
	return err;
}

/* In double quotes, with what libConfuse would take for something else escaped. */
static void print_quoted(const char *text, struct buf *out)
{
	buf_append_byte(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\' || *text == '$')
			buf_append_byte(out, '\\');
		buf_append_byte(out, *text);
	}
	buf_append_byte(out, '"');
}

static void print_list(const struct strings *list, struct buf *out)
{
	if (list->count == 1) {
		print_quoted(list->items[0], out);
		return;
	}
	buf_append_str(out, "{ ");
	for (size_t i = 0; i < list->count; i++) {
		if (i != 0)
			buf_append_str(out, ", ");
		print_quoted(list->items[i], out);
	}
	buf_append_str(out, " }");
}

static void print_via(const struct config_route *route, struct buf *out)
{
	static const char *const kinds[] = {"mx", "relay:", "lmtp:", "capture:"};
	char text[VALUE_TEXT_MAX + 16];

	snprintf(text, sizeof(text), "%s%s", kinds[route->kind],
		 route->target != NULL ? route->target : "");
	print_quoted(text, out);
}

bool value_print(const struct setting *setting, const void *base, struct buf *out)
{
	if (setting_is_list(setting)) {
		const struct strings *list = setting_list(setting, base);

		if (list->count == 0)
			return false;
		print_list(list, out);
	} else if (setting_is_text(setting)) {
		if (*setting_text(setting, base) == NULL)
			return false;
		print_quoted(*setting_text(setting, base), out);
	} else if (setting->type == SET_VIA) {
		print_via(base, out);
	} else if (setting->type == SET_ENUM) {
		print_quoted(setting->words[setting_number(setting, base)], out);
	} else if (setting->type == SET_BOOL) {
		buf_append_str(out, setting_number(setting, base) != 0 ? "yes" : "no");
	} else {
		value_print_number(setting->type, setting_number(setting, base), out);
	}
	return true;
}
