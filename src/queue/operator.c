/* SPDX-License-Identifier: Apache-2.0 */
#include "operator.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "delivery.h"
#include "ended.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "policy/dispatch.h"
#include "queue.h"
#include "rows.h"
#include "selector.h"
#include "status.h"
#include "view.h"
#include "writer.h"

enum {
	OPERATIONS_MAX = 64, /* at a time */
	STEP_PAUSE_MS = 2,   /* between steps: the channel's reader gets its turn */
};

/* A channel from control. */
struct desk {
	struct operators *operators;
	struct desk *next;
	struct channel *channel; /* NULL: gone */
	unsigned refs;
};

struct operation {
	struct operators *operators;
	struct desk *desk; /* NULL: not the operator asks, and over is called */
	operators_over_fn *over;
	void *over_arg;
	struct operators_tally tally;
	uint64_t id;
	enum ipc_op op;
	struct view view;
	struct timer *pause;
	uint64_t changed;
	uint64_t frozen;    /* release leaves them to user thaw */
	uint64_t scheduled; /* retry and release leave them to their time */
};

struct operators {
	struct queue *queue;
	struct desk *desks;
	unsigned running;
};

static void desk_unref(struct desk *desk)
{
	if (--desk->refs == 0)
		mem_free(desk);
}

/* ---- answers ----------------------------------------------------------------------------- */
static void send_row(struct desk *desk, uint64_t id, const struct rows_row *row)
{
	const struct msg_op_row msg = {.id = id, .fields = ipc_list_view(&row->fields)};

	if (desk->channel != NULL)
		(void)channel_send(desk->channel, IPC_OP_ROW, &msg);
}

__attribute__((format(printf, 4, 5))) static void answer(struct desk *desk, uint64_t id, bool ok,
							 const char *format, ...)
{
	struct msg_op_end msg = {.id = id, .status = ok ? 0 : 1};
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	msg.text = slice_str(text);
	if (desk->channel != NULL)
		(void)channel_send(desk->channel, IPC_OP_END, &msg);
}

static void operation_free(struct operation *operation)
{
	struct queue *queue = operation->operators->queue;

	operation->operators->running--;
	timer_free(&operation->pause);
	view_release(&operation->view);
	if (operation->desk != NULL)
		desk_unref(operation->desk);
	mem_free(operation);
	queue_stop_if_idle(queue);
}

static const char *done_text(enum ipc_op op)
{
	switch (op) {
	case IPC_OP_QUEUE_RETRY:
		return "to be tried now";
	case IPC_OP_QUEUE_HOLD:
		return "held";
	case IPC_OP_QUEUE_RELEASE:
		return "released";
	case IPC_OP_QUEUE_DROP:
		return "dropped";
	default:
		return "listed";
	}
}

static bool changes(enum ipc_op op)
{
	return op >= IPC_OP_QUEUE_RETRY && op <= IPC_OP_QUEUE_DROP;
}

static void finish_freezing(struct operation *operation)
{
	enum err err = operation->view.err;

	if (err != ERR_OK && err != ERR_EOF)
		log_note(LOG_ERROR, "mail of frozen accounts cannot be looked for: %s",
			 err_name(err));
	operation->over(operation->over_arg, &operation->tally);
	operation_free(operation);
}

/* Whoever asked is gone; or the process ends, and the next one does it. */
static bool is_abandoned(const struct operation *operation)
{
	if (operation->desk == NULL)
		return operation->operators->queue->stopping;
	return operation->desk->channel == NULL;
}

/* What was changed, and what was left as it is. */
static void finish_change(const struct operation *operation)
{
	char scheduled[160] = "", frozen[160] = "";

	log_note(LOG_INFO, "the operator: %llu recipients %s",
		 (unsigned long long)operation->changed, done_text(operation->op));
	if (operation->scheduled != 0)
		snprintf(scheduled, sizeof(scheduled),
			 "; %llu wait for the time that their sender set: \"postern queue "
			 "release\" sends them now",
			 (unsigned long long)operation->scheduled);
	if (operation->frozen != 0)
		snprintf(frozen, sizeof(frozen),
			 "; %llu are held because their account is frozen: \"postern user "
			 "thaw\" lets them go",
			 (unsigned long long)operation->frozen);
	answer(operation->desk, operation->id, true, "%llu recipient%s %s%s%s",
	       (unsigned long long)operation->changed, operation->changed == 1 ? "" : "s",
	       done_text(operation->op), scheduled, frozen);
}

