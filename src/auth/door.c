/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <string.h>

#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "front.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "policy/source.h"

enum {
	/* Who waits for his turn, over all smtpd processes: below what one of them has room for
	 * (src/smtpd/knock.h), so that who made room for others is told, and not left in a backlog.
	 */
	WAITING_MAX = 1024,
	WAITING_PER_SOURCE = 16,
	/* What one smtpd may have at the door beside the sessions that are let in. */
	KNOCKING_MAX = 65536,
	CLIENT_MAX = 64,   /* as in messages.def */
	LOAD_EVERY = 2000, /* ms at least between two looks at the load */
};

struct guest {
	UT_hash_handle hh;
	uint64_t id;
	struct front *front;
	struct visitor *visitor;
	uint32_t login_failures;
	char client[CLIENT_MAX + 1]; /* its address, as smtpd told it */
};

struct door {
	struct auth *auth;
	struct admission *admission;
	struct admission_limits rules;
	struct timer *turn;  /* when the next of those who wait may come in */
	uint32_t guests_max; /* of one smtpd; by the largest limits.sessions so far */
	uint64_t struck[IPC_LIMIT_COUNT];
	/* The load average, in hundredths; above the limit nobody new comes in. */
	uint32_t load_limit; /* 0: none */
	bool overloaded;
	int64_t load_looked_at;
	uint64_t load_struck;
};

struct words {
	const char *status;
	const char *text;
	const char *reason;
};

static const struct words FULL = {"4.3.2", "Too many connections; try again later",
				  "limits.sessions is reached"};
static const struct words SOURCE_FULL = {
	"4.7.0", "Too many connections from your address; close some, or try again later",
	"limits.sessions_per_source is reached"};
static const struct words ALL_NEW = {
	"4.3.2", "The server is busy; try again in a moment",
	"limits.sessions but for sessions_reserve are taken by others that came just now"};
static const struct words TOO_MANY_WAIT = {
	"4.3.2", "Too many connections are waiting; try again later",
	"too many wait for limits.connection_rate or connection_rate_per_source"};
static const struct words SOURCE_WAITS = {
	"4.7.0", "Too many connections from your address are waiting; try again later",
	"too many of this address wait for limits.connection_rate or connection_rate_per_source"};
static const struct words OVERLOADED = {"4.3.2", "The server is overloaded; try again later",
					"the load average is above limits.refuse_load"};
static const struct words MADE_ROOM = {
	"4.3.2", "The server is busy and you have not logged in; try again later",
	"made room for a new connection: limits.sessions but for sessions_reserve are taken"};

/* ---- answers --------------------------------------------------------------------------------- */

static void send_away(struct front *front, uint64_t id, const struct words *words)
{
	struct msg_turn_away msg = {
		.id = id,
		.code = 421,
		.status = slice_str(words->status),
		.text = slice_str(words->text),
		.reason = slice_str(words->reason),
	};

	front_send(front, IPC_TURN_AWAY, &msg);
}

static void forget(struct guest *guest)
{
	HASH_DEL(guest->front->guests, guest);
	visitor_free(&guest->visitor);
	mem_free(guest);
}

/* One who was let in, or waited, made room for another. */
static void send_out(struct visitor *visitor, enum admission_limit why)
{
	struct guest *guest = visitor_data(visitor);

	send_away(guest->front, guest->id, why == ADMISSION_WAITING ? &TOO_MANY_WAIT : &MADE_ROOM);
	forget(guest);
}

static const struct words *words_of(enum admission_limit why)
{
	switch (why) {
	case ADMISSION_PER_SOURCE:
		return &SOURCE_FULL;
	case ADMISSION_RESERVE:
		return &ALL_NEW;
	case ADMISSION_WAITING:
		return &TOO_MANY_WAIT;
	case ADMISSION_SOURCE_WAITING:
		return &SOURCE_WAITS;
	default:
		return &FULL;
	}
}

