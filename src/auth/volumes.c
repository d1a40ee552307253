/* SPDX-License-Identifier: Apache-2.0 */
#include "volumes.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <utlist.h>

#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "front.h"
#include "grants.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "store/account_volume.h"

enum { DAY_MS = 24 * 60 * 60 * 1000, KNOWN_AT_ONCE = 512 };

/* A COUNT that waits for its account to be read. */
struct ask {
	struct ask *prev, *next;
	struct front *front;
	uint64_t session, grant, recipient;
	uint32_t in_message;
};

/* key: one that has limits of its own; 0: the account, with all its other keys. */
struct whose {
	int64_t account, key;
};

struct entry {
	UT_hash_handle hh;
	struct whose whose;
	struct volume *volume; /* NULL: being read */
	struct ask *asks;
	struct job *job; /* with the thread: reads or writes it */
};

struct volumes {
	struct auth *auth;
	struct worker_pool *pool;  /* one thread */
	struct accounts *accounts; /* the thread's */
	struct entry *table;       /* by whose */
	size_t asks;
	struct timer *save;
	bool failed; /* said in the log; cleared, and said, when it works again */
	struct volumes_struck struck;
};

/* Reads or writes one account, on the thread. */
struct job {
	struct volumes *volumes;
	struct whose whose;
	int64_t now;
	enum err err;
	char why[ACCOUNT_WHY];
	struct volume *volume; /* of a read */
	struct volume_hour hours[2];
	struct volume_known known[KNOWN_AT_ONCE];
	size_t known_count;
};

static void on_save(void *arg);

struct volumes *volumes_new(struct auth *auth)
{
	struct volumes *volumes = mem_alloc(sizeof(*volumes));

	volumes->auth = auth;
	volumes->pool = worker_pool_new(auth->loop, "volumes", 1, VOLUMES_WAITING);
	volumes->save = timer_new(auth->loop, on_save, volumes);
	timer_set(volumes->save, VOLUMES_SAVE);
	return volumes;
}

enum err volumes_open(struct volumes *volumes, const char *path, char why[ACCOUNT_WHY])
{
	return accounts_open(path, &volumes->accounts, why);
}

static void forget(struct volumes *volumes, struct entry *entry)
{
	struct ask *ask, *next;

	DL_FOREACH_SAFE (entry->asks, ask, next) {
		DL_DELETE(entry->asks, ask);
		volumes->asks--;
		mem_free(ask);
	}
	HASH_DEL(volumes->table, entry);
	volume_free(&entry->volume);
	mem_free(entry);
}

static void note_store(struct volumes *volumes, const struct job *job)
{
	bool failed = job->err != ERR_OK;

	if (failed == volumes->failed)
		return;
	volumes->failed = failed;
	if (failed)
		log_note(LOG_ERROR, "what accounts have sent cannot be read or written: %s",
			 job->why[0] != '\0' ? job->why : err_name(job->err));
	else
		log_note(LOG_INFO, "what accounts have sent can be read and written again");
}

/* ---- answers -------------------------------------------------------------------------------- */

static void answer(struct front *front, uint64_t session, uint64_t grant, unsigned code,
		   const char *status, const char *text, const char *reason)
{
	struct msg_counted msg = {
		.session = session,
		.grant = grant,
		.code = (uint16_t)code,
		.status = slice_str(status),
		.text = slice_str(text),
		.reason = slice_str(reason),
	};

	front_send(front, IPC_COUNTED, &msg);
}

