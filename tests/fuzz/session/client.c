/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients: sockets whose other ends smtpd accepts, with OpenSSL where TLS is on. What the server
 * says must be lines with a code, and "Accepted" only for what queue has stored.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "os/net.h"

#include "client.h"
#include "world.h"

enum { LINE_MAX_BYTES = 16 << 10 /* a challenge is long */, HANDSHAKE_ROUNDS = 20 };

struct client {
	int fd; /* -1: not connected */
	SSL *ssl;
	bool tls;      /* the handshake is done */
	bool spoilt;   /* bytes in clear were sent where TLS was: those may not be answered */
	size_t asked;  /* lines sent before that, of which each may have an answer, */
	size_t told;   /* and answers, the greeting among them */
	bool deaf;     /* it does not read */
	bool closed;   /* the server closed */
	size_t unread; /* of line */
	char line[LINE_MAX_BYTES];
};

/* A connection that waits to be accepted. */
struct waiting {
	int fd;
	struct net_address from;
};

static struct {
	struct client clients[CLIENTS];
	struct client *now;
	struct waiting waiting[LISTENERS];
	int listeners[LISTENERS];
	SSL_CTX *context;
} all;

enum err __wrap_net_accept(int listener, int *fd_out, struct net_address *peer_out);

/* The listening sockets are counters of who waits; see clients_begin. */
enum err __wrap_net_accept(int listener, int *fd_out, struct net_address *peer_out)
{
	uint64_t which;

	if (read(listener, &which, sizeof(which)) != sizeof(which))
		return ERR_AGAIN;
	HOLDS(which >= 1 && which <= LISTENERS && all.waiting[which - 1].fd != -1);
	*fd_out = all.waiting[which - 1].fd;
	*peer_out = all.waiting[which - 1].from;
	all.waiting[which - 1].fd = -1;
	return ERR_OK;
}

const int *clients_listeners(void)
{
	return all.listeners;
}

