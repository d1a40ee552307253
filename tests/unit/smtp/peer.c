/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

enum { PEER_BUF_MAX = 64 << 20 };

void peer_escape(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '\r')
			buf_append_str(out, "\\r");
		else if (c == '\n')
			buf_append_str(out, "\\n");
		else if (c == '\\')
			buf_append_str(out, "\\\\");
		else if (c < 0x20 || c > 0x7e)
			buf_printf(out, "\\x%02x", c);
		else
			buf_append_byte(out, (char)c);
	}
}

static void note(struct peer *peer, const char *what, struct slice text)
{
	if (peer->mute)
		return;
	buf_append_str(&peer->log, what);
	peer_escape(&peer->log, text);
	buf_append_byte(&peer->log, '\n');
}

static void end_body(struct peer *peer, const char *how)
{
	note(peer, how, buf_data(&peer->body));
	buf_clear(&peer->body);
}

static void judge_login(struct peer *peer, struct slice password)
{
	if (slice_is(password, "right"))
		smtp_server_auth_ok(peer->server);
	else
		smtp_server_auth_fail(peer->server, 535, "5.7.8", "Wrong user name or password");
}

static void auth_start(struct peer *peer, const struct smtp_server_event *event)
{
	note(peer, "auth ", slice_str(event->mechanism));
	note(peer, event->has_text ? "token " : "no token", event->text);
	peer->in_login = strcmp(event->mechanism, "LOGIN") == 0 && event->has_text;
	if (strcmp(event->mechanism, "LOGIN") == 0)
		smtp_server_auth_challenge(peer->server,
					   slice_str(event->has_text ? "Password:" : "Username:"));
	else if (event->has_text)
		judge_login(peer, slice_skip(event->text, slice_find_last(event->text, '\0') + 1));
	else
		smtp_server_auth_challenge(peer->server, SLICE_LIT(""));
}

static void auth_token(struct peer *peer, const struct smtp_server_event *event)
{
	bool plain = slice_has_byte(event->text, '\0');

	note(peer, "token ", event->text);
	if (plain || peer->in_login) {
		judge_login(peer, slice_skip(event->text,
					     plain ? slice_find_last(event->text, '\0') + 1 : 0));
		return;
	}
	peer->in_login = true;
	smtp_server_auth_challenge(peer->server, SLICE_LIT("Password:"));
}

static void question(struct peer *peer, const struct smtp_server_event *event)
{
	struct smtp_server *server = peer->server;

	switch (event->type) {
	case SMTP_SERVER_STARTTLS:
		note(peer, "starttls", SLICE_LIT(""));
		smtp_server_tls_done(server);
		break;
	case SMTP_SERVER_AUTH:
		auth_start(peer, event);
		break;
	case SMTP_SERVER_AUTH_TOKEN:
		auth_token(peer, event);
		break;
	case SMTP_SERVER_MAIL:
		note(peer, "mail ", smtp_address_text(&event->mail->sender));
		smtp_server_answer(server, 250, "2.1.0", "Sender OK");
		break;
	case SMTP_SERVER_RCPT:
		note(peer, "rcpt ", smtp_address_text(&event->rcpt->address));
		if (slice_starts(smtp_address_text(&event->rcpt->address), "no"))
			smtp_server_answer(server, 550, "5.1.1", "No such user");
		else
			smtp_server_answer(server, 250, "2.1.5", "Recipient OK");
		break;
	case SMTP_SERVER_DATA:
		note(peer, "data", SLICE_LIT(""));
		smtp_server_answer_data(server);
		break;
	case SMTP_SERVER_BODY_END:
		end_body(peer, "message ");
		peer->accepted++;
		peer->repaired = event->repaired;
		smtp_server_answer(server, 250, "2.0.0", "Accepted");
		break;
	case SMTP_SERVER_VRFY:
		note(peer, "vrfy ", event->text);
		smtp_server_answer(server, 252, "2.5.0", "Send mail and see");
		break;
	case SMTP_SERVER_ETRN:
		note(peer, "etrn ", event->text);
		smtp_server_answer(server, 253, "2.0.0", "1 recipient is tried now");
		break;
	default:
		abort();
	}
}

