/* SPDX-License-Identifier: Apache-2.0 */
#include "names_link.h"

#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/net.h"
#include "session.h"
#include "sessions.h"
#include "smtp/address.h"
#include "smtpd.h"

struct names_link {
	struct smtpd *smtpd;
	struct channel *channel; /* NULL: relay is not there */
};

static void found(struct names_link *link, const struct msg_name_found *msg)
{
	struct session *session = sessions_find(link->smtpd->sessions, msg->session);
	struct slice name = msg->name;

	if (session == NULL || session->client_name != NULL || msg->outcome == IPC_NAME_NO_ANSWER)
		return;
	/* The owner of an address writes there what he likes. */
	if (msg->outcome != IPC_NAME_OF_HOST || !smtp_is_host_name(name))
		name = SLICE_LIT("unknown");
	session->client_name = mem_strndup(name.ptr, name.len);
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct msg_name_found msg;
	enum err err;

	(void)channel;
	net_close(&fd); /* none is for us */
	if (type != IPC_NAME_FOUND)
		return ERR_SYNTAX;
	err = ipc_decode(type, payload, &msg);
	if (err == ERR_OK)
		found(arg, &msg);
	return err;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct names_link *link = arg;

	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "relay sent what it must not: %s", why);
	if (channel == link->channel)
		channel_free(&link->channel);
}

static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

struct names_link *names_link_new(struct smtpd *smtpd)
{
	struct names_link *link = mem_alloc(sizeof(*link));

	link->smtpd = smtpd;
	return link;
}

void names_link_free(struct names_link **link)
{
	if (*link == NULL)
		return;
	channel_free(&(*link)->channel);
	MEM_FREE(*link);
}

void names_link_peer(struct names_link *link, int fd)
{
	channel_free(&link->channel);
	link->channel = channel_new(link->smtpd->loop, fd, "relay", &handlers, link);
}

/* This machine's own addresses of itself: everybody knows. */
static bool is_loopback(const char *client)
{
	return strncmp(client, "127.", 4) == 0 || strcmp(client, "::1") == 0;
}

void names_link_ask(struct names_link *link, const struct session *session)
{
	const struct msg_name_wanted msg = {session->id, slice_str(session->client)};

	if (link->channel != NULL && link->smtpd->config->reverse_lookup &&
	    !is_loopback(session->client))
		(void)channel_send(link->channel, IPC_NAME_WANTED, &msg);
}
