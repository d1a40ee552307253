/* SPDX-License-Identifier: Apache-2.0 */
#include "grants.h"

#include <string.h>

#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "defence.h"
#include "door.h"
#include "front.h"
#include "frozen.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "policy/admission.h"
#include "usage.h"
#include "volumes.h"

enum state { PENDING, LIVE, LEAVING };

struct grant {
	UT_hash_handle hh;
	uint64_t number;
	struct front *front;
	enum state state;
	bool standing;
	bool elsewhere;     /* from a network that is new to the account */
	int64_t account_id; /* 0 for a standing one */
	int64_t key_id;     /* 0: the main password */
	int64_t expires;    /* of account or key, wall; 0: never */
	char *account;
	char *bounce;
	uint64_t message_size;
	struct account_limits limits;
	int64_t volume_key;         /* whose volume it is: a key with limits of its own, or 0 */
	int64_t counted;            /* recipients that smtpd had counted */
	int64_t used;               /* recipients that queue took */
	struct ipc_list patterns;   /* senders, or domains if standing; bytes are ours */
	struct ipc_list recipients; /* patterns, of a device; none: any; bytes are ours */
	int64_t valid_until;        /* wall */
	grant_ready_fn *ready;
	void *arg;
};

struct grants {
	struct auth *auth;
	struct grant *table; /* by number */
	uint64_t last;
	struct channel *queue;
	uint32_t incarnation; /* of queue */
	uint32_t round;
	bool synced;
	struct timer *tick;
	int64_t tick_at; /* wall */
};

static void on_tick(void *arg);

struct grants *grants_new(struct auth *auth)
{
	struct grants *grants = mem_alloc(sizeof(*grants));

	grants->auth = auth;
	/* A number is never given out twice, not by the next auth process either. */
	grants->last = os_random_u64() >> 1;
	grants->tick = timer_new(auth->loop, on_tick, grants);
	grants->tick_at = os_wall_ms() + GRANT_TICK;
	timer_set(grants->tick, GRANT_TICK);
	return grants;
}

static void forget(struct grants *grants, struct grant *grant)
{
	HASH_DEL(grants->table, grant);
	grant->front->grants--;
	if (!grant->standing)
		admission_account_leave(door_admission(grants->auth->door), grant->account_id);
	mem_free(grant->account);
	mem_free(grant->bounce);
	mem_free((char *)(uintptr_t)grant->patterns.bytes.ptr);
	mem_free((char *)(uintptr_t)grant->recipients.bytes.ptr);
	mem_free(grant);
}

void grants_free(struct grants **grants)
{
	if (*grants == NULL)
		return;
	while ((*grants)->table != NULL)
		forget(*grants, (*grants)->table);
	channel_free(&(*grants)->queue);
	timer_free(&(*grants)->tick);
	MEM_FREE(*grants);
}

/* ---- to queue ------------------------------------------------------------------------------- */

static void tell(struct grants *grants, uint16_t type, const void *message)
{
	enum err err;

	if (grants->queue == NULL)
		return; /* a new queue gets the whole list */
	err = channel_send(grants->queue, type, message);
	if (err != ERR_OK && err != ERR_EOF)
		log_note(LOG_ERROR, "cannot send %s to queue: %s", ipc_type_name(type),
			 err_name(err));
}

/* Whether logins may use every address: smtpd tells in the log what they use. */
static bool any_sender(const struct grants *grants)
{
	return auth_config(grants->auth)->submission.sender_check == SENDER_CHECK_LOG;
}

static void send_grant(struct grants *grants, const struct grant *grant)
{
	struct msg_grant msg = {
		.grant = grant->number,
		.account_id = (uint64_t)grant->account_id,
		.account = slice_str(grant->account),
		.smtpd_index = grant->front->index,
		.smtpd_incarnation = grant->front->incarnation,
		.any_sender = grant->standing || any_sender(grants),
		.any_recipient = !grant->standing && grant->recipients.count == 0,
		.bounce = slice_str(grant->bounce),
		.recipients_left = GRANT_BUDGET,
		.valid_until = grant->valid_until,
		.message_size = grant->message_size,
		.key_id = (uint64_t)grant->key_id,
		.recipients = grant->recipients,
	};

	if (grant->standing)
		msg.domains = grant->patterns;
	else
		msg.senders = grant->patterns;
	tell(grants, IPC_GRANT, &msg);
}

