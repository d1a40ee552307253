/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PTR (RFC 1035 3.5, RFC 3596 2.5), then the address of each name until one has the client's. What
 * was asked before is in libunbound's cache: there is none here. A look-up whose smtpd has gone
 * goes on to its end and is told to nobody.
 */
#include "names.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "relay.h"
#include "dns/resolve.h"

enum {
	PENDING_MAX = 64,         /* look-ups at a time; who asks for more is told nothing */
	CANDIDATES_MAX = 3,       /* names of one address that are looked at */
	ENOUGH_TIME_MS = 20000,   /* then no further name is looked at */
	SMTPDS_MAX = 256,         /* smtpd_processes at most */
	REVERSE_MAX = 16 * 4 + 16 /* "1.2.3.4.in-addr.arpa." or 32 nibbles and "ip6.arpa." */
};

struct lookup {
	struct names *names;
	uint16_t smtpd;
	uint32_t life; /* of the channel that asked */
	uint64_t session;
	int64_t began;
	bool v6;
	unsigned char address[16];
	struct resolve_query *query;
	char candidates[CANDIDATES_MAX][RELAY_HOST_MAX];
	size_t count, at;
	struct lookup *prev, *next;
};

struct smtpd_end {
	struct names *names;
	struct channel *channel;
	uint32_t life;
};

struct names {
	struct relay *relay;
	struct smtpd_end ends[SMTPDS_MAX];
	struct lookup *pending;
	unsigned count;
};

static void tell(struct names *names, uint16_t smtpd, uint32_t life, uint64_t session,
		 enum ipc_name outcome, const char *name)
{
	struct smtpd_end *end = &names->ends[smtpd];
	const struct msg_name_found msg = {session, (uint8_t)outcome, slice_str(name)};

	if (end->channel != NULL && end->life == life)
		(void)channel_send(end->channel, IPC_NAME_FOUND, &msg);
}

static void finish(struct lookup *lookup, enum ipc_name outcome, const char *name)
{
	struct names *names = lookup->names;

	tell(names, lookup->smtpd, lookup->life, lookup->session, outcome, name);
	resolve_cancel(&lookup->query);
	DL_DELETE(names->pending, lookup);
	names->count--;
	mem_free(lookup);
}

static void next_candidate(struct lookup *lookup);

static void on_address(void *arg, const struct resolve_answer *answer)
{
	struct lookup *lookup = arg;
	size_t size = lookup->v6 ? 16 : 4;

	lookup->query = NULL;
	for (size_t i = 0; i < answer->count; i++) {
		if (answer->records[i].len == size &&
		    memcmp(answer->records[i].ptr, lookup->address, size) == 0) {
			finish(lookup, IPC_NAME_OF_HOST, lookup->candidates[lookup->at]);
			return;
		}
	}
	lookup->at++;
	next_candidate(lookup);
}

static void next_candidate(struct lookup *lookup)
{
	struct relay *relay = lookup->names->relay;

	if (lookup->at == lookup->count) {
		finish(lookup, IPC_NAME_NONE, "");
		return;
	}
	if (loop_now(relay->loop) - lookup->began > ENOUGH_TIME_MS) {
		finish(lookup, IPC_NAME_NO_ANSWER, "");
		return;
	}
	lookup->query = resolve_start(relay->resolver, lookup->candidates[lookup->at],
				      lookup->v6 ? RESOLVE_AAAA : RESOLVE_A, on_address, lookup);
}

static void on_names(void *arg, const struct resolve_answer *answer)
{
	struct lookup *lookup = arg;

	lookup->query = NULL;
	if (answer->status == RESOLVE_FAILED) {
		finish(lookup, IPC_NAME_NO_ANSWER, "");
		return;
	}
	for (size_t i = 0; i < answer->count && lookup->count < CANDIDATES_MAX; i++) {
		char *name = lookup->candidates[lookup->count];

		/* A name without a dot is nobody's in the world, "unknown" for one. */
		if (resolve_read_name(answer->records[i], name) && strchr(name, '.') != NULL)
			lookup->count++;
	}
	next_candidate(lookup);
}

static void reverse_name(const struct lookup *lookup, char name_out[REVERSE_MAX])
{
	const unsigned char *a = lookup->address;
	size_t at = 0;

	if (!lookup->v6) {
		snprintf(name_out, REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa.", a[3], a[2], a[1],
			 a[0]);
		return;
	}
	for (int i = 15; i >= 0; i--)
		at += (size_t)snprintf(name_out + at, REVERSE_MAX - at, "%x.%x.", a[i] & 15U,
				       a[i] >> 4);
	snprintf(name_out + at, REVERSE_MAX - at, "ip6.arpa.");
}

static bool read_address(struct slice text, struct lookup *lookup)
{
	struct net_address address;

	if (net_read(text, 0, &address) != ERR_OK)
		return false;
	lookup->v6 = address.u.any.sa_family == AF_INET6;
	if (lookup->v6)
		memcpy(lookup->address, &address.u.v6.sin6_addr, 16);
	else
		memcpy(lookup->address, &address.u.v4.sin_addr, 4);
	return true;
}

static void wanted(struct smtpd_end *end, const struct msg_name_wanted *msg)
{
	struct names *names = end->names;
	uint16_t smtpd = (uint16_t)(end - names->ends);
	struct lookup *lookup;
	char reverse[REVERSE_MAX];

	if (names->count >= PENDING_MAX || names->relay->stopping) {
		tell(names, smtpd, end->life, msg->session, IPC_NAME_NO_ANSWER, "");
		return;
	}
	lookup = mem_alloc(sizeof(*lookup));
	if (!read_address(msg->address, lookup)) {
		mem_free(lookup);
		tell(names, smtpd, end->life, msg->session, IPC_NAME_NONE, "");
		return;
	}
	lookup->names = names;
	lookup->smtpd = smtpd;
	lookup->life = end->life;
	lookup->session = msg->session;
	lookup->began = loop_now(names->relay->loop);
	DL_APPEND(names->pending, lookup);
	names->count++;
	reverse_name(lookup, reverse);
	lookup->query =
		resolve_start(names->relay->resolver, reverse, RESOLVE_PTR, on_names, lookup);
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct msg_name_wanted msg;
	enum err err;

	(void)channel;
	net_close(&fd);
	if (type != IPC_NAME_WANTED)
		return ERR_SYNTAX;
	err = ipc_decode(type, payload, &msg);
	if (err == ERR_OK)
		wanted(arg, &msg);
	return err;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct smtpd_end *end = arg;

	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "smtpd sent what it must not: %s", why);
	if (channel == end->channel)
		channel_free(&end->channel);
}

static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

struct names *names_new(struct relay *relay)
{
	struct names *names = mem_alloc(sizeof(*names));

	names->relay = relay;
	for (size_t i = 0; i < SMTPDS_MAX; i++)
		names->ends[i].names = names;
	return names;
}

void names_free(struct names **names)
{
	struct lookup *lookup;
	struct lookup *next;

	if (*names == NULL)
		return;
	DL_FOREACH_SAFE ((*names)->pending, lookup, next) {
		resolve_cancel(&lookup->query);
		mem_free(lookup);
	}
	for (size_t i = 0; i < SMTPDS_MAX; i++)
		channel_free(&(*names)->ends[i].channel);
	MEM_FREE(*names);
}

void names_connect(struct names *names, uint16_t index, int fd)
{
	struct smtpd_end *end = &names->ends[index % SMTPDS_MAX];

	channel_free(&end->channel);
	end->life++;
	end->channel = channel_new(names->relay->loop, fd, "smtpd", &handlers, end);
}
