/* SPDX-License-Identifier: Apache-2.0 */
#include "auth_link.h"

#include <stdio.h>
#include <string.h>

#include "accept.h"
#include "base/mem.h"
#include "count.h"
#include "device.h"
#include "ipc/channel.h"
#include "knock.h"
#include "os/log.h"
#include "os/loop.h"
#include "policy/rights.h"
#include "queue_link.h"
#include "refusals.h"
#include "session.h"
#include "sessions.h"
#include "smtp/server.h"
#include "smtpd.h"
#include "tls/tls.h"

enum {
	REPORT_AFTER = 1000, /* ms in which what limits did is gathered */
};

struct offer {
	char *listener;
	char *mechanisms;
	unsigned traits;
};

struct auth_link {
	struct smtpd *smtpd;
	struct channel *channel; /* NULL: auth is not there */
	struct offer *offers;
	size_t offer_count;
	uint64_t standing_grant;
	uint64_t message_size; /* the largest of an account; 0: none has its own */
	bool offered;          /* AUTH_OFFER came from this auth */
	struct timer *report;  /* runs while there is something to report */
	bool reporting;
	uint32_t struck[IPC_LIMIT_COUNT];
};

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mem_free(texts[i]);
	mem_free(texts);
}

void login_free(struct login **login)
{
	struct login *l = *login;

	*login = NULL;
	if (l == NULL)
		return;
	free_texts(l->senders, l->sender_count);
	free_texts(l->recipients, l->recipient_count);
	mem_free(l->account);
	mem_free(l->key);
	mem_free(l->mechanism);
	mem_free(l->address);
	mem_free(l);
}

static bool matches(char *const *patterns, size_t count, struct slice address)
{
	for (size_t i = 0; i < count; i++) {
		if (rights_match(slice_str(patterns[i]), address))
			return true;
	}
	return false;
}

bool login_may_send_as(const struct login *login, struct slice address)
{
	return matches(login->senders, login->sender_count, address);
}

bool login_may_send_to(const struct login *login, struct slice address)
{
	return login->recipient_count == 0 ||
	       (matches(login->recipients, login->recipient_count, address) &&
		!rights_asks_routing(address));
}

static char *text_of(struct slice s)
{
	return mem_strndup(s.ptr, s.len);
}

static size_t take_patterns(struct ipc_list list, char ***texts_out)
{
	struct rec_pattern pattern;
	size_t count = 0;

	*texts_out = mem_array(list.count, sizeof(char *));
	while (ipc_list_next(&list, IPC_REC_pattern, &pattern))
		(*texts_out)[count++] = text_of(pattern.text);
	return count;
}

static struct login *login_new(const struct msg_auth_ok *msg)
{
	struct login *login = mem_alloc(sizeof(*login));

	login->grant = msg->grant;
	login->message_size = msg->message_size;
	login->account = text_of(msg->account);
	login->key = text_of(msg->key);
	login->mechanism = text_of(msg->mechanism);
	login->address = text_of(msg->address);
	login->device = msg->mechanism.len == 0;
	login->sender_count = take_patterns(msg->senders, &login->senders);
	login->recipient_count = take_patterns(msg->recipients, &login->recipients);
	return login;
}

/* The session that waits for this answer; NULL: it is over, or does not wait. */
static struct session *waiting(const struct auth_link *link, uint64_t id)
{
	struct session *session = sessions_find(link->smtpd->sessions, id);

	return session != NULL && session->auth_pending ? session : NULL;
}

static void log_login(const struct session *session, const char *event, struct slice account,
		      struct slice key, struct slice mechanism, struct slice reason,
		      const char *reply)
{
	const char *version = stream_version(session->stream);

	log_event(
		LOG_INFO, event, LOG_TEXT("session", session->log_id),
		LOG_TEXT("listener", session->front->listener), LOG_TEXT("client", session->client),
		LOG_TEXT_IF("client_name", session->client_name), LOG_SLICE_IF("account", account),
		LOG_SLICE_IF("key", key), LOG_SLICE_IF("mech", mechanism),
		LOG_TEXT("tls", version[0] != '\0' ? version : "none"),
		LOG_SLICE_IF("reason", reason), LOG_TEXT_IF("reply", reply));
}