void clients_begin(void)
{
	if (all.context == NULL) {
		all.context = SSL_CTX_new(TLS_client_method());
		HOLDS(all.context != NULL);
		SSL_CTX_set_options(all.context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		all.clients[i] = (struct client){.fd = -1};
	for (unsigned i = 0; i < LISTENERS; i++) {
		all.listeners[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		HOLDS(all.listeners[i] != -1);
		all.waiting[i].fd = -1;
	}
	all.now = &all.clients[0];
}

static void drop(struct client *client)
{
	if (client->ssl != NULL)
		SSL_free(client->ssl);
	if (client->fd != -1)
		close(client->fd);
	*client = (struct client){.fd = -1};
}

void clients_end(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		drop(&all.clients[i]);
	for (unsigned i = 0; i < LISTENERS; i++) {
		uint64_t which;

		/* Who still waits to be accepted is gone. */
		(void)!read(all.listeners[i], &which, sizeof(which));
		close(all.listeners[i]);
		net_close(&all.waiting[i].fd);
	}
}

void client_choose(unsigned index)
{
	all.now = &all.clients[index % CLIENTS];
}

void client_connect(unsigned listener, const struct net_address *from)
{
	uint64_t which = listener % LISTENERS + 1;
	int fds[2];

	drop(all.now);
	if (all.waiting[which - 1].fd != -1)
		return;
	HOLDS(net_pair(fds) == ERR_OK);
	all.now->fd = fds[1];
	all.waiting[which - 1] = (struct waiting){fds[0], *from};
	HOLDS(write(all.listeners[which - 1], &which, sizeof(which)) == sizeof(which));
}

static void send_bare(struct client *client, struct slice bytes)
{
	if (client->fd != -1 && bytes.len != 0)
		(void)!send(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void client_send(struct slice bytes)
{
	for (size_t i = 0; i < bytes.len && !all.now->spoilt; i++)
		all.now->asked += bytes.ptr[i] == '\n';
	if (!all.now->tls)
		send_bare(all.now, bytes);
	else if (bytes.len != 0)
		(void)SSL_write(all.now->ssl, bytes.ptr, (int)bytes.len);
}

void client_send_in_clear(struct slice bytes)
{
	send_bare(all.now, bytes);
	/* A whole header of a record that cannot be one: no handshake, alert or data. */
	if (all.now->tls && bytes.len >= 5 &&
	    ((unsigned char)bytes.ptr[0] < 0x14 || (unsigned char)bytes.ptr[0] > 0x18)) {
		world_settle();
		all.now->spoilt = true;
	}
}

void client_start_tls(void)
{
	struct client *client = all.now;

	if (client->fd == -1 || client->ssl != NULL)
		return;
	client->ssl = SSL_new(all.context);
	HOLDS(client->ssl != NULL && SSL_set_fd(client->ssl, client->fd) == 1);
	SSL_set_connect_state(client->ssl);
	for (unsigned i = 0; i < HANDSHAKE_ROUNDS && !client->tls; i++) {
		int result = SSL_do_handshake(client->ssl);

		client->tls = result == 1;
		if (result != 1 && SSL_get_error(client->ssl, result) != SSL_ERROR_WANT_READ)
			break;
		world_settle();
	}
	if (!client->tls)
		client->closed = true;
}

void client_close_notify(void)
{
	if (all.now->tls)
		(void)SSL_shutdown(all.now->ssl);
}

void client_end(void)
{
	if (all.now->fd != -1)
		shutdown(all.now->fd, SHUT_WR);
}

void client_reset(void)
{
	drop(all.now);
}

void client_deaf(bool deaf)
{
	all.now->deaf = deaf;
}

/* "250 2.0.0 Accepted as NAME": queue has stored just that, and nobody was told before. */
static void check_accepted(struct slice line)
{
	static const char words[] = "250 2.0.0 Accepted as ";
	struct msgid id;

	if (!slice_starts(line, words))
		return;
	HOLDS(msgid_read(slice_skip(line, sizeof(words) - 1), &id) == ERR_OK);
	for (unsigned i = 0; i < the_world.known_count; i++) {
		struct known *known = &the_world.known[i];

		if (known->id.key != id.key)
			continue;
		HOLDS(msgid_equal(&known->id, &id) && known->stored && !known->told);
		known->told = true;
		return;
	}
	HOLDS(!"accepted what queue never saw");
}

/* "334 TOKEN": of an exchange that goes on. */
static void check_challenge(struct slice line)
{
	struct buf token;

	if (!slice_starts(line, "334 "))
		return;
	buf_init(&token, LINE_MAX_BYTES);
	HOLDS(base64_decode(slice_skip(line, 4), &token) == ERR_OK);
	buf_release(&token);
}

/* Lines of text with a code before them (RFC 5321 4.2). */
static void check_line(struct client *client, struct slice line)
{
	uint64_t code;

	HOLDS(line.len != 0);
	/* Answers that are still owed may come, of commands ahead that waited, and the end. */
	HOLDS(!client->spoilt || client->told <= client->asked || line.ptr[0] == '4');
	HOLDS(line.len >= 5 && line.ptr[line.len - 1] == '\r');
	line = slice_head(line, line.len - 1);
	HOLDS(slice_number(slice_head(line, 3), 599, &code) == ERR_OK && code >= 200);
	HOLDS(line.ptr[3] == ' ' || line.ptr[3] == '-');
	client->told += line.ptr[3] == ' ';
	for (size_t i = 0; i < line.len; i++)
		HOLDS((unsigned char)line.ptr[i] >= 0x20 && line.ptr[i] != 0x7f);
	HOLDS(utf8_valid(line));
	check_accepted(line);
	check_challenge(line);
}

static void take(struct client *client, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n') {
			check_line(client, slice_of(client->line, client->unread));
			client->unread = 0;
			continue;
		}
		HOLDS(client->unread < sizeof(client->line));
		client->line[client->unread++] = bytes[i];
	}
}

static bool read_one(struct client *client)
{
	char bytes[4096];
	bool any = false;

	while (client->fd != -1 && !client->closed && !client->deaf) {
		ssize_t len = client->tls ? SSL_read(client->ssl, bytes, sizeof(bytes))
			      : client->ssl == NULL
				      ? recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT)
				      : -1;

		if (len <= 0) {
			client->closed = client->tls
						 ? SSL_get_error(client->ssl, (int)len) !=
							   SSL_ERROR_WANT_READ
						 : len == 0 || (errno != EAGAIN && errno != EINTR);
			break;
		}
		take(client, bytes, (size_t)len);
		any = true;
	}
	return any;
}

bool clients_read(void)
{
	bool any = false;

	for (unsigned i = 0; i < CLIENTS; i++)
		any = read_one(&all.clients[i]) || any;
	return any;
}
