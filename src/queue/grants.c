/* SPDX-License-Identifier: Apache-2.0 */
#include "grants.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "frozen.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "policy/rights.h"
#include "queue.h"

enum {
	REPORT_MS = 1000,
	GRANTS_MAX = 1000000, /* logins at a time; auth bounds them far lower */
};

struct grant {
	UT_hash_handle hh;
	uint64_t number;
	uint64_t account_id, key_id; /* for reports only */
	uint16_t smtpd_index;
	uint32_t smtpd_incarnation;
	bool any_sender, any_recipient, used;
	uint32_t recipients_left;
	uint64_t message_size;         /* bytes; 0: limits.message_size */
	int64_t valid_until;           /* 0: no end */
	uint32_t messages, recipients; /* since the last report */
	uint32_t owed;                 /* recipients that were reported, and came to nothing then */
	struct ipc_list senders, domains, to;
	struct slice account, bounce;
	char bytes[]; /* what the slices and lists point to */
};

struct grants {
	struct queue *queue;
	struct channel *channel;
	struct grant *table;
	struct timer *timer;
	bool any_used;
};

static struct grant *find(const struct grants *grants, uint64_t number)
{
	struct grant *grant;

	HASH_FIND(hh, grants->table, &number, sizeof(number), grant);
	return grant;
}

static void forget(struct grants *grants, struct grant *grant)
{
	HASH_DEL(grants->table, grant);
	mem_free(grant);
}

static void forget_all(struct grants *grants)
{
	struct grant *grant, *next;

	HASH_ITER (hh, grants->table, grant, next)
		forget(grants, grant);
}

/* ---- reports ----------------------------------------------------------------------------- */
static void report(struct grants *grants, struct grant *grant)
{
	const struct msg_grant_used msg = {.grant = grant->number,
					   .messages = grant->messages,
					   .recipients = grant->recipients,
					   .recipients_left = grant->recipients_left,
					   .account_id = grant->account_id,
					   .key_id = grant->key_id};

	if (!grant->used || grants->channel == NULL)
		return;
	if (channel_send(grants->channel, IPC_GRANT_USED, &msg) != ERR_OK)
		return;
	grant->used = false;
	grant->messages = grant->recipients = 0;
}

static void on_timer(void *arg)
{
	struct grants *grants = arg;
	struct grant *grant, *next;

	if (grants->any_used) {
		HASH_ITER (hh, grants->table, grant, next)
			report(grants, grant);
	}
	grants->any_used = false;
	timer_set(grants->timer, REPORT_MS);
}

/* ---- what auth says ---------------------------------------------------------------------- */
static struct slice copy_in(char **at, struct slice s)
{
	struct slice copy = slice_of(*at, s.len);

	if (s.len != 0)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

static enum err on_grant(struct grants *grants, struct slice payload)
{
	struct msg_grant msg;
	struct msg_grant_ack ack;
	struct grant *grant;
	char *at;
	enum err err;

	if ((err = ipc_decode(IPC_GRANT, payload, &msg)) != ERR_OK)
		return err;
	if ((grant = find(grants, msg.grant)) != NULL)
		forget(grants, grant);
	if (HASH_COUNT(grants->table) >= GRANTS_MAX)
		return ERR_RANGE;
	grant = mem_alloc(sizeof(*grant) + msg.senders.bytes.len + msg.domains.bytes.len +
			  msg.recipients.bytes.len + msg.account.len + msg.bounce.len);
	at = grant->bytes;
	grant->number = msg.grant;
	grant->account_id = msg.account_id;
	grant->key_id = msg.key_id;
	grant->smtpd_index = msg.smtpd_index;
	grant->smtpd_incarnation = msg.smtpd_incarnation;
	grant->any_sender = msg.any_sender;
	grant->any_recipient = msg.any_recipient;
	grant->recipients_left = msg.recipients_left;
	grant->valid_until = msg.valid_until;
	grant->message_size = msg.message_size;
	grant->senders = (struct ipc_list){msg.senders.count, copy_in(&at, msg.senders.bytes)};
	grant->domains = (struct ipc_list){msg.domains.count, copy_in(&at, msg.domains.bytes)};
	grant->to = (struct ipc_list){msg.recipients.count, copy_in(&at, msg.recipients.bytes)};
	grant->account = copy_in(&at, msg.account);
	grant->bounce = copy_in(&at, msg.bounce);
	HASH_ADD(hh, grants->table, number, sizeof(grant->number), grant);
	ack.grant = msg.grant;
	return channel_send(grants->channel, IPC_GRANT_ACK, &ack);
}

static enum err on_renew(struct grants *grants, struct slice payload)
{
	struct msg_grant_renew msg;
	struct grant *grant;
	enum err err = ipc_decode(IPC_GRANT_RENEW, payload, &msg);

	if (err != ERR_OK)
		return err;
	if ((grant = find(grants, msg.grant)) != NULL) {
		grant->recipients_left = msg.recipients_left;
		grant->valid_until = msg.valid_until;
	}
	return ERR_OK;
}

static enum err on_revoke(struct grants *grants, struct slice payload)
{
	struct msg_grant_revoke msg;
	struct grant *grant;
	enum err err = ipc_decode(IPC_GRANT_REVOKE, payload, &msg);

