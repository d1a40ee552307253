/* SPDX-License-Identifier: Apache-2.0 */
#include "operator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "delivery.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "policy/route.h"
#include "pool.h"
#include "queue_link.h"
#include "relay.h"

enum { ROW_MAX = 65536 };

struct operators {
	struct relay *relay;
	struct channel *channel; /* one control at a time; a new one replaces it */
};

struct operator_rows {
	struct channel *channel;
	uint64_t id;
	struct ipc_list_builder fields;
};

struct operators *operators_new(struct relay *relay)
{
	struct operators *operators = mem_alloc(sizeof(*operators));

	operators->relay = relay;
	return operators;
}

void operators_free(struct operators **operators)
{
	if (!*operators)
		return;
	channel_free(&(*operators)->channel);
	MEM_FREE(*operators);
}

/* ---- rows ---- */

void operator_row_begin(struct operator_rows *rows)
{
	ipc_list_begin(&rows->fields, ROW_MAX);
}

static void field(struct operator_rows *rows, const char *key, enum ipc_field_kind kind,
		  const char *value)
{
	const struct rec_field record = {
		.key = slice_str(key), .kind = (uint8_t)kind, .value = slice_str(value)};

	ipc_list_add(&rows->fields, IPC_REC_field, &record);
}

void operator_text(struct operator_rows *rows, const char *key, const char *value)
{
	field(rows, key, IPC_FIELD_TEXT, value);
}

void operator_number(struct operator_rows *rows, const char *key, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	field(rows, key, IPC_FIELD_NUMBER, text);
}

void operator_bool(struct operator_rows *rows, const char *key, bool value)
{
	field(rows, key, IPC_FIELD_BOOL, value ? "true" : "false");
}

void operator_row_end(struct operator_rows *rows)
{
	const struct msg_op_row msg = {.id = rows->id, .fields = ipc_list_view(&rows->fields)};

	channel_send(rows->channel, IPC_OP_ROW, &msg);
	ipc_list_release(&rows->fields);
}

/* ---- requests ---- */

static void explain(struct relay *relay, struct slice recipient, struct operator_rows *rows)
{
	const struct config_route *route = route_find(relay->config, recipient);
	char address[1100], way[RELAY_HOST_MAX + 300];

	if (slice_copy(recipient, address, sizeof(address)) != ERR_OK)
		return;
	route_describe(relay, recipient, way, sizeof(way));
	operator_row_begin(rows);
	operator_text(rows, "recipient", address);
	operator_text(rows, "route", route ? route->name : "");
	operator_text(rows, "via", way);
	operator_row_end(rows);
}

static enum err on_op(struct operators *operators, struct channel *channel, struct slice payload)
{
	struct operator_rows rows = {.channel = channel};
	struct msg_op_end end = {.status = 0};
	struct msg_op msg;
	enum err err = ipc_decode(IPC_OP, payload, &msg);

	if (err != ERR_OK)
		return err;
	rows.id = end.id = msg.id;
	if (msg.op == IPC_OP_STATUS) {
		queue_link_status(operators->relay->queue, &rows);
		pool_status(operators->relay->pool, &rows);
	} else if (msg.op == IPC_OP_ROUTE_EXPLAIN && slice_has_byte(msg.subject, '@')) {
		explain(operators->relay, msg.subject, &rows);
	} else if (msg.op == IPC_OP_ROUTE_EXPLAIN) {
		end.status = 1;
		end.text = SLICE_LIT("name a recipient with its domain: alice@example.org");
	} else {
		end.status = 1;
		end.text = SLICE_LIT("relay does not know this request");
	}
	channel_send(channel, IPC_OP_END, &end);
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	(void)fd;
	return type == IPC_OP ? on_op(arg, channel, payload) : ERR_SYNTAX;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct operators *operators = arg;

	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "control sent what it must not: %s", why);
	if (channel == operators->channel)
		channel_free(&operators->channel);
}

static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

void operators_connect(struct operators *operators, int fd)
{
	channel_free(&operators->channel);
	operators->channel =
		channel_new(operators->relay->loop, fd, "control", &handlers, operators);
}
