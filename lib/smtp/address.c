/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of RFC 5321 4.1.2, read forward and byte by byte. The local part is unquoted while
 * it is read and quoted again when it is printed, so two spellings of one mailbox are one text.
 * '%' and '!' are ordinary characters, and encoded words are never decoded. Domains are domain.c's.
 */
#include "smtp/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/utf8.h"

enum { IPV6_TAG_LEN = 5 }; /* "IPv6:" */

static bool is_atext(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_ascii(char c)
{
	return (unsigned char)c < 0x80;
}

/* A whole printable character beyond ASCII at the start of text; its length in *len_out. */
static enum smtp_address_error read_wide(struct slice text, bool utf8, size_t *len_out)
{
	uint32_t code;
	size_t len;

	if (!utf8)
		return SMTP_ADDRESS_NEEDS_UTF8;
	len = utf8_next(text, &code);
	if (len == 0 || utf8_is_unsafe(code))
		return SMTP_ADDRESS_SYNTAX;
	*len_out = len;
	return SMTP_ADDRESS_OK;
}

/* A local part while it is read: what it says, without quotes. */
struct local {
	char text[SMTP_LOCAL_MAX];
	size_t len;
	bool utf8;
};

static enum smtp_address_error local_add(struct local *local, struct slice bytes)
{
	if (bytes.len > sizeof(local->text) - local->len)
		return SMTP_ADDRESS_TOO_LONG;
	memcpy(local->text + local->len, bytes.ptr, bytes.len);
	local->len += bytes.len;
	local->utf8 |= !is_ascii(bytes.ptr[0]);
	return SMTP_ADDRESS_OK;
}

/* Dot-string: atoms with single dots between them. */
static enum smtp_address_error read_dot_string(struct slice *rest, bool utf8, struct local *local)
{
	enum smtp_address_error error = SMTP_ADDRESS_OK;
	bool after_dot = true;

	while (rest->len != 0 && error == SMTP_ADDRESS_OK) {
		char c = rest->ptr[0];
		size_t len = 1;

		if (!is_ascii(c))
			error = read_wide(*rest, utf8, &len);
		else if (c == '.' ? after_dot : !is_atext(c))
			break;
		if (error == SMTP_ADDRESS_OK)
			error = local_add(local, slice_head(*rest, len));
		after_dot = c == '.';
		*rest = slice_skip(*rest, len);
	}
	if (error == SMTP_ADDRESS_OK && after_dot)
		error = SMTP_ADDRESS_SYNTAX;
	return error;
}

/* Quoted-string; *rest starts with the quote and ends behind the closing one. */
static enum smtp_address_error read_quoted(struct slice *rest, bool utf8, struct local *local)
{
	enum smtp_address_error error = SMTP_ADDRESS_OK;

	*rest = slice_skip(*rest, 1);
	while (rest->len != 0 && rest->ptr[0] != '"') {
		size_t len = 1;

		if (rest->ptr[0] == '\\') {
			*rest = slice_skip(*rest, 1);
			if (rest->len == 0 || !ascii_is_print(rest->ptr[0]))
				return SMTP_ADDRESS_SYNTAX;
		} else if (!is_ascii(rest->ptr[0])) {
			error = read_wide(*rest, utf8, &len);
		} else if (!ascii_is_print(rest->ptr[0])) {
			error = SMTP_ADDRESS_SYNTAX;
		}
		if (error == SMTP_ADDRESS_OK)
			error = local_add(local, slice_head(*rest, len));
		if (error != SMTP_ADDRESS_OK)
			return error;
		*rest = slice_skip(*rest, len);
	}
	if (rest->len == 0)
		return SMTP_ADDRESS_SYNTAX;
	*rest = slice_skip(*rest, 1);
	return SMTP_ADDRESS_OK;
}

static bool is_dot_string(const struct local *local)
{
	bool after_dot = true;

	for (size_t i = 0; i < local->len; i++) {
		char c = local->text[i];

		if (c == '.' ? after_dot : is_ascii(c) && !is_atext(c))
			return false;
		after_dot = c == '.';
	}
	return !after_dot;
}

static void address_add(struct smtp_address *address, struct slice bytes)
{
	memcpy(address->text + address->len, bytes.ptr, bytes.len);
	address->len += bytes.len;
	address->text[address->len] = '\0';
}

/* Prints the local part, quoted only where it must be. */
static enum smtp_address_error print_local(struct smtp_address *address, const struct local *local)
{
	if (is_dot_string(local)) {
		address_add(address, slice_of(local->text, local->len));
	} else {
		address_add(address, SLICE_LIT("\""));
		for (size_t i = 0; i < local->len; i++) {
			if (local->text[i] == '"' || local->text[i] == '\\')
				address_add(address, SLICE_LIT("\\"));
			address_add(address, slice_of(local->text + i, 1));
		}
		address_add(address, SLICE_LIT("\""));
	}
	address->utf8 = address->wide = local->utf8;
	return address->len <= SMTP_LOCAL_MAX ? SMTP_ADDRESS_OK : SMTP_ADDRESS_TOO_LONG;
}

/* What stands between the brackets: "192.0.2.1" or "IPv6:2001:db8::1". */
static enum smtp_address_error print_literal(struct smtp_address *address, struct slice inner)
{
	unsigned char binary[16];
	char text[INET6_ADDRSTRLEN];
	bool six = slice_starts_nocase(inner, "IPv6:");
	int family = six ? AF_INET6 : AF_INET;

	if (slice_copy(six ? slice_skip(inner, IPV6_TAG_LEN) : inner, text, sizeof(text)) != ERR_OK)
		return SMTP_ADDRESS_BAD_LITERAL;
	if (inet_pton(family, text, binary) != 1 ||
	    inet_ntop(family, binary, text, sizeof(text)) == NULL)
		return SMTP_ADDRESS_BAD_LITERAL;
	address_add(address, six ? SLICE_LIT("[IPv6:") : SLICE_LIT("["));
	address_add(address, slice_str(text));
	address_add(address, SLICE_LIT("]"));
	address->literal = true;
	return SMTP_ADDRESS_OK;
}

/* The domain at the start of *rest, up to a '>' or the end. */
static enum smtp_address_error read_domain(struct slice *rest, bool utf8,
					   struct smtp_address *address)
{
	char canonical[SMTP_DOMAIN_MAX + 1];
	enum smtp_address_error error;
	struct slice text;

	if (rest->len != 0 && rest->ptr[0] == '[') {
		size_t end = slice_find(*rest, ']');

		if (end == rest->len)
			return SMTP_ADDRESS_BAD_LITERAL;
		text = slice_skip(slice_head(*rest, end), 1);
		*rest = slice_skip(*rest, end + 1);
		return print_literal(address, text);
	}
	text = slice_head(*rest, slice_find(*rest, '>'));
	error = smtp_domain_canonical(text, utf8, canonical);
	if (error != SMTP_ADDRESS_OK)
		return error;
	address_add(address, slice_str(canonical));
	address->wide |= !utf8_is_ascii(text);
	*rest = slice_skip(*rest, text.len);
	return SMTP_ADDRESS_OK;
}

/* Local part, '@' and domain; only a local part "postmaster" may stand alone, before a '>'. */
static enum smtp_address_error read_mailbox(struct slice *rest, bool utf8, bool postmaster_ok,
					    struct smtp_address *address)
{
	struct local local = {.len = 0};
	bool quoted = rest->len != 0 && rest->ptr[0] == '"';
	enum smtp_address_error error =
		quoted ? read_quoted(rest, utf8, &local) : read_dot_string(rest, utf8, &local);

	if (error != SMTP_ADDRESS_OK)
		return error;
	if (postmaster_ok && !quoted && rest->len != 0 && rest->ptr[0] == '>' &&
	    slice_is_nocase(slice_of(local.text, local.len), "postmaster")) {
		address_add(address, SLICE_LIT("postmaster"));
		address->domain_at = address->len;
		return SMTP_ADDRESS_OK;
	}
	if (rest->len == 0 || rest->ptr[0] != '@')
		return SMTP_ADDRESS_SYNTAX;
	error = print_local(address, &local);
	if (error != SMTP_ADDRESS_OK)
		return error;
	address_add(address, SLICE_LIT("@"));
	address->domain_at = address->len;
	*rest = slice_skip(*rest, 1);
	return read_domain(rest, utf8, address);
}

enum smtp_address_error smtp_mailbox_parse(struct slice text, bool utf8,
					   struct smtp_address *address_out)
{
	struct smtp_address address = {.len = 0};
	enum smtp_address_error error = read_mailbox(&text, utf8, false, &address);

	if (error == SMTP_ADDRESS_OK && text.len != 0)
		error = SMTP_ADDRESS_SYNTAX;
	if (error == SMTP_ADDRESS_OK)
		*address_out = address;
	return error;
}

enum smtp_address_error smtp_path_parse(struct slice text, bool utf8, bool null_ok,
					bool postmaster_ok, struct smtp_address *address_out,
					struct slice *rest_out)
{
	struct smtp_address address = {.len = 0};
	struct slice rest = slice_skip(text, 1);
	enum smtp_address_error error = SMTP_ADDRESS_OK;

	if (text.len < 2 || text.ptr[0] != '<')
		return SMTP_ADDRESS_SYNTAX;
	if (rest.ptr[0] == '@')
		return SMTP_ADDRESS_SOURCE_ROUTE;
	if (rest.ptr[0] != '>')
		error = read_mailbox(&rest, utf8, postmaster_ok, &address);
	else if (!null_ok)
		error = SMTP_ADDRESS_SYNTAX;
	if (error != SMTP_ADDRESS_OK)
		return error;
	if (rest.len == 0 || rest.ptr[0] != '>')
		return SMTP_ADDRESS_SYNTAX;
	if (address.len + 2 > SMTP_PATH_MAX)
		return SMTP_ADDRESS_TOO_LONG;
	*address_out = address;
	*rest_out = slice_skip(rest, 1);
	return SMTP_ADDRESS_OK;
}

struct slice smtp_address_text(const struct smtp_address *address)
{
	return slice_of(address->text, address->len);
}

struct slice smtp_address_local(const struct smtp_address *address)
{
	bool alone = address->domain_at == address->len;

	return slice_of(address->text, alone ? address->len : address->domain_at - 1);
}

struct slice smtp_address_domain(const struct smtp_address *address)
{
	return slice_of(address->text + address->domain_at, address->len - address->domain_at);
}
