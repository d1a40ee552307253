/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery.h"

#include <string.h>

#include "base/mem.h"
#include "claim.h"
#include "config/config.h"
#include "feed.h"
#include "load.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/os.h"
#include "policy/dispatch.h"
#include "queue.h"
#include "settle.h"
#include "space.h"
#include "writer.h"

enum {
	LEASE_LOOK_MS = 60000,
	/* Commits longer than this leave less to relay, shorter than a third of it more. */
	LONG_COMMIT_US = 30000,
	WINDOW_LOOK_MS = 100,
};

struct deliveries {
	struct queue *queue;
	struct dispatch *dispatch;
	struct channel *relay;
	struct hook *hook;
	struct timer *wake, *lease;
	struct delivery *claims;
	struct delivery *stalled; /* to be sent when relay's credit allows */
	uint64_t next_claim;
	uint32_t window;
	int64_t window_looked;
	size_t memory;
	int adopting;
	bool told; /* relay has told what is in flight */
	bool stopping;
};

/* ---- one delivery ------------------------------------------------------------------------ */
struct delivery *delivery_new(struct queue *queue, struct queue_mail *mail, int64_t destination,
			      size_t rows)
{
	struct delivery *delivery = mem_alloc(sizeof(*delivery) + rows * sizeof(delivery->rows[0]));

	delivery->queue = queue;
	delivery->mail = queue_mail_ref(mail);
	delivery->destination = destination;
	delivery->row_count = delivery->unsettled = (uint32_t)rows;
	delivery->next_due = QUEUE_NEVER;
	queue->deliveries->memory += mail->body_len;
	return delivery;
}

struct delivery *delivery_of(struct queue *queue, struct queue_loaded *loaded)
{
	struct delivery *delivery =
		delivery_new(queue, loaded->mail, loaded->rows[0].destination, loaded->row_count);

	queue_mail_unref(&loaded->mail);
	for (size_t i = 0; i < loaded->row_count; i++)
		delivery->rows[i] = (struct delivery_row){.due = loaded->rows[i].due,
							  .n = loaded->rows[i].n,
							  .attempts = loaded->rows[i].attempts,
							  .state = (uint8_t)loaded->rows[i].state};
	return delivery;
}

struct dispatch_rank delivery_rank(const struct queue_mail *mail,
				   const struct queue_envelope *envelope)
{
	int priority = queue_envelope_priority(envelope);

	return (struct dispatch_rank){.since =
					      mail->arrived - (int64_t)priority * QUEUE_PRIORITY_MS,
				      .priority = priority};
}

bool delivery_late(const struct queue_envelope *envelope, int64_t now)
{
	return envelope->by_mode == QUEUE_BY_RETURN && envelope->deliver_by != 0 &&
	       envelope->deliver_by <= now;
}

void delivery_free(struct delivery *delivery)
{
	struct deliveries *deliveries = delivery->queue->deliveries;

	deliveries->memory -= delivery->mail->body_len;
	if (delivery->claim != 0)
		HASH_DEL(deliveries->claims, delivery);
	if (deliveries->stalled == delivery)
		deliveries->stalled = NULL;
	feed_free(&delivery->feed);
	queue_mail_unref(&delivery->mail);
	mem_free(delivery);
}

struct queue_row delivery_row(const struct delivery *delivery, const struct delivery_row *row)
{
	return (struct queue_row){.destination = delivery->destination,
				  .due = row->due,
				  .key = delivery->mail->id.key,
				  .n = row->n,
				  .attempts = row->attempts,
				  .state = (enum queue_state)row->state};
}

void deliveries_count_memory(struct deliveries *deliveries, int64_t bytes)
{
	deliveries->memory = (size_t)((int64_t)deliveries->memory + bytes);
}

size_t deliveries_memory(const struct deliveries *deliveries)
{
	return deliveries->memory;
}

static void drop(void *arg, void *data)
{
	(void)arg;
	delivery_free(data);
}

/* ---- claims ------------------------------------------------------------------------------ */
struct delivery *deliveries_claim(struct deliveries *deliveries, uint64_t claim)
{
	struct delivery *delivery;

