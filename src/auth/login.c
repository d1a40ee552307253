/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange of one AUTH command: tokens to the mechanism, challenges to the client. */
#include "login.h"

#include "auth.h"
#include "base/mem.h"
#include "certificates.h"
#include "config/config.h"
#include "door.h"
#include "front.h"
#include "login_internal.h"
#include "mechanism.h"
#include "offer.h"

enum { CERTIFICATE_NAMES = 16 /* as in messages.def */ };

static struct login *find(struct front *front, uint64_t session)
{
	struct login *login = NULL;

	HASH_FIND(hh, front->logins, &session, sizeof(session), login);
	return login;
}

void login_challenge(struct login *login, struct slice challenge)
{
	const struct msg_auth_challenge msg = {.session = login->session, .token = challenge};

	front_send(login->front, IPC_AUTH_CHALLENGE, &msg);
}

static void step(struct login *login, bool has_token, struct slice token)
{
	struct slice challenge;

	switch (exchange_step(login->exchange, has_token, token, &challenge)) {
	case EXCHANGE_CHALLENGE:
		login_challenge(login, challenge);
		break;
	case EXCHANGE_PASSWORD:
		login_verify(login);
		break;
	case EXCHANGE_VERIFIER:
		login_look_up(login);
		break;
	case EXCHANGE_PROVEN:
		login_proven(login);
		break;
	case EXCHANGE_TOKEN:
		login_check_token(login);
		break;
	case EXCHANGE_REFUSED:
		/* A proof against the verifier of nobody is never right. */
		login_fail(login, &LOGIN_INVALID,
			   login->looked_up && !login->known ? login->nobody
							     : exchange_why(login->exchange));
		break;
	}
}

static const struct config_listen *listener_of(const struct front *front, struct slice name)
{
	const struct config *config = auth_config(front->auth);

	for (size_t i = 0; i < config->listen_count; i++)
		if (slice_is(name, config->listens[i].name))
			return &config->listens[i];
	return NULL;
}

/*
 * A login in clear is for those listeners and clients only that the configuration names for it:
 * that does not rest on the word of smtpd.
 */
static bool clear_is_allowed(const struct config_listen *listen, const struct msg_auth_start *msg)
{
	return listen != NULL && listen->auth != AUTH_MODE_OFF &&
	       config_networks_have(&listen->clear_auth_from, msg->client);
}

static size_t read_certificate(struct ipc_list list, struct slice names_out[CERTIFICATE_NAMES])
{
	struct rec_certificate_name name;
	size_t count = 0;

	while (count < CERTIFICATE_NAMES && ipc_list_next(&list, IPC_REC_certificate_name, &name))
		names_out[count++] = name.address;
	return count;
}

/* Only what this session was offered (C5). */
static enum err begin_exchange(const struct front *front, const struct config_listen *listen,
			       const struct msg_auth_start *msg, struct exchange **exchange_out)
{
	struct slice names[CERTIFICATE_NAMES];
	struct exchange_terms terms = {
		.kerberos = front->auth->kerberos,
		.domain = config_domain(auth_config(front->auth)),
		.certificate = names,
	};
	char offered[OFFER_TEXT];
	unsigned traits = 0;

	if (msg->tls) {
		terms.exporter = msg->exporter;
		terms.unique = msg->unique;
		terms.certificate_count = read_certificate(msg->certificate, names);
		terms.registered = certificates_find(front->auth->certificates, msg->fingerprint);
		traits = IPC_TRAIT_TLS;
		if (msg->exporter.len > 0 || msg->unique.len > 0)
			traits |= IPC_TRAIT_BINDING;
		if (msg->fingerprint.len > 0)
			traits |= IPC_TRAIT_CERTIFICATE;
		if (terms.certificate_count > 0)
			traits |= IPC_TRAIT_NAMED;
	}
	offer_text(front->auth, listen, traits, offered);
	if (!offer_has(offered, msg->mechanism))
		return ERR_NOT_FOUND;
	terms.plus_offered = offer_has_plus(offered);
	return exchange_new(front->auth->mechanisms, msg->mechanism, &terms, exchange_out);
}

enum err login_start(struct front *front, const struct msg_auth_start *msg)
{
	static const struct slice NOBODY = {"", 0};
	const struct config_listen *listen = listener_of(front, msg->listener);
	struct exchange *exchange = NULL;
	struct login *login;

	if (find(front, msg->session) != NULL || (!msg->has_token && msg->token.len > 0))
		return ERR_SYNTAX;
	if (!msg->tls && !clear_is_allowed(listen, msg)) {
		/* The token is not even looked at (B7). */
		login_refuse(front, msg->session, &LOGIN_NEEDS_TLS, NOBODY, "no-tls");
		return ERR_OK;
	}
	if (door_login_failures(front, msg->session) >= DEFENCE_SESSION_FAILURES) {
		login_refuse(front, msg->session, &LOGIN_ENOUGH, NOBODY, "failures-on-connection");
		return ERR_OK;
	}
	if (listen == NULL || HASH_COUNT(front->logins) >= FRONT_LOGINS_MAX) {
		login_refuse(front, msg->session, &LOGIN_UNAVAILABLE, NOBODY,
			     listen == NULL ? "listener-gone" : "too-many-logins");
		return ERR_OK;
	}
	if (begin_exchange(front, listen, msg, &exchange) != ERR_OK) {
		login_refuse(front, msg->session, &LOGIN_UNKNOWN, NOBODY, "unknown-mechanism");
		return ERR_OK;
	}
	login = mem_alloc(sizeof(*login));
	login->session = msg->session;
	login->front = front;
	login->exchange = exchange;
	login->tls = msg->tls;
	(void)slice_copy(msg->client, login->client, sizeof(login->client));
	HASH_ADD(hh, front->logins, session, sizeof(login->session), login);
	defence_begin(login, msg->client);
	step(login, msg->has_token, msg->token);
	return ERR_OK;
}

enum err login_token(struct front *front, const struct msg_auth_token *msg)
{
	struct login *login = find(front, msg->session);

	/* A token answers a challenge, and nothing else. */
	if (login == NULL || (login->state != LOGIN_EXCHANGING && login->state != LOGIN_LAST))
		return ERR_SYNTAX;
	if (login->state == LOGIN_EXCHANGING)
		step(login, true, msg->token);
	else if (msg->token.len == 0)
		login_confirm(login);
	else
		login_fail(login, &LOGIN_INVALID, "malformed");
	return ERR_OK;
}

enum err login_cancel(struct front *front, const struct msg_auth_cancel *msg)
{
	struct login *login = find(front, msg->session);

	if (login == NULL) /* our answer crossed it */
		return ERR_OK;
	/* Who leaves before he hears whether it was right has tried it all the same. */
	if (login->state == LOGIN_VERIFYING && login->question == LOGIN_PASSWORD)
		(void)defence_failed(login, "client-left");
	if (exchange_is_denied(login->exchange))
		login_abandoned(login);
	else
		login_free(login);
	return ERR_OK;
}

void login_drop_all(struct front *front)
{
	while (front->logins != NULL)
		login_free(front->logins);
}
