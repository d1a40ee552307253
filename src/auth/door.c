/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/network.h"
#include "config/config.h"
#include "front.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "policy/admission.h"

enum {
	/* What all smtpd processes may have at the door beside the sessions that are let in. */
	WAITING_MAX = 65536,
	LOAD_EVERY = 2000, /* ms at least between two looks at the load */
};

struct guest {
	UT_hash_handle hh;
	uint64_t id;
	struct front *front;
	struct visitor *visitor;
};

struct door {
	struct auth *auth;
	struct admission *admission;
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

/* One who was let in made room for another. */
static void send_out(struct visitor *visitor)
{
	struct guest *guest = visitor_data(visitor);

	send_away(guest->front, guest->id, &MADE_ROOM);
	forget(guest);
}

static void answer(struct guest *guest, const struct admission_verdict *verdict)
{
	struct msg_admit msg = {.id = guest->id};

	if (verdict->answer == ADMISSION_ENTER) {
		front_send(guest->front, IPC_ADMIT, &msg);
	} else if (verdict->answer == ADMISSION_AWAY) {
		send_away(guest->front, guest->id,
			  verdict->why == ADMISSION_PER_SOURCE ? &SOURCE_FULL : &FULL);
		forget(guest);
	}
	if (verdict->out != NULL)
		send_out(verdict->out);
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

/* What is no address ("local") is one source like any other. */
static void read_source(struct slice client, unsigned char source_out[ADMISSION_SOURCE])
{
	struct network network;

	memset(source_out, 0, ADMISSION_SOURCE);
	if (network_read(slice_head(client, slice_find(client, '%')), &network) == ERR_OK)
		memcpy(source_out, network.bytes, ADMISSION_SOURCE);
}

enum err door_knock(struct front *front, const struct msg_knock *msg)
{
	struct door *door = front->auth->door;
	int64_t now = loop_now(front->auth->loop);
	unsigned char source[ADMISSION_SOURCE];
	struct admission_verdict verdict;
	struct guest *guest;

	if (find(front, msg->id) != NULL)
		return ERR_EXISTS;
	if (HASH_COUNT(front->guests) >= door->guests_max)
		return ERR_RANGE;
	if (!msg->inside && overloaded(door, now)) {
		door->load_struck++;
		send_away(front, msg->id, &OVERLOADED);
		return ERR_OK;
	}
	read_source(msg->client, source);
	guest = mem_alloc(sizeof(*guest));
	guest->id = msg->id;
	guest->front = front;
	HASH_ADD(hh, front->guests, id, sizeof(guest->id), guest);
	if (msg->inside) {
		guest->visitor = admission_present(door->admission, source, now, guest);
		return ERR_OK;
	}
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
	const struct admission_limits rules = {
		.sessions = limits->sessions,
		.reserve = reserve(limits),
		.sessions_per_source = per_source(limits),
		.sessions_per_account = limits->sessions_per_account,
		.rate = limits->connection_rate,
		.rate_per_source = limits->connection_rate_per_source,
	};

	admission_set_limits(door->admission, &rules);
	if (limits->sessions + WAITING_MAX > door->guests_max)
		door->guests_max = limits->sessions + WAITING_MAX;
	door->load_limit = config_load(limits->refuse_load, CONFIG_REFUSE_PER_CORE, os_cpu_count());
	door->load_looked_at = 0;
	next_turns(door);
}

struct admission *door_admission(struct door *door)
{
	return door->admission;
}

/* ---- for the operator ------------------------------------------------------------------------ */

struct report {
	void (*row)(void *arg, const struct door_row *row);
	void *arg;
};

static void tell(const struct report *report, const char *limit, const char *value, int64_t now,
		 uint64_t struck)
{
	struct door_row row = {.limit = limit, .struck = struck};

	(void)snprintf(row.value, sizeof(row.value), "%s", value);
	if (now >= 0)
		(void)snprintf(row.now, sizeof(row.now), "%" PRId64, now);
	report->row(report->arg, &row);
}

/* 0 is no limit. */
static void tell_number(const struct report *report, const char *limit, uint64_t value, int64_t now,
			uint64_t struck)
{
	char text[24] = "off";

	if (value != 0)
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	tell(report, limit, text, now, struck);
}

static void tell_time(const struct report *report, const char *limit, uint64_t ms, uint64_t struck)
{
	char text[24];

	(void)snprintf(text, sizeof(text), ms % 1000 == 0 ? "%" PRIu64 "s" : "%" PRIu64 "ms",
		       ms % 1000 == 0 ? ms / 1000 : ms);
	tell(report, limit, text, -1, struck);
}

static void tell_load(const struct door *door, const struct report *report)
{
	struct door_row row = {.limit = "refuse_load", .struck = door->load_struck};
	uint32_t load = os_load(), limit = door->load_limit;

	if (limit == 0)
		(void)snprintf(row.value, sizeof(row.value), "off");
	else
		(void)snprintf(row.value, sizeof(row.value), "%u.%02u", limit / 100, limit % 100);
	(void)snprintf(row.now, sizeof(row.now), "%u.%02u", load / 100, load % 100);
	report->row(report->arg, &row);
}

/* Those that are decided here. */
static void tell_door(const struct door *door, const struct config_limits *limits,
		      const struct report *report)
{
	struct admission_use use;
	char text[64];

	admission_use(door->admission, &use);
	tell_number(report, "sessions", limits->sessions, use.sessions,
		    use.struck[ADMISSION_SESSIONS]);
	tell_number(report, "sessions_per_source", per_source(limits), use.highest_source,
		    use.struck[ADMISSION_PER_SOURCE]);
	tell_number(report, "sessions_per_account", limits->sessions_per_account,
		    use.highest_account, use.struck[ADMISSION_PER_ACCOUNT]);
	(void)snprintf(text, sizeof(text), "%u%%: %u may be not logged in",
		       limits->sessions_reserve, limits->sessions - reserve(limits));
	tell(report, "sessions_reserve", text, use.strangers, use.struck[ADMISSION_RESERVE]);
	tell_number(report, "connection_rate", limits->connection_rate, use.waiting,
		    use.struck[ADMISSION_RATE]);
	tell_number(report, "connection_rate_per_source", limits->connection_rate_per_source, -1,
		    use.struck[ADMISSION_SOURCE_RATE]);
	tell_load(door, report);
}

void door_rows(const struct door *door, void (*row)(void *arg, const struct door_row *row),
	       void *arg)
{
	const struct config *config = auth_config(door->auth);
	const struct config_limits *limits = &config->limits;
	const struct config_timeouts *timeouts = &config->timeouts;
	const struct report report = {row, arg};
	const uint64_t *struck = door->struck;
	char text[64];

	tell_door(door, limits, &report);
	tell_number(&report, "bad_recipients", limits->bad_recipients, -1,
		    struck[IPC_LIMIT_BAD_RECIPIENTS]);
	tell_number(&report, "errors", limits->errors, -1, struck[IPC_LIMIT_ERRORS]);
	tell_number(&report, "recipients", limits->recipients, -1, struck[IPC_LIMIT_RECIPIENTS]);
	tell_number(&report, "message_size", limits->message_size, -1,
		    struck[IPC_LIMIT_MESSAGE_SIZE]);
	tell_number(&report, "hops", limits->hops, -1, struck[IPC_LIMIT_HOPS]);
	tell_number(&report, "min_rate", limits->min_rate, -1, struck[IPC_LIMIT_MIN_RATE]);
	(void)snprintf(text, sizeof(text), "command %" PRIu64 "s, data_block %" PRIu64 "s",
		       timeouts->command / 1000, timeouts->data_block / 1000);
	tell(&report, "timeouts", text, -1, struck[IPC_LIMIT_TIMEOUTS]);
	tell_time(&report, "timeouts.login", timeouts->login, struck[IPC_LIMIT_LOGIN_TIME]);
	tell_time(&report, "timeouts.handshake", timeouts->handshake,
		  struck[IPC_LIMIT_HANDSHAKE_TIME]);
	tell(&report, "descriptors", "of the system", -1, struck[IPC_LIMIT_DESCRIPTORS]);
}
