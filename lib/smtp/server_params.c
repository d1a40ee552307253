/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameters of MAIL and RCPT, read forward, at most SMTP_PARAMS_MAX, each once: SIZE (RFC
 * 1870), BODY (6152), AUTH (4954 5), SMTPUTF8 (6531), RET ENVID NOTIFY ORCPT (3461, 6533),
 * HOLDFOR HOLDUNTIL (4865), BY (2852), MT-PRIORITY (6710), REQUIRETLS (8689). One whose extension
 * is not offered is not known. Text that reaches the queue is checked for what it says once it is
 * decoded: no line break comes in through "+0A" or "\x{a}".
 */
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "smtp/server_private.h"

/* One parameter while it is taken, and where to. */
struct taking {
	struct smtp_server *server;
	struct smtp_mail *mail;
	struct smtp_rcpt *rcpt; /* NULL in MAIL */
	bool has_value;         /* there was a '=' */
};

struct param {
	const char *keyword;
	/* Takes the value; NULL or the refusal. */
	const char *(*take)(const struct taking *taking, struct slice value);
	unsigned extension; /* enum smtp_extension that must be offered; 0: always there */
};

static const char *const bad_value = "501 5.5.4 A parameter has a bad value";

/* At most nine digits, as several of the grammars want it. */
static bool is_nine_digits(struct slice text, uint64_t *value_out)
{
	return text.len <= 9 && slice_number(text, UINT32_MAX, value_out) == ERR_OK;
}

/* A size as people say it. */
static void print_size(struct buf *out, uint64_t bytes)
{
	uint64_t unit = bytes >= 1u << 20 ? 1u << 20 : 1u << 10;

	if (bytes < 10u << 10)
		buf_printf(out, "%llu bytes", (unsigned long long)bytes);
	else
		buf_printf(out, "%llu.%llu %s", (unsigned long long)(bytes / unit),
			   (unsigned long long)(bytes % unit * 10 / unit),
			   unit == 1u << 20 ? "MB" : "kB");
}

/* With the numbers, for the person who reads it in a mail program. */
static const char *too_large(struct smtp_server *server, uint64_t size)
{
	struct buf text;

	buf_init(&text, SMTP_ANSWER_MAX);
	buf_append_str(&text, "552 5.3.4 The message has ");
	print_size(&text, size);
	buf_append_str(&text, ", the limit is ");
	print_size(&text, server->options.message_size);
	buf_append_str(&text, " (attachments grow by a third in mail)");
	mem_free(server->refusal_text);
	server->refusal_text = mem_strndup(buf_data(&text).ptr, buf_len(&text));
	buf_release(&text);
	return server->refusal_text;
}

const char *server_too_large(struct smtp_server *server)
{
	struct buf text;

	buf_init(&text, sizeof(server->too_large) - 1);
	buf_append_str(&text, "552 5.3.4 The message is larger than ");
	print_size(&text, server->options.message_size);
	buf_append_str(&text, ", which is the limit (attachments grow by a third in mail)");
	(void)slice_copy(buf_data(&text), server->too_large, sizeof(server->too_large));
	buf_release(&text);
	return server->too_large;
}

static const char *take_size(const struct taking *taking, struct slice value)
{
	uint64_t limit = taking->server->options.message_size;

	if (slice_number(value, UINT64_MAX, &taking->mail->size) != ERR_OK)
		return bad_value;
	if (limit != 0 && taking->mail->size > limit)
		return too_large(taking->server, taking->mail->size);
	return NULL;
}

static const char *take_body(const struct taking *taking, struct slice value)
{
	taking->mail->body_8bit = slice_is_nocase(value, "8BITMIME");
	return taking->mail->body_8bit || slice_is_nocase(value, "7BIT") ? NULL : bad_value;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; /* RFC 3461 4: capitals only */
}

/*
 * The next character of xtext, decoded, in *code_out; its length, 0 if it is none, or none that
 * may be printed. wide: UTF-8 may stand in it as it is (utf-8-addr-unitext of RFC 6533 3).
 */
static size_t next_xtext(struct slice text, bool wide, uint32_t *code_out)
{
	char c = text.ptr[0];
	int high, low;

	if ((unsigned char)c >= 0x80) {
		size_t len = wide ? utf8_next(text, code_out) : 0;

		return len != 0 && !utf8_is_unsafe(*code_out) ? len : 0;
	}
	*code_out = (unsigned char)c;
	if (c != '+')
		return c < '!' || c > '~' || c == '=' ? 0 : 1;
	if (text.len < 3)
		return 0;
	high = hex_digit(text.ptr[1]);
	low = hex_digit(text.ptr[2]);
	if (high < 0 || low < 0 || !ascii_is_print((char)(high * 16 + low)))
		return 0;
	*code_out = (uint32_t)(high * 16 + low);
	return 3;
}

