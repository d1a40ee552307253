/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a connection to another server. A table says for each step which function takes the
 * reply; every reply answers exactly one thing that was sent, in order, and one that answers
 * nothing ends the connection.
 */
#include "smtp/client.h"

#include <assert.h>

#include "base/mem.h"
#include "smtp/client_private.h"

static void reply_idle(struct smtp_client *client, const struct smtp_reply *reply);
static void reply_early(struct smtp_client *client, const struct smtp_reply *reply);
static void reply_quit(struct smtp_client *client, const struct smtp_reply *reply);

static const struct {
	enum smtp_client_phase phase;
	void (*reply)(struct smtp_client *client, const struct smtp_reply *reply);
} steps[CLIENT_STEPS] = {
	[CLIENT_GREETING] = {SMTP_CLIENT_GREETING, client_reply_greeting},
	[CLIENT_EHLO] = {SMTP_CLIENT_HELLO, client_reply_ehlo},
	[CLIENT_HELO] = {SMTP_CLIENT_HELLO, client_reply_helo},
	[CLIENT_STARTTLS] = {SMTP_CLIENT_TLS, client_reply_starttls},
	[CLIENT_HANDSHAKE] = {SMTP_CLIENT_TLS, client_unexpected},
	[CLIENT_AUTH_CHOICE] = {SMTP_CLIENT_LOGIN, client_unexpected},
	[CLIENT_AUTH] = {SMTP_CLIENT_LOGIN, client_reply_auth},
	[CLIENT_CHALLENGE] = {SMTP_CLIENT_LOGIN, client_unexpected},
	[CLIENT_AUTH_CANCELLED] = {SMTP_CLIENT_LOGIN, client_reply_auth_cancelled},
	[CLIENT_IDLE] = {SMTP_CLIENT_IDLE, reply_idle},
	[CLIENT_MAIL] = {SMTP_CLIENT_MAIL, client_reply_mail},
	[CLIENT_RCPT] = {SMTP_CLIENT_RCPT, client_reply_rcpt},
	[CLIENT_DATA] = {SMTP_CLIENT_DATA, client_reply_data},
	[CLIENT_BODY] = {SMTP_CLIENT_BODY, reply_early},
	[CLIENT_FINAL] = {SMTP_CLIENT_FINAL, client_reply_final},
	[CLIENT_EMPTY_FINAL] = {SMTP_CLIENT_DATA, client_reply_empty_final},
	[CLIENT_SWALLOW] = {SMTP_CLIENT_MAIL, client_reply_swallow},
	[CLIENT_RSET] = {SMTP_CLIENT_IDLE, client_reply_rset},
	[CLIENT_QUIT] = {SMTP_CLIENT_QUIT, reply_quit},
	[CLIENT_DEAD] = {SMTP_CLIENT_DEAD, client_unexpected},
};

struct smtp_client *smtp_client_new(const struct smtp_client_options *options)
{
	struct smtp_client *client = mem_alloc(sizeof(*client));

	client->options = *options;
	smtp_reply_init(&client->reader);
	buf_init(&client->out, CLIENT_OUTPUT_MAX);
	buf_init(&client->token, SMTP_REPLY_MAX);
	return client;
}

void smtp_client_free(struct smtp_client **client)
{
	if (*client == NULL)
		return;
	client_drop_transaction(*client);
	smtp_reply_release(&(*client)->reader);
	buf_wipe(&(*client)->out);
	buf_wipe(&(*client)->token);
	mem_free((*client)->offers);
	MEM_FREE(*client);
}

void client_enter(struct smtp_client *client, enum client_step step)
{
	if (client->step != CLIENT_DEAD)
		client->step = step;
}

struct smtp_client_event *client_tell(struct smtp_client *client, enum smtp_client_event_type type)
{
	struct smtp_client_event *event = &client->event[client->events];

	assert(client->events < CLIENT_EVENTS);
	client->events++;
	*event = (struct smtp_client_event){.type = type};
	event->text = SLICE_LIT("");
	event->reply.text = SLICE_LIT("");
	return event;
}

