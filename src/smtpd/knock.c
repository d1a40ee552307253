/* SPDX-License-Identifier: Apache-2.0 */
#include "knock.h"

#include <stdio.h>

#include "accept.h"
#include "auth_link.h"
#include "base/hash.h"
#include "base/mem.h"
#include "ipc/message.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "refusals.h"
#include "session.h"
#include "sessions.h"
#include "smtpd.h"

enum {
	REPLY_MAX = 600,
	/* ms between two looks at who waits. Most are answered before, and need no watch. */
	LOOK_EVERY = 500,
};

struct knock {
	UT_hash_handle hh;
	uint64_t id; /* of the session that it becomes */
	struct knocks *knocks;
	int fd;
	struct front *front;
	int64_t since;
	struct watch *watch; /* for its hang-up; NULL: it came a moment ago */
	char client[SESSION_CLIENT_MAX];
};

struct knocks {
	struct smtpd *smtpd;
	struct knock *all; /* by id; who came first at the head */
	struct timer *look;
	bool looking; /* the timer runs */
};

/* All but its descriptor and its number. */
static void forget(struct knock *knock)
{
	struct knocks *knocks = knock->knocks;
	bool was_full = knocks_full(knocks);

	HASH_DEL(knocks->all, knock);
	watch_free(&knock->watch);
	front_drop(&knock->front);
	mem_free(knock);
	if (was_full)
		smtpd_update(knocks->smtpd);
}

/* The connection and its number are over; auth has heard so, or is told. */
static void end(struct knock *knock)
{
	struct sessions *sessions = knock->knocks->smtpd->sessions;
	uint64_t id = knock->id;
	int fd = knock->fd;

	forget(knock); /* and with it the watch, before the descriptor */
	net_close(&fd);
	sessions_release(sessions, id);
}

/* Says why in the log, and to the client if it can be said without TLS. */
static void turn_away(struct knock *knock, const char *reply, struct slice reason)
{
	struct slice words = slice_str(reply);
	size_t sent;

	if (knock->front->tls != TLS_MODE_IMPLICIT)
		(void)net_send(knock->fd, words.ptr, words.len, &sent);
	if (refusals_logged(knock->knocks->smtpd->refusals, knock->client))
		log_event(LOG_WARNING, "connect-refused",
			  LOG_TEXT("listener", knock->front->listener),
			  LOG_TEXT("client", knock->client), LOG_SLICE("reason", reason));
	end(knock);
}

/* ---- who gives up ---------------------------------------------------------------------------- */

static void hung_up(void *arg, int events)
{
	struct knock *knock = arg;

	(void)events;
	auth_link_left(knock->knocks->smtpd->auth, knock->id);
	end(knock);
}

/* Who waits for longer than a moment is watched. */
static void look(void *arg)
{
	struct knocks *knocks = arg;
	struct loop *loop = knocks->smtpd->loop;

	for (struct knock *knock = knocks->all; knock != NULL; knock = knock->hh.next) {
		if (knock->watch != NULL || knock->since + LOOK_EVERY > loop_now(loop))
			continue;
		knock->watch = watch_new(loop, knock->fd, hung_up, knock);
		watch_set(knock->watch, WATCH_HANGUP);
	}
	knocks->looking = knocks->all != NULL;
	if (knocks->looking)
		timer_set(knocks->look, LOOK_EVERY);
}

/* ---- the door -------------------------------------------------------------------------------- */

struct knocks *knocks_new(struct smtpd *smtpd)
{
	struct knocks *knocks = mem_alloc(sizeof(*knocks));

	knocks->smtpd = smtpd;
	knocks->look = timer_new(smtpd->loop, look, knocks);
	return knocks;
}

void knocks_free(struct knocks **knocks)
{
	if (*knocks == NULL)
		return;
	knocks_drop(*knocks);
	timer_free(&(*knocks)->look);
	MEM_FREE(*knocks);
}

void knocks_start(struct knocks *knocks, int fd, const char *client, struct front *front)
{
	struct knock *knock = mem_alloc(sizeof(*knock));

	knock->id = sessions_reserve(knocks->smtpd->sessions);
	knock->knocks = knocks;
	knock->fd = fd;
	knock->front = front_hold(front);
	knock->since = loop_now(knocks->smtpd->loop);
	snprintf(knock->client, sizeof(knock->client), "%s", client);
	HASH_ADD(hh, knocks->all, id, sizeof(knock->id), knock);
	if (!knocks->looking) {
		knocks->looking = true;
		timer_set(knocks->look, LOOK_EVERY);
	}
	/* Without auth it waits for the next one. */
	auth_link_knock(knocks->smtpd->auth, knock->id, knock->client, false);
	if (knocks_full(knocks))
		smtpd_update(knocks->smtpd);
}

bool knocks_full(const struct knocks *knocks)
{
	return HASH_COUNT(knocks->all) >= KNOCKS_MAX;
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
	watch_free(&knock->watch); /* the session has its own */
	sessions_start(knocks->smtpd->sessions, id, knock->fd, knock->client, knock->front);
	forget(knock);
}

void knocks_turn_away(struct knocks *knocks, const struct msg_turn_away *msg)
{
	struct knock *knock = find(knocks, msg->id);
	char reply[REPLY_MAX];

	if (knock == NULL)
		return;
	snprintf(reply, sizeof(reply), "%u %.*s %.*s\r\n", msg->code, SLICE_ARG(msg->status),
		 SLICE_ARG(slice_head(msg->text, REPLY_MAX - 40)));
	turn_away(knock, reply, msg->reason);
}

void knocks_again(struct knocks *knocks)
{
	for (struct knock *knock = knocks->all; knock != NULL; knock = knock->hh.next)
		auth_link_knock(knocks->smtpd->auth, knock->id, knock->client, false);
}

void knocks_drop(struct knocks *knocks)
{
	while (knocks->all != NULL) {
		struct knock *knock = knocks->all;

		auth_link_left(knocks->smtpd->auth, knock->id);
		turn_away(knock, "421 4.3.2 Shutting down; try again later\r\n",
			  SLICE_LIT("shutting down"));
	}
}