/* xtext whose text is printable. */
static bool is_printable_xtext(struct slice text)
{
	uint32_t code;
	size_t len;

	if (text.len == 0)
		return false;
	for (; text.len != 0; text = slice_skip(text, len)) {
		len = next_xtext(text, false, &code);
		if (len == 0)
			return false;
	}
	return true;
}

/* Where in "\x{HEX}" of RFC 6533 3 a character falls. */
enum embedded { EMBEDDED_NONE, EMBEDDED_BACKSLASH, EMBEDDED_X, EMBEDDED_HEX };

/* Follows "\x{HEX}" through decoded text; false: it is broken, or names what may not be shown. */
static bool follow_embedded(enum embedded *at, uint32_t *value, unsigned *digits, uint32_t code)
{
	int digit = code < 0x80 ? hex_digit((char)code) : -1;

	switch (*at) {
	case EMBEDDED_NONE:
		*at = code == '\\' ? EMBEDDED_BACKSLASH : EMBEDDED_NONE;
		return true;
	case EMBEDDED_BACKSLASH:
		*at = EMBEDDED_X;
		return code == 'x';
	case EMBEDDED_X:
		*at = EMBEDDED_HEX;
		*value = *digits = 0;
		return code == '{';
	case EMBEDDED_HEX:
		break;
	}
	if (code == '}') {
		*at = EMBEDDED_NONE;
		return *digits >= 2 && *value <= 0x10ffff && (*value < 0xd800 || *value > 0xdfff) &&
		       !utf8_is_unsafe(*value);
	}
	*value = *value * 16 + (uint32_t)(digit > 0 ? digit : 0);
	return digit >= 0 && ++*digits <= 6;
}

/* utf-8-addr-xtext or utf-8-addr-unitext (RFC 6533 3). */
static bool is_utf8_address(struct slice text, bool wide)
{
	enum embedded at = EMBEDDED_NONE;
	uint32_t value = 0, code;
	unsigned digits = 0;
	size_t len;

	if (text.len == 0)
		return false;
	for (; text.len != 0; text = slice_skip(text, len)) {
		len = next_xtext(text, wide, &code);
		if (len == 0 || !follow_embedded(&at, &value, &digits, code))
			return false;
	}
	return at == EMBEDDED_NONE;
}

/* Who is said to have sent it first: checked and not believed. */
static const char *take_auth(const struct taking *taking, struct slice value)
{
	taking->mail->terms.auth = value;
	return is_printable_xtext(value) && value.len <= SMTP_ORCPT_MAX ? NULL : bad_value;
}

static const char *take_utf8(const struct taking *taking, struct slice value)
{
	(void)value;
	taking->mail->terms.utf8 = true;
	return taking->has_value ? bad_value : NULL;
}

static const char *take_require_tls(const struct taking *taking, struct slice value)
{
	(void)value;
	taking->mail->terms.require_tls = true;
	return taking->has_value ? bad_value : NULL;
}

static const char *take_ret(const struct taking *taking, struct slice value)
{
	struct smtp_mail_terms *terms = &taking->mail->terms;

	terms->ret = slice_is_nocase(value, "FULL")   ? SMTP_RET_FULL
		     : slice_is_nocase(value, "HDRS") ? SMTP_RET_HDRS
						      : SMTP_RET_NONE;
	return terms->ret != SMTP_RET_NONE ? NULL : bad_value;
}

static const char *take_envid(const struct taking *taking, struct slice value)
{
	taking->mail->terms.envid = value;
	return is_printable_xtext(value) && value.len <= SMTP_ENVID_MAX ? NULL : bad_value;
}

static const char *const two_holds = "501 5.5.4 Give either HOLDFOR or HOLDUNTIL";
static const char *const held_too_long = SMTP_HELD_TOO_LONG;

static const char *take_hold_for(const struct taking *taking, struct slice value)
{
	struct smtp_mail *mail = taking->mail;

	if (mail->hold_until != 0)
		return two_holds;
	/* No zero, and none in front. */
	if (!is_nine_digits(value, &mail->hold_for) || value.ptr[0] == '0')
		return bad_value;
	return mail->hold_for <= taking->server->options.hold_max ? NULL : held_too_long;
}

/* Two digits at the start of *text, and the byte that must follow them (0: none). */
static bool take_two(struct slice *text, char after, int *value_out)
{
	uint64_t value;

	if (slice_number(slice_head(*text, 2), 99, &value) != ERR_OK || text->len < 2)
		return false;
	if (after != '\0' && (text->len < 3 || ascii_lower(text->ptr[2]) != after))
		return false;
	*text = slice_skip(*text, after != '\0' ? 3 : 2);
	*value_out = (int)value;
	return true;
}