static void finish(struct operation *operation)
{
	const struct view *view = &operation->view;

	if (operation->desk == NULL) {
		finish_freezing(operation);
		return;
	}
	if (view->err != ERR_OK && view->err != ERR_EOF) {
		answer(operation->desk, operation->id, false,
		       "the queue cannot be read (%s); see the log", err_name(view->err));
	} else if (view->selector.by_id && view->seen == 0) {
		char id[MSGID_TEXT_MAX + 1];

		msgid_print(&view->selector.id, id);
		answer(operation->desk, operation->id, false,
		       "no message %s is in the queue: it was delivered, bounced or dropped; the "
		       "log says which",
		       id);
	} else if (changes(operation->op)) {
		finish_change(operation);
	} else if (operation->op == IPC_OP_QUEUE_SUMMARY) {
		answer(operation->desk, operation->id, true,
		       "%llu recipient%s at %llu destination%s", (unsigned long long)view->seen,
		       view->seen == 1 ? "" : "s", (unsigned long long)view->destinations,
		       view->destinations == 1 ? "" : "s");
	} else {
		answer(operation->desk, operation->id, true, "%llu recipient%s%s",
		       (unsigned long long)view->seen, view->seen == 1 ? "" : "s",
		       view->limited ? ", and there are more: see --limit" : "");
	}
	operation_free(operation);
}

/* ---- changes ----------------------------------------------------------------------------- */
static void log_drop(const struct view_row *row)
{
	log_event(LOG_WARNING, "failed", LOG_TEXT("id", row->id), LOG_TEXT("recipient", row->to),
		  LOG_TEXT("bounce", "no"), LOG_TEXT("reason", "dropped by the operator"));
}

/* What was held before its time waits for that again. */
static int64_t due_after_hold(const struct view_row *row, int64_t now)
{
	return row->row.state == QUEUE_HELD && row->row.attempts == 0 && row->release_at != 0
		       ? row->release_at
		       : now;
}

/* False: there is nothing to change about it. */
static bool change_of(enum ipc_op op, const struct view_row *row, int64_t now,
		      struct queue_change *change_out)
{
	struct queue_change change = {.row = row->row,
				      .in_file = row->in_file,
				      .force = true,
				      .due = now,
				      .attempts = row->row.attempts,
				      .state = QUEUE_WAITING};

	switch (op) {
	case IPC_OP_QUEUE_RETRY:
		if (row->row.state == QUEUE_HELD || row->scheduled || row->row.due <= now)
			return false;
		change.state = row->row.state;
		break;
	case IPC_OP_QUEUE_HOLD:
		/* What is held for another reason stays after that. */
		if (row->row.due == QUEUE_HELD_DUE)
			return false;
		change.due = QUEUE_HELD_DUE;
		change.state = QUEUE_HELD;
		break;
	case IPC_OP_QUEUE_RELEASE:
		if ((row->row.state != QUEUE_HELD && !row->scheduled) ||
		    row->row.due == QUEUE_FROZEN_DUE) /* it would be held again at once */
			return false;
		change.due = due_after_hold(row, now);
		break;
	default:
		change.end = true;
	}
	*change_out = change;
	return true;
}

/* Held because its account is frozen, or, if it is that already, let go as it was. */
static void freeze_or_thaw(const struct view_row *row, int64_t now, struct queue_change *change_out)
{
	bool thaw = row->row.due == QUEUE_FROZEN_DUE;

	*change_out = (struct queue_change){
		.row = row->row,
		.in_file = row->in_file,
		.force = true,
		.due = thaw ? due_after_hold(row, now) : QUEUE_FROZEN_DUE,
		.attempts = row->row.attempts,
		.state = thaw ? QUEUE_WAITING : QUEUE_HELD,
	};
}

static void step(struct operation *operation);

/* relay forgets that their servers were down: of all of the queue, or of what was chosen. */
static void forgive(struct operation *operation)
{
	struct deliveries *deliveries = operation->operators->queue->deliveries;
	const struct view *view = &operation->view;
	const char *before = NULL;

	if (!view->selector.by_id && !view->selector.any && view->selector.limit == 0) {
		deliveries_try_again(deliveries, SLICE_LIT(""));
		return;
	}
	/* Rows of one destination stand together. */
	for (size_t i = 0; i < view->row_count; i++) {
		if (before != NULL && strcmp(view->rows[i].domain, before) == 0)
			continue;
		before = view->rows[i].domain;
		deliveries_try_again(deliveries, slice_str(before));
	}
}

