/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of alerts: before the first one, when it is too late to find out that nobody is. */
#include "config/verifier.h"

#include <pwd.h>
#include <unistd.h>

#include "config/config.h"

/* One teller, so that what could not be told is tried again as a whole. */
static void verify_webhook(struct verifier *verifier)
{
	const struct config_alert *alert = &verifier->config->alert;

	if (alert->command != NULL && alert->webhook != NULL)
		disagree(verifier, (struct spot){"alert", 0, "webhook"},
			 "alert: command and webhook are both set; one tells an alert on: take one "
			 "out, a command can call curl");
	if (alert->webhook == NULL && alert->webhook_secret_file != NULL)
		disagree(verifier, (struct spot){"alert", 0, "webhook_secret_file"},
			 "alert: webhook_secret_file is of no use without webhook; take it out");
	if (alert->webhook == NULL && alert->webhook_ca_file != NULL)
		disagree(verifier, (struct spot){"alert", 0, "webhook_ca_file"},
			 "alert: webhook_ca_file is of no use without webhook; take it out");
	verify_readable(verifier, (struct spot){"alert", 0, "webhook_secret_file"},
			alert->webhook_secret_file, "");
	verify_readable(verifier, (struct spot){"alert", 0, "webhook_ca_file"},
			alert->webhook_ca_file, "");
}

static void verify_command(struct verifier *verifier)
{
	const struct config_alert *alert = &verifier->config->alert;
	char user[256];

	if (alert->command == NULL)
		return;
	verify_program(verifier, (struct spot){"alert", 0, "command"}, alert->command);
	if (geteuid() == 0 && config_alert_user(verifier->config, user) && getpwnam(user) == NULL)
		disagree(verifier, (struct spot){"alert", 0, "user"},
			 "alert: there is no user %s to run command; `postern setup` makes it, or: "
			 "adduser --system --group --no-create-home %s",
			 user, user);
}

void verify_alert(struct verifier *verifier)
{
	verify_command(verifier);
	verify_webhook(verifier);
}
