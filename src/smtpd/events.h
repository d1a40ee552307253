/* SPDX-License-Identifier: Apache-2.0 */
/* What the SMTP machine of a session reports and asks, and the log lines of refusals. */
#ifndef POSTERN_SMTPD_EVENTS_H
#define POSTERN_SMTPD_EVENTS_H

#include "base/slice.h"

struct session;
struct smtp_server_event;

void events_handle(struct session *session, const struct smtp_server_event *event);
/* The session is no longer logged in: its grant ends. */
void events_forget_login(struct session *session);

/* A refusal with its reasons; text goes to the client, reason ("" none) only to the log. */
struct refusal {
	unsigned code;
	const char *status;
	const char *text;
	const char *reason;
	struct slice sender;
	struct slice recipient;
};
void events_log_refusal(const struct session *session, const struct refusal *refusal);
/* Logs it and answers the machine with it. */
void events_refuse(struct session *session, const struct refusal *refusal);

#endif
