/* SPDX-License-Identifier: Apache-2.0 */
#include "login.h"

#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "door.h"
#include "front.h"
#include "grants.h"
#include "mechanism.h"
#include "os/log.h"
#include "os/loop.h"
#include "proven.h"
#include "rows.h"
#include "senders.h"
#include "verify.h"

enum state { EXCHANGING, VERIFYING, GRANTING };

enum {
	/* An account that changes while its password is being verified is read again. */
	VERIFY_RUNS = 5,
};

struct login {
	UT_hash_handle hh;
	uint64_t session;
	struct front *front;
	enum state state;
	struct exchange *exchange;
	struct verify_job *job; /* with a thread, or waiting for one */
	unsigned runs;          /* of the job */
	uint64_t changes;       /* auth->changes when the job began */
	struct grant *grant;    /* that queue has not acknowledged yet */
	char name[ACCOUNT_NAME_MAX + 1];
	char account[ACCOUNT_NAME_MAX + 1];
	char address[ACCOUNT_NAME_MAX + 1];
	uint64_t message_size; /* of the account */
	struct ipc_list_builder senders;
};

struct refusal {
	uint16_t code;
	const char *status;
	const char *text;
};

/* RFC 4954 section 6. */
static const struct refusal INVALID = {535, "5.7.8", "Authentication credentials invalid"};
static const struct refusal UNAVAILABLE = {454, "4.7.0", "Temporary authentication failure"};
static const struct refusal TOO_MANY = {
	454, "4.7.0", "This account has too many sessions open; close some, or try again later"};
static const struct refusal NEEDS_TLS = {538, "5.7.11",
					 "Encryption required for requested authentication "
					 "mechanism"};
static const struct refusal UNKNOWN = {504, "5.5.4", "Unrecognized authentication mechanism"};

static void login_free(struct login *login)
{
	HASH_DEL(login->front->logins, login);
	exchange_free(&login->exchange);
	if (login->job != NULL)
		login->job->arg = NULL; /* freed when its thread is done with it */
	grants_end(login->front->auth->grants, &login->grant);
	ipc_list_release(&login->senders);
	mem_free(login);
}

static void send_failure(struct front *front, uint64_t session, const struct refusal *refusal,
			 struct slice account, const char *reason)
{
	struct msg_auth_fail msg = {
		.session = session,
		.code = refusal->code,
		.status = slice_str(refusal->status),
		.text = slice_str(refusal->text),
		.account = account,
		.reason = slice_str(reason),
	};

	if (refusal->code == UNAVAILABLE.code)
		front->auth->counts.unavailable++;
	else
		front->auth->counts.failures++;
	front_send(front, IPC_AUTH_FAIL, &msg);
}

static void fail(struct login *login, const struct refusal *refusal, const char *reason)
{
	send_failure(login->front, login->session, refusal, exchange_name(login->exchange), reason);
	login_free(login);
}

/* ---- granting ------------------------------------------------------------------------------- */

static void on_granted(struct grant *grant, void *arg)
{
	struct login *login = arg;
	struct msg_auth_ok msg = {
		.session = login->session,
		.account = slice_str(login->account),
		.mechanism = slice_str(exchange_mechanism(login->exchange)),
		.address = slice_str(login->address),
		.senders = ipc_list_view(&login->senders),
		.message_size = login->message_size,
	};

	login->grant = NULL; /* it is the session's now, or gone */
	if (grant == NULL) {
		fail(login, &UNAVAILABLE, "queue-gone");
		return;
	}
	msg.grant = grant_number(grant);
	login->front->auth->counts.logins++;
	door_logged_in(login->front, login->session);
	front_send(login->front, IPC_AUTH_OK, &msg);
	login_free(login);
}

/* Who it is has been proven: asks queue to hold the grant. */
static void succeed(struct login *login, const struct account *account)
{
	struct auth *auth = login->front->auth;
	const char *domain = config_domain(auth_config(auth));
	enum err err;

	if (account_address(account->name, domain, login->address) != ERR_OK ||
	    senders_list(account, login->address, &login->senders) != ERR_OK) {
		fail(login, &UNAVAILABLE, "rights-too-long");
		return;
	}
	(void)snprintf(login->account, sizeof(login->account), "%s", account->name);
	login->message_size = account->message_size;
	login->state = GRANTING;
	err = grants_add(auth->grants, login->front, account, login->address,
			 ipc_list_view(&login->senders), on_granted, login, &login->grant);
	if (err == ERR_RANGE)
		fail(login, &TOO_MANY, "limits.sessions_per_account is reached");
	else if (err != ERR_OK)
		fail(login, &UNAVAILABLE, err == ERR_BUSY ? "no-queue" : "too-many-grants");
}