/* "2026-11-25 14:32 UTC": the first minute in which it is possible. */
static void print_time(int64_t wall_ms, char *text, size_t size)
{
	time_t seconds = (time_t)((wall_ms + 59999) / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(text, size, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)snprintf(text, size, "a later time");
}

static const struct {
	const char *name;
	const char *of;
} WORDS[] = {
	[VOLUME_MESSAGE] = {"limits.recipients_per_message", "recipients of one message"},
	[VOLUME_HOUR] = {"limits.recipients_per_hour", "recipients per hour"},
	[VOLUME_DAY] = {"limits.recipients_per_day", "recipients per day"},
	[VOLUME_STRANGERS] = {"limits.new_recipients_per_day",
			      "recipients per day that it never wrote to before"},
};

static void strike(struct volumes *volumes, enum volume_limit limit)
{
	uint64_t *counts[] = {
		[VOLUME_MESSAGE] = &volumes->struck.message,
		[VOLUME_HOUR] = &volumes->struck.hour,
		[VOLUME_DAY] = &volumes->struck.day,
		[VOLUME_STRANGERS] = &volumes->struck.strangers,
	};

	(*counts[limit])++;
}

/* RFC 5321 4.5.3.1.10 has 452 for what another message may carry; all else is policy. */
static void answer_refusal(struct volumes *volumes, const struct ask *ask, const char *account,
			   const struct volume_refusal *refusal)
{
	bool message = refusal->limit == VOLUME_MESSAGE;
	char text[512], reason[128], until[32];

	strike(volumes, refusal->limit);
	print_time(refusal->until, until, sizeof(until));
	(void)snprintf(text, sizeof(text), "Sending limit of %.200s reached: %" PRIu32 " %s%s%s",
		       account, refusal->most, WORDS[refusal->limit].of,
		       message ? "; send the others in a second one" : "; next at ",
		       message ? "" : until);
	(void)snprintf(reason, sizeof(reason), "%s is reached", WORDS[refusal->limit].name);
	answer(ask->front, ask->session, ask->grant, message ? 452 : 450,
	       message ? "4.5.3" : "4.7.1", text, reason);
}

static void answer_ask(struct volumes *volumes, struct entry *entry, const struct ask *ask)
{
	struct grants *grants = volumes->auth->grants;
	struct grant_owner owner;
	struct volume_refusal refusal;

	/* The grant may have gone while the account was read. */
	if (!grants_owner(grants, ask->front, ask->grant, &owner))
		answer(ask->front, ask->session, ask->grant, 451, "4.3.0",
		       "Your login is no longer valid; log in and try again", "grant is gone");
	else if (!volume_take(entry->volume, &owner.limits, ask->in_message, ask->recipient,
			      os_wall_ms(), &refusal))
		answer_refusal(volumes, ask, owner.account, &refusal);
	else {
		grants_counted(grants, ask->grant, 1);
		answer(ask->front, ask->session, ask->grant, 0, "", "", "");
	}
}

static void answer_later(const struct ask *ask, const char *reason)
{
	answer(ask->front, ask->session, ask->grant, 451, "4.3.0",
	       "Your sending limits cannot be looked up right now; try again in a moment", reason);
}

/* ---- reading an account --------------------------------------------------------------------- */

static void take_hour(void *arg, const struct volume_hour *hour)
{
	const struct job *job = arg;

	volume_load_hour(job->volume, hour, job->now);
}

static void take_known(void *arg, const struct volume_known *known)
{
	const struct job *job = arg;

	volume_load_known(job->volume, known);
}

static void read_account(void *arg)
{
	struct job *job = arg;
	struct accounts *accounts = job->volumes->accounts;
	const struct accounts_volume_reader reader = {take_hour, take_known, job};

	job->volume = volume_new();
	job->err = accounts_load_volume(accounts, job->whose.account, job->whose.key,
					job->now - DAY_MS, &reader);
	if (job->err != ERR_OK)
		(void)snprintf(job->why, sizeof(job->why), "%s", accounts_why(accounts));
}

static void was_read(void *arg)
{
	struct job *job = arg;
	struct volumes *volumes = job->volumes;
	struct entry *entry = NULL;
	struct ask *ask, *next;

	note_store(volumes, job);
	HASH_FIND(hh, volumes->table, &job->whose, sizeof(job->whose), entry);
	if (entry != NULL) { /* always: an entry with a job stays */
		entry->job = NULL;
		if (job->err == ERR_OK) {
			entry->volume = job->volume;
			job->volume = NULL;
		}
		DL_FOREACH_SAFE (entry->asks, ask, next) {
			if (entry->volume != NULL)
				answer_ask(volumes, entry, ask);
			else
				answer_later(ask, "the account store cannot be read");
			DL_DELETE(entry->asks, ask);
			volumes->asks--;
			mem_free(ask);
		}
		if (entry->volume == NULL)
			forget(volumes, entry);
	}
	volume_free(&job->volume);
	mem_free(job);
}

static struct job *new_job(struct volumes *volumes, struct whose whose)
{
	struct job *job = mem_alloc(sizeof(*job));

	job->volumes = volumes;
	job->whose = whose;
	job->now = os_wall_ms();
	return job;
}

/* NULL: too many accounts are being read. */
static struct entry *entry_of(struct volumes *volumes, struct whose whose)
{
	struct entry *entry = NULL;
	struct job *job;

	HASH_FIND(hh, volumes->table, &whose, sizeof(whose), entry);
	if (entry != NULL)
		return entry;
	job = new_job(volumes, whose);
	if (worker_submit(volumes->pool, read_account, was_read, job) != ERR_OK) {
		mem_free(job);
		return NULL;
	}
	entry = mem_alloc(sizeof(*entry));
	entry->whose = whose;
	entry->job = job;
	HASH_ADD(hh, volumes->table, whose, sizeof(entry->whose), entry);
	return entry;
}

/* ---- what smtpd asks ------------------------------------------------------------------------ */

/* Keyed, so that the store tells nobody who wrote to whom; the same in upper and lower case. */
static uint64_t hash_of(const struct volumes *volumes, struct slice recipient)
{
	unsigned char text[1024], mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	uint64_t hash = 0;
	size_t i;

	for (i = 0; i < recipient.len && i < sizeof(text); i++)
		text[i] = (unsigned char)tolower((unsigned char)recipient.ptr[i]);
	if (HMAC(EVP_sha256(), accounts_key(volumes->accounts), VERIFIER_KEY, text, i, mac, &len) ==
	    NULL)
		return 0;
	memcpy(&hash, mac, sizeof(hash));
	return hash;
}

static struct whose whose_of(const struct grant_owner *owner)
{
	return (struct whose){owner->account_id, owner->volume_key};
}

enum err volumes_count(struct front *front, const struct msg_count *msg)
{
	struct volumes *volumes = front->auth->volumes;
	struct ask ask = {.front = front,
			  .session = msg->session,
			  .grant = msg->grant,
			  .recipient = hash_of(volumes, msg->recipient),
			  .in_message = msg->in_message};
	struct grant_owner owner;
	struct entry *entry;
	struct ask *waiting;

	if (!grants_owner(front->auth->grants, front, msg->grant, &owner)) {
		/* Revoked while the question was on its way. */
		answer(front, msg->session, msg->grant, 451, "4.3.0",
		       "Your login is no longer valid; log in and try again", "grant is gone");
		return ERR_OK;
	}
	entry = volumes->asks < VOLUMES_ASKS_MAX ? entry_of(volumes, whose_of(&owner)) : NULL;
	if (entry == NULL) {
		answer_later(&ask, "too many accounts are being read");
	} else if (entry->volume != NULL) {
		answer_ask(volumes, entry, &ask);
	} else {
		waiting = mem_alloc(sizeof(*waiting));
		*waiting = ask;
		DL_APPEND(entry->asks, waiting);
		volumes->asks++;
	}
	return ERR_OK;
}

enum err volumes_uncount(struct front *front, const struct msg_uncount *msg)
{
	struct volumes *volumes = front->auth->volumes;
	struct grant_owner owner;
	struct entry *entry = NULL;
	struct whose whose;

	if (!grants_owner(front->auth->grants, front, msg->grant, &owner))
		return ERR_OK;
	/* No more than what was counted under this very grant. */
	if (msg->recipients > grants_counted(front->auth->grants, msg->grant, 0))
		return ERR_DENIED;
	grants_counted(front->auth->grants, msg->grant, -(int64_t)msg->recipients);
	whose = whose_of(&owner);
	HASH_FIND(hh, volumes->table, &whose, sizeof(whose), entry);
	if (entry != NULL && entry->volume != NULL)
		volume_give_back(entry->volume, msg->recipients, os_wall_ms());
	return ERR_OK;
}

void volumes_drop_front(struct volumes *volumes, const struct front *front)
{
	struct entry *entry, *next_entry;
	struct ask *ask, *next;

	HASH_ITER (hh, volumes->table, entry, next_entry) {
		DL_FOREACH_SAFE (entry->asks, ask, next) {
			if (ask->front != front)
				continue;
			DL_DELETE(entry->asks, ask);
			volumes->asks--;
			mem_free(ask);
		}
	}
}

static uint32_t either(int64_t own, uint32_t common)
{
	return own == ACCOUNT_NO_LIMIT ? 0 : own > 0 ? (uint32_t)own : common;
}

void volumes_limits(const struct auth *auth, const struct account_limits *own,
		    struct volume_limits *limits_out)
{
	const struct config_limits *limits = &auth_config(auth)->limits;

	*limits_out = (struct volume_limits){
		.message = either(own->message, limits->recipients_per_message),
		.hour = either(own->hour, limits->recipients_per_hour),
		.day = either(own->day, limits->recipients_per_day),
		.strangers = either(own->strangers, limits->new_recipients_per_day),
	};
}

const struct volumes_struck *volumes_struck(const struct volumes *volumes)
{
	return &volumes->struck;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void write_account(void *arg)
{
	struct job *job = arg;
	struct accounts *accounts = job->volumes->accounts;

	job->err = accounts_save_volume(accounts, job->whose.account, job->whose.key, job->hours, 2,
					job->known, job->known_count);
	if (job->err != ERR_OK)
		(void)snprintf(job->why, sizeof(job->why), "%s", accounts_why(accounts));
}

static void snapshot(struct volume *volume, struct job *job)
{
	volume_save_hours(volume, job->now, job->hours);
	job->known_count = volume_save_known(volume, job->known, KNOWN_AT_ONCE);
	if (job->known_count < KNOWN_AT_ONCE)
		volume_saved(volume);
}

static void was_written(void *arg)
{
	struct job *job = arg;
	struct volumes *volumes = job->volumes;
	struct entry *entry = NULL;

	note_store(volumes, job);
	HASH_FIND(hh, volumes->table, &job->whose, sizeof(job->whose), entry);
	if (entry != NULL) {
		entry->job = NULL;
		if (job->err != ERR_OK)
			volume_not_saved(entry->volume, job->known, job->known_count);
	}
	mem_free(job);
}

/* Those who sent nothing for a day are read anew when they do. */
static bool is_idle(struct entry *entry)
{
	struct volume_sums sums;

	if (entry->volume == NULL || entry->job != NULL || volume_unsaved(entry->volume))
		return false;
	volume_sums(entry->volume, os_wall_ms(), &sums);
	return sums.day == 0 && sums.strangers == 0;
}

static void on_save(void *arg)
{
	struct volumes *volumes = arg;
	struct entry *entry, *next;

	timer_set(volumes->save, VOLUMES_SAVE);
	HASH_ITER (hh, volumes->table, entry, next) {
		struct job *job;

		if (is_idle(entry)) {
			forget(volumes, entry);
			continue;
		}
		if (entry->volume == NULL || entry->job != NULL || !volume_unsaved(entry->volume))
			continue;
		job = new_job(volumes, entry->whose);
		snapshot(entry->volume, job);
		if (worker_submit(volumes->pool, write_account, was_written, job) != ERR_OK) {
			volume_not_saved(entry->volume, job->known, job->known_count);
			mem_free(job);
			return; /* the disk is slow: next time */
		}
		entry->job = job;
	}
}

void volumes_free(struct volumes **volumes)
{
	struct volumes *v = *volumes;
	struct entry *entry, *next;

	if (v == NULL)
		return;
	*volumes = NULL;
	worker_pool_free(&v->pool);
	timer_free(&v->save);
	HASH_ITER (hh, v->table, entry, next) {
		struct job *job = new_job(v, entry->whose);

		if (entry->job != NULL) { /* the thread did not come to it */
			if (entry->volume != NULL)
				volume_not_saved(entry->volume, entry->job->known,
						 entry->job->known_count);
			mem_free(entry->job);
		}
		while (v->accounts != NULL && entry->volume != NULL &&
		       volume_unsaved(entry->volume) && job->err == ERR_OK) {
			snapshot(entry->volume, job);
			write_account(job);
		}
		mem_free(job);
		forget(v, entry);
	}
	accounts_close(&v->accounts);
	mem_free(v);
}