static void changed(void *arg, enum err err)
{
	struct operation *operation = arg;
	struct view *view = &operation->view;
	struct queue *queue = operation->operators->queue;

	(void)err;
	for (size_t i = 0; i < view->row_count; i++) {
		struct view_row *row = &view->rows[i];

		if (operation->op == IPC_OP_QUEUE_DROP && row->touched) {
			log_drop(row);
			ended_note(queue->lately, row->row.key, row->row.n);
		}
		if (operation->op == IPC_OP_QUEUE_RETRY || operation->op == IPC_OP_QUEUE_RELEASE ||
		    (operation->desk == NULL && row->row.due == QUEUE_FROZEN_DUE))
			dispatch_wake(deliveries_dispatch(queue->deliveries), row->row.destination,
				      row->row.due < view->now ? row->row.due : view->now);
		else if (row->touched) /* a read of before the commit may have brought it back */
			deliveries_withdraw(queue->deliveries, row->row.destination, row->row.key);
	}
	if (operation->op == IPC_OP_QUEUE_RETRY)
		forgive(operation);
	deliveries_poke(queue->deliveries);
	step(operation);
}

static void apply(struct operation *operation)
{
	struct view *view = &operation->view;
	struct queue *queue = operation->operators->queue;
	struct queue_change change;
	bool any = false;

	for (size_t i = 0; i < view->row_count; i++) {
		struct view_row *row = &view->rows[i];

		/* It was moved to this very time by the step before. */
		if (operation->op == IPC_OP_QUEUE_RETRY && row->row.due == view->now)
			continue;
		if (operation->desk == NULL) {
			freeze_or_thaw(row, view->now, &change);
			row->touched = true;
			operation->tally.held += change.state == QUEUE_HELD;
			operation->tally.released += change.state != QUEUE_HELD;
		} else {
			row->touched = change_of(operation->op, row, view->now, &change);
			operation->frozen += operation->op == IPC_OP_QUEUE_RELEASE &&
					     row->row.due == QUEUE_FROZEN_DUE;
		}
		if (row->touched) {
			deliveries_withdraw(queue->deliveries, row->row.destination, row->row.key);
			writer_change(queue->writer, &change);
			if (operation->op == IPC_OP_QUEUE_DROP)
				deliveries_dropped(queue->deliveries, row->row.destination,
						   row->row.key, row->row.n);
			any = true;
		}
		operation->scheduled += operation->op == IPC_OP_QUEUE_RETRY && row->scheduled;
		operation->scheduled += row->touched && operation->op == IPC_OP_QUEUE_RELEASE &&
					change.due > view->now;
		if (row->touched || (operation->op == IPC_OP_QUEUE_RETRY && !row->scheduled))
			operation->changed++;
	}
	if (!any) {
		changed(operation, ERR_OK);
		return;
	}
	writer_after(queue->writer, changed, operation);
	writer_hurry(queue->writer);
}

/* ---- steps ------------------------------------------------------------------------------- */
static void work(void *arg)
{
	struct operation *operation = arg;

	view_step(&operation->view, operation->operators->queue->views);
}

static void done(void *arg)
{
	struct operation *operation = arg;
	struct view *view = &operation->view;

	if (view->err == ERR_CORRUPT)
		queue_damaged(operation->operators->queue, "listing");
	for (size_t i = 0; operation->desk != NULL && i < view->answer.count; i++)
		send_row(operation->desk, operation->id, &view->answer.rows[i]);
	rows_clear(&view->answer);
	if (view->row_count != 0 && changes(operation->op) &&
	    (view->err == ERR_OK || view->err == ERR_EOF))
		apply(operation);
	else if (view->err != ERR_OK || is_abandoned(operation))
		finish(operation);
	else
		timer_set(operation->pause, STEP_PAUSE_MS);
}

static void step(struct operation *operation)
{
	if (operation->view.err != ERR_OK || is_abandoned(operation))
		finish(operation);
	else
		queue_job(operation->operators->queue->operator_pool, work, done, operation);
}

static void on_pause(void *arg)
{
	step(arg);
}

