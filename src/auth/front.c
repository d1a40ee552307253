/* SPDX-License-Identifier: Apache-2.0 */
#include "front.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "auth.h"
#include "base/mem.h"
#include "config/config.h"
#include "devices.h"
#include "door.h"
#include "grants.h"
#include "habits.h"
#include "ipc/channel.h"
#include "login.h"
#include "offer.h"
#include "os/log.h"
#include "volumes.h"

void front_send(struct front *front, uint16_t type, const void *message)
{
	enum err err;

	if (front->channel == NULL)
		return;
	err = channel_send(front->channel, type, message);
	if (err != ERR_OK && err != ERR_EOF)
		log_note(LOG_ERROR, "cannot send %s to smtpd %u: %s", ipc_type_name(type),
			 front->index, err_name(err));
}

void front_grant_lost(struct front *front, uint64_t grant, const char *reason)
{
	struct msg_grant_lost msg = {.grant = grant, .reason = slice_str(reason)};

	front_send(front, IPC_GRANT_LOST, &msg);
}

void front_grants_synced(struct front *front, uint32_t queue_incarnation)
{
	struct msg_grants_synced msg = {.queue_incarnation = queue_incarnation};

	front_send(front, IPC_GRANTS_SYNCED, &msg);
}

/* ---- what is offered ------------------------------------------------------------------------ */

static void send_offer(struct front *front)
{
	struct msg_auth_offer msg = {.message_size = front->auth->largest};
	struct ipc_list_builder offers;

	front->offered = true;
	if (offer_list(front->auth, &offers) != ERR_OK)
		log_note(LOG_ERROR, "the list of mechanisms is too long for smtpd");
	ipc_list_release(&front->offers);
	front->offers = offers;
	msg.offers = ipc_list_view(&front->offers);
	if (front->standing != NULL)
		msg.standing_grant = grant_number(front->standing);
	front_send(front, IPC_AUTH_OFFER, &msg);
}

void front_offer_mechanisms(struct front *front)
{
	struct ipc_list_builder offers;
	bool same = offer_list(front->auth, &offers) == ERR_OK &&
		    slice_equal(buf_data(&offers.bytes), buf_data(&front->offers.bytes));

	ipc_list_release(&offers);
	if (front->offered && !same)
		send_offer(front);
}

void front_offer_again(struct front *front)
{
	if (front->offered)
		send_offer(front);
}

/* queue has the standing grant: only now may smtpd cite it. */
static void on_standing(struct grant *grant, void *arg)
{
	struct front *front = arg;

	grants_leave(front->auth->grants, &front->standing);
	front->standing = grant;
	front->replacing = NULL;
	send_offer(front);
}

static char *join(const struct strings *strings)
{
	struct buf text;
	char *joined;

	buf_init(&text, 4 * 1024 * 1024);
	for (size_t i = 0; i < strings->count; i++)
		(void)buf_printf(&text, "%s\n", strings->items[i]);
	joined = mem_strndup(buf_data(&text).ptr, buf_len(&text));
	buf_release(&text);
	return joined;
}

static void add_standing(struct front *front, const struct strings *domains)
{
	struct ipc_list_builder list;
	enum err err = ERR_OK;

	ipc_list_begin(&list, 4 * 1024 * 1024);
	for (size_t i = 0; err == ERR_OK && i < domains->count; i++)
		err = ipc_list_add(&list, IPC_REC_pattern,
				   &(struct rec_pattern){slice_str(domains->items[i])});
	if (err == ERR_OK)
		err = grants_add_standing(front->auth->grants, front, ipc_list_view(&list),
					  on_standing, front, &front->replacing);
	if (err != ERR_OK)
		log_note(LOG_ERROR, "accept_for is too long to be granted: %s", err_name(err));
	ipc_list_release(&list);
}

void front_offer(struct front *front)
{
	const struct strings *domains = &auth_config(front->auth)->accept_for;
	char *wanted = join(domains);

	if (front->accept_for != NULL &&
	    slice_equal(slice_str(front->accept_for), slice_str(wanted))) {
		mem_free(wanted);
		front_offer_mechanisms(front);
		return;
	}
	mem_free(front->accept_for);
	front->accept_for = wanted;
	grants_end(front->auth->grants, &front->replacing);
	if (domains->count > 0) {
		add_standing(front, domains);
		return;
	}
	grants_leave(front->auth->grants, &front->standing);
	send_offer(front);
}

