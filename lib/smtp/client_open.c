/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the greeting to the point where mail may be sent: EHLO (HELO where EHLO is not known),
 * STARTTLS, EHLO again, AUTH. What was offered in clear is forgotten after the handshake, and a
 * byte behind the reply to STARTTLS ends the connection (RFC 3207 6).
 */
#include "base/base64.h"
#include "base/mem.h"
#include "smtp/client_private.h"

static void send_hello(struct smtp_client *client)
{
	MEM_FREE(client->offers);
	client->pipelining = client->eight_bit = false;
	client->size_limit = 0;
	buf_printf(&client->out, "%s %s\r\n", client->options.lmtp ? "LHLO" : "EHLO",
		   client->options.hostname);
	client_enter(client, CLIENT_EHLO);
}

bool smtp_client_offer(const struct smtp_client *client, const char *keyword,
		       struct slice *value_out)
{
	struct slice rest = slice_str(client->offers), line;

	while (slice_split(&rest, '\n', &line)) {
		size_t len = slice_find(line, ' ');

		if (slice_is_nocase(slice_head(line, len), keyword)) {
			*value_out = slice_trim(slice_skip(line, len));
			return true;
		}
	}
	return false;
}

bool smtp_client_offers(const struct smtp_client *client, const char *keyword)
{
	struct slice value;

	return smtp_client_offer(client, keyword, &value);
}

uint32_t smtp_client_limit(const struct smtp_client *client, const char *name)
{
	struct slice rest, word;
	uint64_t value;

	if (!smtp_client_offer(client, "LIMITS", &rest))
		return UINT32_MAX;
	while (slice_split(&rest, ' ', &word)) {
		size_t at = slice_find(word, '=');

		/* One to six digits, the first no zero. */
		if (slice_is_nocase(slice_head(word, at), name) &&
		    slice_number(slice_skip(word, at + 1), 999999, &value) == ERR_OK && value != 0)
			return (uint32_t)value;
	}
	return UINT32_MAX;
}

/* The next thing to do once the server has said what it can. */
static void after_hello(struct smtp_client *client)
{
	bool want_tls = client->options.tls != SMTP_CLIENT_TLS_NONE && !client->options.tls_on &&
			!client->tls_refused;
	struct slice mechanisms;

	if (want_tls && smtp_client_offers(client, "STARTTLS")) {
		buf_append_str(&client->out, "STARTTLS\r\n");
		client_enter(client, CLIENT_STARTTLS);
	} else if (want_tls && client->options.tls == SMTP_CLIENT_TLS_REQUIRED) {
		client_fail(client, NULL, "the server does not offer STARTTLS");
	} else if (!client->options.auth || client->logged_in) {
		client_ready(client);
	} else if (!smtp_client_offer(client, "AUTH", &mechanisms)) {
		client_fail(client, NULL, "the server does not offer AUTH");
	} else {
		client_tell(client, SMTP_CLIENT_AUTH)->text = mechanisms;
		client_enter(client, CLIENT_AUTH_CHOICE);
	}
}

void client_reply_greeting(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code == 220)
		send_hello(client);
	else if (reply->code >= 400)
		client_fail(client, reply, "the server does not want to talk to us");
	else
		client_unexpected(client, reply);
}

void client_reply_ehlo(struct smtp_client *client, const struct smtp_reply *reply)
{
	struct slice rest = reply->text, first, value;

	if (reply->code >= 500 && !client->options.lmtp) {
		buf_printf(&client->out, "HELO %s\r\n", client->options.hostname);
		client_enter(client, CLIENT_HELO);
		return;
	}
	if (reply->code != 250) {
		client_reply_helo(client, reply);
		return;
	}
	slice_split(&rest, '\n', &first); /* the server's name */
	client->offers = mem_strndup(rest.ptr, rest.len);
	client->pipelining = smtp_client_offers(client, "PIPELINING");
	client->eight_bit = smtp_client_offers(client, "8BITMIME");
	if (smtp_client_offer(client, "SIZE", &value))
		slice_number(value, UINT64_MAX, &client->size_limit); /* else there is no limit */
	after_hello(client);
}

