/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtpd: sessions with mail clients. It speaks SMTP and TLS, asks auth who a client is, checks the
 * envelope against the client's rights, fixes up the header and streams the message to queue. It
 * opens no file and makes no connection; what a client may do rests on grants that auth gave to
 * queue, so a taken-over smtpd can send only as those who are logged in on it.
 *
 * Parts, each with its own header: accept (listeners), knock (who is at the door), sessions (all of
 * them), session (one: its bytes), events (what the SMTP machine asks), transaction (one message),
 * auth_link, queue_link, names_link, proxy, refusals (lines of the log).
 */
#ifndef POSTERN_SMTPD_SMTPD_H
#define POSTERN_SMTPD_SMTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acceptor;
struct auth_link;
struct child;
struct config;
struct knocks;
struct loop;
struct names_link;
struct queue_link;
struct refusals;
struct sessions;

struct smtpd {
	struct child *child;
	struct loop *loop;
	/* In force; NULL before the first commit. */
	const struct config *config;
	/* Being prepared; NULL otherwise. */
	const struct config *next_config;
	struct acceptor *acceptor;
	struct knocks *knocks;
	struct sessions *sessions;
	struct auth_link *auth;
	struct queue_link *queue;
	struct names_link *names;
	struct refusals *refusals;
	bool stopping; /* SHUTDOWN came */
};

/* Something changed that decides whether connections are accepted, or whether all is done. */
void smtpd_update(struct smtpd *smtpd);

#endif
