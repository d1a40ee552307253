/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern-sink: an SMTP server in clear that takes every message and throws it away, as fast as
 * it can. It counts into a file that others map or read while it runs (struct counts: 64-bit
 * numbers in the machine's order), and with --ledger writes "ok ID CHECKSUM" for each message
 * before the reply to it leaves, where ID is what postern-load put into X-Load-Id. A file made
 * by --ledger is complete at any moment for every message that was answered, even if the sink is
 * killed.
 */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net.h"

#define EVENTS     256
#define LISTENERS  8
#define INPUT_SIZE 262144

struct counts {
	uint64_t messages, bytes, connections;
	uint64_t last_ns; /* monotonic time of the last message */
};

struct connection {
	struct sink_session session;
	int fd;
	bool listening, dirty;
	struct connection *next_dirty;
};

static struct counts *counts; /* the callback has no other way to it */
static FILE *ledger;
static volatile sig_atomic_t stop_wanted;

static void on_stop(int number)
{
	(void)number;
	stop_wanted = 1;
}

static void on_message(struct sink_session *session)
{
	counts->messages++;
	counts->bytes += session->size;
	counts->last_ns = now_ns();
	if (ledger != NULL)
		fprintf(ledger, "ok %s %016" PRIx64 "\n", session->id, session->sum);
}

static void add(int epoll, struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void drop(struct connection *connection)
{
	close(connection->fd);
	connection->fd = -1;
}

static void mark(struct connection *connection, struct connection **dirty)
{
	if (connection->dirty)
		return;
	connection->dirty = true;
	connection->next_dirty = *dirty;
	*dirty = connection;
}

static void take_connections(int epoll, const struct connection *listener,
			     struct connection **dirty)
{
	int fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = mem_alloc(sizeof(*connection));

		counts->connections++;
		connection->fd = fd;
		connection->session.message = on_message;
		connection->session.with_content = ledger != NULL;
		sink_start(&connection->session);
		add(epoll, connection);
		mark(connection, dirty);
	}
}

static void take_bytes(struct connection *connection, struct connection **dirty)
{
	static char input[INPUT_SIZE]; /* one thread; all of it is used up at once */
	ssize_t n = recv(connection->fd, input, sizeof(input), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	mark(connection, dirty);
	if (n <= 0)
		connection->session.broken = true;
	else
		sink_feed(&connection->session, input, (size_t)n);
}

/* Replies leave only now, after the ledger is on file. */
static void answer(struct connection *dirty)
{
	if (ledger != NULL)
		fflush(ledger);
	while (dirty != NULL) {
		struct connection *connection = dirty;
		struct sink_session *session = &connection->session;

		dirty = connection->next_dirty;
		connection->dirty = false;
		if (session->out_len > 0 && !session->broken &&
		    send(connection->fd, session->out, session->out_len, MSG_NOSIGNAL) !=
			    (ssize_t)session->out_len)
			session->broken = true;
		session->out_len = 0;
		if (session->broken || session->quit) {
			drop(connection);
			mem_free(connection);
		}
	}
}

static void serve(int epoll)
{
	struct epoll_event events[EVENTS];

	while (!stop_wanted) {
		struct connection *dirty = NULL;
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;

			if (connection->listening)
				take_connections(epoll, connection, &dirty);
			else
				take_bytes(connection, &dirty);
		}
		answer(dirty);
	}
}

static struct counts *map_counts(const char *path)
{
	void *memory;
	int fd;

	if (path == NULL)
		return mem_alloc(sizeof(struct counts));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(struct counts)) < 0)
		die("%s: %s", path, strerror(errno));
	memory = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
	return memory;
}

static void listen_on(int epoll, const char *text, struct connection *listener)
{
	struct sockaddr_storage address;
	socklen_t len = net_address(text, &address);

	listener->fd = net_listen(&address, len, 1024);
	listener->listening = true;
	add(epoll, listener);
}

static const char help[] =
	"postern-sink --listen ADDRESS:PORT [--listen ...] [--count FILE] [--ledger FILE]\n"
	"Takes every message. Says \"listening\" on standard output once it does; stops on "
	"SIGTERM.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"count", required_argument, NULL, 'c'},
		{"ledger", required_argument, NULL, 'L'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct connection listeners[LISTENERS] = {0};
	struct sigaction action = {.sa_handler = on_stop};
	const char *count_file = NULL;
	int epoll = epoll_create1(EPOLL_CLOEXEC), listening = 0, letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (letter == 'l' && listening < LISTENERS) {
			listen_on(epoll, optarg, &listeners[listening++]);
		} else if (letter == 'c') {
			count_file = optarg;
		} else if (letter == 'L') {
			ledger = fopen(optarg, "ae");
			if (ledger == NULL)
				die("%s: %s", optarg, strerror(errno));
		} else {
			fputs(help, letter == 'h' ? stdout : stderr);
			return letter == 'h' ? 0 : 2;
		}
	}
	if (listening == 0)
		die("where? --listen ADDRESS:PORT");
	counts = map_counts(count_file);
	net_want_files();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	puts("listening");
	fflush(stdout);
	serve(epoll);
	printf("{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"connections\": %" PRIu64
	       "}\n",
	       counts->messages, counts->bytes, counts->connections);
	fflush(stdout);
	_exit(0); /* open connections are known to the kernel alone: nothing to free them by */
}
