/* SPDX-License-Identifier: Apache-2.0 */
#include "settle.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "claim.h"
#include "config/config.h"
#include "delivery.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/os.h"
#include "os/worker.h"
#include "policy/dispatch.h"
#include "queue.h"
#include "report.h"
#include "writer.h"

enum { KEYLESS_PAUSE_MS = 60000 };

/* What becomes of one recipient. */
struct item {
	struct delivery_row *row;
	enum ipc_outcome outcome;
	enum report_action action;
	enum report_cause cause; /* of a failure */
	bool report;             /* the sender is told */
	uint16_t code;
	struct slice status, text;
	int64_t due;
	char last[QUEUE_LAST_MAX];
};

struct settlement {
	struct queue *queue;
	struct delivery *delivery;
	uint64_t ack;  /* claim to confirm; 0: none */
	char *payload; /* what the slices point into */
	struct slice host, tls;
	struct queue_mail *mail; /* the delivery's when it began: envelope points into it */
	struct queue_envelope envelope;
	struct queue_mail *loaded; /* the message with its body, or with its sums */
	struct buf head;           /* start of a message in a file */
	enum err head_err;
	bool down;
	size_t count;
	struct item *items;
};

/* ---- life -------------------------------------------------------------------------------- */
static struct settlement *settlement_new(struct queue *queue, struct delivery *delivery,
					 size_t items)
{
	struct settlement *s = mem_alloc(sizeof(*s));

	s->queue = queue;
	s->delivery = delivery;
	s->items = mem_array(items, sizeof(*s->items));
	s->host = s->tls = (struct slice){"", 0};
	buf_init(&s->head, REPORT_HEAD);
	/* What was stored or loaded is known to be well-formed. */
	s->mail = queue_mail_ref(delivery->mail);
	(void)queue_envelope_read(slice_of(s->mail->envelope, s->mail->envelope_len), &s->envelope);
	delivery->settling++;
	return s;
}

static void settlement_free(struct settlement *s)
{
	mem_free(s->payload);
	mem_free(s->items);
	queue_mail_unref(&s->loaded);
	queue_mail_unref(&s->mail);
	buf_release(&s->head);
	mem_free(s);
}

/* ---- on disk ----------------------------------------------------------------------------- */
static void log_item(const struct settlement *s, const struct item *item)
{
	static const char *const events[] = {[IPC_DELIVERED] = "delivered",
					     [IPC_DEFERRED] = "deferred",
					     [IPC_FAILED] = "failed",
					     [IPC_UNCERTAIN] = "deferred"};
	const struct queue_mail *mail = s->mail;
	struct queue_recipient recipient = {.address = {"", 0}};
	bool waits = item->outcome == IPC_DEFERRED || item->outcome == IPC_UNCERTAIN;
	char id[MSGID_TEXT_MAX + 1];
	int64_t now = os_wall_ms();

	msgid_print(&mail->id, id);
	(void)queue_envelope_find(&s->envelope, item->row->n, &recipient);
	log_event(item->outcome == IPC_DELIVERED ? LOG_INFO : LOG_WARNING, events[item->outcome],
		  LOG_TEXT("id", id), LOG_SLICE("session", s->envelope.log_id),
		  LOG_SLICE_IF("account", s->envelope.account),
		  LOG_SLICE("sender", s->envelope.sender),
		  LOG_SLICE("recipient", recipient.address), LOG_SLICE_IF("host", s->host),
		  LOG_SLICE_IF("tls", s->tls), LOG_NUMBER("attempt", item->row->attempts),
		  LOG_NUMBER("delay_ms", now > mail->arrived ? now - mail->arrived : 0),
		  LOG_TEXT_IF("uncertain", item->outcome == IPC_UNCERTAIN ? "yes" : ""),
		  LOG_TEXT_IF("expired", item->cause == REPORT_EXPIRED ? "yes" : ""),
		  LOG_TEXT_IF("late", item->cause == REPORT_LATE ? "yes" : ""),
		  LOG_TEXT_IF("bounce",
			      item->outcome == IPC_FAILED ? (item->report ? "yes" : "no") : ""),
		  LOG_SLICE_IF("status", item->status),
		  waits ? LOG_NUMBER("retry_in_ms", item->due > now ? item->due - now : 0)
			: LOG_TEXT_IF("", ""),
		  LOG_TEXT_IF("reply", item->last));
}

static void on_disk(void *arg, enum err err)
{
	struct settlement *s = arg;
	struct delivery *delivery = s->delivery;
	struct channel *relay = deliveries_relay(s->queue->deliveries);
	const struct msg_results_ack ack = {.claim = s->ack};

	(void)err;
	for (size_t i = 0; i < s->count; i++) {
		const struct item *item = &s->items[i];

		log_item(s, item);
		if ((item->outcome == IPC_DEFERRED || item->outcome == IPC_UNCERTAIN) &&
		    item->due < delivery->next_due)
			delivery->next_due = item->due;
	}
	if (s->ack != 0 && relay != NULL)
		(void)channel_send(relay, IPC_RESULTS_ACK, &ack);
	settlement_free(s);
	delivery->settling--;
	delivery_settled(delivery);
}