static void handle(struct peer *peer, const struct smtp_server_event *event)
{
	switch (event->type) {
	case SMTP_SERVER_HELO:
		note(peer, event->esmtp ? "ehlo " : "helo ", event->text);
		break;
	case SMTP_SERVER_RESET:
		note(peer, "reset", SLICE_LIT(""));
		buf_clear(&peer->body);
		break;
	case SMTP_SERVER_BODY:
		if (event->text.len == 0 || buf_append_slice(&peer->body, event->text) != ERR_OK)
			abort();
		break;
	case SMTP_SERVER_BODY_DROP:
		peer->dropped++;
		end_body(peer, "dropped ");
		break;
	case SMTP_SERVER_REFUSED:
		note(peer, "refused ", event->text);
		break;
	case SMTP_SERVER_AUTH_CANCEL:
		note(peer, "cancel", SLICE_LIT(""));
		break;
	case SMTP_SERVER_CLOSE:
		note(peer, "close ", slice_str(event->reason));
		peer->closed = true;
		break;
	default:
		question(peer, event);
	}
}

void peer_run(struct peer *peer)
{
	struct buf *out = smtp_server_output(peer->server);
	struct smtp_server_event event;

	while (smtp_server_next(peer->server, &event)) {
		if (peer->closed)
			abort();
		handle(peer, &event);
	}
	if (buf_append_slice(&peer->said, buf_data(out)) != ERR_OK)
		abort();
	buf_release(out);
}

void peer_send(struct peer *peer, struct slice bytes)
{
	while (bytes.len != 0 && !peer->closed) {
		struct slice part = slice_head(bytes, smtp_server_room(peer->server));

		if (part.len == 0)
			abort();
		smtp_server_feed(peer->server, part);
		bytes = slice_skip(bytes, part.len);
		peer_run(peer);
	}
}

const char *peer_said(struct peer *peer)
{
	const char *text;

	buf_append_byte(&peer->said, '\0');
	text = buf_data(&peer->said).ptr;
	buf_clear(&peer->said);
	return text;
}

void peer_open(struct peer *peer, unsigned flags)
{
	*peer = (struct peer){
		.options = {.hostname = "mail.example.org",
			    .mechanisms = "PLAIN LOGIN",
			    .auth = (flags & PEER_OFF) != 0        ? SMTP_AUTH_OFF
				    : (flags & PEER_REQUIRED) != 0 ? SMTP_AUTH_REQUIRED
								   : SMTP_AUTH_OPTIONAL,
			    .starttls = (flags & PEER_STARTTLS) != 0,
			    .tls = (flags & PEER_TLS) != 0,
			    .bare_newline_repair = (flags & PEER_REFUSE_BARE) == 0,
			    .message_size = 10 << 20,
			    .recipients = 5,
			    .errors = 20,
			    .hold_max = 86400,
			    .extensions = (flags & PEER_ALL) != 0 ? SMTP_EXT_ALL : 0},
	};
	buf_init(&peer->log, PEER_BUF_MAX);
	buf_init(&peer->said, PEER_BUF_MAX);
	buf_init(&peer->body, PEER_BUF_MAX);
	peer->server = smtp_server_new(&peer->options);
	smtp_server_set_time(peer->server, PEER_NOW);
	smtp_server_greet(peer->server);
	peer_run(peer);
}

void peer_open_logged_in(struct peer *peer, unsigned flags)
{
	peer_open(peer, flags | PEER_TLS);
	peer_send(peer, SLICE_LIT("EHLO client\r\n"));
	peer_send(peer, SLICE_LIT("AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n"));
	if (!smtp_server_authenticated(peer->server))
		abort();
	buf_clear(&peer->log);
	buf_clear(&peer->said);
}

void peer_close(struct peer *peer)
{
	smtp_server_free(&peer->server);
	buf_release(&peer->log);
	buf_release(&peer->said);
	buf_release(&peer->body);
}