static void answer(struct guest *guest, const struct admission_verdict *verdict)
{
	struct msg_admit msg = {.id = guest->id};

	if (verdict->answer == ADMISSION_ENTER) {
		front_send(guest->front, IPC_ADMIT, &msg);
	} else if (verdict->answer == ADMISSION_AWAY) {
		send_away(guest->front, guest->id, words_of(verdict->why));
		forget(guest);
	}
	if (verdict->out != NULL)
		send_out(verdict->out, verdict->why_out);
}

/* Lets in those whose turn it is. */
static void next_turns(void *arg)
{
	struct door *door = arg;
	int64_t now = loop_now(door->auth->loop);
	struct admission_verdict verdict;
	struct visitor *visitor;
	int64_t wake;

	while (admission_next(door->admission, now, &verdict, &visitor, &wake))
		answer(visitor_data(visitor), &verdict);
	if (wake != INT64_MAX)
		timer_set(door->turn, wake > now ? (uint64_t)(wake - now) : 1);
}

/* ---- the load -------------------------------------------------------------------------------- */

/* Once above the limit, it must fall by a tenth before all is well again: no flapping. */
static bool overloaded(struct door *door, int64_t now)
{
	uint32_t load, limit = door->load_limit;
	bool before = door->overloaded;

	if (limit == 0)
		door->overloaded = false;
	if (limit == 0 || (door->load_looked_at != 0 && now - door->load_looked_at < LOAD_EVERY))
		return door->overloaded;
	door->load_looked_at = now;
	load = os_load();
	door->overloaded = load > (before ? limit - limit / 10 : limit);
	if (door->overloaded != before)
		log_note(door->overloaded ? LOG_WARNING : LOG_INFO,
			 "the load average is %u.%02u: %s (limits.refuse_load: %u.%02u)",
			 load / 100, load % 100,
			 door->overloaded ? "new connections are answered 421"
					  : "new connections are taken again",
			 limit / 100, limit % 100);
	return door->overloaded;
}

/* ---- what smtpd says ------------------------------------------------------------------------- */

static struct guest *find(struct front *front, uint64_t id)
{
	struct guest *guest = NULL;

	HASH_FIND(hh, front->guests, &id, sizeof(id), guest);
	return guest;
}

static struct guest *guest_new(struct front *front, const struct msg_knock *msg)
{
	struct guest *guest = mem_alloc(sizeof(*guest));

	guest->id = msg->id;
	(void)slice_copy(msg->client, guest->client, sizeof(guest->client));
	guest->front = front;
	HASH_ADD(hh, front->guests, id, sizeof(guest->id), guest);
	return guest;
}

/*
 * Let in by the auth before this one. More than limits.sessions cannot be, unless that was lowered
 * meanwhile, or this smtpd makes them up: the rest must go.
 */
static void take_over(struct front *front, const struct msg_knock *msg, const unsigned char *source,
		      int64_t now)
{
	struct guest *guest = guest_new(front, msg);

	guest->visitor = admission_present(front->auth->door->admission, source, now, guest);
	if (guest->visitor == NULL) {
		send_away(front, msg->id, &FULL);
		forget(guest);
	}
}

enum err door_knock(struct front *front, const struct msg_knock *msg)
{
	struct door *door = front->auth->door;
	int64_t now = loop_now(front->auth->loop);
	unsigned char source[SOURCE_BYTES] = {0};
	struct admission_verdict verdict;
	struct guest *guest;

	if (find(front, msg->id) != NULL)
		return ERR_EXISTS;
	if (msg->inside && front->settled)
		return ERR_DENIED;
	if (HASH_COUNT(front->guests) >= door->guests_max)
		return ERR_RANGE;
	(void)source_read(msg->client, source); /* what is none ("local") is one like any other */
	if (msg->inside) {
		take_over(front, msg, source, now);
		return ERR_OK;
	}
	front->settled = true;
	if (overloaded(door, now)) {
		door->load_struck++;
		send_away(front, msg->id, &OVERLOADED);
		return ERR_OK;
	}
	guest = guest_new(front, msg);
	verdict = admission_knock(door->admission, source, now, guest, &guest->visitor);
	answer(guest, &verdict);
	if (verdict.answer == ADMISSION_WAIT)
		next_turns(door);
	return ERR_OK;
}

