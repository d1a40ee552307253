/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MAIL FROM:<path> [parameters] and RCPT TO:<path> [parameters] (RFC 5321 4.1.1.2, 4.1.1.3;
 * SIZE: RFC 1870, BODY: RFC 6152, AUTH: RFC 4954 5). One blank behind the colon is tolerated,
 * because many devices send it. Parameters are read forward, at most SMTP_PARAMS_MAX, each once.
 */
#include "base/mem.h"
#include "smtp/server_private.h"

struct param {
	const char *keyword;
	/* Takes the value (has_value: there was a '='); NULL or the refusal. */
	const char *(*take)(struct smtp_server *server, struct smtp_mail *mail, struct slice value);
};

static const char *const bad_value = "501 5.5.4 A parameter has a bad value";

static const char *take_size(struct smtp_server *server, struct smtp_mail *mail, struct slice value)
{
	uint64_t limit = server->options.message_size;

	if (slice_number(value, UINT64_MAX, &mail->size) != ERR_OK)
		return bad_value;
	if (limit != 0 && mail->size > limit)
		return "552 5.3.4 The message is larger than this server takes";
	return NULL;
}

static const char *take_body(struct smtp_server *server, struct smtp_mail *mail, struct slice value)
{
	(void)server;
	mail->body_8bit = slice_is_nocase(value, "8BITMIME");
	return mail->body_8bit || slice_is_nocase(value, "7BIT") ? NULL : bad_value;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; /* RFC 3461 4: capitals only */
}

/* xtext whose text is printable: no line break comes in through "+0A". */
static bool is_printable_xtext(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '+') {
			int high, low;

			if (text.len - i < 3)
				return false;
			high = hex_digit(text.ptr[i + 1]);
			low = hex_digit(text.ptr[i + 2]);
			if (high < 0 || low < 0 || !ascii_is_print((char)(high * 16 + low)))
				return false;
			i += 2;
		} else if (c < '!' || c > '~' || c == '=') {
			return false;
		}
	}
	return text.len != 0;
}

/* Who is said to have sent it first: checked and not believed. */
static const char *take_auth(struct smtp_server *server, struct smtp_mail *mail, struct slice value)
{
	(void)server;
	mail->terms.auth = value;
	return is_printable_xtext(value) && value.len <= SMTP_ORCPT_MAX ? NULL : bad_value;
}

static const struct param mail_params[] = {
	{"SIZE", take_size},
	{"BODY", take_body},
	{"AUTH", take_auth},
	{NULL, NULL},
};

static const struct param rcpt_params[] = {
	{NULL, NULL},
};

static bool is_keyword(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]) && (i == 0 || text.ptr[i] != '-'))
			return false;
	return text.len != 0;
}

/* Reads the parameters behind the path. NULL, or the refusal. */
static const char *take_params(struct smtp_server *server, const struct param *known,
			       struct slice rest, struct smtp_mail *mail)
{
	unsigned seen = 0, count = 0;
	struct slice word;

	if (rest.len != 0 && rest.ptr[0] != ' ')
		return "501 5.5.4 There is something behind the address";
	while (slice_split(&rest, ' ', &word)) {
		size_t keyword_len = slice_find(word, '=');
		struct slice keyword = slice_head(word, keyword_len);
		const char *error;
		size_t i = 0;

		if (word.len == 0)
			continue;
		if (++count > SMTP_PARAMS_MAX)
			return "501 5.5.4 Too many parameters";
		if (!is_keyword(keyword))
			return "501 5.5.4 A parameter is malformed";
		while (known[i].keyword != NULL && !slice_is_nocase(keyword, known[i].keyword))
			i++;
		if (known[i].keyword == NULL)
			return "555 5.5.4 A parameter is not known here";
		if ((seen & 1u << i) != 0)
			return "501 5.5.4 A parameter is given twice";
		seen |= 1u << i;
		error = known[i].take(server, mail, slice_skip(word, keyword_len + 1));
		if (error != NULL)
			return error;
	}
	return NULL;
}

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

void server_cmd_mail(struct smtp_server *server, struct slice args, struct slice line)
{
	struct smtp_mail mail = {.terms = {.envid = SLICE_LIT(""), .auth = SLICE_LIT("")}};
	const char *error = "501 5.5.4 Write MAIL FROM:<address>";
	struct slice rest;

	server->mail_refused = true;
	if (take_label(&args, "FROM:")) {
		error = address_refusal(
			smtp_path_parse(args, false, true, false, &mail.sender, &rest), true);
		if (error == NULL)
			error = take_params(server, mail_params, rest, &mail);
	}
	if (error != NULL) {
		server_refuse(server, error, line);
		return;
	}
	server->transaction = mem_alloc(sizeof(*server->transaction));
	server->transaction->mail = mail;
	server_ask(server, SMTP_SERVER_MAIL, SLICE_LIT(""));
}

void server_cmd_rcpt(struct smtp_server *server, struct slice args, struct slice line)
{
	struct smtp_transaction *transaction = server->transaction;
	struct smtp_rcpt rcpt = {.terms = {.orcpt = SLICE_LIT("")}};
	const char *error = "501 5.5.4 Write RCPT TO:<address>";
	struct slice rest;

	if (take_label(&args, "TO:")) {
		error = address_refusal(
			smtp_path_parse(args, false, false, true, &rcpt.address, &rest), false);
		if (error == NULL)
			error = take_params(server, rcpt_params, rest, &transaction->mail);
	}
	if (error != NULL) {
		server_refuse(server, error, line);
	} else if (transaction->recipients >= server->options.recipients) {
		/* Not counted: a client may try any number and send again to the rest. */
		server_refuse_mildly(server, "452 4.5.3 Too many recipients", line);
	} else {
		transaction->rcpt = rcpt;
		server_ask(server, SMTP_SERVER_RCPT, SLICE_LIT(""));
	}
}
