/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the client is who it says, and may log in: a password from memory if it was right a short
 * while ago, else on a thread; for mechanisms that prove it themselves, the account that they need
 * before, and how it is after.
 */
#include "login_internal.h"

#include <stdio.h>

#include "admin.h"
#include "alarm.h"
#include "auth.h"
#include "backends.h"
#include "config/config.h"
#include "front.h"
#include "mechanism.h"
#include "offer.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "proven.h"
#include "rows.h"
#include "verify.h"

enum {
	/* An account that changes while its password is being verified is read again. */
	VERIFY_RUNS = 5,
};

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

const char *login_barred(const struct login *login, const struct account *account)
{
	return account_barred(account, slice_str(login->client), os_wall_ms());
}

/* Nobody of this name, with this key if one is named. */
static const char *unknown(const struct login *login)
{
	return login->who.key[0] != '\0' ? "unknown-user-or-key" : "unknown-user";
}

static const char *mismatch(const struct verify_job *job)
{
	const struct account *account = &job->account;
	bool damaged = account->key != NULL ? account->key->damaged : account->damaged;

	if (job->unusable)
		return "unusable-hash";
	return damaged ? "damaged-verifier" : account->key != NULL ? "bad-key" : "bad-password";
}

/*
 * A name of the store is decided by what the store says of it: a verifier, or a back end. So is a
 * key, which is never of a back end, also one that the password itself tells.
 */
static bool is_elsewhere(const struct login *login, const struct verify_job *job)
{
	if (login->who.key[0] != '\0')
		return false;
	if (!job->known)
		return backends_count(login->front->auth->backends) > 0;
	return job->account.source[0] != '\0' && !job->matches;
}

/* The password was right: it is remembered for so many ms, unless the account bars everybody. */
static void let_in(struct login *login, const struct account *account, uint64_t remembered)
{
	char credential[ACCOUNT_CREDENTIAL_MAX + 1];
	struct auth *auth = login->front->auth;

	if (login_barred(login, account) == NULL) {
		account_login_print(&login->who, credential);
		rows_put(auth->rows, credential, account);
		if (remembered > 0)
			proven_remember(auth->proven, account, exchange_password(login->exchange),
					loop_now(auth->loop) + (int64_t)remembered);
	}
	login_succeed(login, account);
}

static void judge_password(struct login *login, const struct verify_job *job)
{
	if (is_elsewhere(login, job)) {
		login_ask_backends(login, job->known ? job->account.source : "");
	} else if (!job->known) {
		login_fail(login, &LOGIN_INVALID, unknown(login));
	} else if (!job->matches) {
		login_fail(login, &LOGIN_INVALID, mismatch(job));
	} else {
		let_in(login, &job->account, auth_config(login->front->auth)->auth.cache);
	}
}

/* The mechanism goes on, with the verifier of nobody if there is no such account (C9). */
static void take_verifier(struct login *login, const struct verify_job *job)
{
	enum exchange_result result;
	struct slice challenge;

	login->looked_up = true;
	login->known = job->provable;
	login->nobody = job->known ? "no-verifier" : unknown(login);
	account_release(&login->row);
	if (login->known)
		account_copy(&job->account, &login->row);
	login->state = LOGIN_EXCHANGING;
	result = exchange_give_verifier(login->exchange, &job->verifier, &challenge);
	if (result == EXCHANGE_CHALLENGE)
		login_challenge(login, challenge);
	else if (result == EXCHANGE_PROVEN)
		login_proven(login);
	else
		login_fail(login, &LOGIN_INVALID,
			   login->known ? exchange_why(login->exchange) : login->nobody);
}

/* The proof was of the account as it was then: is it the same now? */
static void judge_account(struct login *login, const struct verify_job *job)
{
	if (!job->known)
		login_fail(login, &LOGIN_INVALID, unknown(login));
	else if (login->looked_up && (job->account.id != login->row.id ||
				      job->account.generation != login->row.generation))
		login_fail(login, &LOGIN_UNAVAILABLE, "account-changing");
	else
		login_succeed(login, &job->account);
}

/* The account of somebody whom a back end knows, as it is after what may have been seconds. */
static void judge_vouched(struct login *login, const struct verify_job *job)
{
	/* Somebody added the name, or another back end brought it, meanwhile. */
	if (!slice_is(slice_str(job->account.source), job->source))
		login_fail(login, &LOGIN_UNAVAILABLE, "account-changing");
	else
		let_in(login, &job->account,
		       backends_cache(login->front->auth->backends, job->source));
}

static void judge(struct login *login, const struct verify_job *job)
{
	alarm_store(login->front->auth, &login->front->auth->store_failed, "logins", job->err,
		    job->why, "nobody can log in", "the account store can be read again");
	if (job->err != ERR_OK)
		login_fail(login, &LOGIN_UNAVAILABLE, "store-failed");
	else if (login->question == LOGIN_PASSWORD)
		judge_password(login, job);
	else if (login->question == LOGIN_VERIFIER)
		take_verifier(login, job);
	else if (login->question == LOGIN_VOUCHED)
		judge_vouched(login, job);
	else if (login->question == LOGIN_TOKEN)
		login_judge_token(login, job);
	else
		judge_account(login, job);
}