	HASH_FIND(hh, deliveries->claims, &claim, sizeof(claim), delivery);
	return delivery;
}

bool deliveries_add_claim(struct deliveries *deliveries, struct delivery *delivery, uint64_t claim)
{
	if (claim == 0 || deliveries_claim(deliveries, claim) != NULL)
		return false;
	delivery->claim = claim;
	delivery->lease = loop_now(deliveries->queue->loop) + QUEUE_LEASE_MS;
	HASH_ADD(hh, deliveries->claims, claim, sizeof(delivery->claim), delivery);
	return true;
}

void delivery_settled(struct delivery *delivery)
{
	struct queue *queue = delivery->queue;
	struct dispatch *dispatch = queue->deliveries->dispatch;
	enum dispatch_outcome outcome = delivery->retry_at != 0 ? DISPATCH_DOWN
					: delivery->worked      ? DISPATCH_WORKED
								: DISPATCH_UNKNOWN;
	uint32_t before, after;

	if (delivery->settling != 0 || (delivery->unsettled != 0 && !delivery->over))
		return;
	if (delivery->in_dispatch) {
		before = dispatch_failures(dispatch, delivery->destination);
		dispatch_finish(dispatch, delivery->destination, delivery->mail->id.key, outcome,
				delivery->retry_at, delivery->next_due);
		after = dispatch_failures(dispatch, delivery->destination);
		if (before != after) {
			const struct queue_destination state = {
				.id = delivery->destination,
				.due = after != 0 ? delivery->retry_at : 0,
				.failures = after};

			/* Should it be lost, the destination is tried once more: no harm. */
			writer_destination(queue->writer, &state);
		}
	} else if (delivery->next_due != QUEUE_NEVER) {
		dispatch_destination(dispatch, delivery->destination, delivery->next_due, 0, 0);
	}
	delivery_free(delivery);
	deliveries_poke(queue->deliveries);
	queue_stop_if_idle(queue);
}

/* ---- what is to be done ------------------------------------------------------------------ */
static void narrow(struct deliveries *deliveries)
{
	uint32_t commit = writer_commit_us(deliveries->queue->writer);
	int64_t now = loop_now(deliveries->queue->loop);
	uint32_t window = deliveries->window;

	if (now - deliveries->window_looked < WINDOW_LOOK_MS)
		return;
	deliveries->window_looked = now;
	if (commit > LONG_COMMIT_US)
		window -= window / 8;
	else if (commit < LONG_COMMIT_US / 3)
		window += window / 8 + 1;
	window = window < QUEUE_WINDOW / 10 ? QUEUE_WINDOW / 10
		 : window > QUEUE_WINDOW    ? QUEUE_WINDOW
					    : window;
	if (window != deliveries->window)
		dispatch_set_window(deliveries->dispatch, window);
	deliveries->window = window;
}

/* True: on its way. False: relay's credit is used up, or it cannot be sent at all. */
static bool start(struct deliveries *deliveries, struct delivery *delivery)
{
	enum err err = claim_send(deliveries->relay, delivery);

	if (err == ERR_OK)
		return true;
	if (err == ERR_FULL) {
		deliveries->stalled = delivery;
		return false;
	}
	/* The channel has ended: what that means is said there. */
	delivery->over = true;
	delivery->next_due = 0;
	delivery_settled(delivery);
	return false;
}

static void begin(struct deliveries *deliveries, struct delivery *delivery)
{
	delivery->in_dispatch = true;
	(void)deliveries_add_claim(deliveries, delivery, deliveries->next_claim++);
}

