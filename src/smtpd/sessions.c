/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's number is its slot and how often the slot was used, so that finding it is an index
 * and an answer for a session that is over never reaches its successor.
 */
#include "sessions.h"

#include <utlist.h>

#include "auth_link.h"
#include "base/mem.h"
#include "os/loop.h"
#include "os/os.h"
#include "session.h"
#include "smtpd.h"

enum {
	SWEEP_EVERY = 1000, /* ms */
	TRIM_EVERY = 10000, /* ms at least between two rounds of giving memory back */
	TRIM_SHARE = 64,    /* and one session of this many must have become idle since */
	IDLE_AFTER = 1000,  /* ms without a byte until buffers are given back */
	QUITE_NEW = 1000,   /* ms in which anybody can log in, but for a slow hash or a slow line */
	SOCKET_HOOK = 20,   /* after the channels (os/loop.h) */
};

struct slot {
	struct session *session;
	uint32_t used;      /* how often */
	uint32_t next_free; /* index + 1 of the next free slot, 0: none */
};

struct sessions {
	struct smtpd *smtpd;
	struct slot *slots;
	uint32_t size;          /* of slots */
	uint32_t free;          /* index + 1 of the first free slot, 0: none */
	uint32_t count;         /* sessions */
	struct session *marked; /* list by mark_prev, mark_next; those marked last at the end */
	uint32_t round;         /* of looking at the marked ones */
	struct session *recent; /* not idle; least recently active first */
	uint32_t shrunk;        /* sessions since memory was given back */
	int64_t trim_at;        /* not before this */
	struct timer *sweep;
	struct hook *hook;
	bool sweeping; /* the timer runs */
};

static void sweep(void *arg)
{
	struct sessions *sessions = arg;
	int64_t now = loop_now(sessions->smtpd->loop);
	struct session *session;

	while ((session = sessions->recent) != NULL && session->active + IDLE_AFTER <= now) {
		DL_DELETE(sessions->recent, session);
		session->recent = false;
		session_shrink(session);
		sessions->shrunk++;
	}
	/* What idle sessions gave back lies in pieces between what they keep. */
	if (sessions->shrunk > sessions->count / TRIM_SHARE && now >= sessions->trim_at) {
		os_trim_memory();
		sessions->shrunk = 0;
		sessions->trim_at = now + TRIM_EVERY;
	}
	sessions->sweeping =
		sessions->recent != NULL || sessions->shrunk > sessions->count / TRIM_SHARE;
	if (sessions->sweeping)
		timer_set(sessions->sweep, SWEEP_EVERY);
}

/* What is marked while this runs waits for the next round: no session may hog the loop. */
static void flush_marked(void *arg)
{
	struct sessions *sessions = arg;
	uint32_t round = sessions->round++;
	struct session *session;

	while ((session = sessions->marked) != NULL && session->mark_round == round) {
		DL_DELETE2(sessions->marked, session, mark_prev, mark_next);
		session->marked = false;
		session_flush(session);
	}
	if (sessions->marked != NULL)
		loop_wake(sessions->smtpd->loop);
}

struct sessions *sessions_new(struct smtpd *smtpd)
{
	struct sessions *sessions = mem_alloc(sizeof(*sessions));

	sessions->smtpd = smtpd;
	sessions->sweep = timer_new(smtpd->loop, sweep, sessions);
	sessions->hook = hook_new(smtpd->loop, SOCKET_HOOK, flush_marked, sessions);
	return sessions;
}

static void end_one(struct session *session, void *arg)
{
	(void)arg;
	session_end(session);
}

void sessions_free(struct sessions **sessions)
{
	if (*sessions == NULL)
		return;
	sessions_each(*sessions, end_one, NULL);
	hook_free(&(*sessions)->hook);
	timer_free(&(*sessions)->sweep);
	mem_free((*sessions)->slots);
	MEM_FREE(*sessions);
}

uint32_t sessions_count(const struct sessions *sessions)
{
	return sessions->count;
}

