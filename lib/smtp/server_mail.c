/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MAIL FROM:<path> [parameters] and RCPT TO:<path> [parameters] (RFC 5321 4.1.1.2, 4.1.1.3). One
 * blank behind the colon is tolerated, because many devices send it. An address without a domain
 * is completed as text, where that is configured, and then read by the one grammar: nothing that
 * was not parsed whole is ever accepted.
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/server_private.h"

static const char *address_refusal(enum smtp_address_error error, bool sender)
{
	switch (error) {
	case SMTP_ADDRESS_OK:
		break;
	case SMTP_ADDRESS_SYNTAX:
		return sender ? "501 5.1.7 The sender's address is malformed"
			      : "501 5.1.3 The recipient's address is malformed";
	case SMTP_ADDRESS_TOO_LONG:
		return sender ? "501 5.1.7 The sender's address is too long"
			      : "501 5.1.3 The recipient's address is too long";
	case SMTP_ADDRESS_SOURCE_ROUTE:
		return "553 5.1.3 Source routes are not followed";
	case SMTP_ADDRESS_NEEDS_UTF8:
		return "553 5.6.7 An address that is not ASCII cannot be used here";
	case SMTP_ADDRESS_BAD_LITERAL:
		return sender ? "501 5.1.7 The sender's address literal is no address"
			      : "501 5.1.3 The recipient's address literal is no address";
	}
	return NULL;
}

/* Where a path "<local>" without a domain ends: index of its '>'; 0: it is not one. */
static size_t bare_end(struct slice args)
{
	bool quoted = false;

	if (args.len < 3 || args.ptr[0] != '<')
		return 0;
	for (size_t i = 1; i < args.len; i++) {
		char c = args.ptr[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '@' || c == ' '))
			return 0;
		else if (!quoted && c == '>')
			return i > 1 ? i : 0;
	}
	return 0;
}

/* What the client did wrong, for the administrator; "": the reply says it. */
static const char *address_hint(enum smtp_address_error error, struct slice args)
{
	if (error == SMTP_ADDRESS_NEEDS_UTF8)
		return "the client sent an address with letters beyond ASCII without SMTPUTF8: it "
		       "cannot do that, or was set up with an address that it cannot use";
	if (error != SMTP_ADDRESS_SYNTAX)
		return "";
	if (args.len != 0 && (args.ptr[0] == ' ' || args.ptr[0] == '\t'))
		return "the client puts more than one blank between the colon and the address";
	if (args.len == 0 || args.ptr[0] != '<')
		return "the client leaves out the angle brackets around the address";
	if (bare_end(args) != 0)
		return "the address has no domain; the setting submission.qualify completes such "
		       "addresses";
	return "";
}

/* Takes "FROM:" or "TO:" and one blank off args. */
static bool take_label(struct slice *args, const char *label)
{
	size_t colon = slice_find(*args, ':');

	if (colon == args->len || !slice_is_nocase(slice_head(*args, colon + 1), label))
		return false;
	*args = slice_skip(*args, colon + 1);
	if (args->len != 0 && args->ptr[0] == ' ')
		*args = slice_skip(*args, 1);
	return true;
}

/* smtp_path_parse, with the domain that is configured for those that have none. */
static enum smtp_address_error parse_path(const struct smtp_server *server, struct slice args,
					  bool utf8, bool sender, struct smtp_address *address_out,
					  struct slice *rest_out)
{
	const char *domain = server->options.qualify;
	size_t end = domain != NULL ? bare_end(args) : 0;
	enum smtp_address_error error;
	struct slice unused;
	struct buf whole;

	/* "<postmaster>" as a recipient is an address of its own (RFC 5321 4.1.1.3). */
	if (end == 0 || end > SMTP_PATH_MAX || strlen(domain) > SMTP_DOMAIN_MAX ||
	    (!sender && slice_is_nocase(slice_head(args, end), "<postmaster")))
		return smtp_path_parse(args, utf8, sender, !sender, address_out, rest_out);
	buf_init(&whole, SMTP_PATH_MAX + SMTP_DOMAIN_MAX + 2);
	buf_append_slice(&whole, slice_head(args, end));
	buf_append_byte(&whole, '@');
	buf_append_str(&whole, domain);
	buf_append_byte(&whole, '>');
	error = smtp_path_parse(buf_data(&whole), utf8, false, false, address_out, &unused);
	buf_release(&whole);
	if (error == SMTP_ADDRESS_OK)
		*rest_out = slice_skip(args, end + 1);
	return error;
}

static bool asks_for_utf8(const struct smtp_server *server, struct slice args)
{
	if (!server_has(server, SMTP_EXT_UTF8))
		return false;
	for (; args.len != 0; args = slice_skip(args, 1))
		if (slice_starts_nocase(args, " SMTPUTF8"))
			return true;
	return false;
}

void server_cmd_mail(struct smtp_server *server, struct slice args, struct slice line)
{
	struct smtp_mail mail = {.terms = {.envid = SLICE_LIT(""), .auth = SLICE_LIT("")}};
	const char *error = "501 5.5.4 Write MAIL FROM:<address>", *hint = "";
	enum smtp_address_error wrong;
	struct slice rest = SLICE_LIT("");

	server->mail_refused = true;
	if (take_label(&args, "FROM:")) {
		wrong = parse_path(server, args, asks_for_utf8(server, args), true, &mail.sender,
				   &rest);
		error = address_refusal(wrong, true);
		if (error == NULL)
			error = server_take_params(server, rest, &mail, NULL);
		/* The parameter was only in the address. */
		if (error == NULL && mail.sender.wide && !mail.terms.utf8)
			wrong = SMTP_ADDRESS_NEEDS_UTF8;
		if (error == NULL)
			error = address_refusal(wrong, true);
		hint = address_hint(wrong, args);
	}
	if (error != NULL) {
		if (hint[0] != '\0')
			server_hint(server, hint);
		server_refuse(server, error, line);
		return;
	}
	server_bdat_forget(server);
	server->transaction = mem_alloc(sizeof(*server->transaction));
	server->transaction->mail = mail;
	server_ask(server, SMTP_SERVER_MAIL, SLICE_LIT(""));
}

void server_cmd_rcpt(struct smtp_server *server, struct slice args, struct slice line)
{
	struct smtp_transaction *transaction = server->transaction;
	struct smtp_rcpt rcpt = {.terms = {.orcpt = SLICE_LIT("")}};
	const char *error = "501 5.5.4 Write RCPT TO:<address>";
	enum smtp_address_error wrong;
	struct slice rest = SLICE_LIT("");

	if (transaction->chunked) {
		server_refuse(server, "503 5.5.1 The message is under way already", line);
		return;
	}
	if (take_label(&args, "TO:")) {
		wrong = parse_path(server, args, transaction->mail.terms.utf8, false, &rcpt.address,
				   &rest);
		error = address_refusal(wrong, false);
		server_hint(server, address_hint(wrong, args));
		if (error == NULL)
			error = server_take_params(server, rest, &transaction->mail, &rcpt);
	}
	if (error != NULL) {
		server_refuse(server, error, line);
	} else if (transaction->recipients >= server->options.recipients) {
		/* Not counted: a client may try any number and send again to the rest. */
		server_hint(server, "limits.recipients is the most that one message may have");
		server_refuse_mildly(server, "452 4.5.3 Too many recipients", line);
	} else {
		transaction->rcpt = rcpt;
		server_ask(server, SMTP_SERVER_RCPT, SLICE_LIT(""));
	}
}
