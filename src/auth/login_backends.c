/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A login whose password the store does not know: the back ends are asked. The row of an account
 * that one of them vouches for is made at its first login, so that rights, limits and a bar hold
 * for it as for all others; from then on that back end alone is asked for it.
 */
#include "login_internal.h"

#include <stdio.h>

#include "auth.h"
#include "backends.h"
#include "front.h"
#include "mechanism.h"

static void on_answer(struct backend_ask *ask)
{
	struct login *login = ask->arg;

	login->ask = NULL;
	switch (ask->verdict) {
	case IPC_CHECK_YES:
		login_vouched(login, ask->by);
		break;
	case IPC_CHECK_UNAVAILABLE:
		/* Never 535: a client that is told so forgets its password. */
		login_fail(login, &LOGIN_UNAVAILABLE, "backend-unavailable");
		break;
	case IPC_CHECK_NO:
		login_fail(login, &LOGIN_INVALID, "bad-password");
		break;
	case IPC_CHECK_UNKNOWN:
		login_fail(login, &LOGIN_INVALID, "unknown-user");
		break;
	}
	backend_ask_free(&ask);
}

void login_ask_backends(struct login *login, const char *source)
{
	struct backend_ask *ask = backend_ask_new();

	(void)snprintf(ask->name, sizeof(ask->name), "%s", login->who.name);
	(void)snprintf(ask->client, sizeof(ask->client), "%s", login->client);
	(void)snprintf(ask->only, sizeof(ask->only), "%s", source);
	secret_set(&ask->password, exchange_password(login->exchange));
	ask->done = on_answer;
	ask->arg = login;
	login->ask = ask;
	backends_ask(login->front->auth->backends, ask);
}