static void renew_options(struct session *session, void *arg)
{
	struct smtp_server_options options;

	(void)arg;
	if (session->server == NULL)
		return;
	session_options(session, &options);
	smtp_server_set_options(session->server, &options);
}

void auth_link_log_in(struct session *session, const struct msg_auth_ok *msg)
{
	login_free(&session->login);
	session->login = login_new(msg);
	log_login(session, "login", msg->account, msg->key, msg->mechanism, SLICE_LIT(""), "");
	renew_options(session, NULL); /* its own message size */
}

static void on_ok(struct auth_link *link, const struct msg_auth_ok *msg)
{
	struct session *session = sessions_find(link->smtpd->sessions, msg->session);

	if (session != NULL && device_ok(session, msg))
		return;
	/* It is over, or does not wait. */
	if (session == NULL || !session->auth_pending || msg->mechanism.len == 0) {
		auth_link_grant_end(link, msg->grant);
		return;
	}
	session->auth_pending = false;
	auth_link_log_in(session, msg);
	smtp_server_auth_ok(session->server);
	session_resume(session);
}

static void fail(struct session *session, const struct msg_auth_fail *msg)
{
	unsigned code = msg->code >= 400 && msg->code <= 599 ? msg->code : 454;
	char status[17];
	char text[513];
	char reply[560];

	session->auth_pending = false;
	if (slice_copy(msg->status, status, sizeof(status)) != ERR_OK ||
	    slice_copy(msg->text, text, sizeof(text)) != ERR_OK)
		return; /* cannot be: the decoder has checked lengths and NULs */
	/* The code is what tells a wrong password (535) from a fault of ours (454). */
	snprintf(reply, sizeof(reply), "%u %s %s", code, status, text);
	if (refusals_logged(session->smtpd->refusals, session->client))
		log_login(session, "login-failed", msg->account, SLICE_LIT(""),
			  slice_str(session->mechanism), msg->reason, reply);
	smtp_server_auth_fail(session->server, code, status, text);
	session_resume(session);
}

static void fail_for_now(struct session *session, const char *reason)
{
	const struct msg_auth_fail msg = {
		.code = 454,
		.status = SLICE_LIT("4.7.0"),
		.text = SLICE_LIT("Logins are not possible right now; try again in a moment"),
		.reason = slice_str(reason),
	};

	fail(session, &msg);
}

static void on_challenge(struct auth_link *link, const struct msg_auth_challenge *msg)
{
	struct session *session = waiting(link, msg->session);

	if (session == NULL)
		return;
	smtp_server_auth_challenge(session->server, msg->token);
	session_resume(session);
}

struct lost {
	uint64_t grant; /* 0: all */
	struct slice reason;
};

static void lose_grant(struct session *session, void *arg)
{
	const struct lost *lost = arg;

	if (session->login == NULL || session->login->lost ||
	    (lost->grant != 0 && session->login->grant != lost->grant))
		return;
	session->login->lost = true;
	log_event(LOG_INFO, "note", LOG_TEXT("session", session->log_id),
		  LOG_TEXT("account", session->login->account),
		  LOG_TEXT_IF("key", session->login->key),
		  LOG_TEXT("text", "the login is no longer valid"),
		  LOG_SLICE_IF("reason", lost->reason));
	if (lost->grant == 0)
		return;
	session->login->revoked = true;
	session_end_revoked(session);
}

static void free_offers(struct offer *offers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		mem_free(offers[i].listener);
		mem_free(offers[i].mechanisms);
	}
	mem_free(offers);
}