static void renew(struct grants *grants, struct grant *grant)
{
	struct msg_grant_renew msg = {.grant = grant->number,
				      .recipients_left = GRANT_BUDGET,
				      .valid_until = grant->valid_until};

	tell(grants, IPC_GRANT_RENEW, &msg);
}

static void revoke(struct grants *grants, struct grant *grant)
{
	struct msg_grant_revoke msg = {.grant = grant->number};

	tell(grants, IPC_GRANT_REVOKE, &msg);
	forget(grants, grant);
}

/* ---- from queue ----------------------------------------------------------------------------- */

static struct grant *find(struct grants *grants, uint64_t number)
{
	struct grant *grant = NULL;

	HASH_FIND(hh, grants->table, &number, sizeof(number), grant);
	return grant;
}

static enum err on_ack(struct grants *grants, const struct msg_grant_ack *msg)
{
	struct grant *grant = find(grants, msg->grant);

	/* Revoked meanwhile, or sent a second time to a new queue. */
	if (grant == NULL || grant->state != PENDING)
		return ERR_OK;
	grant->state = LIVE;
	grant->ready(grant, grant->arg);
	return ERR_OK;
}

/*
 * What a message given up had used may be told after smtpd gave it back, hence the margin. smtpd
 * asks before it says yes to a recipient, so more than that is no accident.
 */
static bool used_uncounted(const struct grants *grants, const struct grant *grant)
{
	return grant->state == LIVE && !grant->standing &&
	       grant->used > grant->counted + (int64_t)auth_config(grants->auth)->limits.recipients;
}

static enum err on_used(struct grants *grants, const struct msg_grant_used *msg)
{
	struct grant *grant = find(grants, msg->grant);

	if (msg->account_id != 0)
		usage_sent(grants->auth->usage, (int64_t)msg->account_id, (int64_t)msg->key_id,
			   msg->messages, msg->recipients);
	if (grant == NULL)
		return ERR_OK;
	grant->used += msg->recipients;
	if (used_uncounted(grants, grant)) {
		log_note(LOG_ERROR,
			 "smtpd %u has mailed to more recipients than it had counted for %s: its "
			 "login is ended",
			 grant->front->index, grant->account);
		front_grant_lost(grant->front, grant->number, "recipients-not-counted");
		revoke(grants, grant);
		return ERR_OK;
	}
	if (grant->elsewhere)
		defence_sent(grants->auth->defence, grant->account_id, grant->account,
			     msg->recipients);
	if (grant->state != LEAVING && msg->recipients_left < GRANT_BUDGET / 2)
		renew(grants, grant);
	return ERR_OK;
}

static enum err on_sync_ack(struct grants *grants, const struct msg_grant_sync_ack *msg)
{
	if (msg->round != grants->round)
		return ERR_OK;
	grants->synced = true;
	for (struct front *front = grants->auth->fronts; front != NULL; front = front->next)
		front_grants_synced(front, grants->incarnation);
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct grants *grants = arg;
	union {
		struct msg_grant_ack ack;
		struct msg_grant_used used;
		struct msg_grant_sync_ack sync_ack;
		struct msg_frozen_done frozen;
		struct msg_ended ended;
	} msg;
	enum err err;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_GRANT_ACK:
		err = ipc_decode(type, payload, &msg.ack);
		return err != ERR_OK ? err : on_ack(grants, &msg.ack);
	case IPC_GRANT_USED:
		err = ipc_decode(type, payload, &msg.used);
		return err != ERR_OK ? err : on_used(grants, &msg.used);
	case IPC_GRANT_SYNC_ACK:
		err = ipc_decode(type, payload, &msg.sync_ack);
		return err != ERR_OK ? err : on_sync_ack(grants, &msg.sync_ack);
	case IPC_ENDED:
		err = ipc_decode(type, payload, &msg.ended);
		return err != ERR_OK ? err : defence_ended(grants->auth->defence, &msg.ended);
	case IPC_FROZEN_DONE:
		err = ipc_decode(type, payload, &msg.frozen);
		return err != ERR_OK ? err : frozen_answer(grants->auth->frozen, &msg.frozen);
	default:
		return ERR_SYNTAX;
	}
}

