/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth process: who somebody is, and what he may send. It alone sees passwords and
 * verifiers; it never talks to the network.
 *
 *	front.c      channels to smtpd: reads its messages, holds its logins and grants
 *	login.c      one AUTH command: the exchange; login_verify.c whether it is true,
 *	             login_grant.c how it ends
 *	mechanism.c  the SASL exchange, without I/O; its mechanisms are sasl_*.c
 *	offer.c      which mechanisms are offered to whom
 *	certificates.c  whose a certificate is, if it was registered
 *	tokens.c     bearer tokens: keys of issuers, and what they or the issuers themselves say
 *	             (token_check.c); login_token.c what follows
 *	verify.c     names and passwords against the store, on threads
 *	backends.c   names and passwords that others know, through processes of their own
 *	defence.c    who has failed too often; sightings.c keeps from where accounts log in
 *	devices.c    who logs in by nothing but an address
 *	rows.c       accounts as last read        proven.c  passwords proven a short while ago
 *	usage.c      what accounts were used for  senders.c what they may send as
 *	habits.c     what accounts do that settings could forbid, for the reports
 *	grants.c     what smtpd may do, held by queue
 *	volumes.c    what accounts have sent, and may send yet; volumes_store.c keeps it
 *	words.c      what several of these say alike
 *	door.c       how many may come in, and how fast, over all smtpd processes
 *	limits.c     all limits, for the operator
 *	frozen.c     accounts whose mail queue is to hold
 *	alarm.c      what an administrator must know at once
 *	admin.c      what operators ask; operations.c does it, on a thread
 *
 * Invariant: AUTH_OK leaves only after queue has acknowledged the grant; a change of an account
 * ends its grants before the operator hears that it is done.
 */
#ifndef POSTERN_AUTH_AUTH_H
#define POSTERN_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admin;
struct backends;
struct certificates;
struct child;
struct config;
struct defence;
struct devices;
struct door;
struct front;
struct frozen;
struct grants;
struct habits;
struct kerberos;
struct loop;
struct mechanisms;
struct proven;
struct rows;
struct tokens;
struct usage;
struct verify;
struct volumes;

enum {
	/* Accounts and proven passwords in memory: about 600 and 120 bytes each. */
	AUTH_ROWS_MAX = 32768,
	AUTH_PROVEN_MAX = 32768,
	/* Sources from which accounts have logged in: about 250 bytes each. */
	AUTH_KNOWN_MAX = 131072,
};

struct auth_counts { /* since the start */
	uint64_t logins, failures, cached, unavailable;
	uint64_t crowded; /* of those unavailable: more than auth.waiting waited */
};

struct auth {
	struct child *child;
	struct loop *loop;
	struct mechanisms *mechanisms;
	struct kerberos *kerberos; /* NULL: no keytab was configured when it started */
	struct verify *verify;
	struct backends *backends;
	struct certificates *certificates;
	struct rows *rows;
	struct tokens *tokens;
	struct proven *proven;
	struct defence *defence;
	struct devices *devices;
	struct door *door;
	struct grants *grants;
	struct volumes *volumes;
	struct admin *admin;
	struct usage *usage;
	struct habits *habits;
	struct frozen *frozen;
	struct front *fronts;
	/* Raised by each change of an account: what a thread read before it is not to be trusted.
	 */
	uint64_t changes;
	uint64_t largest;       /* accounts_largest, for those who are about to log in */
	uint64_t without_scram; /* accounts_without_scram: SCRAM is offered by default if none is */
	bool store_failed;      /* said in the log; cleared, and said, when it works again */
	struct auth_counts counts;
	int sender_check;          /* enum sender_check, as queue's grants are made for */
	uint32_t workers, waiting; /* as it was started with */
	char *keytab;              /* so, too; NULL: none */
};

const struct config *auth_config(const struct auth *auth);

/*
 * The account was changed in the store: forgets what is remembered of it and, if its sessions
 * are to end, revokes its grants here, at queue and at smtpd: all, or those of one key unless that
 * is 0.
 */
void auth_account_changed(struct auth *auth, int64_t id, bool end_sessions, int64_t key,
			  const char *reason);
/* What accounts_largest says now: smtpd is told if that is new. */
void auth_set_without_scram(struct auth *auth, uint64_t count);
/* Takes what accounts_all_certificates says now. */
void auth_set_certificates(struct auth *auth, char **texts, size_t count);
void auth_set_largest(struct auth *auth, uint64_t bytes);

#endif