static void change(struct settlement *s, struct item *item)
{
	bool end = item->outcome == IPC_DELIVERED || item->outcome == IPC_FAILED;
	struct queue_change change = {.row = delivery_row(s->delivery, item->row),
				      .end = end,
				      .in_file = s->mail->in_file};

	item->row->attempts++;
	if (!end) {
		change.due = item->due;
		change.attempts = item->row->attempts;
		change.state = item->outcome == IPC_UNCERTAIN ? QUEUE_UNCERTAIN : QUEUE_DEFERRED;
		change.last = slice_str(item->last);
	}
	writer_change(s->queue->writer, &change);
}

/* ---- reports ----------------------------------------------------------------------------- */
/*
 * There is no key for a report. Who failed waits a little instead; who has the message has it: the
 * sender is not told.
 */
static void postpone(struct settlement *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (!s->items[i].report)
			continue;
		s->items[i].report = false;
		if (s->items[i].outcome == IPC_FAILED) {
			s->items[i].cause = REPORT_SAID;
			s->items[i].outcome = IPC_DEFERRED;
			s->items[i].due = os_wall_ms() + KEYLESS_PAUSE_MS;
		}
	}
}

static void send_report(struct settlement *s)
{
	const struct queue_mail *mail = s->loaded != NULL ? s->loaded : s->mail;
	struct report_recipient *list = mem_array(s->count, sizeof(*list));
	struct queue_recipient recipient;
	size_t count = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct item *item = &s->items[i];

		if (!item->report || !queue_envelope_find(&s->envelope, item->row->n, &recipient))
			continue;
		list[count++] = (struct report_recipient){.action = item->action,
							  .cause = item->cause,
							  .address = recipient.address,
							  .orcpt = recipient.orcpt,
							  .status = item->status,
							  .text = item->text,
							  .host = s->host,
							  .code = item->code};
	}
	if (count != 0 && report_send(s->queue, s->mail, &s->envelope, list, count,
				      report_quote(mail, buf_data(&s->head))) != ERR_OK)
		postpone(s);
	mem_free(list);
}

/* What was dropped while relay, or the disk, was at it: its sender hears nothing. */
static void forget_dropped(struct settlement *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].row->dropped)
			s->items[i].report = false;
}

/* All that belongs to one commit is handed in without a break. */
static void commit(struct settlement *s)
{
	forget_dropped(s);
	send_report(s);
	for (size_t i = 0; i < s->count; i++)
		change(s, &s->items[i]);
	writer_after(s->queue->writer, on_disk, s);
}

static void fetch_work(void *arg)
{
	struct settlement *s = arg;
	const struct queue_mail *mail = s->mail;

	if (mail->in_file)
		s->head_err = queue_body_read(s->queue->folder, mail, 0, REPORT_HEAD, &s->head);
	else
		s->head_err = queue_reader_mail(s->queue->claims, mail->id.key, &s->loaded);
}

static void fetch_done(void *arg)
{
	struct settlement *s = arg;

	if (s->head_err != ERR_OK)
		log_note(LOG_WARNING, "a report goes out without the header of the message: %s",
			 err_name(s->head_err));
	commit(s);
}

static void fetch_then_commit(struct settlement *s)
{
	const struct queue_mail *mail = s->mail;
	bool report = false;

	for (size_t i = 0; i < s->count; i++)
		report = report || s->items[i].report;
	if (!report || (!mail->in_file && mail->body != NULL))
		commit(s);
	else
		queue_job(mail->in_file ? s->queue->body_pool : s->queue->claim_pool, fetch_work,
			  fetch_done, s);
}

/* ---- deciding ---------------------------------------------------------------------------- */
static void tell(struct settlement *s, struct item *item, enum report_action action)
{
	struct queue_recipient recipient;

	item->action = action;
	item->report = queue_envelope_find(&s->envelope, item->row->n, &recipient) &&
		       report_wanted(s->mail, &s->envelope, &recipient, action);
}

static void fail(struct settlement *s, struct item *item, enum report_cause cause)
{
	item->outcome = IPC_FAILED;
	item->cause = cause;
	tell(s, item, REPORT_FAILED);
}

/*
 * Who makes the report of success (RFC 3461 5.2): the last who knows of the wish. What DELIVERBY
 * asks for is told whatever NOTIFY says, but for NEVER: each step of a trace (RFC 2852 4.1.4), and
 * that a message of mode N went to a server that knows nothing of its time (4.1.4.2).
 */
