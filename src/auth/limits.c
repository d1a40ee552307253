/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "auth.h"
#include "config/config.h"
#include "door.h"
#include "os/os.h"
#include "verify.h"
#include "volumes.h"

struct report {
	void (*row)(void *arg, const struct limit_row *row);
	void *arg;
};

static void tell(const struct report *report, const char *limit, const char *value, int64_t now,
		 uint64_t struck)
{
	struct limit_row row = {.limit = limit, .struck = struck};

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

/* In the largest unit that holds it; 0 is no limit, or none of it. */
static void tell_time(const struct report *report, const char *limit, uint64_t ms, uint64_t struck)
{
	static const struct {
		uint64_t ms;
		const char *name;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	char text[24] = "off";
	size_t i = 0;

	while (ms != 0 && ms % units[i].ms != 0)
		i++;
	if (ms != 0)
		(void)snprintf(text, sizeof(text), "%" PRIu64 "%s", ms / units[i].ms,
			       units[i].name);
	tell(report, limit, text, -1, struck);
}

static void tell_load(const struct report *report, const struct door_use *use)
{
	struct limit_row row = {.limit = "refuse_load", .struck = use->load_struck};
	uint32_t load = os_load(), limit = use->load_limit;

	if (limit == 0)
		(void)snprintf(row.value, sizeof(row.value), "off");
	else
		(void)snprintf(row.value, sizeof(row.value), "%u.%02u", limit / 100, limit % 100);
	(void)snprintf(row.now, sizeof(row.now), "%u.%02u", load / 100, load % 100);
	report->row(report->arg, &row);
}

/* Who may come in: counted here, for all smtpd processes. */
static void tell_door(const struct report *report, const struct door_use *use,
		      const struct config_limits *limits)
{
	const struct admission_use *now = &use->admission;
	const struct admission_limits *rules = &use->rules;
	const uint64_t *struck = now->struck;
	char text[64];

	tell_number(report, "sessions", rules->sessions, now->sessions, struck[ADMISSION_SESSIONS]);
	tell_number(report, "sessions_per_source", rules->sessions_per_source, now->highest_source,
		    struck[ADMISSION_PER_SOURCE]);
	tell_number(report, "sessions_per_account", rules->sessions_per_account,
		    now->highest_account, struck[ADMISSION_PER_ACCOUNT]);
	(void)snprintf(text, sizeof(text), "%u%%: %u may be not logged in",
		       limits->sessions_reserve, rules->sessions - rules->reserve);
	tell(report, "sessions_reserve", text, now->strangers, struck[ADMISSION_RESERVE]);
	tell_number(report, "connection_rate", rules->rate, now->waiting, struck[ADMISSION_RATE]);
	tell_number(report, "connection_rate_per_source", rules->rate_per_source, -1,
		    struck[ADMISSION_SOURCE_RATE]);
	tell_number(report, "connections waiting", rules->waiting, now->waiting,
		    struck[ADMISSION_WAITING]);
	tell_number(report, "connections waiting per source", rules->waiting_per_source,
		    now->highest_waiting, struck[ADMISSION_SOURCE_WAITING]);
	tell_load(report, use);
}

/* Of a message; enforced in smtpd. */
static void tell_messages(const struct report *report, const struct config_limits *limits,
			  const uint64_t *struck)
{
	bool refuse = limits->long_lines == LONG_LINES_REFUSE;

	tell_number(report, "recipients", limits->recipients, -1, struck[IPC_LIMIT_RECIPIENTS]);
	tell_number(report, "message_size", limits->message_size, -1,
		    struck[IPC_LIMIT_MESSAGE_SIZE]);
	tell(report, "long_lines", refuse ? "refuse: over 998" : "pass: up to 64 KiB", -1,
	     struck[IPC_LIMIT_LONG_LINES]);
	tell_number(report, "hops", limits->hops, -1, struck[IPC_LIMIT_HOPS]);
	tell_time(report, "future_release", limits->future_release,
		  struck[IPC_LIMIT_FUTURE_RELEASE]);
}

/* Of accounts, over all their sessions. */
static void tell_accounts(const struct report *report, const struct config_limits *limits,
			  const struct volumes_struck *struck)
{
	tell_number(report, "recipients_per_message", limits->recipients_per_message, -1,
		    struck->message);
	tell_number(report, "recipients_per_hour", limits->recipients_per_hour, -1, struck->hour);
	tell_number(report, "recipients_per_day", limits->recipients_per_day, -1, struck->day);
	tell_number(report, "new_recipients_per_day", limits->new_recipients_per_day, -1,
		    struck->strangers);
}

/* Of a session; enforced in smtpd. */
static void tell_sessions(const struct report *report, const struct config *config,
			  const uint64_t *struck)
{
	const struct config_limits *limits = &config->limits;
	const struct config_timeouts *timeouts = &config->timeouts;
	char text[64];

	tell_number(report, "bad_recipients", limits->bad_recipients, -1,
		    struck[IPC_LIMIT_BAD_RECIPIENTS]);
	tell_number(report, "errors", limits->errors, -1, struck[IPC_LIMIT_ERRORS]);
	tell_number(report, "min_rate", limits->min_rate, -1, struck[IPC_LIMIT_MIN_RATE]);
	(void)snprintf(text, sizeof(text), "command %" PRIu64 "s, data_block %" PRIu64 "s",
		       timeouts->command / 1000, timeouts->data_block / 1000);
	tell(report, "timeouts", text, -1, struck[IPC_LIMIT_TIMEOUTS]);
	tell_time(report, "timeouts.login", timeouts->login, struck[IPC_LIMIT_LOGIN_TIME]);
	tell_time(report, "timeouts.handshake", timeouts->handshake,
		  struck[IPC_LIMIT_HANDSHAKE_TIME]);
}

void limits_rows(const struct auth *auth, void (*row)(void *arg, const struct limit_row *row),
		 void *arg)
{
	const struct config *config = auth_config(auth);
	const struct report report = {row, arg};
	struct door_use use;
	char text[64];

	door_use(auth->door, &use);
	tell_door(&report, &use, &config->limits);
	tell_number(&report, "auth.waiting", auth->waiting, (int64_t)verify_waiting(auth->verify),
		    auth->counts.crowded);
	tell_sessions(&report, config, use.struck);
	tell_messages(&report, &config->limits, use.struck);
	tell_accounts(&report, &config->limits, volumes_struck(auth->volumes));
	/* Each smtpd may have as many connections whose PROXY header has not come yet. */
	(void)snprintf(text, sizeof(text), "%u in each smtpd", config->limits.sessions);
	tell(&report, "PROXY headers awaited", text, -1, use.struck[IPC_LIMIT_PROXY_HEADERS]);
	tell(&report, "descriptors", "of the system", -1, use.struck[IPC_LIMIT_DESCRIPTORS]);
}