static void on_offer(struct auth_link *link, const struct msg_auth_offer *msg)
{
	struct offer *before = link->offers;
	size_t before_count = link->offer_count;
	struct ipc_list list = msg->offers;
	struct rec_offer offer;

	link->offered = true;
	link->standing_grant = msg->standing_grant;
	link->message_size = msg->message_size;
	link->offers = mem_array(list.count, sizeof(*link->offers));
	link->offer_count = 0;
	while (link->offer_count < msg->offers.count && ipc_list_next(&list, IPC_REC_offer, &offer))
		link->offers[link->offer_count++] = (struct offer){
			text_of(offer.listener), text_of(offer.mechanisms), offer.traits};
	/* Sessions point to what is freed after this. */
	sessions_each(link->smtpd->sessions, renew_options, NULL);
	free_offers(before, before_count);
	smtpd_update(link->smtpd);
}

/* At the door, or inside already. */
static void on_turn_away(struct auth_link *link, const struct msg_turn_away *msg)
{
	struct session *session = sessions_find(link->smtpd->sessions, msg->id);
	char status[17], text[513], reason[513];

	if (session == NULL) {
		knocks_turn_away(link->smtpd->knocks, msg);
		return;
	}
	if (slice_copy(msg->status, status, sizeof(status)) == ERR_OK &&
	    slice_copy(msg->text, text, sizeof(text)) == ERR_OK &&
	    slice_copy(msg->reason, reason, sizeof(reason)) == ERR_OK)
		session_turn_away(session, msg->code, status, text, reason);
}

static enum err on_door(struct auth_link *link, uint16_t type, struct slice payload)
{
	union {
		struct msg_admit admit;
		struct msg_turn_away away;
	} msg;
	enum err err = ipc_decode(type, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (type == IPC_ADMIT)
		knocks_admit(link->smtpd->knocks, msg.admit.id);
	else
		on_turn_away(link, &msg.away);
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct auth_link *link = arg;
	union {
		struct msg_auth_challenge challenge;
		struct msg_auth_ok ok;
		struct msg_auth_fail fail;
		struct msg_grant_lost lost;
		struct msg_auth_offer offer;
		struct msg_grants_synced synced;
		struct msg_counted counted;
	} msg;
	struct session *session;
	enum err err;

	(void)channel;
	(void)fd;
	if (type == IPC_ADMIT || type == IPC_TURN_AWAY)
		return on_door(link, type, payload);
	if (type != IPC_AUTH_CHALLENGE && type != IPC_AUTH_OK && type != IPC_AUTH_FAIL &&
	    type != IPC_GRANT_LOST && type != IPC_AUTH_OFFER && type != IPC_GRANTS_SYNCED &&
	    type != IPC_COUNTED)
		return ERR_SYNTAX;
	err = ipc_decode(type, payload, &msg);
	if (err != ERR_OK)
		return err;
	if (type == IPC_AUTH_CHALLENGE) {
		on_challenge(link, &msg.challenge);
	} else if (type == IPC_AUTH_OK) {
		on_ok(link, &msg.ok);
	} else if (type == IPC_AUTH_FAIL) {
		session = sessions_find(link->smtpd->sessions, msg.fail.session);
		if (session != NULL && !device_refused(session, &msg.fail) && session->auth_pending)
			fail(session, &msg.fail);
	} else if (type == IPC_GRANT_LOST) {
		struct lost lost = {msg.lost.grant, msg.lost.reason};

		if (lost.grant != 0)
			sessions_each(link->smtpd->sessions, lose_grant, &lost);
	} else if (type == IPC_AUTH_OFFER) {
		on_offer(link, &msg.offer);
	} else if (type == IPC_COUNTED) {
		count_answered(link->smtpd, &msg.counted);
	} else {
		queue_link_synced(link->smtpd->queue, msg.synced.queue_incarnation);
	}
	return ERR_OK;
}

static void fail_pending(struct session *session, void *arg)
{
	(void)arg;
	if (session->auth_pending)
		fail_for_now(session, "the auth process ended");
	device_unanswered(session);
	count_fail(session);
}

/* The channel is over: everything that rested on it is. */
static void gone(struct auth_link *link)
{
	struct lost all = {0, SLICE_LIT("the auth process ended")};

	channel_free(&link->channel);
	link->offered = false;
	link->standing_grant = 0;
	sessions_each(link->smtpd->sessions, fail_pending, NULL);
	sessions_each(link->smtpd->sessions, lose_grant, &all);
	smtpd_update(link->smtpd);
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct auth_link *link = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "auth sent what it must not: %s", why);
	gone(link);
}