static void delivered(struct settlement *s, struct item *item, uint8_t taken)
{
	const struct queue_envelope *envelope = &s->envelope;
	struct queue_recipient recipient;

	if (taken == IPC_TAKEN_FINAL) {
		tell(s, item, REPORT_DELIVERED);
		return;
	}
	if ((taken & ~IPC_TAKEN_BY) != IPC_TAKEN_DSN)
		tell(s, item, REPORT_RELAYED);
	if (!envelope->by_trace &&
	    (envelope->by_mode != QUEUE_BY_NOTIFY || (taken & IPC_TAKEN_BY) != 0))
		return;
	item->action = REPORT_RELAYED;
	item->report = queue_envelope_find(envelope, item->row->n, &recipient) &&
		       report_allowed(s->mail, envelope, &recipient);
}

static struct item *add_item(struct settlement *s, struct delivery_row *row)
{
	struct item *item = &s->items[s->count++];

	item->row = row;
	item->status = item->text = (struct slice){"", 0};
	row->settled = true;
	s->delivery->unsettled--;
	return item;
}

static void decide(struct settlement *s, struct delivery_row *row, const struct rec_result *result,
		   uint64_t hint)
{
	struct retry_schedule schedule = queue_schedule(s->queue);
	struct item *item = add_item(s, row);
	int64_t now = os_wall_ms(), pause;

	item->code = result->code;
	item->status = result->status;
	item->text = result->text;
	if (result->code != 0) {
		(void)snprintf(item->last, sizeof(item->last), "%u %.*s%s%.*s", result->code,
			       SLICE_ARG(result->status), result->status.len != 0 ? " " : "",
			       SLICE_ARG(slice_head(result->text, QUEUE_LAST_MAX)));
		item->text = slice_skip(slice_str(item->last), 4); /* past the code */
	} else {
		(void)snprintf(item->last, sizeof(item->last), "%.*s",
			       SLICE_ARG(slice_head(result->text, QUEUE_LAST_MAX)));
	}
	item->outcome = (enum ipc_outcome)result->outcome;
	if (result->scope != IPC_SCOPE_OURS && item->outcome != IPC_UNCERTAIN && !s->down)
		s->delivery->worked = true;
	if (item->outcome == IPC_DELIVERED) {
		delivered(s, item, result->taken);
		return;
	}
	if (item->outcome == IPC_FAILED && result->scope != IPC_SCOPE_OURS) {
		fail(s, item, REPORT_SAID);
		return;
	}
	pause = (int64_t)retry_pause(&schedule, row->attempts + 1, os_random_u64());
	if (item->outcome == IPC_UNCERTAIN) {
		pause = (int64_t)schedule.uncertain_ms;
	} else {
		item->outcome = IPC_DEFERRED;
		if (hint != 0)
			pause = hint < schedule.max_ms ? (int64_t)hint : (int64_t)schedule.max_ms;
	}
	item->due = now + pause;
	/* A mistake in our own configuration is the administrator's to mend: nothing bounces. */
	if (result->scope != IPC_SCOPE_OURS && s->mail->expires <= now)
		fail(s, item, REPORT_EXPIRED);
	else if (delivery_late(&s->envelope, now))
		fail(s, item, REPORT_LATE);
}

static struct delivery_row *find_row(struct delivery *delivery, uint32_t n)
{
	for (uint32_t i = 0; i < delivery->row_count; i++) {
		if (delivery->rows[i].n == n && !delivery->rows[i].settled)
			return &delivery->rows[i];
	}
	return NULL;
}

/* payload: a copy, which the settlement takes. */
static void settle(struct queue *queue, struct delivery *delivery, const struct msg_results *msg,
		   char *payload)
{
	struct settlement *s = settlement_new(queue, delivery, msg->results.count);
	struct retry_schedule schedule = queue_schedule(queue);
	struct ipc_list results = msg->results;
	struct rec_result result;
	struct delivery_row *row;

	s->payload = payload;
	s->ack = msg->claim;
	s->host = msg->host;
	s->tls = msg->tls;
	s->down = msg->destination_down;
	if (s->down) {
		uint32_t failures = dispatch_failures(deliveries_dispatch(queue->deliveries),
						      delivery->destination);
		uint64_t pause = retry_pause(&schedule, failures + 1, os_random_u64());

		if (msg->retry_in_ms != 0 && msg->retry_in_ms < schedule.max_ms)
			pause = msg->retry_in_ms;
		delivery->retry_at = os_wall_ms() + (int64_t)pause;
	}
	while (ipc_list_next(&results, IPC_REC_result, &result)) {
		row = find_row(delivery, result.n);
		if (row != NULL && result.outcome >= IPC_DELIVERED &&
		    result.outcome <= IPC_UNCERTAIN)
			decide(s, row, &result, msg->retry_in_ms);
	}
	fetch_then_commit(s);
}