static void on_hook(void *arg)
{
	struct deliveries *deliveries = arg;
	struct dispatch_next next;
	int64_t now;

	if (deliveries->relay == NULL || !deliveries->told || deliveries->adopting != 0 ||
	    deliveries->stopping || deliveries->stalled != NULL || deliveries->queue->broken)
		return;
	/* What is under way goes on; looked at again when the load has been looked at. */
	if (space_overloaded(deliveries->queue->space))
		return;
	narrow(deliveries);
	now = os_wall_ms();
	while (load_count(deliveries->queue) < QUEUE_LOADS_MAX) {
		dispatch_next(deliveries->dispatch, now, &next);
		if (next.action == DISPATCH_NOTHING) {
			int64_t wait = next.wake == INT64_MAX ? INT64_MAX : next.wake - now;

			/* A clock that jumps is looked at again within a minute. */
			timer_set(deliveries->wake, wait < 0       ? 0
						    : wait > 60000 ? 60000
								   : (uint64_t)wait);
			return;
		}
		if (next.action == DISPATCH_DROP) {
			delivery_free(next.data);
		} else if (next.action == DISPATCH_LOAD) {
			load_start(deliveries->queue, next.destination, next.limit);
		} else {
			begin(deliveries, next.data);
			if (!start(deliveries, next.data))
				return;
		}
	}
}

static void on_wake(void *arg)
{
	(void)arg; /* the hook does it */
}

void deliveries_try_again(struct deliveries *deliveries, struct slice domain)
{
	const struct msg_try_again msg = {.destination = domain};

	if (deliveries->relay != NULL)
		(void)channel_send(deliveries->relay, IPC_TRY_AGAIN, &msg);
}

void deliveries_poke(struct deliveries *deliveries)
{
	loop_wake(deliveries->queue->loop);
}

/* ---- relay ------------------------------------------------------------------------------- */
static void on_room(void *arg, struct channel *channel)
{
	struct deliveries *deliveries = arg;
	struct delivery *delivery = deliveries->stalled, *next;

	(void)channel;
	deliveries->stalled = NULL;
	if (delivery != NULL && !start(deliveries, delivery))
		return;
	HASH_ITER (hh, deliveries->claims, delivery, next) {
		if (delivery->feed != NULL)
			feed_room(delivery);
	}
}

/*
 * relay is gone. What it had sent the final dot of may have arrived; all else was not delivered
 * and is due at once.
 */
static void give_back_all(struct deliveries *deliveries)
{
	struct delivery *delivery, *next;

	deliveries->stalled = NULL;
	HASH_ITER (hh, deliveries->claims, delivery, next) {
		if (!delivery->over)
			settle_lost(delivery);
	}
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct deliveries *deliveries = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel from relay is broken: %s", why);
	channel_free(&deliveries->relay);
	deliveries->told = false;
	give_back_all(deliveries);
	queue_stop_if_idle(deliveries->queue);
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct deliveries *deliveries = arg;
	struct msg_in_flight_end end;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_RESULTS:
		return settle_results(deliveries->queue, payload);
	case IPC_AT_DOT:
		return claim_at_dot(deliveries, payload);
	case IPC_BODY_WANT:
		return feed_want(deliveries, payload);
	case IPC_IN_FLIGHT:
		return claim_in_flight(deliveries, payload);
	case IPC_IN_FLIGHT_END:
		deliveries->told = true;
		return ipc_decode(IPC_IN_FLIGHT_END, payload, &end);
	default:
		return ERR_SYNTAX;
	}
}

void deliveries_connect(struct deliveries *deliveries, int fd)
{
	static const struct channel_handlers handlers = {
		.message = on_message, .room = on_room, .ended = on_ended};

	if (deliveries->relay != NULL) {
		channel_free(&deliveries->relay);
		give_back_all(deliveries);
	}
	deliveries->told = false;
	deliveries->relay =
		channel_new(deliveries->queue->loop, fd, "relay", &handlers, deliveries);
}

struct channel *deliveries_relay(struct deliveries *deliveries)
{
	return deliveries->relay;
}

struct queue *deliveries_queue(struct deliveries *deliveries)
{
	return deliveries->queue;
}

void deliveries_adopting(struct deliveries *deliveries, int change)
{
	deliveries->adopting += change;
}

/* A claim that nobody answers for: relay forgot it. */
static void on_lease(void *arg)
{
	struct deliveries *deliveries = arg;
	int64_t now = loop_now(deliveries->queue->loop);
	struct delivery *delivery, *next;

	HASH_ITER (hh, deliveries->claims, delivery, next) {
		const struct msg_claim_cancel msg = {.claim = delivery->claim};

		if (delivery->over || delivery->lease > now)
			continue;
		log_note(LOG_ERROR, "relay did not report on a delivery for hours: taken back");
		if (deliveries->relay != NULL)
			(void)channel_send(deliveries->relay, IPC_CLAIM_CANCEL, &msg);
		settle_lost(delivery);
	}
	timer_set(deliveries->lease, LEASE_LOOK_MS);
}

