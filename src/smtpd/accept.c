/* SPDX-License-Identifier: Apache-2.0 */
#include "accept.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "auth_link.h"
#include "base/mem.h"
#include "ipc/child.h"
#include "ipc/message.h"
#include "knock.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "proxy.h"
#include "refusals.h"
#include "sessions.h"
#include "smtpd.h"
#include "spare.h"
#include "tls/tls.h"

enum {
	/*
	 * Without descriptors: so many are turned away in a row, then nobody for this many ms. Who
	 * comes faster waits in the backlog, and the processor is for those who are in.
	 */
	TURN_AWAY_BURST = 16,
	TURN_AWAY_PAUSE = 100,
	SAY_AGAIN_AFTER = 60000, /* ms between two lines of the log about it */
};

struct door {
	struct acceptor *acceptor;
	int fd;
	uint16_t index; /* of the listener in the configuration that it belongs to */
	char *address;  /* as configured */
	struct front *front;
	struct watch *watch;
	struct door *prev, *next;
};

struct door_set {
	struct door *doors;
	struct tls_context *tls;
};

struct acceptor {
	struct smtpd *smtpd;
	struct door_set now;
	struct door_set next;
	struct proxies *proxies; /* whose header is awaited */
	struct timer *pause;     /* runs while nobody is accepted for want of descriptors */
	struct spare spare;
	unsigned turned_away; /* in a row */
	int64_t say_at;       /* when the log may be told again */
	bool open;
	bool paused;
};

static struct strings networks_copy(const struct strings *networks)
{
	struct strings copy = {mem_array(networks->count + 1, sizeof(char *)), networks->count};

	for (size_t i = 0; i < copy.count; i++)
		copy.items[i] = mem_strdup(networks->items[i]);
	return copy;
}

static void networks_free(struct strings *networks)
{
	for (size_t i = 0; i < networks->count; i++)
		mem_free(networks->items[i]);
	mem_free(networks->items);
	*networks = (struct strings){0};
}

struct front *front_hold(struct front *front)
{
	front->holders++;
	return front;
}

void front_drop(struct front **front)
{
	struct front *f = *front;

	*front = NULL;
	if (f == NULL || --f->holders > 0)
		return;
	mem_free(f->listener);
	mem_free(f->hostname);
	mem_free(f->qualify);
	networks_free(&f->tls_legacy_from);
	networks_free(&f->clear_auth_from);
	tls_authorities_free(&f->authorities);
	mem_free(f);
}

enum tls_version front_tls_oldest(const struct front *front, const char *client)
{
	if (front->tls_legacy_oldest < front->tls_oldest &&
	    config_networks_have(&front->tls_legacy_from, slice_str(client)))
		return front->tls_legacy_oldest;
	return front->tls_oldest;
}

static enum tls_version oldest_of(const struct config *config, const struct config_listen *listen)
{
	if (listen->tls_min == TLS_MIN_DEFAULT)
		return config->tls.min_1_3 ? TLS_1_3 : TLS_1_2;
	return listen->tls_min == TLS_MIN_1_3 ? TLS_1_3 : TLS_1_2; /* older: never for all */
}

static enum tls_version legacy_oldest_of(const struct config_listen *listen)
{
	return listen->tls_legacy_min == TLS_LEGACY_1_1 ? TLS_1_1 : TLS_1_0;
}

static void set_release(struct door_set *set)
{
	struct door *door;
	struct door *after;

	DL_FOREACH_SAFE (set->doors, door, after) {
		DL_DELETE(set->doors, door);
		watch_free(&door->watch);
		net_close(&door->fd);
		front_drop(&door->front);
		mem_free(door->address);
		mem_free(door);
	}
	tls_context_free(&set->tls);
}

/* Says why in the log, and to the client if it can be said without TLS. */
static void turn_away(const struct acceptor *acceptor, const struct front *front, int fd,
		      const char *client, const char *reason)
{
	static const char reply[] = "421 4.3.2 Too many connections; try again later\r\n";
	size_t sent;

	if (front->tls != TLS_MODE_IMPLICIT)
		(void)net_send(fd, reply, sizeof(reply) - 1, &sent);
	net_close(&fd);
	if (refusals_logged(acceptor->smtpd->refusals, client))
		log_event(LOG_WARNING, "connect-refused", LOG_TEXT("listener", front->listener),
			  LOG_TEXT("client", client), LOG_TEXT("reason", reason));
}

static void pause_over(void *arg)
{
	struct acceptor *acceptor = arg;

	acceptor->paused = false;
	acceptor->turned_away = 0;
	acceptor_open(acceptor, acceptor->open);
}