/* "Z" or "+hh:mm", in seconds; the whole of text. */
static bool take_zone(struct slice text, int *seconds_out)
{
	char sign = text.len != 0 ? text.ptr[0] : '\0';
	int hours, minutes;

	*seconds_out = 0;
	if (slice_is_nocase(text, "Z"))
		return true;
	text = slice_skip(text, 1);
	if ((sign != '+' && sign != '-') || !take_two(&text, ':', &hours) ||
	    !take_two(&text, '\0', &minutes) || text.len != 0 || hours > 23 || minutes > 59)
		return false;
	*seconds_out = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
	return true;
}

/* date-time of RFC 3339 5.6 (RFC 4865 with erratum 2040), in ms since 1970. */
static bool take_date_time(struct slice text, int64_t *wall_out)
{
	static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct tm tm = {.tm_isdst = 0};
	int century, year, month, zone;

	if (!take_two(&text, '\0', &century) || !take_two(&text, '-', &year) ||
	    !take_two(&text, '-', &month) || !take_two(&text, 't', &tm.tm_mday) ||
	    !take_two(&text, ':', &tm.tm_hour) || !take_two(&text, ':', &tm.tm_min) ||
	    !take_two(&text, '\0', &tm.tm_sec))
		return false;
	year += century * 100;
	if (month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_mday > days[month - 1] ||
	    tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	if (month == 2 && tm.tm_mday == 29 &&
	    (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return false;
	if (text.len > 1 && text.ptr[0] == '.' && ascii_is_digit(text.ptr[1])) {
		text = slice_skip(text, 1);
		while (text.len != 0 && ascii_is_digit(text.ptr[0]))
			text = slice_skip(text, 1);
	}
	if (!take_zone(text, &zone))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	*wall_out = ((int64_t)timegm(&tm) - zone) * 1000;
	return true;
}

static const char *take_hold_until(const struct taking *taking, struct slice value)
{
	struct smtp_server *server = taking->server;
	struct smtp_mail *mail = taking->mail;

	if (mail->hold_for != 0)
		return two_holds;
	/* A date that is over is no error: the message goes at once. */
	if (!take_date_time(value, &mail->hold_until) || mail->hold_until <= 0)
		return bad_value;
	if (mail->hold_until > server->wall + (int64_t)server->options.hold_max * 1000)
		return held_too_long;
	return NULL;
}

/* BY=[-]seconds;R|N[T] (RFC 2852 4). */
static const char *take_by(const struct taking *taking, struct slice value)
{
	struct smtp_mail_terms *terms = &taking->mail->terms;
	size_t semicolon = slice_find(value, ';');
	struct slice digits = slice_head(value, semicolon);
	struct slice mode = slice_skip(value, semicolon + 1);
	bool minus = slice_starts(digits, "-");
	uint64_t seconds;

	if (minus || slice_starts(digits, "+"))
		digits = slice_skip(digits, 1);
	if (!is_nine_digits(digits, &seconds))
		return bad_value;
	terms->by_trace = mode.len == 2 && ascii_lower(mode.ptr[1]) == 't';
	mode = slice_head(mode, mode.len - terms->by_trace);
	terms->by = slice_is_nocase(mode, "R")   ? SMTP_BY_RETURN
		    : slice_is_nocase(mode, "N") ? SMTP_BY_NOTIFY
						 : SMTP_BY_NONE;
	taking->mail->by_seconds = minus ? -(int64_t)seconds : (int64_t)seconds;
	if (terms->by == SMTP_BY_NONE)
		return bad_value;
	if (terms->by == SMTP_BY_RETURN && taking->mail->by_seconds <= 0)
		return "501 5.5.4 With BY=...;R the time must be in the future";
	return NULL;
}

/* -9 to 9; no "-0", nothing in front (RFC 6710 3). */
static const char *take_priority(const struct taking *taking, struct slice value)
{
	struct smtp_mail_terms *terms = &taking->mail->terms;
	bool minus = slice_starts(value, "-");
	uint64_t number;

	value = slice_skip(value, minus);
	if (value.len != 1 || slice_number(value, SMTP_PRIORITY_MAX, &number) != ERR_OK ||
	    (minus && number == 0))
		return bad_value;
	terms->priority = (int8_t)(minus ? -(int)number : (int)number);
	terms->has_priority = true;
	return NULL;
}

static const char *take_notify(const struct taking *taking, struct slice value)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} words[] = {
		{"NEVER", SMTP_NOTIFY_NEVER},
		{"SUCCESS", SMTP_NOTIFY_SUCCESS},
		{"FAILURE", SMTP_NOTIFY_FAILURE},
		{"DELAY", SMTP_NOTIFY_DELAY},
	};
	uint8_t notify = 0;
	struct slice word;

	if (value.len == 0 || value.ptr[value.len - 1] == ',')
		return bad_value;
	while (slice_split(&value, ',', &word)) {
		uint8_t bit = 0;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (slice_is_nocase(word, words[i].word))
				bit = words[i].bit;
		if (bit == 0 || (notify & bit) != 0)
			return bad_value;
		notify |= bit;
	}
	/* NEVER stands alone (RFC 3461 4.1). */
	if ((notify & SMTP_NOTIFY_NEVER) != 0 && notify != SMTP_NOTIFY_NEVER)
		return bad_value;
	taking->rcpt->terms.notify = notify;
	return NULL;
}

static bool is_keyword(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]) && (i == 0 || text.ptr[i] != '-'))
			return false;
	return text.len != 0;
}

