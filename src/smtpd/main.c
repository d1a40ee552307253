/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the smtpd process: what it sets up, reloads and ends. */
#include "smtpd.h"

#include <stdio.h>

#include "accept.h"
#include "auth_link.h"
#include "base/mem.h"
#include "config/config.h"
#include "ipc/child.h"
#include "knock.h"
#include "names_link.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "os/sandbox.h"
#include "queue_link.h"
#include "refusals.h"
#include "session.h"
#include "sessions.h"
#include "smtp/server.h"
#include "tls/tls.h"
#include "transaction.h"

enum {
	OTHER_DESCRIPTORS = 256, /* beside sessions and knocks: listeners, channels, libraries */
	LAST_MOMENT = 300,       /* ms of the time to stop that are kept for leaving */
};

/*
 * OpenSSL reads its configuration and finds algorithms on first use: have that done while files
 * may still be opened.
 */
static enum err warm_up(char *why)
{
	struct tls_context *context = NULL;
	struct tls_identity identity;
	char words[TLS_WHY_MAX] = "no key can be made";
	struct buf certificate;
	struct buf key;
	enum err err;

	buf_init(&certificate, 65536);
	buf_init(&key, 65536);
	err = tls_make_self_signed("warm-up.invalid", 1, &certificate, &key);
	identity = (struct tls_identity){buf_data(&certificate), buf_data(&key)};
	if (err == ERR_OK)
		err = tls_server_context_new(&identity, &context, words);
	if (err != ERR_OK)
		snprintf(why, 512, "OpenSSL cannot be set up: %s", words);
	tls_context_free(&context);
	buf_release(&certificate);
	buf_wipe(&key);
	return err;
}

static enum err start(struct child *child, const struct config *config, char *why)
{
	struct smtpd *smtpd = mem_alloc(sizeof(*smtpd));
	enum err err = warm_up(why);

	if (err != ERR_OK) {
		mem_free(smtpd);
		return err;
	}
	(void)os_raise_descriptors((uint64_t)config->limits.sessions + KNOCKS_MAX +
				   OTHER_DESCRIPTORS);
	smtpd->child = child;
	smtpd->loop = child_loop(child);
	smtpd->next_config = config;
	smtpd->acceptor = acceptor_new(smtpd);
	smtpd->knocks = knocks_new(smtpd);
	smtpd->sessions = sessions_new(smtpd);
	smtpd->auth = auth_link_new(smtpd);
	smtpd->queue = queue_link_new(smtpd);
	smtpd->names = names_link_new(smtpd);
	smtpd->refusals = refusals_new(smtpd);
	child_set_data(child, smtpd);
	return ERR_OK;
}

static void powers(struct child *child, const struct config *config, struct sandbox *sandbox_out)
{
	(void)child;
	(void)config;
	*sandbox_out = (struct sandbox){.powers = SANDBOX_ACCEPT};
}

static enum err open_nothing(struct child *child, const struct config *config, char *why)
{
	(void)child;
	(void)config;
	(void)why;
	return ERR_OK;
}

static enum err prepare(struct child *child, const struct config *config, char *why)
{
	struct smtpd *smtpd = child_data(child);

	(void)why; /* every setting of ours was checked by the parser */
	smtpd->next_config = config;
	return ERR_OK;
}

static void listener(struct child *child, const struct msg_listener *msg, int fd)
{
	struct smtpd *smtpd = child_data(child);

	acceptor_listener(smtpd->acceptor, msg, fd);
}

static enum err authorities(struct child *child, const struct msg_authorities *msg, char *why)
{
	struct smtpd *smtpd = child_data(child);

	return acceptor_authorities(smtpd->acceptor, msg, why);
}

static enum err identity(struct child *child, const struct msg_identity *msg, char *why)
{
	struct smtpd *smtpd = child_data(child);

	return acceptor_identity(smtpd->acceptor, msg, why);
}

