/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction. Where the server offers PIPELINING, MAIL, the RCPTs and DATA leave as one group
 * (at most CLIENT_WINDOW replies owed); the replies are counted against what was sent, so that
 * each is taken for what it answers and for nothing else (RFC 2920 3.1).
 */
#include "base/mem.h"
#include "smtp/client_private.h"

void client_drop_transaction(struct smtp_client *client)
{
	mem_free(client->transaction.accepted);
	client->transaction = (struct client_transaction){.envelope = NULL};
}

/* Sends as much of the group as may be sent now. */
static void pump(struct smtp_client *client)
{
	struct client_transaction *transaction = &client->transaction;
	const struct smtp_client_envelope *envelope = transaction->envelope;
	uint32_t window = client->pipelining ? CLIENT_WINDOW : 1;
	bool all_replied;

	if (!transaction->mail_sent) {
		client_say_mail(client, envelope);
		transaction->mail_sent = true;
	}
	if (client->step == CLIENT_MAIL && !client->pipelining)
		return;
	while (transaction->sent < envelope->recipient_count &&
	       transaction->sent - transaction->replied < window) {
		client_say_rcpt(client, envelope, transaction->sent);
		transaction->sent++;
	}
	all_replied = transaction->replied == envelope->recipient_count;
	if (transaction->data_sent || transaction->sent < envelope->recipient_count ||
	    (all_replied ? transaction->accepted_count == 0 : !client->pipelining))
		return;
	buf_append_str(&client->out, "DATA\r\n");
	transaction->data_sent = true;
}

static void tell_refused(struct smtp_client *client, const struct smtp_reply *reply,
			 enum smtp_client_phase phase)
{
	struct smtp_client_event *event = client_tell(client, SMTP_CLIENT_REFUSED);

	event->reply = *reply;
	event->phase = phase;
}

enum err smtp_client_send(struct smtp_client *client, const struct smtp_client_envelope *envelope)
{
	enum err err;

	if (client->step != CLIENT_IDLE)
		return ERR_BUSY;
	err = client_envelope_check(client, envelope);
	if (err != ERR_OK)
		return err;
	client->events = 0; /* a READY that was not taken is used up */
	if (client->size_limit != 0 && envelope->size > client->size_limit) {
		const struct smtp_reply reply = {
			.code = 552,
			.status = "5.3.4",
			.text = SLICE_LIT("The message is larger than the next server takes"),
		};

		tell_refused(client, &reply, SMTP_CLIENT_MAIL);
		client_ready(client);
		return ERR_OK;
	}
	client->transaction.envelope = envelope;
	client->transaction.utf8 = client_needs_utf8(envelope);
	client->transaction.accepted = mem_array(envelope->recipient_count, 1);
	client_enter(client, CLIENT_MAIL);
	pump(client);
	return ERR_OK;
}

static void send_rset(struct smtp_client *client)
{
	client_drop_transaction(client);
	buf_append_str(&client->out, "RSET\r\n");
	client_enter(client, CLIENT_RSET);
}

void client_reply_mail(struct smtp_client *client, const struct smtp_reply *reply)
{
	struct client_transaction *transaction = &client->transaction;

	if (reply->code < 300) {
		client_enter(client, CLIENT_RCPT);
		pump(client);
		return;
	}
	if (reply->code < 400) {
		client_unexpected(client, reply);
		return;
	}
	tell_refused(client, reply, SMTP_CLIENT_MAIL);
	transaction->swallow = transaction->sent + (transaction->data_sent ? 1 : 0);
	if (transaction->swallow == 0)
		client_ready(client);
	else
		client_enter(client, CLIENT_SWALLOW);
}

void client_reply_swallow(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code >= 300 && reply->code < 400)
		client_unexpected(client, reply);
	else if (--client->transaction.swallow == 0)
		client_ready(client);
}

/* All RCPTs have their replies. */
static void after_rcpt(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (client->transaction.data_sent) {
		client_enter(client, CLIENT_DATA);
		return;
	}
	tell_refused(client, reply, SMTP_CLIENT_RCPT);
	send_rset(client);
}

void client_reply_rcpt(struct smtp_client *client, const struct smtp_reply *reply)
{
	struct client_transaction *transaction = &client->transaction;
	struct smtp_client_event *event;

	if (reply->code >= 300 && reply->code < 400) {
		client_unexpected(client, reply);
		return;
	}
	event = client_tell(client, SMTP_CLIENT_RECIPIENT);
	event->index = transaction->replied;
	event->reply = *reply;
	event->final = reply->code >= 400;
	if (reply->code < 300) {
		transaction->accepted[transaction->replied] = 1;
		transaction->accepted_count++;
	}
	transaction->replied++;
	pump(client);
	if (transaction->replied == transaction->envelope->recipient_count)
		after_rcpt(client, reply);
}

static void start_body(struct smtp_client *client)
{
	client->transaction.replied = 0;
	client->transaction.at_line_start = true;
	client_tell(client, SMTP_CLIENT_BODY_WANTED);
	client_enter(client, CLIENT_BODY);
}

void client_reply_data(struct smtp_client *client, const struct smtp_reply *reply)
{
	bool any = client->transaction.accepted_count != 0;

	if (reply->code >= 400) {
		tell_refused(client, reply, any ? SMTP_CLIENT_DATA : SMTP_CLIENT_RCPT);
		send_rset(client);
	} else if (reply->code != 354 || (!any && client->options.lmtp)) {
		client_unexpected(client, reply);
	} else if (any) {
		start_body(client);
	} else {
		/* RFC 2920 3.1: nobody will get it, but it must be ended. */
		buf_append_str(&client->out, ".\r\n");
		client_enter(client, CLIENT_EMPTY_FINAL);
	}
}

void client_reply_empty_final(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code >= 300 && reply->code < 400) {
		client_unexpected(client, reply);
		return;
	}
	tell_refused(client, reply, SMTP_CLIENT_RCPT);
	client_ready(client);
}

static void tell_sent(struct smtp_client *client, const struct smtp_reply *reply)
{
	client_tell(client, SMTP_CLIENT_SENT)->reply = *reply;
	client_ready(client);
	if (reply->code != 421)
		return;
	client->events--; /* not ready after all */
	client_fail(client, reply, "the server ended the connection");
}

/* LMTP: the reply is that of the next recipient that was accepted (RFC 2033 4.2). */
static void final_of_one(struct smtp_client *client, const struct smtp_reply *reply)
{
	struct client_transaction *transaction = &client->transaction;
	struct smtp_client_event *event = client_tell(client, SMTP_CLIENT_RECIPIENT);

	while (!transaction->accepted[transaction->replied])
		transaction->replied++;
	event->index = transaction->replied++;
	event->reply = *reply;
	event->final = true;
	if (--transaction->accepted_count == 0)
		tell_sent(client, reply);
}

void client_reply_final(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code >= 300 && reply->code < 400)
		client_unexpected(client, reply);
	else if (client->options.lmtp)
		final_of_one(client, reply);
	else
		tell_sent(client, reply);
}

void client_reply_rset(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code < 300)
		client_ready(client);
	else
		client_fail(client, reply, "the server refused RSET");
}