enum err door_left(struct front *front, const struct msg_left *msg)
{
	struct guest *guest = find(front, msg->id);

	if (guest != NULL) /* else our word that it must go crossed this one */
		forget(guest);
	return ERR_OK;
}

enum err door_struck(struct front *front, const struct msg_struck *msg)
{
	struct door *door = front->auth->door;
	struct ipc_list counts = msg->counts;
	struct rec_number count;

	for (size_t i = 0; ipc_list_next(&counts, IPC_REC_number, &count); i++) {
		if (i >= IPC_LIMIT_COUNT)
			return ERR_RANGE;
		door->struck[i] += count.value;
	}
	return ERR_OK;
}

void door_logged_in(struct front *front, uint64_t session)
{
	struct guest *guest = find(front, session);

	if (guest != NULL)
		visitor_logged_in(guest->visitor);
}

const char *door_client(struct front *front, uint64_t session)
{
	const struct guest *guest = find(front, session);

	return guest != NULL ? guest->client : NULL;
}

void door_login_failed(struct front *front, uint64_t session)
{
	struct guest *guest = find(front, session);

	if (guest != NULL)
		guest->login_failures++;
}

uint32_t door_login_failures(struct front *front, uint64_t session)
{
	const struct guest *guest = find(front, session);

	return guest != NULL ? guest->login_failures : 0;
}

void door_drop_front(struct front *front)
{
	while (front->guests != NULL)
		forget(front->guests);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct door *door_new(struct auth *auth)
{
	struct door *door = mem_alloc(sizeof(*door));

	door->auth = auth;
	door->admission = admission_new();
	door->turn = timer_new(auth->loop, next_turns, door);
	return door;
}

void door_free(struct door **door)
{
	if (*door == NULL)
		return;
	timer_free(&(*door)->turn);
	admission_free(&(*door)->admission);
	MEM_FREE(*door);
}

static uint32_t per_source(const struct config_limits *limits)
{
	if (limits->sessions_per_source != 0)
		return limits->sessions_per_source;
	return limits->sessions > 4 ? limits->sessions / 4 : 1;
}

static uint32_t reserve(const struct config_limits *limits)
{
	return (uint32_t)((uint64_t)limits->sessions * limits->sessions_reserve / 100);
}

void door_configure(struct door *door, const struct config *config)
{
	const struct config_limits *limits = &config->limits;

	door->rules = (struct admission_limits){
		.sessions = limits->sessions,
		.reserve = reserve(limits),
		.sessions_per_source = per_source(limits),
		.sessions_per_account = limits->sessions_per_account,
		.rate = limits->connection_rate,
		.rate_per_source = limits->connection_rate_per_source,
		.waiting = WAITING_MAX,
		.waiting_per_source = WAITING_PER_SOURCE,
	};
	admission_set_limits(door->admission, &door->rules);
	if (limits->sessions + KNOCKING_MAX > door->guests_max)
		door->guests_max = limits->sessions + KNOCKING_MAX;
	door->load_limit = config_load(limits->refuse_load, CONFIG_REFUSE_PER_CORE, os_cpu_count());
	door->load_looked_at = 0;
	next_turns(door);
}

struct admission *door_admission(struct door *door)
{
	return door->admission;
}

void door_use(const struct door *door, struct door_use *use_out)
{
	admission_use(door->admission, &use_out->admission);
	use_out->rules = door->rules;
	memcpy(use_out->struck, door->struck, sizeof(use_out->struck));
	use_out->load_limit = door->load_limit;
	use_out->load_struck = door->load_struck;
}