/* ---- its messages --------------------------------------------------------------------------- */

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct front *front = arg;
	union {
		struct msg_auth_start start;
		struct msg_auth_token token;
		struct msg_auth_cancel cancel;
		struct msg_grant_end end;
		struct msg_knock knock;
		struct msg_left left;
		struct msg_struck struck;
		struct msg_count count;
		struct msg_uncount uncount;
		struct msg_device_mail device;
		struct msg_foreign_sender foreign;
	} msg;
	enum err err;

	(void)channel;
	(void)fd;
	/* Who is inside is told before all else. */
	if (type != IPC_KNOCK)
		front->settled = true;
	switch (type) {
	case IPC_AUTH_START:
		err = ipc_decode(type, payload, &msg.start);
		return err != ERR_OK ? err : login_start(front, &msg.start);
	case IPC_AUTH_TOKEN:
		err = ipc_decode(type, payload, &msg.token);
		return err != ERR_OK ? err : login_token(front, &msg.token);
	case IPC_AUTH_CANCEL:
		err = ipc_decode(type, payload, &msg.cancel);
		return err != ERR_OK ? err : login_cancel(front, &msg.cancel);
	case IPC_GRANT_END:
		err = ipc_decode(type, payload, &msg.end);
		return err != ERR_OK ? err
				     : grants_end_number(front->auth->grants, front, msg.end.grant);
	case IPC_KNOCK:
		err = ipc_decode(type, payload, &msg.knock);
		return err != ERR_OK ? err : door_knock(front, &msg.knock);
	case IPC_LEFT:
		err = ipc_decode(type, payload, &msg.left);
		return err != ERR_OK ? err : door_left(front, &msg.left);
	case IPC_STRUCK:
		err = ipc_decode(type, payload, &msg.struck);
		return err != ERR_OK ? err : door_struck(front, &msg.struck);
	case IPC_COUNT:
		err = ipc_decode(type, payload, &msg.count);
		return err != ERR_OK ? err : volumes_count(front, &msg.count);
	case IPC_UNCOUNT:
		err = ipc_decode(type, payload, &msg.uncount);
		return err != ERR_OK ? err : volumes_uncount(front, &msg.uncount);
	case IPC_FOREIGN_SENDER:
		err = ipc_decode(type, payload, &msg.foreign);
		return err != ERR_OK ? err : habits_foreign(front, &msg.foreign);
	case IPC_DEVICE_MAIL:
		err = ipc_decode(type, payload, &msg.device);
		return err != ERR_OK ? err : devices_mail(front, &msg.device);
	default:
		return ERR_SYNTAX;
	}
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct front *front = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel to smtpd %u is broken: %s", front->index, why);
	front_free(&front);
}

static const struct channel_handlers HANDLERS = {.message = on_message, .ended = on_ended};

void front_add(struct auth *auth, uint16_t index, uint32_t incarnation, int fd)
{
	struct front *front, *old;
	uint32_t queue_incarnation = 0;
	char name[32];

	DL_SEARCH_SCALAR(auth->fronts, old, index, index);
	if (old != NULL)
		front_free(&old);
	front = mem_alloc(sizeof(*front));
	front->auth = auth;
	front->index = index;
	front->incarnation = incarnation;
	(void)snprintf(name, sizeof(name), "smtpd[%u]", index);
	front->channel = channel_new(auth->loop, fd, name, &HANDLERS, front);
	DL_APPEND(auth->fronts, front);
	if (grants_synced(auth->grants, &queue_incarnation))
		front_grants_synced(front, queue_incarnation);
	front_offer(front);
}

void front_free(struct front **front)
{
	struct front *gone = *front;

	if (gone == NULL)
		return;
	*front = NULL;
	DL_DELETE(gone->auth->fronts, gone);
	channel_free(&gone->channel);
	login_drop_all(gone);
	devices_drop_front(gone);
	volumes_drop_front(gone->auth->volumes, gone);
	door_drop_front(gone);
	grants_drop_front(gone->auth->grants, gone);
	mem_free(gone->accept_for);
	ipc_list_release(&gone->offers);
	mem_free(gone);
}