void operators_freeze(struct operators *operators, const struct frozen_set *set,
		      operators_over_fn *over, void *arg)
{
	const struct selector selector = {.frozen = set};
	struct operation *operation = mem_alloc(sizeof(*operation));

	operation->operators = operators;
	operation->over = over;
	operation->over_arg = arg;
	operation->op = IPC_OP_QUEUE_HOLD;
	view_init(&operation->view, operation->op, &selector, os_wall_ms());
	operation->pause = timer_new(operators->queue->loop, on_pause, operation);
	operators->running++;
	step(operation);
}

static enum err begin(struct desk *desk, const struct msg_op *msg)
{
	struct operators *operators = desk->operators;
	struct operation *operation;
	struct selector selector;
	char why[256];

	if (operators->running >= OPERATIONS_MAX) {
		answer(desk, msg->id, false, "too many operations at a time; try again");
		return ERR_OK;
	}
	if (selector_read(msg, os_wall_ms(), &selector, why) != ERR_OK) {
		answer(desk, msg->id, false, "%s", why);
		return ERR_OK;
	}
	if (changes(msg->op) && !selector.by_id && !selector.any && !selector.all) {
		answer(desk, msg->id, false,
		       "say which messages: an ID, to, from, user or older, or all of them");
		return ERR_OK;
	}
	if (msg->op == IPC_OP_QUEUE_SHOW && !selector.by_id) {
		answer(desk, msg->id, false, "say which message: its ID");
		return ERR_OK;
	}
	operation = mem_alloc(sizeof(*operation));
	operation->operators = operators;
	operation->desk = desk;
	operation->id = msg->id;
	operation->op = (enum ipc_op)msg->op;
	view_init(&operation->view, operation->op, &selector, os_wall_ms());
	operation->pause = timer_new(operators->queue->loop, on_pause, operation);
	desk->refs++;
	operators->running++;
	step(operation);
	return ERR_OK;
}

static void status(struct desk *desk, uint64_t id)
{
	struct rows rows = {0};

	status_add(desk->operators->queue, &rows);
	send_row(desk, id, &rows.rows[0]);
	rows_clear(&rows);
	answer(desk, id, true, "queue is up");
}

/* ---- channels ---------------------------------------------------------------------------- */
static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct desk *desk = arg;
	struct msg_op msg;
	enum err err;

	(void)channel;
	(void)fd;
	if (type != IPC_OP)
		return ERR_SYNTAX;
	if ((err = ipc_decode(IPC_OP, payload, &msg)) != ERR_OK)
		return err;
	switch (msg.op) {
	case IPC_OP_STATUS:
		status(desk, msg.id);
		return ERR_OK;
	case IPC_OP_QUEUE_SUMMARY:
	case IPC_OP_QUEUE_LIST:
	case IPC_OP_QUEUE_SHOW:
	case IPC_OP_QUEUE_RETRY:
	case IPC_OP_QUEUE_HOLD:
	case IPC_OP_QUEUE_RELEASE:
	case IPC_OP_QUEUE_DROP:
		return begin(desk, &msg);
	default:
		answer(desk, msg.id, false, "queue does not do this");
		return ERR_OK;
	}
}

static void desk_end(struct desk *desk)
{
	struct desk **at = &desk->operators->desks;

	if (desk->channel == NULL)
		return;
	while (*at != desk)
		at = &(*at)->next;
	*at = desk->next;
	channel_free(&desk->channel);
	desk_unref(desk);
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel from control is broken: %s", why);
	desk_end(arg);
}

void operators_connect(struct operators *operators, int fd)
{
	static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};
	struct desk *desk = mem_alloc(sizeof(*desk));

	desk->operators = operators;
	desk->refs = 1;
	desk->channel = channel_new(operators->queue->loop, fd, "control", &handlers, desk);
	desk->next = operators->desks;
	operators->desks = desk;
}

struct operators *operators_new(struct queue *queue)
{
	struct operators *operators = mem_alloc(sizeof(*operators));

	operators->queue = queue;
	return operators;
}

void operators_free(struct operators **operators)
{
	if (*operators == NULL)
		return;
	while ((*operators)->desks != NULL)
		desk_end((*operators)->desks);
	MEM_FREE(*operators);
}

bool operators_idle(const struct operators *operators)
{
	return operators->running == 0;
}
