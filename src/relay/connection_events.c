/* SPDX-License-Identifier: Apache-2.0 */
/* The dialogue on a connection: what the SMTP client machine tells, and what is done about it. */
#include "connection_internal.h"

#include <stdio.h>
#include <string.h>

#include "delivery.h"
#include "login.h"
#include "pool.h"
#include "terms.h"
#include "tls/tls.h"

enum { STALE_MAX = 3 };

static bool smart(const struct connection *connection)
{
	return connection->host->kind == HOST_RELAY;
}

static void not_ours(struct connection *connection, const char *status, const char *text)
{
	const struct host *host = connection->host;
	struct outcome outcome;

	outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_OURS, 0, status, "relay %s: %s",
		    host->relay_name, text);
	outcome.no_tls = host->tls != RELAY_TLS_NONE && !stream_verified(connection->stream);
	connection_broken(connection, &outcome);
}

/* ---- AUTH ---- */

static void begin_login(struct connection *connection, struct slice offered)
{
	struct host *host = connection->host;
	bool has_initial;
	struct buf initial;
	enum err err;

	if (host->tls != RELAY_TLS_NONE && !stream_verified(connection->stream)) {
		not_ours(connection, "4.7.5",
			 "its password is sent only over TLS with a valid certificate");
		return;
	}
	login_free(&connection->login);
	buf_init(&initial, 4096);
	err = login_start(connection->relay->gsasl, offered, host->user,
			  secret_value(&host->password), &connection->login, &initial,
			  &has_initial);
	if (err == ERR_OK)
		smtp_client_auth(connection->client, login_mechanism(connection->login),
				 buf_data(&initial), has_initial);
	else if (err == ERR_NOT_FOUND)
		not_ours(connection, "4.7.4", "the server offers neither AUTH PLAIN nor LOGIN");
	else
		not_ours(connection, "4.7.0", "the login cannot be made");
	buf_wipe(&initial);
}

static void continue_login(struct connection *connection, struct slice challenge)
{
	struct buf response;

	buf_init(&response, 4096);
	if (connection->login && login_step(connection->login, challenge, &response) == ERR_OK)
		smtp_client_auth_response(connection->client, buf_data(&response));
	else
		smtp_client_auth_cancel(connection->client);
	buf_wipe(&response);
}

/* ---- a transaction ---- */

/*
 * What a reply means for this job. 5.7.30 has two meanings: to mail that requires TLS it is the
 * last word (RFC 8689 4.2.1); some smart hosts mean our login by it, which is our set-up.
 */
static void judge(struct connection *connection, const struct smtp_client_event *event,
		  enum smtp_client_phase phase, struct outcome *outcome)
{
	const struct job *job = connection->job;

	outcome_from_reply(outcome, &event->reply, phase, smart(connection));
	if (outcome->outcome == IPC_DELIVERED)
		outcome->taken = terms_taken(connection);
	if (job && job->delivery->terms.require_tls && event->reply.code >= 500 &&
	    !strcmp(outcome->status, "5.7.30")) {
		outcome->outcome = IPC_FAILED;
		outcome->scope = IPC_SCOPE_MESSAGE;
	}
}

static void recipient_reply(struct connection *connection, const struct smtp_client_event *event)
{
	struct job *job = connection->job;
	bool final = job && job->state == JOB_AT_DOT; /* LMTP: the replies after the dot */
	struct outcome outcome;

	/* An accepted RCPT decides nothing yet. */
	if (!job || (!final && event->reply.code < 400))
		return;
	judge(connection, event, final ? SMTP_CLIENT_FINAL : SMTP_CLIENT_RCPT, &outcome);
	if (final)
		outcome.scope = IPC_SCOPE_RECIPIENT; /* LMTP: one reply for each */
	job_recipient_done(job, event->index, &outcome);
}

static void end_job(struct connection *connection, const struct outcome *outcome)
{
	struct job *job = connection->job;

	connection->job = NULL;
	if (!job)
		return;
	job->connection = NULL;
	if (outcome->outcome == IPC_DELIVERED)
		connection->host->delivered++;
	if (outcome->code == 421)
		pool_host_slower(connection->host);
	if (outcome_try_next(outcome))
		job_host_failed(job, outcome, connection->where, false);
	else
		job_done(job, outcome, connection->where, connection->tls, false);
}

