/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants: what one smtpd process may submit, and in whose name. queue holds them and judges by
 * them; here is the list of those that are live, so that a new queue can be told, and a change
 * of an account can end them.
 *
 * Life: PENDING (sent to queue) -> LIVE (acknowledged; only now does smtpd learn the number) ->
 * gone. A standing grant (mail to accept_for without login) that is replaced is LEAVING until
 * transactions under it have had time to end.
 */
#ifndef POSTERN_AUTH_GRANTS_H
#define POSTERN_AUTH_GRANTS_H

#include "ipc/message.h"
#include "policy/volume.h"
#include "store/accounts.h"

struct auth;
struct front;
struct grant;
struct grants;

enum {
	/* Recipients until queue needs to hear from us again; limits come to bear here. */
	GRANT_BUDGET = 1000000,
	/* How long a grant holds without renewal, and when it is renewed, in ms. */
	GRANT_VALID = 24 * 60 * 60 * 1000,
	GRANT_TICK = 60 * 1000,
	GRANT_LEAVES = 5 * 60 * 1000, /* the longest pause between DATA blocks by default */
};

/* queue has it: standing grant or session. */
typedef void grant_ready_fn(struct grant *grant, void *arg);

struct grants *grants_new(struct auth *auth);
void grants_free(struct grants **grants);

/* A channel to queue, which replaces the one before; all grants are sent again. */
void grants_queue(struct grants *grants, int fd, uint32_t incarnation);
/* The configuration has changed what logins may do: queue is told all their grants anew. */
void grants_again(struct grants *grants);
bool grants_have_queue(const struct grants *grants);
/* The incarnation of the queue that holds all live grants; false: none does at present. */
bool grants_synced(const struct grants *grants, uint32_t *incarnation_out);

struct grant_rights {
	const char *address; /* for what comes back */
	/* Patterns. recipients: none for any. */
	struct ipc_list senders, recipients;
};
/*
 * A grant for a login. ready is called when queue has acknowledged it, never from within; it is
 * called with grant NULL if queue goes away before. ERR_BUSY: there is no queue; ERR_FULL: this
 * smtpd has all it may have; ERR_RANGE: the account has (limits.sessions_per_account).
 */
enum err grants_add(struct grants *grants, struct front *front, const struct account *account,
		    const struct grant_rights *rights, grant_ready_fn *ready, void *arg,
		    struct grant **grant_out);
/* A standing grant for mail to these domains. */
enum err grants_add_standing(struct grants *grants, struct front *front, struct ipc_list domains,
			     grant_ready_fn *ready, void *arg, struct grant **grant_out);
uint64_t grant_number(const struct grant *grant);
/* It was given to somebody in a network that is new to the account: what it sends is looked at. */
void grant_elsewhere(struct grant *grant);

struct grant_owner {
	int64_t account_id;
	int64_t volume_key; /* the key whose sending is counted by itself; 0: the account's is */
	const char *account;
	struct volume_limits limits; /* as they are now */
};
/*
 * Whose live grant of this smtpd that is; false: nobody's. account is the grant's.
 */
bool grants_owner(struct grants *grants, const struct front *front, uint64_t number,
		  struct grant_owner *owner_out);
/*
 * So many more recipients, or fewer, were counted under a grant. Returns how many there are that
 * may still be given back. A smtpd that mails to more than were counted loses the grant.
 */
uint64_t grants_counted(struct grants *grants, uint64_t number, int64_t more);

/* Ends a grant without a word to smtpd: the session is over, or was never told. */
void grants_end(struct grants *grants, struct grant **grant);
/* smtpd's word that a session is over; ERR_DENIED if the number is another smtpd's grant. */
enum err grants_end_number(struct grants *grants, struct front *front, uint64_t number);
/* Replaced: holds a while longer for what is under way, then ends. */
void grants_leave(struct grants *grants, struct grant **grant);
/* All of a smtpd that is gone. */
void grants_drop_front(struct grants *grants, struct front *front);
/* All of an account, or only of one key of it unless that is 0: told to queue and to smtpd
 * (GRANT_LOST). Returns how many. */
size_t grants_revoke_account(struct grants *grants, int64_t id, int64_t key, const char *reason);
size_t grants_count(const struct grants *grants);

#endif