static uint32_t take_slot(struct sessions *sessions)
{
	uint32_t old = sessions->size;
	uint32_t index;

	if (sessions->free == 0) {
		sessions->size = old == 0 ? 64 : old * 2;
		sessions->slots = mem_resize(sessions->slots, sessions->size * sizeof(struct slot));
		for (uint32_t i = old; i < sessions->size; i++)
			sessions->slots[i] =
				(struct slot){.next_free = i + 1 < sessions->size ? i + 2 : 0};
		sessions->free = old + 1;
	}
	index = sessions->free - 1;
	sessions->free = sessions->slots[index].next_free;
	sessions->slots[index].used++;
	return index;
}

uint64_t sessions_reserve(struct sessions *sessions)
{
	uint32_t index = take_slot(sessions);

	return (uint64_t)sessions->slots[index].used << 32 | index;
}

void sessions_release(struct sessions *sessions, uint64_t id)
{
	struct slot *slot = &sessions->slots[(uint32_t)id];

	slot->next_free = sessions->free;
	sessions->free = (uint32_t)id + 1;
}

void sessions_start(struct sessions *sessions, uint64_t id, int fd, const char *client,
		    struct front *front)
{
	struct session *session = session_new(sessions->smtpd, id, fd, client, front);

	sessions->slots[(uint32_t)id].session = session;
	sessions->count++;
	sessions_touch(sessions, session);
	session_start(session);
}

bool sessions_make_room(struct sessions *sessions)
{
	int64_t oldest = loop_now(sessions->smtpd->loop) - QUITE_NEW;
	struct session *victim = NULL;
	uint64_t id;

	for (uint32_t i = 0; i < sessions->size; i++) {
		struct session *session = sessions->slots[i].session;

		if (session != NULL && session->login == NULL && session->began <= oldest) {
			oldest = session->began;
			victim = session;
		}
	}
	if (victim == NULL)
		return false;
	id = victim->id;
	session_turn_away(victim, 421, "4.3.2",
			  "The server is busy and you have not logged in; try again later",
			  "made room for a new connection: no descriptors are left");
	session_flush(victim);
	if ((victim = sessions_find(sessions, id)) != NULL)
		session_end(victim);
	return true;
}

struct session *sessions_find(const struct sessions *sessions, uint64_t id)
{
	uint32_t index = (uint32_t)id;
	const struct slot *slot;

	if (index >= sessions->size)
		return NULL;
	slot = &sessions->slots[index];
	return slot->used == (uint32_t)(id >> 32) ? slot->session : NULL;
}

void sessions_each(struct sessions *sessions, void (*fn)(struct session *session, void *arg),
		   void *arg)
{
	for (uint32_t i = 0; i < sessions->size; i++) {
		if (sessions->slots[i].session != NULL)
			fn(sessions->slots[i].session, arg);
	}
}

void sessions_remove(struct sessions *sessions, struct session *session)
{
	uint32_t index = (uint32_t)session->id;
	struct slot *slot = &sessions->slots[index];

	if (session->marked)
		DL_DELETE2(sessions->marked, session, mark_prev, mark_next);
	if (session->recent)
		DL_DELETE(sessions->recent, session);
	slot->session = NULL;
	sessions_release(sessions, session->id);
	sessions->count--;
	auth_link_left(sessions->smtpd->auth, session->id);
	smtpd_update(sessions->smtpd);
}

void sessions_mark(struct sessions *sessions, struct session *session)
{
	if (session->marked)
		return;
	session->marked = true;
	session->mark_round = sessions->round;
	DL_APPEND2(sessions->marked, session, mark_prev, mark_next);
}

void sessions_touch(struct sessions *sessions, struct session *session)
{
	session->active = loop_now(sessions->smtpd->loop);
	if (session->recent)
		DL_DELETE(sessions->recent, session);
	session->recent = true;
	DL_APPEND(sessions->recent, session);
	if (!sessions->sweeping) {
		sessions->sweeping = true;
		timer_set(sessions->sweep, SWEEP_EVERY);
	}
}