/* A session keeps going by the new rules of its listener; by the old ones if that is gone. */
static void renew(struct session *session, void *arg)
{
	struct smtpd *smtpd = arg;
	struct front *front = acceptor_front(smtpd->acceptor, session->front->listener);
	struct front *before = session->front;
	struct smtp_server_options options;

	session->front = front_hold(front != NULL ? front : before);
	if (session->server != NULL) {
		session_options(session, &options);
		smtp_server_set_options(session->server, &options);
	}
	front_drop(&before);
}

static void commit(struct child *child, const struct config *config)
{
	struct smtpd *smtpd = child_data(child);

	smtpd->config = config;
	smtpd->next_config = NULL;
	acceptor_commit(smtpd->acceptor);
	sessions_each(smtpd->sessions, renew, smtpd);
	smtpd_update(smtpd);
}

static void rollback(struct child *child)
{
	struct smtpd *smtpd = child_data(child);

	smtpd->next_config = NULL;
	acceptor_rollback(smtpd->acceptor);
}

static void peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		 int fd)
{
	struct smtpd *smtpd = child_data(child);

	(void)index;
	if (role == IPC_AUTH) {
		auth_link_peer(smtpd->auth, fd, incarnation);
	} else if (role == IPC_QUEUE) {
		queue_link_peer(smtpd->queue, fd, incarnation);
	} else if (role == IPC_RELAY) {
		names_link_peer(smtpd->names, fd);
	} else {
		log_note(LOG_ERROR,
			 "master gave a channel to %s, with whom there is nothing to say",
			 ipc_role_name(role));
		net_close(&fd);
	}
}

void smtpd_update(struct smtpd *smtpd)
{
	if (smtpd->stopping) {
		if (sessions_count(smtpd->sessions) == 0)
			child_exit(smtpd->child, 0);
		return;
	}
	acceptor_open(smtpd->acceptor, smtpd->config != NULL && auth_link_ready(smtpd->auth) &&
					       queue_link_ready(smtpd->queue) &&
					       !knocks_full(smtpd->knocks));
}

/* Bodies under way and messages that queue has are finished; all else ends. */
static void stop_one(struct session *session, void *arg)
{
	const struct transaction *transaction = session->transaction;

	(void)arg;
	if (session->state == SESSION_OPEN && transaction != NULL &&
	    transaction->state != TRANSACTION_ENVELOPE)
		return;
	session_close(session, 421, "4.3.2", "Shutting down; try again later");
}

static void time_over(void *arg)
{
	struct smtpd *smtpd = arg;

	log_note(LOG_WARNING, "stopping with %u sessions unfinished",
		 sessions_count(smtpd->sessions));
	child_exit(smtpd->child, 0);
}

static void shut_down(struct child *child, uint32_t within_ms)
{
	struct smtpd *smtpd = child_data(child);

	if (smtpd == NULL || smtpd->stopping) {
		if (smtpd == NULL)
			child_exit(child, 0);
		return;
	}
	smtpd->stopping = true;
	refusals_flush(smtpd->refusals);
	acceptor_stop(smtpd->acceptor);
	knocks_drop(smtpd->knocks);
	sessions_each(smtpd->sessions, stop_one, NULL);
	timer_set(timer_new(smtpd->loop, time_over, smtpd),
		  within_ms > LAST_MOMENT ? within_ms - LAST_MOMENT : 0);
	smtpd_update(smtpd);
}

int main(int argc, char **argv)
{
	static const struct child_role role = {
		.name = "smtpd",
		.role = IPC_SMTPD,
		.start = start,
		.open = open_nothing,
		.prepare = prepare,
		.commit = commit,
		.rollback = rollback,
		.peer = peer,
		.sandbox = powers,
		.empty_root = true,
		.listener = listener,
		.identity = identity,
		.authorities = authorities,
		.shutdown = shut_down,
	};

	return child_main(argc, argv, &role);
}