/* Tells the log, but not for each of a flood. */
static void note_full(struct acceptor *acceptor)
{
	int64_t now = loop_now(acceptor->smtpd->loop);

	auth_link_struck(acceptor->smtpd->auth, IPC_LIMIT_DESCRIPTORS);
	if (now < acceptor->say_at)
		return;
	acceptor->say_at = now + SAY_AGAIN_AFTER;
	log_note(LOG_ERROR, "no descriptors are left: who is not logged in makes room, or is told "
			    "421; raise LimitNOFILE or lower limits.sessions");
}

/*
 * No descriptors are left: the oldest session that is not logged in makes room; if all are young,
 * or logged in, the new one is turned away. true: there is room now.
 */
static bool make_room(struct door *door)
{
	struct acceptor *acceptor = door->acceptor;

	note_full(acceptor);
	if (sessions_make_room(acceptor->smtpd->sessions))
		return true;
	(void)spare_turn_away(&acceptor->spare, door->fd, door->front->tls != TLS_MODE_IMPLICIT);
	if (++acceptor->turned_away >= TURN_AWAY_BURST) {
		acceptor->paused = true;
		acceptor_open(acceptor, acceptor->open);
		timer_set(acceptor->pause, TURN_AWAY_PAUSE);
	}
	return false;
}

/* A connection whose client is known; takes fd. */
static void welcome(void *arg, int fd, const char *client, struct front *front)
{
	struct acceptor *acceptor = arg;

	if (front->tls == TLS_MODE_IMPLICIT && acceptor->now.tls == NULL)
		turn_away(acceptor, front, fd, client, "there is no certificate");
	else
		knocks_start(acceptor->smtpd->knocks, fd, client, front);
}

/* Whether this address may say, and has to, on whose behalf it connects. */
static bool is_balancer(const struct door *door, const char *client)
{
	const struct config *config = door->acceptor->smtpd->config;

	return door->index < config->listen_count &&
	       config_networks_have(&config->listens[door->index].proxy_from, slice_str(client));
}

static void await_header(const struct door *door, int fd, const char *client)
{
	struct acceptor *acceptor = door->acceptor;

	if (proxies_count(acceptor->proxies) < acceptor->smtpd->config->limits.sessions) {
		proxies_start(acceptor->proxies, fd, client, door->front);
		return;
	}
	auth_link_struck(acceptor->smtpd->auth, IPC_LIMIT_PROXY_HEADERS);
	turn_away(acceptor, door->front, fd, client, "too many PROXY headers are awaited");
}

/* One connection per iteration, so that the other smtpd processes get their share. */
static void door_ready(void *arg, int events)
{
	struct door *door = arg;
	struct acceptor *acceptor = door->acceptor;
	struct net_address peer;
	char client[NET_TEXT_MAX];
	enum err err;
	int fd;

	(void)events;
	err = net_accept(door->fd, &fd, &peer);
	if (err == ERR_FULL && make_room(door))
		err = net_accept(door->fd, &fd, &peer);
	if (err != ERR_OK)
		return;
	net_print(&peer, client);
	if (!is_balancer(door, client))
		welcome(acceptor, fd, client, door->front);
	else
		await_header(door, fd, client);
}

struct acceptor *acceptor_new(struct smtpd *smtpd)
{
	struct acceptor *acceptor = mem_alloc(sizeof(*acceptor));

	acceptor->smtpd = smtpd;
	acceptor->spare.fd = -1;
	acceptor->proxies = proxies_new(smtpd, welcome, acceptor);
	acceptor->pause = timer_new(smtpd->loop, pause_over, acceptor);
	return acceptor;
}

void acceptor_free(struct acceptor **acceptor)
{
	if (*acceptor == NULL)
		return;
	set_release(&(*acceptor)->now);
	set_release(&(*acceptor)->next);
	proxies_free(&(*acceptor)->proxies);
	spare_release(&(*acceptor)->spare);
	timer_free(&(*acceptor)->pause);
	MEM_FREE(*acceptor);
}

void acceptor_listener(struct acceptor *acceptor, const struct msg_listener *msg, int fd)
{
	const struct config *config = acceptor->smtpd->next_config;
	const struct config_listen *listen;
	struct door *door;

	if (config == NULL || msg->index >= config->listen_count) {
		log_note(LOG_ERROR, "master handed over listener %u, which the configuration lacks",
			 msg->index);
		net_close(&fd);
		return;
	}
	listen = &config->listens[msg->index];
	door = mem_alloc(sizeof(*door));
	door->acceptor = acceptor;
	door->fd = fd;
	door->index = msg->index;
	door->address = mem_strndup(msg->address.ptr, msg->address.len);
	door->front = mem_alloc(sizeof(*door->front));
	*door->front = (struct front){
		.holders = 1,
		.listener = mem_strdup(listen->name),
		.hostname = mem_strdup(config->hostname),
		.qualify = config->submission.qualify != NULL
				   ? mem_strdup(config->submission.qualify)
				   : NULL,
		.tls = listen->tls,
		.auth = listen->auth,
		.tls_oldest = oldest_of(config, listen),
		.tls_legacy_oldest = legacy_oldest_of(listen),
		.tls_legacy_from = networks_copy(&listen->tls_legacy_from),
		.etrn = listen->etrn,
		.auth_equals = listen->auth_equals,
		.clear_auth_from = networks_copy(&listen->clear_auth_from),
	};
	DL_APPEND(acceptor->next.doors, door);
}

