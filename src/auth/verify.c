/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "os/os.h"
#include "os/worker.h"
#include "store/account_import.h"
#include "store/account_verifiers.h"
#include "store/foreign.h"

struct verify {
	struct worker_pool *pool;
	/* Reading a row takes microseconds, hashing milliseconds: one handle serves all threads. */
	pthread_mutex_t lock;
	struct accounts *accounts; /* under lock */
	struct verify_job *jobs;   /* all that were not answered yet; the loop's thread only */
};

struct verify *verify_new(struct loop *loop, unsigned threads, size_t waiting)
{
	struct verify *verify = mem_alloc(sizeof(*verify));

	(void)pthread_mutex_init(&verify->lock, NULL);
	verify->pool = worker_pool_new(loop, "verify", threads, waiting);
	return verify;
}

enum err verify_open(struct verify *verify, const char *path, char why[ACCOUNT_WHY])
{
	return accounts_open(path, &verify->accounts, why);
}

void verify_free(struct verify **verify)
{
	if (*verify == NULL)
		return;
	worker_pool_free(&(*verify)->pool);
	while ((*verify)->jobs != NULL) { /* that no thread came to */
		struct verify_job *job = (*verify)->jobs;

		DL_DELETE((*verify)->jobs, job);
		verify_job_free(&job);
	}
	accounts_close(&(*verify)->accounts);
	(void)pthread_mutex_destroy(&(*verify)->lock);
	MEM_FREE(*verify);
}

struct verify_job *verify_job_new(void)
{
	return mem_alloc(sizeof(struct verify_job));
}

void verify_job_free(struct verify_job **job)
{
	if (*job == NULL)
		return;
	secret_clear(&(*job)->password);
	verifier_wipe(&(*job)->verifier);
	account_release(&(*job)->account);
	MEM_FREE(*job);
}

static enum err look_up(struct verify *verify, struct verify_job *job,
			unsigned char key[VERIFIER_KEY])
{
	enum err err;

	(void)pthread_mutex_lock(&verify->lock);
	err = accounts_find_login(verify->accounts, &job->login, job->domain, &job->account);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		(void)snprintf(job->why, sizeof(job->why), "%s", accounts_why(verify->accounts));
	memcpy(key, accounts_key(verify->accounts), VERIFIER_KEY);
	(void)pthread_mutex_unlock(&verify->lock);
	return err;
}

/* A name that a back end vouches for: its account as it is, or made now. */
static void adopt(struct verify_job *job)
{
	struct verify *verify = job->verify;
	const struct account_new account = {.name = job->login.name, .source = job->source};
	int64_t id;

	(void)pthread_mutex_lock(&verify->lock);
	job->err = accounts_find(verify->accounts, job->login.name, job->domain, &job->account);
	if (job->err == ERR_NOT_FOUND) {
		job->err = accounts_add(verify->accounts, &account, os_wall_ms(), &id);
		if (job->err == ERR_OK || job->err == ERR_EXISTS)
			job->err = accounts_find(verify->accounts, job->login.name, job->domain,
						 &job->account);
	}
	if (job->err != ERR_OK)
		(void)snprintf(job->why, sizeof(job->why), "%s", accounts_why(verify->accounts));
	(void)pthread_mutex_unlock(&verify->lock);
	job->known = job->err == ERR_OK;
}

/* Another one than the account has in its row; asked for those who are unknown, too (C9). */
static bool find_extra(struct verify *verify, struct verify_job *job, struct verifier *out)
{
	const struct account_key *key = job->known ? job->account.key : NULL;
	char text[ACCOUNT_VERIFIER_MAX + 1];
	enum err err;

	(void)pthread_mutex_lock(&verify->lock);
	err = accounts_extra(verify->accounts, job->known ? job->account.id : -1,
			     key != NULL ? key->id : 0, verifier_scheme(job->hash), text);
	if (err != ERR_OK && err != ERR_NOT_FOUND) {
		job->err = err;
		(void)snprintf(job->why, sizeof(job->why), "%s", accounts_why(verify->accounts));
	}
	(void)pthread_mutex_unlock(&verify->lock);
	if (err == ERR_OK)
		err = verifier_read(slice_str(text), out);
	explicit_bzero(text, sizeof(text));
	return err == ERR_OK && out->hash == job->hash;
}

/* ---- hashes of other programs ---------------------------------------------------------------- */

/* The one of the account; else any, whose check takes as long (C9). false: there is none. */
static bool read_hash(struct verify *verify, struct verify_job *job, bool own, struct foreign *out)
{
	char text[ACCOUNT_HASH_MAX + 1] = "", why[FOREIGN_WHY];
	enum err err = ERR_OK;

	(void)pthread_mutex_lock(&verify->lock);
	err = accounts_some_hash(verify->accounts,
				 text); /* also if it is not the one that counts */
	(void)pthread_mutex_unlock(&verify->lock);
	if (own)
		err = slice_copy(slice_str(job->account.hash), text, sizeof(text));
	if (err == ERR_OK)
		err = foreign_read(slice_str(text), "", out, why);
	explicit_bzero(text, sizeof(text));
	return err == ERR_OK;
}

enum { HASHES = VERIFIER_CRAM_MD5 + 1 };

