/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in MAIL and RCPT: addresses, and of what the sender asked for all that the server
 * offers to do (RFC 3461 5.2.1, 2852 4, 6710 4, 6531 3.4, 8689 4, 4954 5). Every value is looked
 * at once more before it leaves, whoever looked at it before: nothing in it can be read as a
 * second parameter or a second command.
 */
#include "base/utf8.h"
#include "smtp/client_private.h"

enum { BY_SECONDS_MAX = 999999999 /* RFC 2852 4: nine digits */ };

/* One word of a command, in ASCII. */
static bool is_word(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c <= 0x20 || c >= 0x7f)
			return false;
	}
	return true;
}

/* It would end an address, or begin another. */
static bool has_bracket(struct slice text)
{
	return slice_has_byte(text, '<') || slice_has_byte(text, '>');
}

static unsigned upper_hex(char c)
{
	static const struct slice digits = {"0123456789ABCDEF", 16};
	size_t at = slice_find(digits, c);

	return at < digits.len ? (unsigned)at : 0xff;
}

/* RFC 3461 4: "+" and two digits stand for a character, which must be printable; no "=". */
static bool is_xtext(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned value;

		if (text.ptr[i] == '=')
			return false;
		if (text.ptr[i] != '+')
			continue;
		if (text.len - i < 3)
			return false;
		value = upper_hex(text.ptr[i + 1]) << 4 | upper_hex(text.ptr[i + 2]);
		if (value < 0x20 || value > 0x7e)
			return false;
	}
	return is_word(text);
}

/* Nothing that shows wrong, ends a word or ends a line, in any script. */
static bool is_utf8_word(struct slice text)
{
	while (text.len != 0) {
		uint32_t code;
		size_t len = utf8_next(text, &code);

		if (len == 0 || code <= 0x20 || code == 0x7f || utf8_is_unsafe(code))
			return false;
		text = slice_skip(text, len);
	}
	return true;
}

/* The last gate for an address: nothing leaves that could be read as more than one. */
static bool address_may_leave(const struct smtp_client *client, struct slice address)
{
	if (address.len > SMTP_PATH_MAX || has_bracket(address))
		return false;
	if (utf8_is_ascii(address))
		return is_word(address);
	return smtp_client_offers(client, "SMTPUTF8") && is_utf8_word(address);
}

/* "rfc822;xtext", or "utf-8;..." which may hold UTF-8 as it is (RFC 6533 3). */
static bool orcpt_may_leave(struct slice orcpt)
{
	size_t type = slice_find(orcpt, ';');
	struct slice address = slice_skip(orcpt, type + 1);

	if (orcpt.len == 0)
		return true;
	if (orcpt.len > SMTP_ORCPT_MAX || type == 0 || address.len == 0 ||
	    !is_xtext(slice_head(orcpt, type)))
		return false;
	if (slice_is_nocase(slice_head(orcpt, type), "utf-8"))
		return is_utf8_word(address);
	return is_xtext(address);
}

static bool terms_may_leave(const struct smtp_mail_terms *terms)
{
	if (terms->envid.len > SMTP_ENVID_MAX || !is_xtext(terms->envid))
		return false;
	if (terms->has_priority &&
	    (terms->priority < SMTP_PRIORITY_MIN || terms->priority > SMTP_PRIORITY_MAX))
		return false;
	return terms->auth.len <= SMTP_LINE_MAX / 2 && is_xtext(terms->auth);
}

enum err client_envelope_check(const struct smtp_client *client,
			       const struct smtp_client_envelope *envelope)
{
	if (envelope->recipient_count == 0 || !address_may_leave(client, envelope->sender) ||
	    !terms_may_leave(&envelope->terms))
		return ERR_SYNTAX;
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		const struct smtp_client_recipient *recipient = &envelope->recipients[i];

		if (recipient->address.len == 0 || !address_may_leave(client, recipient->address) ||
		    !orcpt_may_leave(recipient->terms.orcpt))
			return ERR_SYNTAX;
	}
	/* LMTP brings it into its mailbox: it is not relayed any more (RFC 8689 4.4). */
	if (envelope->terms.require_tls && !client->options.lmtp &&
	    !(client->options.tls_on && smtp_client_offers(client, "REQUIRETLS")))
		return ERR_DENIED;
	return ERR_OK;
}

bool client_needs_utf8(const struct smtp_client_envelope *envelope)
{
	if (!utf8_is_ascii(envelope->sender))
		return true;
	for (uint32_t i = 0; i < envelope->recipient_count; i++)
		if (!utf8_is_ascii(envelope->recipients[i].address))
			return true;
	return false;
}

/* A mailbox is not relayed any more: who delivers into it reports by himself. */
static bool tells_dsn(const struct smtp_client *client)
{
	return !client->options.lmtp && smtp_client_offers(client, "DSN");
}