/* Logins that wait for an acknowledgement of the queue that has gone get no grant. */
static void drop_pending(struct grants *grants)
{
	struct grant *grant, *next;

	HASH_ITER (hh, grants->table, grant, next) {
		grant_ready_fn *ready = grant->ready;
		void *ready_arg = grant->arg;

		if (grant->state != PENDING || grant->standing)
			continue;
		forget(grants, grant);
		ready(NULL, ready_arg);
	}
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct grants *grants = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel to queue is broken: %s", why);
	channel_free(&grants->queue);
	grants->synced = false;
	frozen_queue_lost(grants->auth->frozen);
	drop_pending(grants);
}

static const struct channel_handlers HANDLERS = {.message = on_message, .ended = on_ended};

void grants_queue(struct grants *grants, int fd, uint32_t incarnation)
{
	struct grant *grant, *next;
	struct msg_grant_sync msg;

	if (grants->queue != NULL) { /* its end has not been seen yet */
		frozen_queue_lost(grants->auth->frozen);
		channel_free(&grants->queue);
		drop_pending(grants);
	}
	grants->queue = channel_new(grants->auth->loop, fd, "queue", &HANDLERS, grants);
	grants->incarnation = incarnation;
	grants->synced = false;
	HASH_ITER (hh, grants->table, grant, next)
		send_grant(grants, grant);
	msg.round = ++grants->round;
	tell(grants, IPC_GRANT_SYNC, &msg);
	frozen_queue(grants->auth->frozen, grants->queue);
}

void grants_again(struct grants *grants)
{
	struct grant *grant, *next;

	HASH_ITER (hh, grants->table, grant, next) {
		if (!grant->standing)
			send_grant(grants, grant);
	}
}

bool grants_have_queue(const struct grants *grants)
{
	return grants->queue != NULL && channel_is_open(grants->queue);
}

bool grants_synced(const struct grants *grants, uint32_t *incarnation_out)
{
	if (!grants->synced || !grants_have_queue(grants))
		return false;
	*incarnation_out = grants->incarnation;
	return true;
}

/* ---- the list ------------------------------------------------------------------------------- */

static struct ipc_list own_copy(struct ipc_list list)
{
	const char *bytes = list.bytes.len > 0 ? list.bytes.ptr : "";

	list.bytes = slice_of(mem_strndup(bytes, list.bytes.len), list.bytes.len);
	return list;
}

static struct grant *add(struct grants *grants, struct front *front, struct ipc_list patterns,
			 grant_ready_fn *ready, void *arg)
{
	struct grant *grant = mem_alloc(sizeof(*grant));

	grant->number = ++grants->last;
	grant->front = front;
	grant->state = PENDING;
	grant->patterns = own_copy(patterns);
	grant->valid_until = os_wall_ms() + GRANT_VALID;
	grant->ready = ready;
	grant->arg = arg;
	HASH_ADD(hh, grants->table, number, sizeof(grant->number), grant);
	front->grants++;
	return grant;
}

/* How long a grant holds that is given or renewed now. */
static int64_t until(const struct grant *grant, int64_t now)
{
	int64_t end = now + GRANT_VALID;

	return grant->expires != 0 && grant->expires < end ? grant->expires : end;
}

/* Looks at the grants again at this time at the latest. */
static void tick_by(struct grants *grants, int64_t at)
{
	int64_t now = os_wall_ms();

	if (at >= grants->tick_at)
		return;
	grants->tick_at = at > now ? at : now;
	timer_set(grants->tick, grants->tick_at - now);
}

enum err grants_add(struct grants *grants, struct front *front, const struct account *account,
		    const struct grant_rights *rights, grant_ready_fn *ready, void *arg,
		    struct grant **grant_out)
{
	struct grant *grant;

	if (!grants_have_queue(grants))
		return ERR_BUSY;
	if (front->grants >= FRONT_GRANTS_MAX)
		return ERR_FULL;
	if (!admission_account_enter(door_admission(grants->auth->door), account->id))
		return ERR_RANGE;
	grant = add(grants, front, rights->senders, ready, arg);
	grant->recipients = own_copy(rights->recipients);
	grant->account_id = account->id;
	grant->account = mem_strdup(account->name);
	grant->bounce = mem_strdup(rights->address);
	grant->key_id = account->key != NULL ? account->key->id : 0;
	grant->message_size = account_message_size(account);
	grant->expires = account_expires(account);
	grant->valid_until = until(grant, os_wall_ms());
	if (grant->expires != 0)
		tick_by(grants, grant->expires);
	grant->volume_key = account_limits(account, &grant->limits);
	send_grant(grants, grant);
	*grant_out = grant;
	return ERR_OK;
}

