/* SPDX-License-Identifier: Apache-2.0 */
#include "alarm.h"

#include <stdio.h>

#include "auth.h"
#include "config/config.h"
#include "ipc/alert.h"
#include "ipc/child.h"
#include "os/log.h"
#include "store/accounts.h"

enum { TEXT_MAX = 1400 }; /* more than is sent */

static const char FROZEN[] = "account-frozen", BACKEND[] = "backend-down",
		  STORE[] = "accounts-failed";

static struct rec_field text_field(const char *key, const char *value)
{
	return (struct rec_field){slice_str(key), IPC_FIELD_TEXT, slice_str(value)};
}

static void send_lasting(struct auth *auth, const struct alert_words *words)
{
	alert_send(child_master(auth->child), IPC_ALERT_LASTS, words);
}

void alarm_frozen(struct auth *auth, const char *account, const char *why, const char *done,
		  bool failed)
{
	const struct rec_field evidence[] = {
		text_field("account", account),
		text_field("reason", why),
		text_field("done", done),
	};
	char text[TEXT_MAX];

	if (failed)
		(void)snprintf(text, sizeof(text),
			       "%.200s should be frozen and is not: its password is likely stolen: "
			       "%.400s; do it: postern user freeze %.200s",
			       account, why, account);
	else
		(void)snprintf(text, sizeof(text),
			       "%.200s is frozen, as its password is likely stolen: %.400s; look: "
			       "postern user show %.200s; afterwards: postern user thaw %.200s",
			       account, why, account, account);
	send_lasting(auth, &(struct alert_words){FROZEN, account, text, evidence, 3});
}

void alarm_thawed(struct auth *auth, const char *account)
{
	const char *domain = config_domain(auth_config(auth));
	char name[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];

	/* As an operator writes it. */
	if (account_name_read(slice_str(account), domain, name, why) == ERR_OK)
		alert_send_over(child_master(auth->child), FROZEN, name);
}

void alarm_backend(struct auth *auth, const char *backend, const char *why)
{
	const struct rec_field evidence[] = {
		text_field("backend", backend),
		text_field("reason", why),
	};
	char text[TEXT_MAX];

	(void)snprintf(
		text, sizeof(text),
		"back end %.100s cannot be asked, and whom only it knows cannot log in: %.700s",
		backend, why);
	send_lasting(auth, &(struct alert_words){BACKEND, backend, text, evidence, 2});
}

void alarm_backend_over(struct auth *auth, const char *backend)
{
	alert_send_over(child_master(auth->child), BACKEND, backend);
}

void alarm_store(struct auth *auth, bool *failed, const char *what, enum err err, const char *why,
		 const char *fails, const char *works)
{
	const char *reason = why[0] != '\0' ? why : err_name(err);
	const struct rec_field evidence[] = {text_field("reason", reason)};
	bool fails_now = err != ERR_OK;
	char text[TEXT_MAX];

	if (fails_now == *failed)
		return;
	*failed = fails_now;
	if (!fails_now) {
		log_note(LOG_INFO, "%s", works);
		alert_send_over(child_master(auth->child), STORE, what);
		return;
	}
	log_note(LOG_ERROR, "%s: %s", fails, reason);
	(void)snprintf(text, sizeof(text), "%.200s: %.700s", fails, reason);
	send_lasting(auth, &(struct alert_words){STORE, what, text, evidence, 1});
}
