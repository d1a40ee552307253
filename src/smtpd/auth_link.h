/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel to auth: SASL tokens pass through as they are, what comes back is a login with its
 * sender rights, or a refusal. When auth takes a login back, its session gets 421 at once, or after
 * the message under way. When auth dies its exchanges fail for now (454), and those who are logged
 * in get 421 at their next MAIL, since the grants died with it: not all at once.
 */
#ifndef POSTERN_SMTPD_AUTH_LINK_H
#define POSTERN_SMTPD_AUTH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "ipc/message.h"

struct auth_link;
struct session;
struct smtp_server_event;
struct smtpd;

struct login {
	uint64_t grant;
	char *account;
	char *key;       /* of the account, that was used; "" its main password */
	char *mechanism; /* "" of a device */
	char *address;   /* for a missing From; "" none */
	char **senders;  /* patterns (policy/rights.h) */
	size_t sender_count;
	char **recipients; /* patterns; none: any recipient */
	size_t recipient_count;
	uint64_t message_size; /* bytes; 0: limits.message_size */
	bool device;           /* known by its address: it did not log in (device.h) */
	bool lost;             /* the grant is: 421 at the next MAIL */
	bool revoked;          /* and at once where there is no message under way */
};

void login_free(struct login **login);
bool login_may_send_as(const struct login *login, struct slice address);
bool login_may_send_to(const struct login *login, struct slice address);

struct auth_link *auth_link_new(struct smtpd *smtpd);
void auth_link_free(struct auth_link **link);
/* A new channel, in place of one that died; takes fd. */
void auth_link_peer(struct auth_link *link, int fd, uint32_t incarnation);
/* It is there and has said what it offers. */
bool auth_link_ready(const struct auth_link *link);
/*
 * "PLAIN LOGIN", for a session of that listener with these traits (enum ipc_trait); "": none, or it
 * is not known yet. Valid until auth offers something else.
 */
const char *auth_link_mechanisms(const struct auth_link *link, const char *listener,
				 unsigned traits);
/* The largest message that any account may send by a limit of its own; 0: none has one. */
uint64_t auth_link_message_size(const struct auth_link *link);
/* The grant for mail to accept_for; 0: none. */
uint64_t auth_link_standing_grant(const struct auth_link *link);

void auth_link_start(struct auth_link *link, struct session *session,
		     const struct smtp_server_event *event);
void auth_link_token(struct auth_link *link, struct session *session, struct slice token);
/* Asks about a session whose client is a device. false: there is no auth. */
bool auth_link_device(struct auth_link *link, struct session *session);
/* Gives the session the login that auth has told of, and logs it. */
void auth_link_log_in(struct session *session, const struct msg_auth_ok *msg);
/* The session gives up its exchange. */
void auth_link_cancel(struct auth_link *link, struct session *session);
/* Asks whether a connection may come in; inside: it has been let in already. */
void auth_link_knock(struct auth_link *link, uint64_t id, const char *client, bool inside);
/* A limit of ours struck: reported to auth, which shows it to the operator. */
void auth_link_struck(struct auth_link *link, enum ipc_limit limit);
/* One more recipient for a message that has so many. false: there is no auth. */
bool auth_link_count(struct auth_link *link, uint64_t session, uint64_t grant, uint32_t in_message,
		     struct slice recipient);
void auth_link_uncount(struct auth_link *link, uint64_t grant, uint32_t recipients);
/* Mail was taken with addresses that its account may not use: sender of the envelope, or NULL, and
 * from of the header, or "". */
void auth_link_foreign(struct auth_link *link, uint64_t grant, const char *sender,
		       const char *from);
void auth_link_left(struct auth_link *link, uint64_t id);
void auth_link_grant_end(struct auth_link *link, uint64_t grant);

#endif
