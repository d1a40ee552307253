/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net.h"

#define PIECE_MAX  4096u  /* of commands, header fields, a tail */
#define RECORD_MAX 16384u /* of a TLS record */

void client_init(struct client *client, const struct plan *plan, struct tally *tally)
{
	size_t room = PIECE_MAX + plan->recipients * (strlen(plan->recipient) + 32);

	*client = (struct client){.plan = plan, .tally = tally, .fd = -1, .source = -1};
	client->head = mem_alloc(room);
	client->tail = mem_alloc(room);
}

static void blame(struct client *client, const char *what, const char *detail)
{
	if (client->tally->why[0] == '\0')
		snprintf(client->tally->why, sizeof(client->tally->why), "%s: %.180s", what,
			 detail);
}

static void record(struct client *client, const char *what, const char *reply)
{
	if (client->plan->ledger != NULL)
		fprintf(client->plan->ledger, "%s %s %016" PRIx64 " %zu %s\n", what, client->id,
			client->sum, client->size, reply);
}

void client_close(struct client *client)
{
	if (client->state == CLIENT_BODY && client->dot_ns != 0) {
		client->tally->unknown++;
		record(client, "unknown", "-");
	} else if (client->state == CLIENT_BODY || client->state == CLIENT_ENVELOPE) {
		client->tally->lost++;
		record(client, "lost", "-");
	}
	if (client->ssl != NULL)
		SSL_free(client->ssl);
	client->ssl = NULL;
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->state = CLIENT_IDLE;
}

void client_release(struct client *client)
{
	client_close(client);
	MEM_FREE(client->head);
	MEM_FREE(client->tail);
}

static enum client_outcome broken(struct client *client, const char *what, const char *detail)
{
	blame(client, what, detail);
	client->tally->broken++;
	client_close(client);
	return CLIENT_BROKE;
}

/* ---- sending ---------------------------------------------------------------------------- */

static size_t remaining(const struct client *client)
{
	return client->head_len + client->middle_len + client->tail_len - client->sent;
}

/* Copies what is to be sent next, at most RECORD_MAX bytes, across the pieces. */
static size_t gather(const struct client *client, char *out)
{
	const struct {
		const char *data;
		size_t len;
	} pieces[3] = {{client->head, client->head_len},
		       {client->middle, client->middle_len},
		       {client->tail, client->tail_len}};
	size_t skip = client->sent, filled = 0;

	for (int i = 0; i < 3 && filled < RECORD_MAX; i++) {
		size_t part;

		if (skip >= pieces[i].len) {
			skip -= pieces[i].len;
			continue;
		}
		part = pieces[i].len - skip;
		if (part > RECORD_MAX - filled)
			part = RECORD_MAX - filled;
		memcpy(out + filled, pieces[i].data + skip, part);
		filled += part;
		skip = 0;
	}
	return filled;
}