/* addr-type;xtext (RFC 3461 4.2), or utf-8;... (RFC 6533 3). */
static const char *take_orcpt(const struct taking *taking, struct slice value)
{
	size_t semicolon = slice_find(value, ';');
	struct slice type = slice_head(value, semicolon);
	struct slice text = slice_skip(value, semicolon + 1);

	taking->rcpt->terms.orcpt = value;
	if (value.len > SMTP_ORCPT_MAX || !is_keyword(type))
		return bad_value;
	if (slice_is_nocase(type, "utf-8"))
		return is_utf8_address(text, taking->mail->terms.utf8) ? NULL : bad_value;
	return is_printable_xtext(text) ? NULL : bad_value;
}

static const struct param mail_params[] = {
	{"SIZE", take_size, 0},
	{"BODY", take_body, 0},
	{"AUTH", take_auth, 0},
	{"SMTPUTF8", take_utf8, SMTP_EXT_UTF8},
	{"RET", take_ret, SMTP_EXT_DSN},
	{"ENVID", take_envid, SMTP_EXT_DSN},
	{"HOLDFOR", take_hold_for, SMTP_EXT_FUTURERELEASE},
	{"HOLDUNTIL", take_hold_until, SMTP_EXT_FUTURERELEASE},
	{"BY", take_by, SMTP_EXT_DELIVERBY},
	{"MT-PRIORITY", take_priority, SMTP_EXT_PRIORITY},
	{"REQUIRETLS", take_require_tls, SMTP_EXT_REQUIRETLS},
	{NULL, NULL, 0},
};

static const struct param rcpt_params[] = {
	{"NOTIFY", take_notify, SMTP_EXT_DSN},
	{"ORCPT", take_orcpt, SMTP_EXT_DSN},
	{NULL, NULL, 0},
};

/* Takes one word; *seen: those that were there, by place in the table. NULL, or the refusal. */
static const char *take_param(struct taking *taking, const struct param *known, struct slice word,
			      unsigned *seen)
{
	size_t keyword_len = slice_find(word, '=');
	struct slice keyword = slice_head(word, keyword_len);
	size_t i = 0;

	if (!is_keyword(keyword))
		return "501 5.5.4 A parameter is malformed";
	while (known[i].keyword != NULL && !slice_is_nocase(keyword, known[i].keyword))
		i++;
	if (known[i].keyword == NULL ||
	    (known[i].extension != 0 && !server_has(taking->server, known[i].extension))) {
		server_hint(taking->server, "the client uses an extension that was not offered");
		return "555 5.5.4 A parameter is not known here";
	}
	if ((*seen & 1u << i) != 0)
		return "501 5.5.4 A parameter is given twice";
	*seen |= 1u << i;
	taking->has_value = keyword_len < word.len;
	return known[i].take(taking, slice_skip(word, keyword_len + 1));
}

const char *server_take_params(struct smtp_server *server, struct slice rest,
			       struct smtp_mail *mail, struct smtp_rcpt *rcpt)
{
	struct taking taking = {.server = server, .mail = mail, .rcpt = rcpt};
	unsigned seen = 0, count = 0;
	struct slice word;

	if (rest.len != 0 && rest.ptr[0] != ' ')
		return "501 5.5.4 There is something behind the address";
	while (slice_split(&rest, ' ', &word)) {
		const char *error;

		if (word.len == 0)
			continue;
		if (++count > SMTP_PARAMS_MAX)
			return "501 5.5.4 Too many parameters";
		error = take_param(&taking, rcpt != NULL ? rcpt_params : mail_params, word, &seen);
		if (error != NULL)
			return error;
	}
	return NULL;
}
