/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a recipient, and how replies and faults are sorted: whom they are about
 * (recipient, message, host, our own set-up) and whether they are for good.
 */
#ifndef POSTERN_RELAY_OUTCOME_H
#define POSTERN_RELAY_OUTCOME_H

#include "ipc/message.h"
#include "smtp/client.h"

enum {
	OUTCOME_TEXT_MAX = 2048, /* RESULTS.text in messages.def */
	OUTCOME_LINES_MAX = 10,
	OUTCOME_LINE_MAX = 512,
};

struct outcome {
	enum ipc_outcome outcome;
	enum ipc_scope scope;
	enum ipc_taken taken; /* DELIVERED: who has it; set by who knows */
	bool no_tls;     /* the server has no TLS that could be used; not: the connection broke */
	unsigned code;   /* SMTP code, 0: none was given */
	char status[16]; /* "4.4.1" */
	char text[OUTCOME_TEXT_MAX];
};

/* A fault that we found ourselves. */
void outcome_set(struct outcome *outcome, enum ipc_outcome kind, enum ipc_scope scope,
		 unsigned code, const char *status, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/*
 * A server's reply to the command of phase. smart: it is a smart host of ours: "relaying denied"
 * or a demand for login is our configuration's fault.
 */
void outcome_from_reply(struct outcome *outcome, const struct smtp_reply *reply,
			enum smtp_client_phase phase, bool smart);
/* The reply's words for people: at most ten lines of 512 bytes, no NUL, always terminated. */
void outcome_words(struct slice text, char *out, size_t size);
/* Trying another host of the same domain may help. */
bool outcome_try_next(const struct outcome *outcome);

#endif
