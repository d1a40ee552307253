/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between a login and its verification: who has failed too often is refused (421)
 * before anything is computed for him, and the answer to a failure waits, longer each time. The
 * rules are policy/penalties.h's; here are the logins that wait, the words, and from where each
 * account has logged in (policy/known.h), which the store keeps.
 *
 * What happens afterwards is looked at as far as it is new to the account (policy/anomaly.h): if
 * its password seems to be stolen, it is frozen.
 *
 * Each login holds a ticket. Whatever becomes of the login, its ticket is used up once:
 * defence_succeeded, defence_failed, or defence_release if it was not found out.
 */
#ifndef POSTERN_AUTH_DEFENCE_H
#define POSTERN_AUTH_DEFENCE_H

#include "ipc/message.h"
#include "policy/penalties.h"
#include "store/accounts.h"

struct account;
struct auth;
struct config;
struct defence;
struct front;
struct login;
struct login_refusal;
struct timer;

enum {
	DEFENCE_SESSION_FAILURES = 3, /* of one connection, then 421 */
	/* Logins that wait for others of their source, or until strangers may try again. */
	DEFENCE_WAITING_MAX = 256,
	DEFENCE_WAIT_MS = 10000, /* at most, then 454 */
	/* Answers that wait. With more of them, they come at once. */
	DEFENCE_HELD_MAX = 4096,
	DEFENCE_REASON = 128,
};

struct ticket {
	struct penalties_attempt attempt;
	bool has_source;
	bool elsewhere; /* known since it was right: the network is new to the account */
	/* Waiting for its turn. */
	struct login *prev, *next;
	void (*go)(struct login *login);
	int64_t wait_until; /* 0: it does not wait */
	/* Its answer is held. */
	struct timer *timer;
	const struct login_refusal *refusal;
	char reason[DEFENCE_REASON];
};

struct defence *defence_new(struct auth *auth);
/* Reads from where accounts have logged in. Errors as in store/accounts.h. */
enum err defence_open(struct defence *defence, struct accounts *accounts, const char *domain);
/* At the end, when no thread runs any more: writes what is new of that. */
void defence_save(struct defence *defence, struct accounts *accounts);
void defence_configure(struct defence *defence, const struct config *config);
void defence_free(struct defence **defence); /* when the fronts are gone */

/* The login begins; client: where it comes from. */
void defence_begin(struct login *login, struct slice client);
/*
 * Who it claims to be is known (login->who): calls go when it may be verified, now or later, or
 * ends the login. password: what was tried; empty if the mechanism does not show it.
 */
void defence_admit(struct login *login, struct slice password, void (*go)(struct login *login));
/* It was right. */
void defence_succeeded(struct login *login, const struct account *account);
/* What queue says of an account's mail; of one that is not there any more, too. */
enum err defence_ended(struct defence *defence, const struct msg_ended *msg);
/* Under a grant that was given in a network that is new to the account. */
void defence_sent(struct defence *defence, int64_t account, const char *name, uint32_t recipients);
/* It was wrong, or the client left before that was known. Returns the ms the answer is to wait. */
uint32_t defence_failed(struct login *login, const char *reason);
/* Sends the refusal and frees the login after so many ms; false: it is to be sent now. */
bool defence_hold(struct login *login, const struct login_refusal *refusal, const char *reason,
		  uint32_t delay);
void defence_release(struct login *login);

/* ---- for the operator ---- */
struct defence_counts {
	uint64_t blocked; /* logins refused since the start */
	uint64_t held;    /* answers that wait now, and logins that do */
	uint64_t sources; /* blocked now */
};
void defence_count(const struct defence *defence, struct defence_counts *counts_out);
/* Each blocked source, pair or account; times in wall ms. */
void defence_each(const struct defence *defence, penalties_fn *fn, void *arg);
/* ERR_SYNTAX: neither an address, a network nor an account name. */
enum err defence_unblock(struct defence *defence, const char *subject, size_t *count_out);

#endif