void client_fail(struct smtp_client *client, const struct smtp_reply *reply, const char *reason)
{
	struct smtp_client_event *event;

	if (client->step == CLIENT_DEAD)
		return;
	event = client_tell(client, SMTP_CLIENT_FAILED);
	if (reply != NULL)
		event->reply = *reply;
	event->reason = reason;
	event->phase = steps[client->step].phase;
	event->certain = client->step != CLIENT_FINAL;
	client_drop_transaction(client);
	/* What was not sent yet must not be: it could be the end of a message. */
	buf_wipe(&client->out);
	client_enter(client, CLIENT_DEAD);
}

void client_ready(struct smtp_client *client)
{
	client_drop_transaction(client);
	client_enter(client, CLIENT_IDLE);
	client_tell(client, SMTP_CLIENT_READY);
}

void client_unexpected(struct smtp_client *client, const struct smtp_reply *reply)
{
	client_fail(client, reply, "the server sent a reply that answers nothing");
}

static void reply_idle(struct smtp_client *client, const struct smtp_reply *reply)
{
	client_fail(client, reply, "the server ended the connection");
}

/* A reply before the dot: a refusal in mid-body, or nonsense (never a success). */
static void reply_early(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code >= 400)
		client_fail(client, reply, "the server refused the message before its end");
	else
		client_unexpected(client, reply);
}

static void reply_quit(struct smtp_client *client, const struct smtp_reply *reply)
{
	(void)reply;
	client_enter(client, CLIENT_DEAD);
}

void smtp_client_feed(struct smtp_client *client, struct slice bytes)
{
	if (client->step == CLIENT_DEAD || bytes.len == 0)
		return;
	if (client->step == CLIENT_HANDSHAKE)
		client_fail(client, NULL,
			    "the server sent clear text in place of the TLS handshake");
	else if (smtp_reply_feed(&client->reader, bytes) != ERR_OK)
		client_fail(client, NULL, "the server sends without end");
}

void smtp_client_eof(struct smtp_client *client)
{
	client->ended = true;
}

static void take_reply(struct smtp_client *client, const struct smtp_reply *reply)
{
	/* 421 ends the session at any point (RFC 5321 3.8); after the dot it is also the answer. */
	if (reply->code == 421 && client->step != CLIENT_FINAL && client->step != CLIENT_QUIT)
		client_fail(client, reply, "the server ended the connection");
	else
		steps[client->step].reply(client, reply);
}

/* No more replies will come. */
static void take_end(struct smtp_client *client)
{
	if (client->step == CLIENT_IDLE || client->step == CLIENT_QUIT)
		client_enter(client, CLIENT_DEAD);
	else
		client_fail(client, NULL, "the server closed the connection");
}

bool smtp_client_next(struct smtp_client *client, struct smtp_client_event *event_out)
{
	while (client->events == 0) {
		struct smtp_reply reply;
		enum err err;

		if (client->step == CLIENT_DEAD)
			return false;
		err = smtp_reply_next(&client->reader, &reply);
		if (err == ERR_OK)
			take_reply(client, &reply);
		else if (err != ERR_AGAIN)
			client_fail(client, NULL, "the server's reply is not SMTP");
		else if (client->ended)
			take_end(client);
		else
			return false;
	}
	*event_out = client->event[0];
	client->events--;
	for (unsigned i = 0; i < client->events; i++)
		client->event[i] = client->event[i + 1];
	return true;
}

struct buf *smtp_client_output(struct smtp_client *client)
{
	return &client->out;
}

void smtp_client_quit(struct smtp_client *client)
{
	if (client->step == CLIENT_DEAD || client->step == CLIENT_QUIT)
		return;
	client_drop_transaction(client);
	client->events = 0;
	buf_append_str(&client->out, "QUIT\r\n");
	client_enter(client, CLIENT_QUIT);
}

enum smtp_client_phase smtp_client_phase(const struct smtp_client *client)
{
	return steps[client->step].phase;
}

bool smtp_client_idle(const struct smtp_client *client)
{
	return client->step == CLIENT_IDLE && !client->ended;
}
