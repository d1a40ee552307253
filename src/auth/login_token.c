/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a bearer token is good, and for which account: that which its claim names, which must be
 * the one that the client asked for, if it did (C15). The account is treated like any other, so one
 * that is disabled stays out. Refusals go through the dialogue that the mechanisms want; that an
 * issuer could not be asked is told at once.
 */
#include "login_internal.h"

#include <stdio.h>

#include "auth.h"
#include "config/config.h"
#include "defence.h"
#include "front.h"
#include "mechanism.h"
#include "policy/rights.h"
#include "tokens.h"
#include "verify.h"

/* Tells the client why, and waits for its answer to that; the log gets reason after it. */
static void deny(struct login *login, const struct config_token *section, const char *reason)
{
	const struct config *config = auth_config(login->front->auth);
	struct slice challenge;

	/* Who shows a token of no issuer of ours learns where to get one, if there is but one. */
	if (section == NULL && config->token_count == 1)
		section = &config->tokens[0];
	login->state = LOGIN_EXCHANGING;
	challenge = exchange_deny(login->exchange, section != NULL ? section->scope : NULL,
				  section != NULL ? section->issuer : NULL, reason);
	login_challenge(login, challenge);
}

static bool may_be_for(const struct config_token *section, const char *name, const char *domain)
{
	char address[ACCOUNT_NAME_MAX + 1];

	if (section->accounts.count == 0)
		return true;
	if (account_address(name, domain, address) != ERR_OK)
		return false;
	for (size_t i = 0; i < section->accounts.count; i++)
		if (rights_match(slice_str(section->accounts.items[i]), slice_str(address)))
			return true;
	return false;
}

/* The section whose token it is, if the configuration has it still. */
static const struct config_token *section_of(const struct login *login)
{
	const struct config *config = auth_config(login->front->auth);

	for (size_t i = 0; i < config->token_count; i++)
		if (slice_equal(slice_str(config->tokens[i].name), slice_str(login->token_section)))
			return &config->tokens[i];
	return NULL;
}

void login_judge_token(struct login *login, const struct verify_job *job)
{
	const struct config_token *section = section_of(login);
	const char *domain = config_domain(auth_config(login->front->auth));

	if (section == NULL)
		login_fail(login, &LOGIN_UNAVAILABLE, "configuration-changed");
	else if (!may_be_for(section, login->who.name, domain))
		deny(login, section, "token-for-no-account");
	else if (!job->known)
		deny(login, section, "unknown-user");
	else if (login_barred(login, &job->account) != NULL)
		deny(login, section, login_barred(login, &job->account));
	else
		login_succeed(login, &job->account);
}

/* The name in the token is that of one account, and that which the client asked for. */
static const char *take_name(struct login *login, const char *user)
{
	const char *domain = config_domain(auth_config(login->front->auth));
	struct slice asked = exchange_name(login->exchange);
	char wanted[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];

	if (account_name_read(slice_str(user), domain, login->who.name, why) != ERR_OK)
		return "malformed-name";
	if (asked.len > 0 && (account_name_read(asked, domain, wanted, why) != ERR_OK ||
			      !slice_equal(slice_str(wanted), slice_str(login->who.name))))
		return "token-of-another-user";
	return NULL;
}

static void on_checked(void *arg, const struct tokens_answer *answer)
{
	struct login *login = arg;
	const char *why;

	login->token_check = NULL;
	if (answer->verdict == TOKENS_UNAVAILABLE) {
		login_fail(login, &LOGIN_UNAVAILABLE, answer->why);
		return;
	}
	why = answer->verdict == TOKENS_YES ? take_name(login, answer->user) : answer->why;
	if (why != NULL) {
		deny(login, answer->section, why);
		return;
	}
	(void)snprintf(login->token_section, sizeof(login->token_section), "%s",
		       answer->section->name);
	login_look_up_token(login);
}

/* It may be tried now. */
static void check(struct login *login)
{
	struct tokens_answer answer;

	login->state = LOGIN_VERIFYING;
	if (tokens_check(login->front->auth->tokens, exchange_token(login->exchange), on_checked,
			 login, &login->token_check, &answer) == ERR_OK)
		on_checked(login, &answer);
}

void login_check_token(struct login *login)
{
	const char *domain = config_domain(auth_config(login->front->auth));
	char why[ACCOUNT_WHY];

	/*
	 * Failures count for the account that is asked for. Who asks for none is nobody yet: such
	 * failures of one source must not stand for those of others.
	 */
	if (account_name_read(exchange_name(login->exchange), domain, login->who.name, why) !=
	    ERR_OK)
		(void)snprintf(login->who.name, sizeof(login->who.name), "token from %s",
			       login->client);
	login->state = LOGIN_VERIFYING;
	defence_admit(login, exchange_token(login->exchange), check);
}