static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

static void report(void *arg)
{
	struct auth_link *link = arg;
	struct ipc_list_builder list;
	struct msg_struck msg;

	link->reporting = false;
	ipc_list_begin(&list, IPC_LIMIT_COUNT * sizeof(struct rec_number));
	for (size_t i = 0; i < IPC_LIMIT_COUNT; i++)
		(void)ipc_list_add(&list, IPC_REC_number, &(struct rec_number){link->struck[i]});
	msg.counts = ipc_list_view(&list);
	/* Without auth it is kept for the next one. */
	if (link->channel != NULL && channel_send(link->channel, IPC_STRUCK, &msg) == ERR_OK)
		memset(link->struck, 0, sizeof(link->struck));
	ipc_list_release(&list);
}

void auth_link_struck(struct auth_link *link, enum ipc_limit limit)
{
	link->struck[limit]++;
	if (link->reporting)
		return;
	link->reporting = true;
	timer_set(link->report, REPORT_AFTER);
}

struct auth_link *auth_link_new(struct smtpd *smtpd)
{
	struct auth_link *link = mem_alloc(sizeof(*link));

	link->smtpd = smtpd;
	link->report = timer_new(smtpd->loop, report, link);
	return link;
}

void auth_link_free(struct auth_link **link)
{
	if (*link == NULL)
		return;
	channel_free(&(*link)->channel);
	timer_free(&(*link)->report);
	free_offers((*link)->offers, (*link)->offer_count);
	MEM_FREE(*link);
}

static void tell_of(struct session *session, void *arg)
{
	auth_link_knock(arg, session->id, session->client, true);
}

void auth_link_peer(struct auth_link *link, int fd, uint32_t incarnation)
{
	(void)incarnation;
	if (link->channel != NULL)
		gone(link);
	link->channel = channel_new(link->smtpd->loop, fd, "auth", &handlers, link);
	sessions_each(link->smtpd->sessions, tell_of, link);
	knocks_again(link->smtpd->knocks);
}

bool auth_link_ready(const struct auth_link *link)
{
	return link->channel != NULL && link->offered;
}

const char *auth_link_mechanisms(const struct auth_link *link, const char *listener,
				 unsigned traits)
{
	for (size_t i = 0; i < link->offer_count; i++)
		if (link->offers[i].traits == traits &&
		    slice_is(slice_str(listener), link->offers[i].listener))
			return link->offers[i].mechanisms;
	return "";
}

uint64_t auth_link_message_size(const struct auth_link *link)
{
	return link->message_size;
}

uint64_t auth_link_standing_grant(const struct auth_link *link)
{
	return link->standing_grant;
}

/* What the client's certificate is made out to. */
static void list_names(const struct tls_client_names *names, struct ipc_list_builder *list_out)
{
	ipc_list_begin(list_out, 16384);
	for (size_t i = 0; i < names->count; i++)
		(void)ipc_list_add(list_out, IPC_REC_certificate_name,
				   &(struct rec_certificate_name){slice_str(names->items[i])});
}

