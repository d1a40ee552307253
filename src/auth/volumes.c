/* SPDX-License-Identifier: Apache-2.0 */
#include "volumes.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <utlist.h>

#include "auth.h"
#include "base/mem.h"
#include "config/config.h"
#include "front.h"
#include "grants.h"
#include "os/os.h"
#include "volumes_internal.h"
#include "words.h"

enum { MINUTE_MS = 60 * 1000 };

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
	char text[512], reason[128], until[WORDS_TIME];

	strike(volumes, refusal->limit);
	words_time(refusal->until + MINUTE_MS - 1,
		   until); /* the first minute in which it is possible */
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

void volumes_answer(struct volumes *volumes, struct entry *entry)
{
	struct ask *ask, *next;

	DL_FOREACH_SAFE (entry->asks, ask, next) {
		if (entry->volume != NULL)
			answer_ask(volumes, entry, ask);
		else
			answer_later(ask, "the account store cannot be read");
		DL_DELETE(entry->asks, ask);
		volumes->asks--;
		mem_free(ask);
	}
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
	entry = volumes->asks < VOLUMES_ASKS_MAX ? volumes_entry(volumes, whose_of(&owner)) : NULL;
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