	if (err != ERR_OK)
		return err;
	if ((grant = find(grants, msg.grant)) != NULL) {
		report(grants, grant);
		forget(grants, grant);
	}
	return ERR_OK;
}

static enum err on_sync(struct grants *grants, struct slice payload)
{
	struct msg_grant_sync msg;
	struct msg_grant_sync_ack ack;
	enum err err = ipc_decode(IPC_GRANT_SYNC, payload, &msg);

	if (err != ERR_OK)
		return err;
	ack.round = msg.round;
	return channel_send(grants->channel, IPC_GRANT_SYNC_ACK, &ack);
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct grants *grants = arg;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_GRANT:
		return on_grant(grants, payload);
	case IPC_GRANT_RENEW:
		return on_renew(grants, payload);
	case IPC_GRANT_REVOKE:
		return on_revoke(grants, payload);
	case IPC_GRANT_SYNC:
		return on_sync(grants, payload);
	case IPC_FROZEN:
		return frozen_name(grants->queue->frozen, payload);
	case IPC_FROZEN_END:
		return frozen_end(grants->queue->frozen, grants->channel, payload);
	default:
		return ERR_SYNTAX;
	}
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct grants *grants = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel from auth is broken: %s", why);
	forget_all(grants);
	frozen_lost(grants->queue->frozen);
	channel_free(&grants->channel);
}

void grants_connect(struct grants *grants, int fd)
{
	static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

	forget_all(grants);
	frozen_lost(grants->queue->frozen);
	channel_free(&grants->channel);
	grants->channel = channel_new(grants->queue->loop, fd, "auth", &handlers, grants);
}

struct grants *grants_new(struct queue *queue)
{
	struct grants *grants = mem_alloc(sizeof(*grants));

	grants->queue = queue;
	grants->timer = timer_new(queue->loop, on_timer, grants);
	timer_set(grants->timer, REPORT_MS);
	return grants;
}

void grants_free(struct grants **grants)
{
	if (*grants == NULL)
		return;
	forget_all(*grants);
	channel_free(&(*grants)->channel);
	timer_free(&(*grants)->timer);
	MEM_FREE(*grants);
}

/* ---- judging ----------------------------------------------------------------------------- */
static bool matches(struct ipc_list patterns, struct slice address)
{
	struct rec_pattern pattern;

	while (ipc_list_next(&patterns, IPC_REC_pattern, &pattern)) {
		if (rights_match(pattern.text, address))
			return true;
	}
	return false;
}

static bool sender_allowed(const struct grant *grant, struct slice sender)
{
	return grant->any_sender || matches(grant->senders, sender);
}

static bool domain_allowed(const struct grant *grant, struct slice domain)
{
	struct ipc_list patterns = grant->domains;
	struct rec_pattern pattern;

	while (ipc_list_next(&patterns, IPC_REC_pattern, &pattern)) {
		if (rights_match_domain(pattern.text, domain))
			return true;
	}
	return false;
}

static bool recipients_allowed(const struct grant *grant, struct ipc_list recipients)
{
	struct rec_recipient recipient;

	if (grant->any_recipient)
		return true;
	while (ipc_list_next(&recipients, IPC_REC_recipient, &recipient)) {
		char lower[QUEUE_NAME_MAX];

		if ((!domain_allowed(grant, queue_domain(recipient.address, lower)) &&
		     !matches(grant->to, recipient.address)) ||
		    rights_asks_routing(recipient.address))
			return false;
	}
	return true;
}

/* What came to nothing after it was reported is left out of the next reports. */
static void settle(struct grant *grant)
{
	uint32_t part = grant->owed < grant->recipients ? grant->owed : grant->recipients;

	grant->recipients -= part;
	grant->owed -= part;
}

enum ipc_verdict grants_use(struct grants *grants, uint64_t number, uint16_t index,
			    uint32_t incarnation, struct slice sender, struct ipc_list recipients,
			    struct grant_view *view_out)
{
	struct grant *grant = find(grants, number);

	if (grant == NULL || grant->smtpd_index != index ||
	    grant->smtpd_incarnation != incarnation ||
	    (grant->valid_until != 0 && grant->valid_until <= os_wall_ms()))
		return IPC_NO_GRANT;
	if (!sender_allowed(grant, sender))
		return IPC_BAD_SENDER;
	if (!recipients_allowed(grant, recipients))
		return IPC_BAD_RECIPIENT;
	if (recipients.count > grant->recipients_left)
		return IPC_OVER_BUDGET;
	grant->recipients_left -= recipients.count;
	grant->recipients += recipients.count;
	settle(grant);
	grant->messages++;
	grant->used = grants->any_used = true;
	*view_out = (struct grant_view){.account = grant->account, .bounce = grant->bounce};
	return IPC_STORED;
}

uint64_t grants_message_size(const struct grants *grants, uint64_t number)
{
	const struct grant *grant = find(grants, number);

	if (grant != NULL && grant->message_size != 0)
		return grant->message_size;
	return queue_config(grants->queue)->limits.message_size;
}

void grants_give_back(struct grants *grants, uint64_t number, uint32_t count)
{
	struct grant *grant = find(grants, number);

	if (grant == NULL)
		return;
	grant->recipients_left += count;
	grant->owed += count;
	settle(grant);
	grant->messages -= grant->messages != 0;
	grant->used = grants->any_used = true;
}

size_t grants_count(const struct grants *grants)
{
	return HASH_COUNT(grants->table);
}

struct channel *grants_auth(const struct grants *grants)
{
	return grants->channel;
}