static void transaction_over(struct connection *connection, const struct smtp_client_event *event)
{
	enum smtp_client_phase phase =
		event->type == SMTP_CLIENT_SENT ? SMTP_CLIENT_FINAL : event->phase;
	struct outcome outcome;

	judge(connection, event, phase, &outcome);
	end_job(connection, &outcome);
}

/* The connection had been idle, and was dead already: the job is as good as new. */
static bool was_stale(const struct connection *connection, const struct smtp_client_event *event)
{
	return connection->ready && connection->job && connection->messages > 1 &&
	       event->phase == SMTP_CLIENT_MAIL && event->certain &&
	       (event->reply.code == 0 || event->reply.code == 421) &&
	       connection->job->stale < STALE_MAX;
}

/* A smart host that cannot do what our configuration asks of it. */
static bool is_our_fault(const struct connection *connection, const struct smtp_client_event *event)
{
	const struct host *host = connection->host;
	struct smtp_client *client = connection->client;

	if (!smart(connection) || event->phase != SMTP_CLIENT_HELLO)
		return false;
	return slice_starts(slice_str(event->reason), "the server does not offer") ||
	       (host->user && smtp_client_offers(client, "AUTH"));
}

static bool lacks_tls(const struct connection *connection, const struct smtp_client_event *event)
{
	return event->phase == SMTP_CLIENT_HELLO && event->reply.code == 0 &&
	       connection->host->tls == RELAY_TLS_REQUIRED && !stream_is_tls(connection->stream) &&
	       slice_starts(slice_str(event->reason), "the server does not offer");
}

static void failed(struct connection *connection, const struct smtp_client_event *event)
{
	struct outcome outcome;

	if (was_stale(connection, event)) {
		struct job *job = connection->job;

		connection->job = NULL;
		job->connection = NULL;
		connection_abandon(connection);
		job_given_back(job, connection->host);
		return;
	}
	if (connection->job && !event->certain)
		outcome_set(&outcome, IPC_UNCERTAIN, IPC_SCOPE_HOST, 0, "4.4.2",
			    "the connection was lost after the end of the message was sent: %s",
			    event->reason);
	else if (event->reply.code)
		outcome_from_reply(&outcome, &event->reply, event->phase, smart(connection));
	else
		outcome_set(&outcome, IPC_DEFERRED,
			    is_our_fault(connection, event) ? IPC_SCOPE_OURS : IPC_SCOPE_HOST, 0,
			    event->phase == SMTP_CLIENT_TLS ? "4.7.4" : "4.4.2", "%s",
			    event->reason);
	if (lacks_tls(connection, event))
		outcome.no_tls = true;
	/* Our own word: what this server does not take another may (RFC 6152 3). */
	if (connection->job && event->phase == SMTP_CLIENT_BODY && event->certain &&
	    !strcmp(outcome.status, "5.6.3"))
		outcome.scope = IPC_SCOPE_HOST;
	connection_broken(connection, &outcome);
}

static void deal(struct connection *connection, const struct smtp_client_event *event)
{
	switch (event->type) {
	case SMTP_CLIENT_STARTTLS:
		connection_start_tls(connection);
		break;
	case SMTP_CLIENT_AUTH:
		begin_login(connection, event->text);
		break;
	case SMTP_CLIENT_CHALLENGE:
		continue_login(connection, event->text);
		break;
	case SMTP_CLIENT_READY:
		login_free(&connection->login);
		break;
	case SMTP_CLIENT_RECIPIENT:
		recipient_reply(connection, event);
		break;
	case SMTP_CLIENT_BODY_WANTED:
		connection_pump_body(connection);
		break;
	case SMTP_CLIENT_SENT:
	case SMTP_CLIENT_REFUSED:
		transaction_over(connection, event);
		break;
	case SMTP_CLIENT_FAILED:
		failed(connection, event);
		break;
	}
}

void connection_events(struct connection *connection)
{
	struct smtp_client_event event;

	while (connection->state == CONNECTION_OPEN && smtp_client_next(connection->client, &event))
		deal(connection, &event);
	if (connection->state != CONNECTION_OPEN)
		return;
	if (connection->quitting && smtp_client_phase(connection->client) == SMTP_CLIENT_DEAD) {
		connection_abandon(connection); /* it said goodbye too */
		return;
	}
	connection_moved(connection);
	if (buf_len(smtp_client_output(connection->client)) > 0)
		pool_mark_dirty(connection);
	if (!connection->job && !connection->available && !connection->quitting &&
	    smtp_client_idle(connection->client)) {
		connection->available = true;
		pool_connection_ready(connection);
	}
}
