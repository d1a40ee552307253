/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks names and passwords against the store in a bounded pool of threads: reads the account
 * and computes its verifier, milliseconds of work by intent; or only reads it, for mechanisms that
 * compute elsewhere. An unknown name, one of an unknown key, a disabled account and a wrong
 * password take the same steps, one verification each, and, as long as the store has hashes of
 * other programs, the check of one of these (C9, C12). Such a hash gives way to a verifier when a
 * password fits it.
 */
#ifndef POSTERN_AUTH_VERIFY_H
#define POSTERN_AUTH_VERIFY_H

#include "base/secret.h"
#include "store/accounts.h"

struct auth;
struct loop;
struct verify;

enum verify_task {
	VERIFY_PASSWORD,
	VERIFY_LOOK_UP, /* no password is there; verifier is what is wanted */
	VERIFY_ADOPT,   /* a back end said yes: reads the account, made now if there is none */
};

struct verify_job {
	/* Set by who asks. */
	enum verify_task task;
	enum verifier_hash hash; /* of VERIFY_LOOK_UP */
	struct account_login login;
	char domain[ACCOUNT_NAME_MAX + 1];   /* of bare names */
	char source[ACCOUNT_SOURCE_MAX + 1]; /* of VERIFY_ADOPT: the back end */
	struct secret password;
	uint32_t iterations;  /* for a name without account, and of verifiers that are made */
	bool sha_1, cram_md5; /* these are made for SCRAM-SHA-1, for CRAM-MD5, too */
	void *arg;
	struct auth *auth; /* outlives arg */
	/* The answer. */
	enum err err; /* ERR_OK; else the store failed, and why says how */
	char why[ACCOUNT_WHY];
	bool known;
	bool matches;  /* the password is the account's, or that of the key it means */
	bool provable; /* of VERIFY_LOOK_UP: verifier is the account's, and no fake */
	bool unusable; /* the imported hash of the account is none that can be checked */
	bool replaced; /* it fitted, and a verifier is in its place now; */
	char replaced_why[ACCOUNT_WHY]; /* or why that could not be kept, "" otherwise */
	/* Of VERIFY_LOOK_UP: the account's or the key's, or a fake that nothing fits. */
	struct verifier verifier;
	struct account account; /* if known; with that key */
	/* Verify's own. */
	struct verify *verify;
	struct verify_job *prev, *next;
	void (*done)(struct verify_job *job);
};

/* Starts the threads: before the sandbox closes. waiting: jobs that may wait for one. */
struct verify *verify_new(struct loop *loop, unsigned threads, size_t waiting);
enum err verify_open(struct verify *verify, const char *path, char why[ACCOUNT_WHY]);
void verify_free(struct verify **verify);

struct verify_job *verify_job_new(void);
void verify_job_free(struct verify_job **job); /* wipes */
/* Calls done on the loop's thread, who then owns the job again. ERR_FULL: too many wait. */
enum err verify_submit(struct verify *verify, struct verify_job *job,
		       void (*done)(struct verify_job *job));
size_t verify_waiting(const struct verify *verify);

#endif
