/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern-load: sends mail to a server as fast as it takes it, or at a given rate, over many
 * connections at once, and says how it went in one JSON object on standard output. One thread.
 *
 * With --ledger it writes one line for each message: "ok ID CHECKSUM SIZE REPLY" when the server
 * took the message, "refused ..." when it did not, "unknown ..." when the connection ended after
 * the final dot without a reply, "lost ..." when it ended before. Lines are on file before the
 * next message of that connection goes out.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "net.h"

#define EVENTS     256
#define RETRY_NS   20000000u /* before connecting anew after a break */
#define PER_SOURCE 20000u    /* connections from one address: ports are 28 232 */
#define GIVE_UP    1000u     /* broken connections, unless they are to be expected */

static volatile sig_atomic_t stop_wanted;

static void on_stop(int number)
{
	(void)number;
	stop_wanted = 1;
}

static bool over(const struct run *run)
{
	return stop_wanted || (run->stop_ns != 0 && now_ns() >= run->stop_ns);
}

/* ---- one client's turns ------------------------------------------------------------------ */

static void watch(struct run *run, unsigned n, int operation)
{
	struct client *client = &run->clients[n];
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = n};

	if (client->want_write)
		event.events |= EPOLLOUT;
	if (operation == EPOLL_CTL_MOD && run->watched_write[n] == client->want_write)
		return;
	run->watched_write[n] = client->want_write;
	if (epoll_ctl(run->epoll, operation, client->fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void sleep_until(struct run *run, unsigned n, uint64_t when)
{
	if (run->wake[n] == 0)
		run->waiting++;
	run->wake[n] = when;
}

static void handle(struct run *run, unsigned n, enum client_outcome outcome);

static void begin(struct run *run, unsigned n)
{
	struct client *client = &run->clients[n];
	enum client_outcome outcome = client_connect(client);

	if (outcome == CLIENT_GOES_ON)
		watch(run, n, EPOLL_CTL_ADD);
	else
		handle(run, n, outcome);
}

static void begin_next(struct run *run)
{
	if (run->next_new < run->count && !over(run))
		begin(run, run->next_new++);
}

/* Whether a message may start now; if not, the client sleeps until it may. */
static bool take_slot(struct run *run, unsigned n)
{
	uint64_t now = now_ns();

	if (run->rate == 0)
		return true;
	if (run->next_slot > now) {
		sleep_until(run, n, run->next_slot);
		return false;
	}
	/* What could not be sent in time is not made up for with a burst of over a second. */
	if (run->next_slot + 1000000000u < now)
		run->next_slot = now;
	run->next_slot += 1000000000u / run->rate;
	return true;
}

static enum client_outcome ready(struct run *run, unsigned n)
{
	struct client *client = &run->clients[n];

	if (run->hold) {
		run->held++;
		begin_next(run);
		return CLIENT_GOES_ON;
	}
	if (over(run) || !client_has_more(client))
		return client_leave(client);
	return take_slot(run, n) ? client_send(client) : CLIENT_GOES_ON;
}

static void handle(struct run *run, unsigned n, enum client_outcome outcome)
{
	struct client *client = &run->clients[n];

	while (outcome == CLIENT_IS_READY)
		outcome = ready(run, n);
	if (outcome == CLIENT_GOES_ON) {
		watch(run, n, EPOLL_CTL_MOD);
		return;
	}
	if (run->wake[n] != 0) { /* it broke while it waited for its turn */
		run->wake[n] = 0;
		run->waiting--;
	}
	if (run->hold) {
		run->running--;
		begin_next(run);
		return;
	}
	if (outcome == CLIENT_BROKE && !run->expect_breaks && run->tally.broken > GIVE_UP)
		die("%" PRIu64 " connections broke; the first: %s", run->tally.broken,
		    run->tally.why);
	if (over(run) || run->tally.started >= run->tally.wanted) {
		run->running--;
		return;
	}
	client->want_write = false;
	if (outcome == CLIENT_BROKE)
		sleep_until(run, n, now_ns() + RETRY_NS);
	else
		begin(run, n);
}

static void wake_sleepers(struct run *run)
{
	uint64_t now = now_ns();

	for (unsigned n = 0; n < run->count && run->waiting > 0; n++) {
		if (run->wake[n] == 0 || (run->wake[n] > now && !over(run)))
			continue;
		run->wake[n] = 0;
		run->waiting--;
		if (run->clients[n].state == CLIENT_READY)
			handle(run, n, CLIENT_IS_READY);
		else if (over(run) || run->tally.started >= run->tally.wanted)
			run->running--;
		else
			begin(run, n);
	}
}

/* ---- the run ----------------------------------------------------------------------------- */

/* At the end, those that still wait for the server get a little time and are then closed. */
static void close_rest(struct run *run)
{
	for (unsigned n = 0; n < run->count; n++)
		client_close(&run->clients[n]);
}

static void loop(struct run *run, uint64_t grace_ns)
{
	struct epoll_event events[EVENTS];

	while (run->running > 0) {
		bool ending = over(run);
		int timeout = run->waiting > 0 ? 1 : 100;
		int count = epoll_wait(run->epoll, events, EVENTS, timeout);

		if (ending && (run->stop_ns == 0 || run->stop_ns > now_ns()))
			run->stop_ns = now_ns();
		for (int i = 0; i < count; i++) {
			struct client *client = &run->clients[events[i].data.u32];

			if (client->fd >= 0)
				handle(run, events[i].data.u32, client_event(client));
		}
		if (run->plan.ledger != NULL && count > 0)
			fflush(run->plan.ledger);
		if (run->waiting > 0)
			wake_sleepers(run);
		if (run->hold && (ending || run->held >= run->running))
			return;
		if (ending && run->stop_ns + grace_ns < now_ns())
			return;
	}
}

/* All are logged in: says so, and waits for the end of standard input, the time, or a signal. */
static void hold(struct run *run)
{
	struct epoll_event events[EVENTS];
	struct epoll_event input = {.events = EPOLLIN, .data.u32 = UINT32_MAX};

	printf("held %u of %u\n", run->held, run->count);
	fflush(stdout);
	if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0 && run->stop_ns == 0)
		die("--hold needs --seconds or a pipe on standard input");
	while (!over(run)) {
		int count = epoll_wait(run->epoll, events, EVENTS, 100);

		for (int i = 0; i < count; i++) {
			struct client *client = &run->clients[events[i].data.u32 % run->count];
			char byte;

			if (events[i].data.u32 == UINT32_MAX) {
				if (read(STDIN_FILENO, &byte, 1) <= 0)
					return;
			} else if (client_event(client) != CLIENT_GOES_ON) {
				run->held--;
			}
		}
	}
}

static void report(const struct run *run)
{
	const struct tally *tally = &run->tally;
	double seconds =
		(double)((tally->last_ns != 0 ? tally->last_ns : now_ns()) - run->start_ns) / 1e9;

	printf("{\"acknowledged\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"unknown\": %" PRIu64
	       ", \"lost\": %" PRIu64 ", \"connections\": %" PRIu64 ", \"logins\": %" PRIu64
	       ", \"broken\": %" PRIu64 ", \"held\": %u, \"seconds\": %.3f, \"rate\": %.1f,\n"
	       " \"final_reply_ms\": ",
	       tally->acknowledged, tally->refused, tally->unknown, tally->lost, tally->connects,
	       tally->logins, tally->broken, run->held, seconds,
	       (double)tally->acknowledged / seconds);
	latency_print(&tally->final_reply, stdout);
	printf(",\n \"login_ms\": ");
	latency_print(&tally->login_time, stdout);
	printf(",\n \"why\": \"");
	for (const char *c = tally->why; *c != '\0'; c++)
		if (*c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\')
			putchar(*c);
	printf("\"}\n");
}

static int go(struct run *run)
{
	struct sigaction action = {.sa_handler = on_stop};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	run->clients = mem_array(run->count, sizeof(*run->clients));
	run->wake = mem_array(run->count, sizeof(*run->wake));
	run->watched_write = mem_array(run->count, sizeof(*run->watched_write));
	for (unsigned n = 0; n < run->count; n++) {
		client_init(&run->clients[n], &run->plan, &run->tally);
		if (run->count > PER_SOURCE)
			run->clients[n].source = (int)(n / PER_SOURCE);
	}
	run->start_ns = run->next_slot = now_ns();
	if (run->seconds > 0)
		run->stop_ns = run->start_ns + run->seconds * 1000000000u;
	run->running = run->count;
	for (unsigned n = 0; n < (run->hold ? run->starting : run->count) && n < run->count; n++)
		begin_next(run);
	loop(run, 10000000000u);
	if (run->hold)
		hold(run);
	close_rest(run);
	report(run);
	if (run->plan.ledger != NULL && fclose(run->plan.ledger) != 0)
		die("ledger: %s", strerror(errno));
	if (run->hold)
		return run->held == run->count ? 0 : 1;
	return run->tally.acknowledged > 0 && run->tally.refused == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct run run; /* static: all that it points to lives as long as the process */

	load_options(&run, argc, argv);
	net_want_files();
	return go(&run);
}
