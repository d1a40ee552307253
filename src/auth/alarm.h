/* SPDX-License-Identifier: Apache-2.0 */
/* What auth has to tell an administrator at once (ipc/alert.h). All of it is in the log already. */
#ifndef POSTERN_AUTH_ALARM_H
#define POSTERN_AUTH_ALARM_H

#include <stdbool.h>

#include "base/err.h"

struct auth;

/*
 * An account was frozen by a rule. why: the rule's words; done: what came of it, failed: it could
 * not be frozen.
 */
void alarm_frozen(struct auth *auth, const char *account, const char *why, const char *done,
		  bool failed);
/* It is not frozen any more. */
void alarm_thawed(struct auth *auth, const char *account);
/* A back end cannot be asked. */
void alarm_backend(struct auth *auth, const char *backend, const char *why);
void alarm_backend_over(struct auth *auth, const char *backend);
/*
 * Something was tried with the account store. Says in the log that it fails ("FAILS: WHY") and
 * that it works again, each once, and so to the administrator; *failed is what was said last.
 * what: a word for it; why: "" for no more than err.
 */
void alarm_store(struct auth *auth, bool *failed, const char *what, enum err err, const char *why,
		 const char *fails, const char *works);

#endif