/* A good login: what the account can use from now on is more. */
static void note_replaced(struct auth *auth, struct verify_job *job)
{
	if (job->replaced) {
		log_event(LOG_INFO, "hash-replaced", LOG_TEXT("account", job->account.name),
			  LOG_TEXT("by", "SCRAM-SHA-256"));
		admin_recount(auth->admin);
	} else if (job->replaced_why[0] != '\0') {
		log_event(LOG_WARNING, "hash-kept", LOG_TEXT("account", job->account.name),
			  LOG_TEXT("reason", job->replaced_why));
	}
	job->replaced = false; /* it may run again */
	job->replaced_why[0] = '\0';
}

static void on_verified(struct verify_job *job)
{
	struct login *login = job->arg;

	note_replaced(job->auth, job);
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
	char credential[ACCOUNT_CREDENTIAL_MAX + 1];
	const struct account *account;

	account_login_print(&login->who, credential);
	/* Whom the account bars takes the long way, so that nobody learns that he was right. */
	if (auth_config(auth)->auth.cache == 0 ||
	    (account = rows_find(auth->rows, credential)) == NULL ||
	    login_barred(login, account) != NULL ||
	    !proven_knows(auth->proven, account, exchange_password(login->exchange),
			  loop_now(auth->loop)))
		return false;
	*account_out = account;
	return true;
}

/* Its canonical form; false: no account can have it, and the login is over. */
static bool read_name(struct login *login)
{
	const char *domain = config_domain(auth_config(login->front->auth));
	char why[ACCOUNT_WHY];

	if (account_login_read(exchange_name(login->exchange), exchange_password(login->exchange),
			       domain, &login->who, why) == ERR_OK)
		return true;
	login_fail(login, &LOGIN_INVALID, "malformed-name");
	return false;
}

static struct verify_job *new_job(struct login *login, enum login_question question)
{
	const struct config *config = auth_config(login->front->auth);
	struct verify_job *job = verify_job_new();

	login->question = question;
	login->state = LOGIN_VERIFYING;
	login->runs = 0;
	job->login = login->who;
	(void)snprintf(job->domain, sizeof(job->domain), "%s", config_domain(config));
	job->task = question == LOGIN_PASSWORD ? VERIFY_PASSWORD : VERIFY_LOOK_UP;
	job->hash = question == LOGIN_VERIFIER ? exchange_hash(login->exchange) : VERIFIER_SHA_256;
	job->iterations = config->auth.iterations;
	job->sha_1 = offer_names(config, "SCRAM-SHA-1") || offer_names(config, "SCRAM-SHA-1-PLUS");
	job->cram_md5 = offer_names(config, "CRAM-MD5");
	job->auth = login->front->auth;
	job->arg = login;
	return job;
}

/* It may be tried now. */
static void verify_password(struct login *login)
{
	const struct account *account;
	struct verify_job *job;

	if (is_proven(login, &account)) {
		login->front->auth->counts.cached++;
		login_succeed(login, account);
		return;
	}
	job = new_job(login, LOGIN_PASSWORD);
	secret_set(&job->password, exchange_password(login->exchange));
	submit(login, job);
}

void login_vouched(struct login *login, const char *backend)
{
	struct verify_job *job = new_job(login, LOGIN_VOUCHED);

	job->task = VERIFY_ADOPT;
	(void)snprintf(job->source, sizeof(job->source), "%s", backend);
	submit(login, job);
}

void login_look_up_token(struct login *login)
{
	submit(login, new_job(login, LOGIN_TOKEN));
}

/* Never from rows: that an answer comes sooner would tell which accounts are in use. */
static void look_up(struct login *login)
{
	submit(login, new_job(login, LOGIN_VERIFIER));
}

void login_verify(struct login *login)
{
	if (!read_name(login))
		return;
	login->question = LOGIN_PASSWORD;
	login->state = LOGIN_VERIFYING;
	defence_admit(login, exchange_password(login->exchange), verify_password);
}

void login_look_up(struct login *login)
{
	if (!read_name(login))
		return;
	login->question = LOGIN_VERIFIER;
	login->state = LOGIN_VERIFYING;
	defence_admit(login, SLICE_LIT(""), look_up);
}

void login_proven(struct login *login)
{
	struct slice last;

	if (login->looked_up && !login->known) /* cannot be: its keys are nobody's */
		login_fail(login, &LOGIN_INVALID, login->nobody);
	else if (login->looked_up && login_barred(login, &login->row) != NULL)
		login_fail(login, &LOGIN_INVALID, login_barred(login, &login->row));
	else if (exchange_last(login->exchange, &last)) {
		login->state = LOGIN_LAST;
		login_challenge(login, last);
	} else {
		login_confirm(login);
	}
}

void login_confirm(struct login *login)
{
	if (!login->looked_up && !read_name(login))
		return;
	if (login->looked_up && login->changes == login->front->auth->changes)
		login_succeed(login, &login->row);
	else
		submit(login, new_job(login, LOGIN_ACCOUNT));
}
