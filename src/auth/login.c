/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange of one AUTH command: tokens to the mechanism, challenges to the client. */
#include "login.h"

#include "auth.h"
#include "base/mem.h"
#include "config/config.h"
#include "front.h"
#include "login_internal.h"
#include "mechanism.h"

static struct login *find(struct front *front, uint64_t session)
{
	struct login *login = NULL;

	HASH_FIND(hh, front->logins, &session, sizeof(session), login);
	return login;
}

static void step(struct login *login, bool has_token, struct slice token)
{
	struct msg_auth_challenge msg = {.session = login->session};

	switch (exchange_step(login->exchange, has_token, token, &msg.token)) {
	case EXCHANGE_CHALLENGE:
		front_send(login->front, IPC_AUTH_CHALLENGE, &msg);
		break;
	case EXCHANGE_DONE:
		login_verify(login);
		break;
	case EXCHANGE_REFUSED:
		login_fail(login, &LOGIN_INVALID, exchange_why(login->exchange));
		break;
	}
}

/*
 * A login in clear is for those listeners and clients only that the configuration names for it:
 * that does not rest on the word of smtpd.
 */
static bool clear_is_allowed(const struct front *front, const struct msg_auth_start *msg)
{
	const struct config *config = auth_config(front->auth);

	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listens[i];

		if (slice_is(msg->listener, listen->name))
			return listen->auth != AUTH_MODE_OFF &&
			       config_networks_have(&listen->clear_auth_from, msg->client);
	}
	return false;
}

enum err login_start(struct front *front, const struct msg_auth_start *msg)
{
	static const struct slice NOBODY = {"", 0};
	struct exchange *exchange = NULL;
	struct login *login;

	if (find(front, msg->session) != NULL || (!msg->has_token && msg->token.len > 0))
		return ERR_SYNTAX;
	if (!msg->tls && !clear_is_allowed(front, msg)) {
		/* The token is not even looked at (B7). */
		login_refuse(front, msg->session, &LOGIN_NEEDS_TLS, NOBODY, "no-tls");
		return ERR_OK;
	}
	if (HASH_COUNT(front->logins) >= FRONT_LOGINS_MAX) {
		login_refuse(front, msg->session, &LOGIN_UNAVAILABLE, NOBODY, "too-many-logins");
		return ERR_OK;
	}
	if (exchange_new(front->auth->mechanisms, msg->mechanism, &exchange) != ERR_OK) {
		login_refuse(front, msg->session, &LOGIN_UNKNOWN, NOBODY, "unknown-mechanism");
		return ERR_OK;
	}
	login = mem_alloc(sizeof(*login));
	login->session = msg->session;
	login->front = front;
	login->exchange = exchange;
	HASH_ADD(hh, front->logins, session, sizeof(login->session), login);
	step(login, msg->has_token, msg->token);
	return ERR_OK;
}

enum err login_token(struct front *front, const struct msg_auth_token *msg)
{
	struct login *login = find(front, msg->session);

	/* A token answers a challenge, and nothing else. */
	if (login == NULL || login->state != LOGIN_EXCHANGING)
		return ERR_SYNTAX;
	step(login, true, msg->token);
	return ERR_OK;
}

enum err login_cancel(struct front *front, const struct msg_auth_cancel *msg)
{
	struct login *login = find(front, msg->session);

	if (login != NULL) /* else our answer crossed it */
		login_free(login);
	return ERR_OK;
}

void login_drop_all(struct front *front)
{
	while (front->logins != NULL)
		login_free(front->logins);
}