static void say_by(struct smtp_client *client, const struct smtp_client_envelope *envelope)
{
	int64_t seconds = envelope->by_seconds;

	if (seconds > BY_SECONDS_MAX)
		seconds = BY_SECONDS_MAX;
	else if (seconds < -BY_SECONDS_MAX)
		seconds = -BY_SECONDS_MAX;
	buf_printf(&client->out, " BY=%lld;%c%s", (long long)seconds,
		   envelope->terms.by == SMTP_BY_RETURN ? 'R' : 'N',
		   envelope->terms.by_trace ? "T" : "");
}

void client_say_mail(struct smtp_client *client, const struct smtp_client_envelope *envelope)
{
	const struct smtp_mail_terms *terms = &envelope->terms;
	struct buf *out = &client->out;

	buf_printf(out, "MAIL FROM:<%.*s>", SLICE_ARG(envelope->sender));
	if (envelope->size != 0 && smtp_client_offers(client, "SIZE"))
		buf_printf(out, " SIZE=%llu", (unsigned long long)envelope->size);
	if (envelope->body_8bit && client->eight_bit)
		buf_append_str(out, " BODY=8BITMIME");
	if (client->transaction.utf8)
		buf_append_str(out, " SMTPUTF8");
	if (terms->require_tls && client->options.tls_on &&
	    smtp_client_offers(client, "REQUIRETLS"))
		buf_append_str(out, " REQUIRETLS");
	if (terms->ret != SMTP_RET_NONE && tells_dsn(client))
		buf_append_str(out, terms->ret == SMTP_RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (terms->envid.len != 0 && tells_dsn(client))
		buf_printf(out, " ENVID=%.*s", SLICE_ARG(terms->envid));
	if (terms->by != SMTP_BY_NONE && smtp_client_offers(client, "DELIVERBY"))
		say_by(client, envelope);
	if (terms->has_priority && smtp_client_offers(client, "MT-PRIORITY"))
		buf_printf(out, " MT-PRIORITY=%d", terms->priority);
	/* Only to a server that trusts us (RFC 4954 5). */
	if (terms->auth.len != 0 && client->logged_in && smtp_client_offers(client, "AUTH"))
		buf_printf(out, " AUTH=%.*s", SLICE_ARG(terms->auth));
	buf_append_str(out, "\r\n");
}

static void say_notify(struct buf *out, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *name;
	} kinds[] = {{SMTP_NOTIFY_SUCCESS, "SUCCESS"},
		     {SMTP_NOTIFY_FAILURE, "FAILURE"},
		     {SMTP_NOTIFY_DELAY, "DELAY"}};
	const char *before = " NOTIFY=";

	if ((notify & SMTP_NOTIFY_NEVER) != 0) {
		buf_append_str(out, " NOTIFY=NEVER");
		return;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if ((notify & kinds[i].bit) == 0)
			continue;
		buf_printf(out, "%s%s", before, kinds[i].name);
		before = ",";
	}
}

/* wide: as utf-8-addr-unitext of RFC 6533 3, else as xtext of RFC 3461 4. */
static void append_encoded(struct buf *out, struct slice text, bool wide)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '+' || c == '=' || (wide && c == '\\'))
			buf_printf(out, wide ? "\\x{%02X}" : "+%02X", (unsigned)(unsigned char)c);
		else
			buf_append_byte(out, c);
	}
}

/* UTF-8 as it is where SMTPUTF8 is said, else in the form for ASCII (RFC 6533 3). */
static void say_orcpt(struct buf *out, struct slice orcpt, bool utf8)
{
	buf_append_str(out, " ORCPT=");
	while (orcpt.len != 0) {
		uint32_t code;
		size_t len = utf8_next(orcpt, &code);

		if (len == 0)
			return;
		if (code > 0x7f && !utf8)
			buf_printf(out, "\\x{%X}", (unsigned)code);
		else
			buf_append_slice(out, slice_head(orcpt, len));
		orcpt = slice_skip(orcpt, len);
	}
}

void client_say_rcpt(struct smtp_client *client, const struct smtp_client_envelope *envelope,
		     uint32_t index)
{
	const struct smtp_client_recipient *recipient = &envelope->recipients[index];
	const struct smtp_rcpt_terms *terms = &recipient->terms;
	struct buf *out = &client->out;

	buf_printf(out, "RCPT TO:<%.*s>", SLICE_ARG(recipient->address));
	if (tells_dsn(client)) {
		say_notify(out, terms->notify);
		if (terms->orcpt.len != 0) {
			say_orcpt(out, terms->orcpt, client->transaction.utf8);
		} else if (terms->notify != 0) {
			bool wide = !utf8_is_ascii(recipient->address);

			/* So that a report names the address that was given to us (5.2.1 d). */
			buf_append_str(out, wide ? " ORCPT=utf-8;" : " ORCPT=rfc822;");
			append_encoded(out, recipient->address, wide);
		}
	}
	buf_append_str(out, "\r\n");
}