static bool is_wanted(const struct verify_job *job, enum verifier_hash hash)
{
	return hash == VERIFIER_SHA_256 || (hash == VERIFIER_SHA_1 && job->sha_1) ||
	       (hash == VERIFIER_CRAM_MD5 && job->cram_md5);
}

/* Under the lock. */
static enum err keep_verifiers(struct verify *verify, struct verify_job *job,
			       const struct verifier made[HASHES])
{
	char text[VERIFIER_TEXT_MAX + 1];
	enum err err = accounts_replace_hash(verify->accounts, job->account.id, job->account.hash,
					     &made[VERIFIER_SHA_256]);

	for (int i = VERIFIER_SHA_256 + 1; err == ERR_OK && i < HASHES; i++) {
		if (!is_wanted(job, (enum verifier_hash)i))
			continue;
		verifier_print(&made[i], text);
		err = accounts_set_extra(verify->accounts, job->account.id, 0,
					 verifier_scheme((enum verifier_hash)i), text);
	}
	explicit_bzero(text, sizeof(text));
	if (err != ERR_OK && err != ERR_NOT_FOUND) /* by another login, a moment ago */
		(void)snprintf(job->replaced_why, sizeof(job->replaced_why), "%s",
			       accounts_why(verify->accounts));
	return err;
}

/* The password is known now, so that what SCRAM needs can be made of it. It is right anyhow. */
static void replace_hash(struct verify *verify, struct verify_job *job)
{
	struct verifier made[HASHES] = {{0}};
	unsigned char salt[HASHES][VERIFIER_SALT];
	enum err err = ERR_OK;

	os_random(salt, sizeof(salt));
	for (int i = VERIFIER_SHA_256; err == ERR_OK && i < HASHES; i++)
		if (is_wanted(job, (enum verifier_hash)i))
			err = verifier_make_hash((enum verifier_hash)i,
						 secret_value(&job->password), salt[i],
						 job->iterations, &made[i]);
	if (err == ERR_OK) {
		(void)pthread_mutex_lock(&verify->lock);
		err = keep_verifiers(verify, job, made);
		(void)pthread_mutex_unlock(&verify->lock);
	}
	job->replaced = err == ERR_OK;
	for (int i = VERIFIER_SHA_256; i < HASHES; i++)
		verifier_wipe(&made[i]);
}

/* The password is not that of a verifier. */
static void check_hash(struct verify *verify, struct verify_job *job)
{
	bool own = job->known && job->account.key == NULL && job->account.hash[0] != '\0';
	struct foreign foreign = {0};
	bool fits = false;

	if (read_hash(verify, job, own, &foreign))
		fits = foreign_check(&foreign, secret_value(&job->password));
	else
		job->unusable = own;
	foreign_wipe(&foreign);
	job->matches = own && fits;
	if (job->matches)
		replace_hash(verify, job);
}

/* ---- one job --------------------------------------------------------------------------------- */

/* On a worker thread. */
static void work(void *arg)
{
	struct verify_job *job = arg;
	unsigned char key[VERIFIER_KEY];
	char credential[ACCOUNT_CREDENTIAL_MAX + 1];
	struct verifier fake = {0}, extra = {0};
	const struct verifier *verifier;

	account_release(&job->account); /* of an earlier run */
	if (job->task == VERIFY_ADOPT) {
		adopt(job);
		return;
	}
	job->unusable = false;
	job->err = look_up(job->verify, job, key);
	job->known = job->err == ERR_OK;
	if (job->err == ERR_NOT_FOUND)
		job->err = ERR_OK;
	/* Made each time, so that a name without account takes no other way. */
	account_login_print(&job->login, credential);
	if (verifier_fake_hash(job->hash, key, slice_str(credential), job->iterations, &fake) !=
	    ERR_OK)
		job->err = ERR_INTERNAL;
	explicit_bzero(key, sizeof(key));
	verifier = job->known ? account_verifier(&job->account) : NULL;
	if (job->hash != VERIFIER_SHA_256)
		verifier = find_extra(job->verify, job, &extra) && job->known ? &extra : NULL;
	job->provable = verifier != NULL;
	if (verifier == NULL)
		verifier = &fake;
	if (job->task == VERIFY_LOOK_UP)
		job->verifier = *verifier;
	else
		job->matches = job->err == ERR_OK &&
			       verifier_check(verifier, secret_value(&job->password)) &&
			       verifier != &fake;
	if (job->task == VERIFY_PASSWORD && job->err == ERR_OK && !job->matches)
		check_hash(job->verify, job);
	verifier_wipe(&extra);
}

static void finished(void *arg)
{
	struct verify_job *job = arg;

	DL_DELETE(job->verify->jobs, job);
	job->done(job);
}

enum err verify_submit(struct verify *verify, struct verify_job *job,
		       void (*done)(struct verify_job *job))
{
	enum err err;

	job->verify = verify;
	job->done = done;
	err = worker_submit(verify->pool, work, finished, job);
	if (err == ERR_OK)
		DL_APPEND(verify->jobs, job);
	return err;
}

size_t verify_waiting(const struct verify *verify)
{
	return worker_waiting(verify->pool);
}
