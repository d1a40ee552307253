/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains: letters, digits and hyphens (RFC 5321 4.1.2), and what stands for more than that.
 * Letters beyond ASCII are mapped by UTS-46, non-transitional, and what comes out must be a host
 * name again: a full-width dot or at sign that turns into the ASCII one is never taken at its old
 * value. An "xn--" label must be real punycode of something that may be shown, for it is shown to
 * people as that. idn2_lookup_u8 computes; it asks neither the system nor the locale.
 */
#include <idn2.h>
#include <string.h>

#include "base/utf8.h"
#include "smtp/address.h"

enum { LABEL_MAX = 63, UNICODE_MAX = 4 * SMTP_DOMAIN_MAX };

bool smtp_is_host_name(struct slice text)
{
	struct slice rest = text, label;

	if (text.len == 0 || text.len > SMTP_DOMAIN_MAX || text.ptr[text.len - 1] == '.')
		return false;
	while (slice_split(&rest, '.', &label)) {
		if (label.len == 0 || label.len > LABEL_MAX)
			return false;
		if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
				return false;
	}
	return true;
}

/* Why a text that is no host name is none. */
static enum smtp_address_error why_no_host_name(struct slice text)
{
	struct slice rest = text, label;

	while (slice_split(&rest, '.', &label))
		if (label.len > LABEL_MAX)
			return SMTP_ADDRESS_TOO_LONG;
	return text.len > SMTP_DOMAIN_MAX ? SMTP_ADDRESS_TOO_LONG : SMTP_ADDRESS_SYNTAX;
}

/* The characters that UTS-46 maps to a full stop. */
static bool is_dot(uint32_t code)
{
	return code == '.' || code == 0x3002 || code == 0xff0e || code == 0xff61;
}

/* What an "xn--" label stands for may be shown: beyond ASCII, and with nothing to fool the eye. */
static bool may_be_shown(struct slice text)
{
	bool beyond = false;
	uint32_t code;
	size_t len;

	for (; text.len != 0; text = slice_skip(text, len)) {
		len = utf8_next(text, &code);
		if (len == 0 || utf8_is_unsafe(code) || is_dot(code))
			return false;
		if (code < 0x80 && !ascii_is_alnum((char)code) && code != '-')
			return false;
		beyond |= code >= 0x80;
	}
	return beyond;
}

/* label: in lower case, terminated. */
static bool is_good_a_label(const char *label)
{
	uint8_t *again = NULL;
	char *shown = NULL;
	bool good;
	int error = idn2_lookup_u8((const uint8_t *)label, &again,
				   IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);

	/* Registered before or beside IDNA2008: signs and pictures. It is left as it is. */
	good = error == IDN2_DISALLOWED ||
	       (error == IDN2_OK && strcmp((const char *)again, label) == 0);
	good = good && idn2_to_unicode_8z8z(label, &shown, 0) == IDN2_OK &&
	       may_be_shown(slice_str(shown));
	idn2_free(shown);
	idn2_free(again);
	return good;
}

/* text: a host name in lower case. */
static bool has_good_labels(struct slice text)
{
	struct slice label;

	while (slice_split(&text, '.', &label)) {
		char one[LABEL_MAX + 1];

		if (slice_starts(label, "xn--") &&
		    (slice_copy(label, one, sizeof(one)) != ERR_OK || !is_good_a_label(one)))
			return false;
	}
	return true;
}

/* Maps letters beyond ASCII; text_out as of smtp_domain_canonical. */
static enum smtp_address_error map(struct slice text, char *text_out)
{
	enum smtp_address_error result = SMTP_ADDRESS_SYNTAX;
	char terminated[UNICODE_MAX + 1];
	uint8_t *mapped = NULL;
	int error;

	if (!utf8_valid(text))
		return SMTP_ADDRESS_SYNTAX;
	if (slice_copy(text, terminated, sizeof(terminated)) != ERR_OK)
		return SMTP_ADDRESS_TOO_LONG;
	error = idn2_lookup_u8((const uint8_t *)terminated, &mapped,
			       IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	if (error == IDN2_TOO_BIG_LABEL || error == IDN2_TOO_BIG_DOMAIN)
		result = SMTP_ADDRESS_TOO_LONG;
	else if (error == IDN2_OK && !smtp_is_host_name(slice_str((const char *)mapped)))
		result = why_no_host_name(slice_str((const char *)mapped));
	else if (error == IDN2_OK && has_good_labels(slice_str((const char *)mapped)) &&
		 slice_copy(slice_str((const char *)mapped), text_out, SMTP_DOMAIN_MAX + 1) ==
			 ERR_OK)
		result = SMTP_ADDRESS_OK;
	idn2_free(mapped);
	return result;
}

enum smtp_address_error smtp_domain_canonical(struct slice text, bool utf8, char *text_out)
{
	char lower[SMTP_DOMAIN_MAX + 1];

	if (!utf8_is_ascii(text))
		return utf8 ? map(text, text_out) : SMTP_ADDRESS_NEEDS_UTF8;
	if (!smtp_is_host_name(text))
		return why_no_host_name(text);
	for (size_t i = 0; i < text.len; i++)
		lower[i] = ascii_lower(text.ptr[i]);
	if (!has_good_labels(slice_of(lower, text.len)))
		return SMTP_ADDRESS_SYNTAX;
	return slice_copy(slice_of(lower, text.len), text_out, SMTP_DOMAIN_MAX + 1) == ERR_OK
		       ? SMTP_ADDRESS_OK
		       : SMTP_ADDRESS_TOO_LONG;
}