/* ---- verifying ------------------------------------------------------------------------------ */

static void note_store(struct auth *auth, const struct verify_job *job)
{
	bool failed = job->err != ERR_OK;

	if (failed == auth->store_failed)
		return;
	auth->store_failed = failed;
	if (failed)
		log_note(LOG_ERROR, "nobody can log in: %s",
			 job->why[0] != '\0' ? job->why : err_name(job->err));
	else
		log_note(LOG_INFO, "the account store can be read again");
}

static void on_verified(struct verify_job *job);

/* Hands the job to a thread; *job is taken either way. */
static void submit(struct login *login, struct verify_job *job)
{
	struct auth *auth = login->front->auth;

	login->changes = auth->changes;
	login->runs++;
	if (verify_submit(auth->verify, job, on_verified) != ERR_OK) {
		verify_job_free(&job);
		fail(login, &UNAVAILABLE, "too-many-logins");
		return;
	}
	login->job = job;
}

static void judge(struct login *login, const struct verify_job *job)
{
	struct auth *auth = login->front->auth;
	uint64_t remembered = auth_config(auth)->auth.cache;

	note_store(auth, job);
	if (job->err != ERR_OK) {
		fail(login, &UNAVAILABLE, "store-failed");
	} else if (!job->known) {
		fail(login, &INVALID, "unknown-user");
	} else if (!job->matches) {
		fail(login, &INVALID, job->account.damaged ? "damaged-verifier" : "bad-password");
	} else if (!job->account.enabled) {
		fail(login, &INVALID, "disabled");
	} else {
		rows_put(auth->rows, login->name, &job->account);
		if (remembered > 0)
			proven_remember(auth->proven, &job->account, secret_value(&job->password),
					loop_now(auth->loop) + (int64_t)remembered);
		succeed(login, &job->account);
	}
}

static void on_verified(struct verify_job *job)
{
	struct login *login = job->arg;

	if (login == NULL) { /* cancelled, or its smtpd is gone */
		verify_job_free(&job);
		return;
	}
	login->job = NULL;
	/* Some account was changed meanwhile: what the thread read may be of before. */
	if (login->changes != login->front->auth->changes && login->runs < VERIFY_RUNS) {
		submit(login, job);
		return;
	}
	if (login->changes != login->front->auth->changes)
		fail(login, &UNAVAILABLE, "account-changing");
	else
		judge(login, job);
	verify_job_free(&job);
}

static bool is_proven(struct login *login, const struct account **account_out)
{
	struct auth *auth = login->front->auth;
	const struct account *account;

	if (auth_config(auth)->auth.cache == 0 ||
	    (account = rows_find(auth->rows, login->name)) == NULL || !account->enabled ||
	    !proven_knows(auth->proven, account, exchange_password(login->exchange),
			  loop_now(auth->loop)))
		return false;
	*account_out = account;
	return true;
}

static void verify(struct login *login)
{
	const struct config *config = auth_config(login->front->auth);
	const char *domain = config_domain(config);
	const struct account *account;
	char why[ACCOUNT_WHY];
	struct verify_job *job;

	if (account_name_read(exchange_name(login->exchange), domain, login->name, why) != ERR_OK) {
		fail(login, &INVALID, "malformed-name"); /* no account can have it */
		return;
	}
	login->state = VERIFYING;
	if (is_proven(login, &account)) {
		login->front->auth->counts.cached++;
		succeed(login, account);
		return;
	}
	job = verify_job_new();
	(void)snprintf(job->name, sizeof(job->name), "%s", login->name);
	(void)snprintf(job->domain, sizeof(job->domain), "%s", domain);
	secret_set(&job->password, exchange_password(login->exchange));
	job->iterations = config->auth.iterations;
	job->arg = login;
	submit(login, job);
}

/* ---- exchanging ----------------------------------------------------------------------------- */

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
		verify(login);
		break;
	case EXCHANGE_REFUSED:
		fail(login, &INVALID, exchange_why(login->exchange));
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
		send_failure(front, msg->session, &NEEDS_TLS, NOBODY, "no-tls");
		return ERR_OK;
	}
	if (HASH_COUNT(front->logins) >= FRONT_LOGINS_MAX) {
		send_failure(front, msg->session, &UNAVAILABLE, NOBODY, "too-many-logins");
		return ERR_OK;
	}
	if (exchange_new(front->auth->mechanisms, msg->mechanism, &exchange) != ERR_OK) {
		send_failure(front, msg->session, &UNKNOWN, NOBODY, "unknown-mechanism");
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
	if (login == NULL || login->state != EXCHANGING)
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