/* ---- RESULTS ----------------------------------------------------------------------------- */
/* Results of a claim that this queue does not know: of the queue before it. */
struct unknown {
	struct queue *queue;
	char *payload;
	size_t len;
};

static void acknowledge(struct queue *queue, uint64_t claim)
{
	const struct msg_results_ack ack = {.claim = claim};
	struct channel *relay = deliveries_relay(queue->deliveries);

	if (relay != NULL)
		(void)channel_send(relay, IPC_RESULTS_ACK, &ack);
}

static void revived(void *arg, struct delivery *delivery)
{
	struct unknown *unknown = arg;
	struct queue *queue = unknown->queue;
	struct delivery *known;
	struct msg_results msg;

	/* It was decoded before. */
	if (ipc_decode(IPC_RESULTS, slice_of(unknown->payload, unknown->len), &msg) != ERR_OK)
		goto out;
	known = deliveries_claim(queue->deliveries, msg.claim);
	if (known != NULL) { /* IN_FLIGHT told of it meanwhile */
		settle(queue, known, &msg, unknown->payload);
		unknown->payload = NULL;
		if (delivery != NULL)
			delivery_free(delivery);
	} else if (delivery != NULL) {
		/*
		 * Rows without a result here are not in flight: they stay as they are. It counts
		 * as under way, so that a read of before the commit does not bring it back.
		 */
		delivery->in_dispatch =
			dispatch_adopt(deliveries_dispatch(queue->deliveries),
				       delivery->destination, delivery->mail->id.key, delivery);
		delivery->over = true;
		delivery->next_due = 0;
		settle(queue, delivery, &msg, unknown->payload);
		unknown->payload = NULL;
	} else {
		acknowledge(queue, msg.claim); /* on disk since before the crash */
	}
out:
	mem_free(unknown->payload);
	mem_free(unknown);
}

enum err settle_results(struct queue *queue, struct slice payload)
{
	struct delivery *delivery;
	struct unknown *unknown;
	struct msg_results msg;
	char *copy = mem_strndup(payload.ptr, payload.len);
	enum err err = ipc_decode(IPC_RESULTS, slice_of(copy, payload.len), &msg);

	if (err != ERR_OK) {
		mem_free(copy);
		return err;
	}
	/* The copy is small beside what relay holds; credit is for bodies. */
	channel_done(deliveries_relay(queue->deliveries), (uint32_t)payload.len, 1);
	delivery = deliveries_claim(queue->deliveries, msg.claim);
	if (delivery != NULL) {
		settle(queue, delivery, &msg, copy);
		return ERR_OK;
	}
	unknown = mem_alloc(sizeof(*unknown));
	*unknown = (struct unknown){.queue = queue, .payload = copy, .len = payload.len};
	err = claim_revive(queue, msg.key, msg.destination, revived, unknown);
	if (err != ERR_OK) {
		mem_free(copy);
		mem_free(unknown);
	}
	return err;
}

/* ---- without relay ----------------------------------------------------------------------- */
void settle_over(struct delivery *delivery, enum report_cause cause)
{
	struct settlement *s = settlement_new(delivery->queue, delivery, delivery->row_count);

	for (uint32_t i = 0; i < delivery->row_count; i++) {
		struct item *item = add_item(s, &delivery->rows[i]);

		if (cause == REPORT_LATE) {
			item->status = SLICE_LIT("5.4.7");
			item->text =
				SLICE_LIT("The message could not be delivered in the time that "
					  "its sender gave for it");
		} else {
			item->status = SLICE_LIT("4.4.7");
			item->text =
				SLICE_LIT("The mail server of this domain could not be reached "
					  "in all the time that the message was kept");
		}
		(void)snprintf(item->last, sizeof(item->last), "%.*s", SLICE_ARG(item->text));
		fail(s, item, cause);
	}
	fetch_then_commit(s);
}

void settle_lost(struct delivery *delivery)
{
	struct settlement *s = settlement_new(delivery->queue, delivery, delivery->row_count);

	delivery->over = true;
	for (uint32_t i = 0; i < delivery->row_count; i++) {
		struct delivery_row *row = &delivery->rows[i];
		struct item *item;

		if (row->settled)
			continue;
		if (!row->at_dot) {
			delivery->next_due = 0;
			continue;
		}
		item = add_item(s, row);
		item->outcome = IPC_UNCERTAIN;
		item->due = os_wall_ms() + QUEUE_UNCERTAIN_MS;
		(void)snprintf(item->last, sizeof(item->last),
			       "the delivery was interrupted after the final dot: it may have "
			       "arrived");
	}
	fetch_then_commit(s);
}
