/* SPDX-License-Identifier: Apache-2.0 */
/* Whether name and password are right: from memory if they were a short while ago, else on a
 * thread. */
#include "login_internal.h"

#include <stdio.h>

#include "auth.h"
#include "config/config.h"
#include "front.h"
#include "mechanism.h"
#include "os/log.h"
#include "os/loop.h"
#include "proven.h"
#include "rows.h"
#include "verify.h"

enum {
	/* An account that changes while its password is being verified is read again. */
	VERIFY_RUNS = 5,
};

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
		auth->counts.crowded++;
		login_fail(login, &LOGIN_UNAVAILABLE, "too-many-logins");
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
		login_fail(login, &LOGIN_UNAVAILABLE, "store-failed");
	} else if (!job->known) {
		login_fail(login, &LOGIN_INVALID, "unknown-user");
	} else if (!job->matches) {
		login_fail(login, &LOGIN_INVALID,
			   job->account.damaged ? "damaged-verifier" : "bad-password");
	} else if (!job->account.enabled) {
		login_fail(login, &LOGIN_INVALID, "disabled");
	} else {
		rows_put(auth->rows, login->name, &job->account);
		if (remembered > 0)
			proven_remember(auth->proven, &job->account, secret_value(&job->password),
					loop_now(auth->loop) + (int64_t)remembered);
		login_succeed(login, &job->account);
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
		login_fail(login, &LOGIN_UNAVAILABLE, "account-changing");
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

void login_verify(struct login *login)
{
	const struct config *config = auth_config(login->front->auth);
	const char *domain = config_domain(config);
	const struct account *account;
	char why[ACCOUNT_WHY];
	struct verify_job *job;

	if (account_name_read(exchange_name(login->exchange), domain, login->name, why) != ERR_OK) {
		login_fail(login, &LOGIN_INVALID, "malformed-name"); /* no account can have it */
		return;
	}
	login->state = LOGIN_VERIFYING;
	if (is_proven(login, &account)) {
		login->front->auth->counts.cached++;
		login_succeed(login, account);
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
