/* SPDX-License-Identifier: Apache-2.0 */
#include "defence.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "admin.h"
#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "front.h"
#include "login_internal.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "policy/anomaly.h"
#include "policy/unknowns.h"
#include "sightings.h"

enum {
	TURN_MS = 10,    /* between two looks at those who wait */
	LATER_MS = 2000, /* that strangers wait for their 454 */
};

static const struct login_refusal BLOCKED = {
	421, "4.7.0", "Too many failed logins from your address; try again later"};

struct defence {
	struct auth *auth;
	struct penalties *penalties;
	struct known *known;
	struct anomaly *anomaly;
	struct unknowns *unknowns;
	struct sightings *sightings;
	struct login *waiting; /* for their turn, in the order in which they came */
	size_t waiting_count;
	struct timer *turn;
	bool turn_set;
	uint64_t held;
	uint64_t blocked;
};

static struct defence *defence_of(const struct login *login)
{
	return login->front->auth->defence;
}

static int64_t now_of(const struct defence *defence)
{
	return loop_now(defence->auth->loop);
}

/* A new block: told once, at its beginning. */
static void on_block(void *arg, const struct penalties_row *row)
{
	const struct defence *defence = arg;
	char source[NETWORK_TEXT_MAX];

	network_print(row->network, source);
	log_event(LOG_WARNING, "blocked", LOG_TEXT("source", source),
		  LOG_TEXT_IF("account", row->account), LOG_NUMBER("failures", row->failures),
		  LOG_NUMBER("seconds", (row->until - now_of(defence)) / 1000),
		  LOG_TEXT("reason", row->reason));
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void set_turn(struct defence *defence)
{
	if (defence->turn_set || defence->waiting == NULL)
		return;
	defence->turn_set = true;
	timer_set(defence->turn, TURN_MS);
}

static void stop_waiting(struct login *login)
{
	struct defence *defence = defence_of(login);

	if (login->ticket.wait_until == 0)
		return;
	login->ticket.wait_until = 0;
	DL_DELETE2(defence->waiting, login, ticket.prev, ticket.next);
	defence->waiting_count--;
}

static void refuse(struct login *login, enum penalties_answer answer)
{
	static const char FAILURES[] = "too many failed logins to this account";

	if (answer == PENALTIES_BLOCKED) {
		defence_of(login)->blocked++;
		login_fail(login, &BLOCKED, "blocked");
	} else if (answer != PENALTIES_LATER) {
		login_fail(login, &LOGIN_UNAVAILABLE, "too-many-logins");
	} else if (!defence_hold(login, &LOGIN_UNAVAILABLE, FAILURES, LATER_MS)) {
		login_fail(login, &LOGIN_UNAVAILABLE, FAILURES);
	}
}

/* Those who wait may go on now, or have waited too long. */
static void next_turns(void *arg)
{
	struct defence *defence = arg;
	int64_t now = now_of(defence);
	struct login *login, *next;

	defence->turn_set = false;
	for (login = defence->waiting; login != NULL; login = next) {
		enum penalties_answer answer;
		void (*go)(struct login *) = login->ticket.go;

		next = login->ticket.next; /* what follows ends no login but this one */
		answer = penalties_begin(defence->penalties, &login->ticket.attempt, now);
		if (answer == PENALTIES_WAIT && login->ticket.wait_until > now)
			continue;
		stop_waiting(login);
		if (answer == PENALTIES_GO)
			go(login);
		else
			refuse(login, answer);
	}
	set_turn(defence);
}

/* ---- one login ------------------------------------------------------------------------------- */

/* Where there is no address to go by, nobody is blocked for what others do there. */
void defence_begin(struct login *login, struct slice client)
{
	struct defence *defence = defence_of(login);
	struct ticket *ticket = &login->ticket;

	ticket->has_source = source_read(client, ticket->attempt.source);
	ticket->attempt.exempt =
		!ticket->has_source || source_is_loopback(ticket->attempt.source) ||
		config_networks_have(&auth_config(defence->auth)->auth.never_block, client);
}

/* 0 is for what the mechanism does not show. */
static uint64_t password_tag(const char *name, struct slice password)
{
	uint64_t parts[2], tag;

	if (password.len == 0)
		return 0;
	parts[0] = hash_bytes(name, strlen(name));
	parts[1] = hash_bytes(password.ptr, password.len);
	tag = hash_bytes(parts, sizeof(parts));
	explicit_bzero(parts, sizeof(parts));
	return tag != 0 ? tag : 1;
}

void defence_admit(struct login *login, struct slice password, void (*go)(struct login *login))
{
	struct defence *defence = defence_of(login);
	struct ticket *ticket = &login->ticket;
	struct penalties_attempt *attempt = &ticket->attempt;
	enum penalties_answer answer;

	attempt->account = login->who.name;
	attempt->password = password_tag(login->who.name, password);
	attempt->degree = ticket->has_source ? known_find(defence->known, login->who.name,
							  attempt->source, os_wall_ms())
					     : KNOWN_NEVER;
	answer = penalties_begin(defence->penalties, attempt, now_of(defence));
	if (answer == PENALTIES_GO) {
		go(login);
	} else if (answer == PENALTIES_WAIT && defence->waiting_count < DEFENCE_WAITING_MAX) {
		ticket->go = go;
		ticket->wait_until = now_of(defence) + DEFENCE_WAIT_MS;
		DL_APPEND2(defence->waiting, login, ticket.prev, ticket.next);
		defence->waiting_count++;
		set_turn(defence);
	} else {
		refuse(login, answer);
	}
}

static uint32_t end(struct login *login, enum penalties_outcome outcome, const char *reason)
{
	struct defence *defence = defence_of(login);

	return penalties_end(defence->penalties, &login->ticket.attempt, outcome, reason,
			     now_of(defence));
}

void defence_succeeded(struct login *login, const struct account *account)
{
	struct defence *defence = defence_of(login);
	const unsigned char *source = login->ticket.attempt.source;
	int64_t now = os_wall_ms();
	char why[ANOMALY_WHY];

	(void)end(login, PENALTIES_SUCCEEDED, NULL);
	if (!login->ticket.has_source)
		return;
	login->ticket.elsewhere = known_elsewhere(defence->known, login->who.name, source, now);
	if (login->ticket.elsewhere &&
	    anomaly_login(defence->anomaly, account->id, source, now_of(defence), why))
		admin_freeze(defence->auth->admin, account->name, why);
	if (known_seen(defence->known, login->who.name, source, now))
		sightings_keep(defence->sightings, account->id, source, now);
}

void defence_sent(struct defence *defence, int64_t account, const char *name, uint32_t recipients)
{
	char why[ANOMALY_WHY];

	if (anomaly_sent(defence->anomaly, account, recipients, now_of(defence), why))
		admin_freeze(defence->auth->admin, name, why);
}

enum err defence_ended(struct defence *defence, const struct msg_ended *msg)
{
	char name[ACCOUNT_NAME_MAX + 1], why[UNKNOWNS_WHY];

	if (slice_copy(msg->account, name, sizeof(name)) != ERR_OK ||
	    msg->refused > msg->recipients)
		return ERR_RANGE;
	if (unknowns_count(defence->unknowns, msg->account, msg->recipients, msg->refused,
			   now_of(defence), why))
		admin_freeze(defence->auth->admin, name, why);
	return ERR_OK;
}

uint32_t defence_failed(struct login *login, const char *reason)
{
	return end(login, PENALTIES_FAILED, reason);
}

static void send_held(void *arg)
{
	struct login *login = arg;

	login_refuse_now(login, login->ticket.refusal, login->ticket.reason);
}

bool defence_hold(struct login *login, const struct login_refusal *refusal, const char *reason,
		  uint32_t delay)
{
	struct defence *defence = defence_of(login);
	struct ticket *ticket = &login->ticket;

	if (delay == 0 || defence->held >= DEFENCE_HELD_MAX)
		return false;
	login->state = LOGIN_HELD;
	ticket->refusal = refusal;
	(void)snprintf(ticket->reason, sizeof(ticket->reason), "%s", reason);
	ticket->timer = timer_new(defence->auth->loop, send_held, login);
	timer_set(ticket->timer, delay);
	defence->held++;
	return true;
}

void defence_release(struct login *login)
{
	struct ticket *ticket = &login->ticket;

	stop_waiting(login);
	if (ticket->timer != NULL) {
		timer_free(&ticket->timer);
		defence_of(login)->held--;
	}
	(void)end(login, PENALTIES_DROPPED, NULL);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct defence *defence_new(struct auth *auth)
{
	struct defence *defence = mem_alloc(sizeof(*defence));

	defence->auth = auth;
	defence->penalties = penalties_new(on_block, defence);
	defence->known = known_new(AUTH_KNOWN_MAX);
	defence->anomaly = anomaly_new();
	defence->unknowns = unknowns_new();
	defence->sightings = sightings_new(auth);
	defence->turn = timer_new(auth->loop, next_turns, defence);
	return defence;
}

enum err defence_open(struct defence *defence, struct accounts *accounts, const char *domain)
{
	return sightings_load(accounts, domain, defence->known);
}

void defence_save(struct defence *defence, struct accounts *accounts)
{
	sightings_save(defence->sightings, accounts);
}

void defence_configure(struct defence *defence, const struct config *config)
{
	const struct penalties_rules rules = {
		.failures = config->auth.block_after,
		.block = (int64_t)config->auth.block_time,
	};

	penalties_set_rules(defence->penalties, &rules);
	unknowns_set_share(defence->unknowns, config->auth.freeze_refused);
	anomaly_set_rules(defence->anomaly, &(struct anomaly_rules){
						    .networks = config->auth.freeze_networks,
						    .recipients = config->auth.freeze_recipients,
					    });
}

void defence_free(struct defence **defence)
{
	if (*defence == NULL)
		return;
	timer_free(&(*defence)->turn);
	sightings_free(&(*defence)->sightings);
	known_free(&(*defence)->known);
	anomaly_free(&(*defence)->anomaly);
	unknowns_free(&(*defence)->unknowns);
	penalties_free(&(*defence)->penalties);
	MEM_FREE(*defence);
}

/* ---- for the operator ------------------------------------------------------------------------ */

void defence_count(const struct defence *defence, struct defence_counts *counts_out)
{
	counts_out->blocked = defence->blocked;
	counts_out->held = defence->held + defence->waiting_count;
	counts_out->sources = penalties_blocked(defence->penalties, now_of(defence));
}

struct in_wall_time {
	penalties_fn *fn;
	void *arg;
	int64_t shift;
};

static void shift_row(void *arg, const struct penalties_row *row)
{
	const struct in_wall_time *wall = arg;
	struct penalties_row shifted = *row;

	shifted.since += wall->shift;
	shifted.until += wall->shift;
	wall->fn(wall->arg, &shifted);
}

void defence_each(const struct defence *defence, penalties_fn *fn, void *arg)
{
	int64_t now = now_of(defence);
	struct in_wall_time wall = {fn, arg, os_wall_ms() - now};

	penalties_each(defence->penalties, now, shift_row, &wall);
}

enum err defence_unblock(struct defence *defence, const char *subject, size_t *count_out)
{
	const char *domain = config_domain(auth_config(defence->auth));
	char name[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];
	struct network network;
	enum err err;

	err = network_read(slice_str(subject), &network);
	if (err == ERR_OK) {
		*count_out =
			penalties_forgive_network(defence->penalties, &network, now_of(defence));
		return ERR_OK;
	}
	if (strchr(subject, '/') != NULL || strchr(subject, ':') != NULL ||
	    account_name_read(slice_str(subject), domain, name, why) != ERR_OK)
		return ERR_SYNTAX;
	*count_out = penalties_forgive_account(defence->penalties, name, now_of(defence));
	return ERR_OK;
}