enum err grants_add_standing(struct grants *grants, struct front *front, struct ipc_list domains,
			     grant_ready_fn *ready, void *arg, struct grant **grant_out)
{
	struct grant *grant = add(grants, front, domains, ready, arg);

	grant->standing = true;
	send_grant(grants, grant); /* without queue it goes out when there is one */
	*grant_out = grant;
	return ERR_OK;
}

void grant_elsewhere(struct grant *grant)
{
	grant->elsewhere = true;
}

uint64_t grant_number(const struct grant *grant)
{
	return grant->number;
}

bool grants_owner(struct grants *grants, const struct front *front, uint64_t number,
		  struct grant_owner *owner_out)
{
	const struct grant *grant = find(grants, number);

	if (grant == NULL || grant->front != front || grant->standing || grant->state != LIVE)
		return false;
	owner_out->account_id = grant->account_id;
	owner_out->account = grant->account;
	owner_out->volume_key = grant->volume_key;
	volumes_limits(grants->auth, &grant->limits, &owner_out->limits);
	return true;
}

uint64_t grants_counted(struct grants *grants, uint64_t number, int64_t more)
{
	struct grant *grant = find(grants, number);

	if (grant == NULL)
		return 0;
	grant->counted += more;
	return grant->counted > 0 ? (uint64_t)grant->counted : 0;
}

void grants_end(struct grants *grants, struct grant **grant)
{
	if (*grant == NULL)
		return;
	revoke(grants, *grant);
	*grant = NULL;
}

enum err grants_end_number(struct grants *grants, struct front *front, uint64_t number)
{
	struct grant *grant = find(grants, number);

	if (grant == NULL) /* revoked while smtpd's word was on its way */
		return ERR_OK;
	if (grant->front != front || grant->standing || grant->state != LIVE)
		return ERR_DENIED;
	revoke(grants, grant);
	return ERR_OK;
}

void grants_leave(struct grants *grants, struct grant **grant)
{
	if (*grant == NULL)
		return;
	(*grant)->state = LEAVING;
	(*grant)->valid_until = os_wall_ms() + GRANT_LEAVES;
	renew(grants, *grant);
	*grant = NULL;
}

void grants_drop_front(struct grants *grants, struct front *front)
{
	struct grant *grant, *next;

	HASH_ITER (hh, grants->table, grant, next)
		if (grant->front == front)
			revoke(grants, grant);
}

static void lose(struct grants *grants, struct grant *grant, const char *reason)
{
	grant_ready_fn *ready = grant->state == PENDING ? grant->ready : NULL;
	void *arg = grant->arg;

	if (ready == NULL)
		front_grant_lost(grant->front, grant->number, reason);
	revoke(grants, grant);
	if (ready != NULL) /* a login that was about to succeed */
		ready(NULL, arg);
}

size_t grants_revoke_account(struct grants *grants, int64_t id, int64_t key, const char *reason)
{
	struct grant *grant, *next;
	size_t count = 0;

	HASH_ITER (hh, grants->table, grant, next) {
		if (grant->standing || grant->account_id != id ||
		    (key != 0 && grant->key_id != key))
			continue;
		lose(grants, grant, reason);
		count++;
	}
	return count;
}

size_t grants_count(const struct grants *grants)
{
	return HASH_COUNT(grants->table);
}

/* Renews what is live, ends what was replaced, and what an account or a key had until now. */
static void on_tick(void *arg)
{
	struct grants *grants = arg;
	struct grant *grant, *next;
	int64_t now = os_wall_ms(), next_at = now + GRANT_TICK;

	HASH_ITER (hh, grants->table, grant, next) {
		if (grant->expires != 0 && grant->expires <= now) {
			lose(grants, grant, "expired");
			continue;
		}
		if (grant->expires != 0 && grant->expires < next_at)
			next_at = grant->expires;
		if (grant->state == LEAVING) {
			if (grant->valid_until <= now)
				revoke(grants, grant);
		} else if (grant->valid_until - now < GRANT_VALID / 2) {
			int64_t end = until(grant, now);

			if (end <= grant->valid_until)
				continue;
			grant->valid_until = end;
			renew(grants, grant);
		}
	}
	grants->tick_at = next_at;
	timer_set(grants->tick, next_at - now);
}
