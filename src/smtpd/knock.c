/* SPDX-License-Identifier: Apache-2.0 */
#include "knock.h"

#include <stdio.h>

#include "accept.h"
#include "auth_link.h"
#include "base/hash.h"
#include "base/mem.h"
#include "ipc/message.h"
#include "os/log.h"
#include "os/net.h"
#include "refusals.h"
#include "session.h"
#include "sessions.h"
#include "smtpd.h"

enum { REPLY_MAX = 600 };

struct knock {
	UT_hash_handle hh;
	uint64_t id; /* of the session that it becomes */
	int fd;
	struct front *front;
	char client[SESSION_CLIENT_MAX];
};

struct knocks {
	struct smtpd *smtpd;
	struct knock *all; /* by id */
};

/* All but its descriptor and its number. */
static void forget(struct knocks *knocks, struct knock *knock)
{
	bool was_full = knocks_full(knocks);

	HASH_DEL(knocks->all, knock);
	front_drop(&knock->front);
	mem_free(knock);
	if (was_full)
		smtpd_update(knocks->smtpd);
}

/* Says why in the log, and to the client if it can be said without TLS. */
static void turn_away(struct knocks *knocks, struct knock *knock, const char *reply,
		      struct slice reason)
{
	struct slice words = slice_str(reply);
	size_t sent;

	if (knock->front->tls != TLS_MODE_IMPLICIT)
		(void)net_send(knock->fd, words.ptr, words.len, &sent);
	net_close(&knock->fd);
	if (refusals_logged(knocks->smtpd->refusals, knock->client))
		log_event(LOG_WARNING, "connect-refused",
			  LOG_TEXT("listener", knock->front->listener),
			  LOG_TEXT("client", knock->client), LOG_SLICE("reason", reason));
	sessions_release(knocks->smtpd->sessions, knock->id);
	forget(knocks, knock);
}

struct knocks *knocks_new(struct smtpd *smtpd)
{
	struct knocks *knocks = mem_alloc(sizeof(*knocks));

	knocks->smtpd = smtpd;
	return knocks;
}

void knocks_free(struct knocks **knocks)
{
	if (*knocks == NULL)
		return;
	knocks_drop(*knocks);
	MEM_FREE(*knocks);
}

void knocks_start(struct knocks *knocks, int fd, const char *client, struct front *front)
{
	struct knock *knock = mem_alloc(sizeof(*knock));

	knock->id = sessions_reserve(knocks->smtpd->sessions);
	knock->fd = fd;
	knock->front = front_hold(front);
	snprintf(knock->client, sizeof(knock->client), "%s", client);
	HASH_ADD(hh, knocks->all, id, sizeof(knock->id), knock);
	/* Without auth it waits for the next one. */
	auth_link_knock(knocks->smtpd->auth, knock->id, knock->client, false);
	if (knocks_full(knocks))
		smtpd_update(knocks->smtpd);
}

bool knocks_full(const struct knocks *knocks)
{
	return HASH_COUNT(knocks->all) >= KNOCKS_MAX;
}

uint32_t knocks_count(const struct knocks *knocks)
{
	return HASH_COUNT(knocks->all);
}

static struct knock *find(const struct knocks *knocks, uint64_t id)
{
	struct knock *knock;

	HASH_FIND(hh, knocks->all, &id, sizeof(id), knock);
	return knock;
}

void knocks_admit(struct knocks *knocks, uint64_t id)
{
	struct knock *knock = find(knocks, id);

	if (knock == NULL)
		return;
	sessions_start(knocks->smtpd->sessions, id, knock->fd, knock->client, knock->front);
	forget(knocks, knock);
}

void knocks_turn_away(struct knocks *knocks, const struct msg_turn_away *msg)
{
	struct knock *knock = find(knocks, msg->id);
	char reply[REPLY_MAX];

	if (knock == NULL)
		return;
	snprintf(reply, sizeof(reply), "%u %.*s %.*s\r\n", msg->code, SLICE_ARG(msg->status),
		 SLICE_ARG(slice_head(msg->text, REPLY_MAX - 40)));
	turn_away(knocks, knock, reply, msg->reason);
}

void knocks_again(struct knocks *knocks)
{
	for (struct knock *knock = knocks->all; knock != NULL; knock = knock->hh.next)
		auth_link_knock(knocks->smtpd->auth, knock->id, knock->client, false);
}

void knocks_drop(struct knocks *knocks)
{
	while (knocks->all != NULL)
		turn_away(knocks, knocks->all, "421 4.3.2 Shutting down; try again later\r\n",
			  SLICE_LIT("shutting down"));
}