void auth_link_start(struct auth_link *link, struct session *session,
		     const struct smtp_server_event *event)
{
	unsigned char exporter[TLS_BINDING_MAX], unique[TLS_BINDING_MAX];
	const struct stream *stream = session->stream;
	struct tls_client_names certificate;
	struct ipc_list_builder names;
	struct msg_auth_start msg = {
		.session = session->id,
		.listener = slice_str(session->front->listener),
		.client = slice_str(session->client),
		.tls = smtp_server_tls(session->server),
		.mechanism = slice_str(event->mechanism),
		.has_token = event->has_text,
		.token = event->has_text ? event->text : SLICE_LIT(""),
		.log_id = slice_str(session->log_id),
		.exporter =
			slice_of(exporter, stream_binding(stream, TLS_BINDING_EXPORTER, exporter)),
		.unique = slice_of(unique, stream_binding(stream, TLS_BINDING_UNIQUE, unique)),
	};

	stream_client_names(stream, &certificate);
	list_names(&certificate, &names);
	if (certificate.valid)
		msg.fingerprint = slice_of(certificate.fingerprint, TLS_FINGERPRINT);
	msg.certificate = ipc_list_view(&names);
	session->auth_pending = true;
	snprintf(session->mechanism, sizeof(session->mechanism), "%s", event->mechanism);
	if (!auth_link_ready(link) || channel_send(link->channel, IPC_AUTH_START, &msg) != ERR_OK)
		fail_for_now(session, "the auth process is not there");
	ipc_list_release(&names);
}

bool auth_link_device(struct auth_link *link, struct session *session)
{
	const struct msg_device_mail msg = {.session = session->id,
					    .listener = slice_str(session->front->listener)};

	return auth_link_ready(link) &&
	       channel_send(link->channel, IPC_DEVICE_MAIL, &msg) == ERR_OK;
}

void auth_link_token(struct auth_link *link, struct session *session, struct slice token)
{
	const struct msg_auth_token msg = {.session = session->id, .token = token};

	if (!session->auth_pending || link->channel == NULL ||
	    channel_send(link->channel, IPC_AUTH_TOKEN, &msg) != ERR_OK)
		fail_for_now(session, "the auth process is not there");
}

void auth_link_cancel(struct auth_link *link, struct session *session)
{
	const struct msg_auth_cancel msg = {.session = session->id};

	session->auth_pending = false;
	if (link->channel != NULL)
		(void)channel_send(link->channel, IPC_AUTH_CANCEL, &msg);
}

void auth_link_knock(struct auth_link *link, uint64_t id, const char *client, bool inside)
{
	const struct msg_knock msg = {.id = id, .client = slice_str(client), .inside = inside};

	if (link->channel != NULL)
		(void)channel_send(link->channel, IPC_KNOCK, &msg);
}

void auth_link_left(struct auth_link *link, uint64_t id)
{
	const struct msg_left msg = {.id = id};

	if (link->channel != NULL)
		(void)channel_send(link->channel, IPC_LEFT, &msg);
}

void auth_link_grant_end(struct auth_link *link, uint64_t grant)
{
	const struct msg_grant_end msg = {.grant = grant};

	if (link->channel != NULL)
		(void)channel_send(link->channel, IPC_GRANT_END, &msg);
}

bool auth_link_count(struct auth_link *link, uint64_t session, uint64_t grant, uint32_t in_message,
		     struct slice recipient)
{
	const struct msg_count msg = {session, grant, in_message, recipient};

	return link->channel != NULL && channel_send(link->channel, IPC_COUNT, &msg) == ERR_OK;
}

void auth_link_foreign(struct auth_link *link, uint64_t grant, const char *sender, const char *from)
{
	const struct msg_foreign_sender msg = {.grant = grant,
					       .envelope = sender != NULL,
					       .sender = slice_str(sender),
					       .from = slice_str(from)};

	if (link->channel != NULL)
		(void)channel_send(link->channel, IPC_FOREIGN_SENDER, &msg);
}

void auth_link_uncount(struct auth_link *link, uint64_t grant, uint32_t recipients)
{
	const struct msg_uncount msg = {grant, recipients};

	if (link->channel != NULL)
		(void)channel_send(link->channel, IPC_UNCOUNT, &msg);
}