void client_reply_helo(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code == 250)
		after_hello(client);
	else if (reply->code >= 400)
		client_fail(client, reply, "the server refused our greeting");
	else
		client_unexpected(client, reply);
}

void client_reply_starttls(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code == 220 && smtp_reply_buffered(&client->reader) != 0) {
		client_fail(client, NULL, "there is clear text behind the reply to STARTTLS");
	} else if (reply->code == 220) {
		client_tell(client, SMTP_CLIENT_STARTTLS);
		client_enter(client, CLIENT_HANDSHAKE);
	} else if (reply->code < 400) {
		client_unexpected(client, reply);
	} else if (client->options.tls == SMTP_CLIENT_TLS_REQUIRED) {
		client_fail(client, reply, "the server refused STARTTLS");
	} else {
		client->tls_refused = true;
		after_hello(client);
	}
}

void smtp_client_tls_done(struct smtp_client *client)
{
	if (client->step != CLIENT_HANDSHAKE)
		return;
	client->options.tls_on = true;
	send_hello(client);
}

/* Ends a line of the exchange; RFC 4954 4 bounds it. */
static void send_token(struct smtp_client *client, struct slice token)
{
	client_enter(client, CLIENT_AUTH);
	if (token.len > SMTP_AUTH_LINE_MAX / 4 * 3 - 64) {
		client_fail(client, NULL, "the AUTH token is too long");
		return;
	}
	base64_encode(token, &client->out);
	buf_append_str(&client->out, "\r\n");
}

void smtp_client_auth(struct smtp_client *client, const char *mechanism, struct slice initial,
		      bool has_initial)
{
	if (client->step != CLIENT_AUTH_CHOICE)
		return;
	buf_printf(&client->out, "AUTH %s", mechanism);
	if (has_initial)
		buf_append_str(&client->out, initial.len != 0 ? " " : " =");
	send_token(client, has_initial ? initial : SLICE_LIT(""));
}

void smtp_client_auth_response(struct smtp_client *client, struct slice token)
{
	if (client->step != CLIENT_CHALLENGE)
		return;
	send_token(client, token);
}

void smtp_client_auth_cancel(struct smtp_client *client)
{
	if (client->step == CLIENT_AUTH_CHOICE) {
		client_fail(client, NULL, "the server offers no mechanism that can be used");
	} else if (client->step == CLIENT_CHALLENGE) {
		buf_append_str(&client->out, "*\r\n");
		client_enter(client, CLIENT_AUTH_CANCELLED);
	}
}

static void take_challenge(struct smtp_client *client, const struct smtp_reply *reply)
{
	buf_wipe(&client->token);
	if (base64_decode(slice_trim(reply->text), &client->token) != ERR_OK) {
		client_fail(client, NULL, "the server's AUTH challenge is not base64");
		return;
	}
	client_tell(client, SMTP_CLIENT_CHALLENGE)->text = buf_data(&client->token);
	client_enter(client, CLIENT_CHALLENGE);
}

void client_reply_auth(struct smtp_client *client, const struct smtp_reply *reply)
{
	/* The password has left; it is not kept in the buffer either. */
	if (buf_len(&client->out) == 0)
		buf_wipe(&client->out);
	if (reply->code == 334) {
		take_challenge(client, reply);
		return;
	}
	buf_wipe(&client->token);
	if (reply->code == 235) {
		client->logged_in = true;
		client_ready(client);
	} else if (reply->code >= 400) {
		client_fail(client, reply, "the server refused our login");
	} else {
		client_unexpected(client, reply);
	}
}

void client_reply_auth_cancelled(struct smtp_client *client, const struct smtp_reply *reply)
{
	client_fail(client, reply, "the login was given up");
}
