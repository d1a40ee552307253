/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AUTH mechanism [initial-response], and the lines of the exchange (RFC 4954 4). Tokens are
 * decoded strictly and go to the caller as they are; nothing of them is shown in an event that
 * could be logged, and every copy is wiped. Each AUTH is a new exchange.
 *
 * Tolerated, because devices do it: "=" for an empty token anywhere, base64 without padding,
 * blanks at the end, LF alone at the end of a token line. None of them can hide a second command:
 * input behind an AUTH line ends the session.
 */
#include <string.h>

#include "base/base64.h"
#include "smtp/server_private.h"

bool server_offers_auth(const struct smtp_server *server)
{
	return (server->tls || server->options.auth_in_clear) &&
	       server->options.auth != SMTP_AUTH_OFF && server->options.mechanisms != NULL &&
	       server->options.mechanisms[0] != '\0';
}

void server_auth_forget(struct smtp_server *server)
{
	buf_wipe(&server->token);
	server->mechanism[0] = '\0';
	server->token_given = false;
}

/* Writes the name in capitals if it is one that is offered. */
static bool pick_mechanism(struct smtp_server *server, struct slice name)
{
	struct slice rest = slice_str(server->options.mechanisms), offered;

	while (slice_split(&rest, ' ', &offered))
		if (slice_equal_nocase(name, offered) &&
		    slice_copy(offered, server->mechanism, sizeof(server->mechanism)) == ERR_OK)
			return true;
	return false;
}

static bool decode_token(struct smtp_server *server, struct slice text)
{
	return slice_is(text, "=") || base64_decode(text, &server->token) == ERR_OK;
}

/* Why there can be no AUTH now; NULL: there can. */
static const char *not_now(const struct smtp_server *server)
{
	if (server->options.auth == SMTP_AUTH_OFF)
		return "503 5.7.0 Authentication is on ports 465 and 587";
	if (!server->tls && !server->options.auth_in_clear)
		return "538 5.7.11 Encryption required: turn on TLS in the mail program";
	if (server->helo == NULL)
		return "503 5.5.1 Send EHLO first";
	if (server->authenticated)
		return "503 5.5.1 You are logged in already";
	if (server->transaction != NULL)
		return "503 5.5.1 A message is under way";
	if (!server_offers_auth(server))
		return "454 4.7.0 Logging in is not possible just now";
	return NULL;
}

/* What the client did wrong, in words for the log. */
static const char *hint_of(const char *error)
{
	static const struct {
		const char *start;
		const char *hint;
	} hints[] = {
		{"503 5.7.0", "the client logs in on a listener without logins: in its settings, "
			      "the port is to be 587 (STARTTLS) or 465 (SSL/TLS)"},
		{"538", "the client logs in without TLS: turn on STARTTLS in its settings, or name "
			"its network in clear_auth_from"},
		{"503 5.5.1 Send EHLO", "the client logs in before it says EHLO"},
		{"504", "the client wants to log in with a mechanism that is not offered"},
		{"501 5.5.2", "what the client sends as its name or password is not base64"},
		{"501 5.7.0", "the client broke the login off: most often it has no password"},
	};

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (slice_starts(slice_str(error), hints[i].start))
			return hints[i].hint;
	return "";
}

void server_cmd_auth(struct smtp_server *server, struct slice args, struct slice line)
{
	size_t name_len = slice_find(args, ' ');
	struct slice name = slice_head(args, name_len);
	struct slice initial = slice_trim(slice_skip(args, name_len));
	struct slice shown = slice_head(line, strlen("AUTH"));
	const char *error = not_now(server);

	if (error == NULL && name.len == 0)
		error = "501 5.5.4 AUTH needs a mechanism";
	if (error == NULL && !pick_mechanism(server, name))
		error = "504 5.5.4 This mechanism is not offered";
	if (error == NULL && !decode_token(server, initial))
		error = "501 5.5.2 This is not base64";
	if (error != NULL) {
		server_auth_forget(server);
		server_hint(server, hint_of(error));
		server_refuse(server, error, shown);
		return;
	}
	server->token_given = initial.len != 0;
	server_ask(server, SMTP_SERVER_AUTH, SLICE_LIT(""));
}

/* The client broke the exchange off, or broke it. */
static void give_up(struct smtp_server *server, const char *reply)
{
	server_auth_forget(server);
	server_enter(server, SERVER_COMMAND);
	server->pending |= PENDING_AUTH_CANCEL;
	server_hint(server, hint_of(reply));
	server_refuse(server, reply, SLICE_LIT(""));
}

bool server_auth_line(struct smtp_server *server)
{
	struct slice line;
	enum smtp_frame frame = smtp_framer_line(&server->framer, SMTP_AUTH_LINE_MAX, true, &line);

	if (frame == SMTP_FRAME_MORE)
		return false;
	server->secret_lent = true;
	if (frame != SMTP_FRAME_LINE) {
		server_auth_forget(server);
		server_enter(server, SERVER_COMMAND);
		server->pending |= PENDING_AUTH_CANCEL;
		server_long_line(server, frame, "500 5.5.6 Line too long");
		return true;
	}
	if (server_spoke_early(server))
		return true;
	line = slice_trim(line);
	if (slice_is(line, "*"))
		give_up(server, "501 5.7.0 Authentication cancelled");
	else if (!decode_token(server, line))
		give_up(server, "501 5.5.2 This is not base64");
	else
		server_ask(server, SMTP_SERVER_AUTH_TOKEN, SLICE_LIT(""));
	return true;
}

/* Whether an answer is due; it ends the question. */
static bool close_question(struct smtp_server *server)
{
	if (server->question != SMTP_SERVER_AUTH && server->question != SMTP_SERVER_AUTH_TOKEN)
		return false;
	if (server_spoke_early(server))
		return false;
	server->question = 0;
	buf_wipe(&server->token);
	return true;
}

void smtp_server_auth_challenge(struct smtp_server *server, struct slice token)
{
	if (!close_question(server))
		return;
	if (token.len > SMTP_AUTH_LINE_MAX) {
		server->pending |= PENDING_AUTH_CANCEL;
		server_auth_forget(server);
		server_enter(server, SERVER_COMMAND);
		server_say(server, "454 4.7.0 Logging in is not possible just now");
		return;
	}
	buf_append_str(&server->out, "334 ");
	base64_encode(token, &server->out);
	buf_append_str(&server->out, "\r\n");
	server_enter(server, SERVER_AUTH_LINE);
}

void smtp_server_auth_ok(struct smtp_server *server)
{
	if (!close_question(server))
		return;
	server_auth_forget(server);
	server->authenticated = true;
	server_say(server, "235 2.7.0 Authentication successful");
	server_enter(server, SERVER_COMMAND);
}

void smtp_server_auth_fail(struct smtp_server *server, unsigned code, const char *status,
			   const char *text)
{
	if (!close_question(server))
		return;
	server_auth_forget(server);
	server_enter(server, SERVER_COMMAND);
	server_say_words(server, code, status, text);
}
