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
#include "policy/dispatch.h"
#include "queue.h"
#include "report.h"
#include "settlement.h"

/* ---- deciding ---------------------------------------------------------------------------- */
static void tell(struct settlement *s, struct settlement_item *item, enum report_action action)
{
	struct queue_recipient recipient;

	item->action = action;
	item->report = queue_envelope_find(&s->envelope, item->row->n, &recipient) &&
		       report_wanted(s->mail, &s->envelope, &recipient, action);
}

static void fail(struct settlement *s, struct settlement_item *item, enum report_cause cause)
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
static void delivered(struct settlement *s, struct settlement_item *item, uint8_t taken)
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

static void decide(struct settlement *s, struct delivery_row *row, const struct rec_result *result,
		   uint64_t hint)
{
	struct retry_schedule schedule = queue_schedule(s->queue);
	struct settlement_item *item = settlement_add(s, row);
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
	settlement_commit(s);
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
static struct settlement *give_up(struct delivery *delivery, enum report_cause cause)
{
	struct settlement *s = settlement_new(delivery->queue, delivery, delivery->row_count);

	for (uint32_t i = 0; i < delivery->row_count; i++) {
		struct settlement_item *item = settlement_add(s, &delivery->rows[i]);

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
	return s;
}

void settle_over(struct delivery *const *deliveries, size_t count, enum report_cause cause)
{
	struct settlement *first = NULL;

	for (size_t i = count; i-- > 0;) {
		struct settlement *s = give_up(deliveries[i], cause);

		s->next = first;
		first = s;
	}
	if (first != NULL)
		settlement_commit(first);
}

void settle_lost(struct delivery *delivery)
{
	struct settlement *s = settlement_new(delivery->queue, delivery, delivery->row_count);

	delivery->over = true;
	for (uint32_t i = 0; i < delivery->row_count; i++) {
		struct delivery_row *row = &delivery->rows[i];
		struct settlement_item *item;

		if (row->settled)
			continue;
		if (!row->at_dot) {
			delivery->next_due = 0;
			continue;
		}
		item = settlement_add(s, row);
		item->outcome = IPC_UNCERTAIN;
		item->due = os_wall_ms() + QUEUE_UNCERTAIN_MS;
		(void)snprintf(item->last, sizeof(item->last),
			       "the delivery was interrupted after the final dot: it may have "
			       "arrived");
	}
	settlement_commit(s);
}
