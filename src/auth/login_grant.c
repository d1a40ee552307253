/* SPDX-License-Identifier: Apache-2.0 */
/* How an AUTH command ends: with a grant that queue holds, or with a refusal. */
#include "login_internal.h"

#include <stdio.h>

#include "auth.h"
#include "backends.h"
#include "base/mem.h"
#include "config/config.h"
#include "door.h"
#include "front.h"
#include "grants.h"
#include "habits.h"
#include "mechanism.h"
#include "os/log.h"
#include "os/os.h"
#include "senders.h"
#include "tokens.h"
#include "usage.h"
#include "verify.h"

/* RFC 4954 section 6. */
const struct login_refusal LOGIN_INVALID = {535, "5.7.8", "Authentication credentials invalid"};
const struct login_refusal LOGIN_UNAVAILABLE = {454, "4.7.0", "Temporary authentication failure"};
static const struct login_refusal TOO_MANY = {
	454, "4.7.0", "This account has too many sessions open; close some, or try again later"};
const struct login_refusal LOGIN_NEEDS_TLS = {538, "5.7.11",
					      "Encryption required for requested authentication "
					      "mechanism"};
/* Of one connection: it may come again, and is then looked at by what it did before. */
const struct login_refusal LOGIN_ENOUGH = {
	421, "4.7.0", "Too many failed logins on this connection; check name and password"};
const struct login_refusal LOGIN_UNKNOWN = {504, "5.5.4", "Unrecognized authentication mechanism"};

void login_free(struct login *login)
{
	HASH_DEL(login->front->logins, login);
	exchange_free(&login->exchange);
	defence_release(login);
	if (login->job != NULL)
		login->job->arg = NULL; /* freed when its thread is done with it */
	backends_cancel(&login->ask);
	tokens_cancel(&login->token_check);
	grants_end(login->front->auth->grants, &login->grant);
	ipc_list_release(&login->senders);
	account_release(&login->row);
	mem_free(login);
}

void login_refuse(struct front *front, uint64_t session, const struct login_refusal *refusal,
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

	if (refusal->code == LOGIN_UNAVAILABLE.code)
		front->auth->counts.unavailable++;
	else if (refusal->code != LOGIN_ENOUGH.code) /* blocked ones are counted by the defence */
		front->auth->counts.failures++;
	front_send(front, IPC_AUTH_FAIL, &msg);
}

void login_refuse_now(struct login *login, const struct login_refusal *refusal, const char *reason)
{
	login_refuse(login->front, login->session, refusal, exchange_name(login->exchange), reason);
	login_free(login);
}

void login_fail(struct login *login, const struct login_refusal *refusal, const char *reason)
{
	uint32_t delay = 0;

	if (refusal == &LOGIN_INVALID) {
		door_login_failed(login->front, login->session);
		delay = defence_failed(login, reason);
	}
	if (!defence_hold(login, refusal, reason, delay))
		login_refuse_now(login, refusal, reason);
}

void login_abandoned(struct login *login)
{
	login->front->auth->counts.failures++;
	(void)defence_failed(login, exchange_why(login->exchange));
	log_event(LOG_INFO, "login-failed", LOG_TEXT("client", login->client),
		  LOG_SLICE_IF("account", exchange_name(login->exchange)),
		  LOG_TEXT("mech", exchange_mechanism(login->exchange)),
		  LOG_TEXT("reason", exchange_why(login->exchange)),
		  LOG_TEXT("text", "the client left before the reply"));
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
		.key = slice_str(login->key),
	};

	login->grant = NULL; /* it is the session's now, or gone */
	if (grant == NULL) {
		login_fail(login, &LOGIN_UNAVAILABLE, "queue-gone");
		return;
	}
	msg.grant = grant_number(grant);
	login->front->auth->counts.logins++;
	usage_login(login->front->auth->usage, login->account_id, login->key_id, login->client);
	habits_add(login->front->auth->habits, login->account_id,
		   login->tls ? HABIT_TLS : HABIT_CLEAR, msg.mechanism);
	door_logged_in(login->front, login->session);
	front_send(login->front, IPC_AUTH_OK, &msg);
	login_free(login);
}

/* Who it is has been proven: asks queue to hold the grant. */
void login_succeed(struct login *login, const struct account *account)
{
	struct auth *auth = login->front->auth;
	const char *domain = config_domain(auth_config(auth));
	const char *bar = login_barred(login, account);
	struct grant_rights rights = {.address = login->address};
	enum err err;

	if (bar != NULL) {
		login_fail(login, &LOGIN_INVALID, bar);
		return;
	}
	defence_succeeded(login, account);
	if (account_address(account->name, domain, login->address) != ERR_OK ||
	    senders_list(account, login->address, &login->senders) != ERR_OK) {
		login_fail(login, &LOGIN_UNAVAILABLE, "rights-too-long");
		return;
	}
	(void)snprintf(login->account, sizeof(login->account), "%s", account->name);
	if (account->key != NULL)
		(void)snprintf(login->key, sizeof(login->key), "%s", account->key->name);
	login->account_id = account->id;
	login->key_id = account->key != NULL ? account->key->id : 0;
	login->message_size = account_message_size(account);
	login->state = LOGIN_GRANTING;
	rights.senders = ipc_list_view(&login->senders);
	err = grants_add(auth->grants, login->front, account, &rights, on_granted, login,
			 &login->grant);
	if (err == ERR_OK && login->ticket.elsewhere)
		grant_elsewhere(login->grant);
	if (err == ERR_RANGE)
		login_fail(login, &TOO_MANY, "limits.sessions_per_account is reached");
	else if (err != ERR_OK)
		login_fail(login, &LOGIN_UNAVAILABLE,
			   err == ERR_BUSY ? "no-queue" : "too-many-grants");
}