/* What old versions are asked for must work here, or an old device fails and nobody knows why. */
static enum err check_old_versions(const struct config *config, struct tls_context *context,
				   char *why)
{
	char words[TLS_WHY_MAX];

	for (size_t i = 0; config != NULL && i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listens[i];

		if (listen->tls_legacy_from.count == 0 ||
		    tls_can_speak(context, legacy_oldest_of(listen), words) == ERR_OK)
			continue;
		snprintf(why, 512, "listen \"%s\": tls_legacy_min = %s asked, but %s", listen->name,
			 listen->tls_legacy_min == TLS_LEGACY_1_1 ? "1.1" : "1.0", words);
		return ERR_DENIED;
	}
	return ERR_OK;
}

enum err acceptor_identity(struct acceptor *acceptor, const struct msg_identity *msg, char *why)
{
	const struct config *config = acceptor->smtpd->next_config;
	struct tls_identity identity = {msg->certificate, msg->key};
	struct tls_context *context = NULL;
	char words[TLS_WHY_MAX];
	enum err err;

	if (msg->name.len > 0) {
		/* The server's own comes first. */
		err = acceptor->next.tls == NULL
			      ? ERR_SYNTAX
			      : tls_server_context_add(acceptor->next.tls, &identity, words);
		if (err != ERR_OK)
			snprintf(why, 512, "certificate \"%.*s\": %s", SLICE_ARG(msg->name),
				 err == ERR_SYNTAX ? "it cannot be used" : words);
		return err;
	}
	err = tls_server_context_new(&identity, &context, words);
	if (err != ERR_OK) {
		snprintf(why, 512, "certificate: %s", words);
		return err;
	}
	err = check_old_versions(config, context, why);
	if (err != ERR_OK) {
		tls_context_free(&context);
		return err;
	}
	tls_context_free(&acceptor->next.tls);
	acceptor->next.tls = context;
	return ERR_OK;
}

enum err acceptor_authorities(struct acceptor *acceptor, const struct msg_authorities *msg,
			      char *why)
{
	struct tls_authorities *authorities;
	char words[TLS_WHY_MAX];
	struct door *door;
	enum err err = tls_authorities_new(msg->certificates, &authorities, words);

	if (err != ERR_OK) {
		snprintf(why, 512, "listen \"%.*s\": client_ca: %s", SLICE_ARG(msg->listener),
			 words);
		return err;
	}
	DL_FOREACH (acceptor->next.doors, door)
		if (slice_is(msg->listener, door->front->listener) &&
		    door->front->authorities == NULL)
			door->front->authorities = tls_authorities_hold(authorities);
	tls_authorities_free(&authorities);
	return ERR_OK;
}

void acceptor_commit(struct acceptor *acceptor)
{
	struct door *door;

	/* A configuration that came without a certificate keeps the one there was. */
	if (acceptor->next.tls == NULL) {
		acceptor->next.tls = acceptor->now.tls;
		acceptor->now.tls = NULL;
	}
	set_release(&acceptor->now);
	acceptor->now = acceptor->next;
	acceptor->next = (struct door_set){0};
	DL_FOREACH (acceptor->now.doors, door)
		door->watch = watch_new(acceptor->smtpd->loop, door->fd, door_ready, door);
	if (acceptor->now.doors != NULL)
		spare_keep(&acceptor->spare, acceptor->now.doors->fd);
	acceptor_open(acceptor, acceptor->open);
}

void acceptor_rollback(struct acceptor *acceptor)
{
	set_release(&acceptor->next);
}

void acceptor_open(struct acceptor *acceptor, bool open)
{
	struct door *door;

	acceptor->open = open;
	DL_FOREACH (acceptor->now.doors, door)
		watch_set(door->watch, open && !acceptor->paused ? WATCH_READ : 0);
}

void acceptor_stop(struct acceptor *acceptor)
{
	struct tls_context *tls = acceptor->now.tls;

	/* Handshakes that were begun may still need the certificate. */
	acceptor->now.tls = NULL;
	set_release(&acceptor->now);
	set_release(&acceptor->next);
	proxies_drop(acceptor->proxies);
	acceptor->now.tls = tls;
	acceptor->open = false;
}

struct tls_context *acceptor_tls(const struct acceptor *acceptor)
{
	return acceptor->now.tls;
}

struct front *acceptor_front(const struct acceptor *acceptor, const char *listener)
{
	struct door *door;

	DL_FOREACH (acceptor->now.doors, door) {
		if (strcmp(door->front->listener, listener) == 0)
			return door->front;
	}
	return NULL;
}
