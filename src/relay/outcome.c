/* SPDX-License-Identifier: Apache-2.0 */
#include "outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void outcome_set(struct outcome *outcome, enum ipc_outcome kind, enum ipc_scope scope,
		 unsigned code, const char *status, const char *format, ...)
{
	va_list args;

	outcome->outcome = kind;
	outcome->scope = scope;
	outcome->taken = 0;
	outcome->no_tls = false;
	outcome->code = code;
	snprintf(outcome->status, sizeof(outcome->status), "%s", status);
	va_start(args, format);
	vsnprintf(outcome->text, sizeof(outcome->text), format, args);
	va_end(args);
}

void outcome_words(struct slice text, char *out, size_t size)
{
	struct slice line;
	size_t at = 0;

	for (int lines = 0; lines < OUTCOME_LINES_MAX && slice_split(&text, '\n', &line); lines++) {
		line = slice_head(line, OUTCOME_LINE_MAX);
		if (at && at + 1 < size)
			out[at++] = '\n';
		for (size_t i = 0; i < line.len && at + 1 < size; i++)
			out[at++] = line.ptr[i] ? line.ptr[i] : ' ';
	}
	out[at] = '\0';
}

/* The classes of RFC 3463 that fit a reply which brought none. */
static const char *default_status(unsigned code, enum smtp_client_phase phase)
{
	bool permanent = code >= 500;

	switch (phase) {
	case SMTP_CLIENT_RCPT:
		return permanent ? "5.1.1" : "4.2.0";
	case SMTP_CLIENT_MAIL:
		return permanent ? "5.1.0" : "4.3.0";
	case SMTP_CLIENT_LOGIN:
		return permanent ? "5.7.8" : "4.7.0";
	default:
		return permanent ? "5.0.0" : "4.0.0";
	}
}

static bool contains(struct slice text, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= text.len; i++)
		if (slice_equal_nocase(slice_of(text.ptr + i, len), slice_of(word, len)))
			return true;
	return false;
}

/* Our own configuration is what the server does not like. */
static bool our_fault(const struct smtp_reply *reply, enum smtp_client_phase phase, bool smart)
{
	if (phase == SMTP_CLIENT_LOGIN)
		return true;
	if (phase == SMTP_CLIENT_TLS) /* 454: for now (RFC 3207 4) */
		return reply->code >= 500;
	if (!smart)
		return false;
	if (reply->code == 530 || reply->code == 534 || reply->code == 535 || reply->code == 538)
		return true;
	if (!strcmp(reply->status, "5.7.30"))
		return true;
	return reply->code >= 550 && reply->code <= 554 && phase == SMTP_CLIENT_RCPT &&
	       contains(reply->text, "relay");
}

void outcome_from_reply(struct outcome *outcome, const struct smtp_reply *reply,
			enum smtp_client_phase phase, bool smart)
{
	unsigned code = reply->code;
	/* RFC 5321 4.5.3.1.10: 552 to RCPT means too many recipients, and is not for good. */
	bool permanent = code >= 500 && !(code == 552 && phase == SMTP_CLIENT_RCPT);

	outcome->taken = 0;
	outcome->no_tls = phase == SMTP_CLIENT_TLS && permanent;
	outcome->code = code;
	snprintf(outcome->status, sizeof(outcome->status), "%s",
		 reply->status[0] ? reply->status : default_status(code, phase));
	outcome_words(reply->text, outcome->text, sizeof(outcome->text));
	if (code >= 200 && code < 300) {
		outcome->outcome = IPC_DELIVERED;
		outcome->scope = IPC_SCOPE_RECIPIENT;
		return;
	}
	outcome->outcome = permanent ? IPC_FAILED : IPC_DEFERRED;
	outcome->scope = phase == SMTP_CLIENT_RCPT ? IPC_SCOPE_RECIPIENT : IPC_SCOPE_MESSAGE;
	if (code == 421 || phase <= SMTP_CLIENT_IDLE) {
		/* What a server says before MAIL is about itself: another may take the mail. */
		outcome->outcome = IPC_DEFERRED;
		outcome->scope = IPC_SCOPE_HOST;
	}
	if (our_fault(reply, phase, smart)) {
		outcome->outcome = IPC_DEFERRED;
		outcome->scope = IPC_SCOPE_OURS;
	}
}

bool outcome_try_next(const struct outcome *outcome)
{
	return outcome->scope == IPC_SCOPE_HOST &&
	       (outcome->outcome == IPC_DEFERRED || outcome->outcome == IPC_FAILED);
}