/* ---- the operator ------------------------------------------------------------------------ */
void deliveries_withdraw(struct deliveries *deliveries, int64_t destination, uint64_t key)
{
	struct delivery *delivery = dispatch_take(deliveries->dispatch, destination, key);

	if (delivery != NULL) {
		delivery_free(delivery);
		/* Rows of it that were not changed are read again. */
		dispatch_destination(deliveries->dispatch, destination, 0, 0, 0);
		return;
	}
	delivery = dispatch_find(deliveries->dispatch, destination, key);
	if (delivery != NULL && delivery->claim != 0 && deliveries->relay != NULL) {
		const struct msg_claim_cancel msg = {.claim = delivery->claim};

		(void)channel_send(deliveries->relay, IPC_CLAIM_CANCEL, &msg);
	}
}

void deliveries_dropped(struct deliveries *deliveries, int64_t destination, uint64_t key,
			uint32_t n)
{
	struct delivery *delivery = dispatch_find(deliveries->dispatch, destination, key);

	for (uint32_t i = 0; delivery != NULL && i < delivery->row_count; i++)
		if (delivery->rows[i].n == n)
			delivery->rows[i].dropped = true;
}

struct dispatch *deliveries_dispatch(struct deliveries *deliveries)
{
	return deliveries->dispatch;
}

/* ---- life -------------------------------------------------------------------------------- */
static void learn(void *arg, const struct queue_destination *destination)
{
	struct deliveries *deliveries = arg;

	if (destination->first_due != QUEUE_NEVER)
		dispatch_destination(deliveries->dispatch, destination->id, destination->first_due,
				     destination->due, destination->failures);
}

enum err deliveries_open(struct deliveries *deliveries)
{
	int64_t cursor = 0;
	enum err err;

	do
		err = queue_reader_destinations(deliveries->queue->claims, &cursor, 1000, learn,
						deliveries);
	while (err == ERR_OK);
	return err == ERR_EOF ? ERR_OK : err;
}

struct deliveries *deliveries_new(struct queue *queue)
{
	const struct dispatch_options options = {.window = QUEUE_WINDOW,
						 .first_window = QUEUE_FIRST_WINDOW,
						 .ready_max = QUEUE_READY_MAX};
	struct deliveries *deliveries = mem_alloc(sizeof(*deliveries));

	deliveries->queue = queue;
	deliveries->window = QUEUE_WINDOW;
	/* Not those of the queue before this one, which relay may still hold. */
	deliveries->next_claim = ((uint64_t)os_wall_ms() << 20) + 1;
	deliveries->dispatch = dispatch_new(&options);
	deliveries->hook = hook_new(queue->loop, QUEUE_HOOK_DISPATCH, on_hook, deliveries);
	deliveries->wake = timer_new(queue->loop, on_wake, deliveries);
	deliveries->lease = timer_new(queue->loop, on_lease, deliveries);
	timer_set(deliveries->lease, LEASE_LOOK_MS);
	return deliveries;
}

void deliveries_free(struct deliveries **deliveries)
{
	struct delivery *delivery, *next;

	if (*deliveries == NULL)
		return;
	channel_free(&(*deliveries)->relay);
	HASH_ITER (hh, (*deliveries)->claims, delivery, next) {
		if (!delivery->in_dispatch)
			delivery_free(delivery);
	}
	dispatch_free(&(*deliveries)->dispatch, drop, NULL);
	hook_free(&(*deliveries)->hook);
	timer_free(&(*deliveries)->wake);
	timer_free(&(*deliveries)->lease);
	MEM_FREE(*deliveries);
}

void deliveries_stop(struct deliveries *deliveries)
{
	deliveries->stopping = true;
}

bool deliveries_idle(const struct deliveries *deliveries)
{
	return HASH_COUNT(deliveries->claims) == 0;
}