static ssize_t put(struct client *client, const char *data, size_t len)
{
	int n;

	if (!client->tls_done) {
		ssize_t written = send(client->fd, data, len, MSG_NOSIGNAL);

		return written < 0 && errno == EAGAIN ? 0 : written;
	}
	n = SSL_write(client->ssl, data, (int)len);
	if (n > 0)
		return n;
	n = SSL_get_error(client->ssl, n);
	return n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static enum client_outcome flush(struct client *client)
{
	static char out[RECORD_MAX]; /* one thread; what lies in it is not needed later */

	client->want_write = false;
	while (remaining(client) > 0) {
		size_t len = gather(client, out);
		ssize_t n;

		if (client->state == CLIENT_BODY && len == remaining(client))
			client->dot_ns = now_ns();
		n = put(client, out, len);

		if (n < 0)
			return broken(client, "write", errno != 0 ? strerror(errno) : "TLS error");
		if (n == 0) {
			client->want_write = true;
			return CLIENT_GOES_ON;
		}
		client->sent += (size_t)n;
	}
	return CLIENT_GOES_ON;
}

static enum client_outcome command(struct client *client, const char *text)
{
	client->head_len = (size_t)snprintf(client->head, PIECE_MAX, "%s\r\n", text);
	client->middle_len = client->tail_len = client->sent = 0;
	return flush(client);
}

/* ---- a message -------------------------------------------------------------------------- */

static size_t envelope(const struct client *client, unsigned from, unsigned to, char *out)
{
	const struct plan *plan = client->plan;
	size_t len = 0;

	for (unsigned i = from; i < to; i++) {
		if (i == 0)
			len += (size_t)snprintf(out + len, PIECE_MAX, "MAIL FROM:<%s>\r\n",
						plan->sender);
		else if (i == plan->recipients + 1)
			len += (size_t)snprintf(out + len, PIECE_MAX, "DATA\r\n");
		else if (i == 1)
			len += (size_t)snprintf(out + len, PIECE_MAX, "RCPT TO:<%s>\r\n",
						plan->recipient);
		else
			len += (size_t)snprintf(out + len, PIECE_MAX, "RCPT TO:<x%u.%s>\r\n", i,
						plan->recipient);
	}
	return len;
}

static void name_message(struct client *client, char id_out[64])
{
	snprintf(id_out, 64, "%s-%08" PRIu64, client->plan->run, client->tally->started++);
}

static enum client_outcome send_envelope(struct client *client)
{
	unsigned all = client->plan->recipients + 2;
	bool one = client->plan->pipelining == PIPELINING_NONE;

	client->head_len =
		envelope(client, client->step, one ? client->step + 1 : all, client->head);
	client->middle_len = client->tail_len = client->sent = 0;
	return flush(client);
}

bool client_has_more(const struct client *client)
{
	return client->sent_here < client->plan->per_login &&
	       client->tally->started < client->tally->wanted;
}

enum client_outcome client_send(struct client *client)
{
	client->state = CLIENT_ENVELOPE;
	client->step = client->accepted = 0;
	client->dot_ns = 0;
	client->sum = 0;
	client->size = 0;
	client->sent_here++;
	if (client->next_sent) {
		client->next_sent = false;
		memcpy(client->id, client->next_id, sizeof(client->id));
		return CLIENT_GOES_ON;
	}
	name_message(client, client->id);
	return send_envelope(client);
}

static enum client_outcome send_body(struct client *client)
{
	const struct plan *plan = client->plan;
	const char *body;
	int tail_body;

	client->state = CLIENT_BODY;
	client->head_len = (size_t)snprintf(
		client->head, PIECE_MAX,
		"From: <%s>\r\nTo: <%s>\r\nSubject: Load %s\r\n"
		"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <%s@load.example>\r\n"
		"X-Load-Id: %s\r\n\r\nid %s\r\n",
		plan->sender, plan->recipient, client->id, client->id, client->id, client->id);
	client->middle = plan->body;
	client->middle_len = plan->body_len;
	tail_body = snprintf(client->tail, PIECE_MAX, "end %s\r\n", client->id);
	client->size = client->head_len + client->middle_len + (size_t)tail_body;
	if (plan->ledger != NULL) {
		body = strstr(client->head, "\r\n\r\n") + 4;
		client->sum = checksum(CHECKSUM_START, body,
				       client->head_len - (size_t)(body - client->head));
		client->sum = checksum(client->sum, client->middle, client->middle_len);
		client->sum = checksum(client->sum, client->tail, (size_t)tail_body);
	}
	memcpy(client->tail + tail_body, ".\r\n", 3);
	client->tail_len = (size_t)tail_body + 3;
	if (plan->pipelining == PIPELINING_FULL && client_has_more(client)) {
		name_message(client, client->next_id);
		client->next_sent = true;
		client->tail_len +=
			envelope(client, 0, plan->recipients + 2, client->tail + client->tail_len);
	}
	client->sent = 0;
	return flush(client);
}

static enum client_outcome envelope_reply(struct client *client, const char *line)
{
	unsigned step = client->step++;

	if (step > 0 && step <= client->plan->recipients && line[0] == '2')
		client->accepted++;
	if (line[0] != '2' && line[0] != '3')
		blame(client, "refused", line);
	if (step < client->plan->recipients + 1) {
		if (client->plan->pipelining != PIPELINING_NONE)
			return CLIENT_GOES_ON;
		if (line[0] == '2')
			return send_envelope(client);
	} else if (line[0] == '3') {
		if (client->accepted > 0)
			return send_body(client);
		return broken(client, "354 without a recipient", line);
	}
	client->tally->refused++;
	record(client, "refused", line);
	client->state = CLIENT_READY;
	/* A refused command in the middle leaves an envelope open: a new connection is simplest. */
	return client->plan->pipelining == PIPELINING_NONE ? client_leave(client) : CLIENT_IS_READY;
}

static enum client_outcome final_reply(struct client *client, const char *line)
{
	uint64_t now = now_ns();

	client->state = CLIENT_READY;
	if (line[0] == '2') {
		client->tally->acknowledged++;
		client->tally->last_ns = now;
		record(client, "ok", line);
		latency_add(&client->tally->final_reply, now - client->dot_ns);
	} else {
		client->tally->refused++;
		record(client, "refused", line);
		blame(client, "message refused", line);
	}
	return client->next_sent ? client_send(client) : CLIENT_IS_READY;
}

enum client_outcome client_leave(struct client *client)
{
	client->state = CLIENT_QUIT;
	return command(client, "QUIT");
}

/* ---- the session ------------------------------------------------------------------------ */

enum client_outcome client_connect(struct client *client)
{
	client->fd = net_connect(&client->plan->address, client->plan->address_len, client->source);
	client->state = CLIENT_CONNECT;
	client->tls_done = client->next_sent = false;
	client->want_write = true;
	client->sent_here = client->in_len = 0;
	client->head_len = client->middle_len = client->tail_len = client->sent = 0;
	client->connected_ns = now_ns();
	client->tally->connects++;
	if (client->fd < 0)
		return broken(client, "connect", strerror(errno));
	return CLIENT_GOES_ON;
}

static enum client_outcome handshake(struct client *client)
{
	const char *reason;
	int n = SSL_do_handshake(client->ssl);

	client->want_write = false;
	if (n == 1) {
		client->tls_done = true;
		if (client->plan->tls == CLIENT_TLS_IMPLICIT) {
			client->state = CLIENT_GREETING;
			return CLIENT_GOES_ON;
		}
		client->state = CLIENT_EHLO;
		return command(client, "EHLO load.example");
	}
	n = SSL_get_error(client->ssl, n);
	if (n == SSL_ERROR_WANT_WRITE) {
		client->want_write = true;
	} else if (n != SSL_ERROR_WANT_READ) {
		reason = ERR_reason_error_string(ERR_peek_error());
		return broken(client, "TLS handshake", reason != NULL ? reason : "closed");
	}
	return CLIENT_GOES_ON;
}

static enum client_outcome start_tls(struct client *client)
{
	client->ssl = SSL_new(client->plan->tls_context);
	SSL_set_fd(client->ssl, client->fd);
	SSL_set_connect_state(client->ssl);
	client->state = CLIENT_HANDSHAKE;
	return handshake(client);
}

static enum client_outcome logged_in(struct client *client)
{
	client->state = CLIENT_READY;
	client->tally->logins++;
	latency_add(&client->tally->login_time, now_ns() - client->connected_ns);
	return CLIENT_IS_READY;
}

static enum client_outcome after_ehlo(struct client *client)
{
	if (client->plan->tls == CLIENT_TLS_STARTTLS && !client->tls_done) {
		client->state = CLIENT_STARTTLS;
		return command(client, "STARTTLS");
	}
	if (client->plan->login != NULL) {
		client->state = CLIENT_LOGIN;
		return command(client, client->plan->login);
	}
	return logged_in(client);
}

static enum client_outcome reply(struct client *client, const char *line)
{
	if (client->state == CLIENT_ENVELOPE)
		return envelope_reply(client, line);
	if (client->state == CLIENT_BODY)
		return final_reply(client, line);
	if (client->state == CLIENT_QUIT) {
		client_close(client);
		return CLIENT_IS_DONE;
	}
	if (line[0] != '2')
		return broken(client, "refused", line);
	switch (client->state) {
	case CLIENT_GREETING:
		client->state = CLIENT_EHLO;
		return command(client, "EHLO load.example");
	case CLIENT_EHLO:
		return after_ehlo(client);
	case CLIENT_STARTTLS:
		client->in_len = 0;
		return start_tls(client);
	case CLIENT_LOGIN:
		return logged_in(client);
	default:
		return broken(client, "unexpected reply", line);
	}
}

/* Takes complete replies off the input; of several lines only the last counts. */
static enum client_outcome replies(struct client *client)
{
	enum client_outcome outcome = CLIENT_GOES_ON;
	char *end;

	while (outcome == CLIENT_GOES_ON &&
	       (end = memchr(client->in, '\n', client->in_len)) != NULL) {
		size_t used = (size_t)(end - client->in) + 1;
		char line[512];
		size_t len = used < sizeof(line) ? used : sizeof(line) - 1;

		memcpy(line, client->in, len);
		line[len] = '\0';
		line[strcspn(line, "\r\n")] = '\0';
		client->in_len -= used;
		memmove(client->in, end + 1, client->in_len);
		if (strlen(line) >= 4 && line[3] == '-')
			continue;
		outcome = reply(client, line);
	}
	if (client->in_len == sizeof(client->in))
		return broken(client, "reply", "line too long");
	return outcome;
}

static ssize_t take(struct client *client, char *data, size_t len)
{
	ssize_t n;

	errno = 0;
	if (client->tls_done) {
		n = SSL_read(client->ssl, data, (int)len);
		if (n > 0)
			return n;
		n = SSL_get_error(client->ssl, (int)n);
		return n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE ? 0 : -1;
	}
	n = recv(client->fd, data, len, 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n == 0 ? -1 : n;
}

enum client_outcome client_event(struct client *client)
{
	enum client_outcome outcome = CLIENT_GOES_ON;
	int error = 0;
	socklen_t len = sizeof(error);

	ERR_clear_error();
	if (client->state == CLIENT_CONNECT) {
		getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0)
			return broken(client, "connect", strerror(error));
		client->want_write = false;
		client->state = CLIENT_GREETING;
		if (client->plan->tls == CLIENT_TLS_IMPLICIT)
			return start_tls(client);
	}
	if (client->state == CLIENT_HANDSHAKE)
		return handshake(client);
	if (remaining(client) > 0)
		outcome = flush(client);
	while (outcome == CLIENT_GOES_ON && client->state != CLIENT_HANDSHAKE) {
		ssize_t n = take(client, client->in + client->in_len,
				 sizeof(client->in) - client->in_len);

		if (n == 0)
			break;
		if (n < 0) {
			if (client->state == CLIENT_QUIT) {
				client_close(client);
				return CLIENT_IS_DONE;
			}
			return broken(client, "connection lost",
				      errno != 0 ? strerror(errno) : "closed by the server");
		}
		client->in_len += (size_t)n;
		outcome = replies(client);
	}
	return outcome;
}
