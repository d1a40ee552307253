/* SPDX-License-Identifier: Apache-2.0 */
#include "queue_link.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"
#include "delivery.h"
#include "ipc/channel.h"
#include "operator.h"
#include "os/log.h"

enum {
	CANCELLED_KEPT = 64,           /* a CLAIM_CANCEL may overtake its DELIVER */
	RESULTS_MAX = 4 * 1024 * 1024, /* the list of one RESULTS, below a frame's maximum */
};

/* Results that queue has not confirmed. */
struct unconfirmed {
	struct unconfirmed *prev, *next;
	uint64_t claim, key;
	char *destination, *host, *tls;
	struct ipc_list_builder results;
	struct ipc_list_builder numbers;
	bool down;
	bool sent; /* to the queue that is there now */
	bool told; /* it, that its claim is in flight */
};

struct queue_link {
	struct relay *relay;
	struct channel *channel;         /* NULL: no queue */
	struct delivery *deliveries;     /* of the queue that is there now, by claim */
	struct delivery *orphans;        /* of those before it, by claim */
	struct unconfirmed *unconfirmed; /* oldest first */
	size_t unconfirmed_count;
	uint64_t cancelled[CANCELLED_KEPT];
	unsigned cancelled_at;
	uint64_t taken; /* deliveries since the start */
	bool stopped;
};

struct queue_link *queue_link_new(struct relay *relay)
{
	struct queue_link *link = mem_alloc(sizeof(*link));

	link->relay = relay;
	return link;
}

static void unconfirmed_free(struct queue_link *link, struct unconfirmed *results)
{
	DL_DELETE(link->unconfirmed, results);
	link->unconfirmed_count--;
	ipc_list_release(&results->results);
	ipc_list_release(&results->numbers);
	mem_free(results->destination);
	mem_free(results->host);
	mem_free(results->tls);
	mem_free(results);
}

void queue_link_free(struct queue_link **link)
{
	struct queue_link *l = *link;
	struct delivery *delivery, *next;

	if (!l)
		return;
	HASH_ITER (hh, l->deliveries, delivery, next) {
		HASH_DEL(l->deliveries, delivery);
		delivery_free(&delivery);
	}
	HASH_ITER (hh, l->orphans, delivery, next) {
		HASH_DEL(l->orphans, delivery);
		delivery_free(&delivery);
	}
	while (l->unconfirmed)
		unconfirmed_free(l, l->unconfirmed);
	channel_free(&l->channel);
	MEM_FREE(*link);
}

/* ---- out ---- */

void queue_link_want(struct queue_link *link, uint64_t claim, uint64_t offset, uint32_t length)
{
	const struct msg_body_want msg = {.claim = claim, .offset = offset, .length = length};

	if (link->channel)
		channel_send(link->channel, IPC_BODY_WANT, &msg);
}

static void add_numbers(struct ipc_list_builder *numbers, const struct job *job, bool all)
{
	for (uint32_t i = 0; i < job->count; i++) {
		const struct rec_number record = {.value = job->recipients[i].n};

		if (all || !job->recipients[i].outcome)
			ipc_list_add(numbers, IPC_REC_number, &record);
	}
}

void queue_link_at_dot(struct queue_link *link, const struct job *job)
{
	struct ipc_list_builder numbers;
	struct msg_at_dot msg = {.claim = job->delivery->claim};

	if (!link->channel || job->delivery->orphan)
		return; /* a new queue is told that all of it is in flight */
	ipc_list_begin(&numbers, RESULTS_MAX);
	add_numbers(&numbers, job, false);
	msg.numbers = ipc_list_view(&numbers);
	channel_send(link->channel, IPC_AT_DOT, &msg);
	ipc_list_release(&numbers);
}

/* Sends what has not been sent, as far as there is credit. */
static void send_results(struct queue_link *link)
{
	struct unconfirmed *results;

	if (!link->channel)
		return;
	DL_FOREACH (link->unconfirmed, results) {
		struct msg_results msg;

		if (results->sent)
			continue;
		msg = (struct msg_results){
			.claim = results->claim,
			.key = results->key,
			.destination = slice_str(results->destination),
			.results = ipc_list_view(&results->results),
			.host = slice_str(results->host),
			.tls = slice_str(results->tls),
			.destination_down = results->down,
		};
		if (channel_send(link->channel, IPC_RESULTS, &msg) != ERR_OK)
			return; /* room, or a new queue, calls again */
		results->sent = true;
	}
}

void queue_link_results(struct queue_link *link, const struct job *job, const char *host,
			const char *tls, bool down)
{
	struct unconfirmed *results = mem_alloc(sizeof(*results));
	const struct delivery *delivery = job->delivery;

	results->claim = delivery->claim;
	results->key = delivery->key;
	results->destination = mem_strndup(delivery->destination.ptr, delivery->destination.len);
	results->host = mem_strdup(host);
	results->tls = mem_strdup(tls);
	results->down = down;
	ipc_list_begin(&results->results, RESULTS_MAX);
	ipc_list_begin(&results->numbers, RESULTS_MAX);
	for (uint32_t i = 0; i < job->count; i++) {
		const struct outcome *outcome = job->recipients[i].outcome;
		const struct rec_result record = {
			.n = job->recipients[i].n,
			.outcome = (uint8_t)outcome->outcome,
			.scope = (uint8_t)outcome->scope,
			.taken = (uint8_t)outcome->taken,
			.code = (uint16_t)outcome->code,
			.status = slice_str(outcome->status),
			.text = slice_str(outcome->text),
		};

		ipc_list_add(&results->results, IPC_REC_result, &record);
	}
	add_numbers(&results->numbers, job, true);
	DL_APPEND(link->unconfirmed, results);
	link->unconfirmed_count++;
	send_results(link);
}

static void give_credit(struct queue_link *link, const struct delivery *delivery)
{
	if (link->channel && delivery->credit && !delivery->orphan)
		channel_done(link->channel, delivery->credit, 1);
}

void queue_link_over(struct queue_link *link, struct delivery *delivery)
{
	if (delivery->orphan)
		HASH_DEL(link->orphans, delivery);
	else
		HASH_DEL(link->deliveries, delivery);
	give_credit(link, delivery);
	delivery_free(&delivery);
	relay_check_stopped(link->relay);
}

/* ---- in ---- */

static bool was_cancelled(struct queue_link *link, uint64_t claim)
{
	for (unsigned i = 0; i < CANCELLED_KEPT; i++) {
		if (link->cancelled[i] == claim) {
			link->cancelled[i] = 0;
			return true;
		}
	}
	return false;
}

static enum err on_deliver(struct queue_link *link, struct slice payload)
{
	struct delivery *delivery, *found;
	struct msg_deliver msg;
	enum err err = ipc_decode(IPC_DELIVER, payload, &msg);

	if (err != ERR_OK)
		return err;
	HASH_FIND(hh, link->deliveries, &msg.claim, sizeof(msg.claim), found);
	if (found)
		return ERR_EXISTS;
	if (link->stopped) {
		channel_done(link->channel, (uint32_t)payload.len, 1);
		return ERR_OK;
	}
	err = delivery_new(link->relay, &msg, &delivery);
	if (err != ERR_OK)
		return err;
	HASH_ADD(hh, link->deliveries, claim, sizeof(delivery->claim), delivery);
	link->taken++;
	/* Without a body it holds little, and must not hold up the bodies of others. */
	if (msg.has_body)
		delivery->credit = (uint32_t)payload.len;
	else
		channel_done(link->channel, (uint32_t)payload.len, 1);
	delivery_start(delivery);
	if (was_cancelled(link, msg.claim)) {
		HASH_FIND(hh, link->deliveries, &msg.claim, sizeof(msg.claim), found);
		if (found)
			delivery_cancel(found);
	}
	return ERR_OK;
}

static enum err on_body(struct queue_link *link, struct slice payload)
{
	struct delivery *delivery;
	struct msg_body msg;
	enum err err = ipc_decode(IPC_BODY, payload, &msg);

	if (err != ERR_OK)
		return err;
	HASH_FIND(hh, link->deliveries, &msg.claim, sizeof(msg.claim), delivery);
	if (delivery)
		delivery_body(delivery, msg.offset, msg.data);
	/* It was asked for, so there is room for it: the bound is our asking. */
	channel_done(link->channel, (uint32_t)payload.len, 1);
	return ERR_OK;
}

static enum err on_results_ack(struct queue_link *link, struct slice payload)
{
	struct msg_results_ack msg;
	struct unconfirmed *results;
	enum err err = ipc_decode(IPC_RESULTS_ACK, payload, &msg);

	if (err != ERR_OK)
		return err;
	DL_FOREACH (link->unconfirmed, results) {
		if (results->claim == msg.claim && results->sent) {
			unconfirmed_free(link, results);
			break;
		}
	}
	relay_check_stopped(link->relay);
	return ERR_OK;
}

static enum err on_cancel(struct queue_link *link, struct slice payload)
{
	struct msg_claim_cancel msg;
	struct delivery *delivery;
	enum err err = ipc_decode(IPC_CLAIM_CANCEL, payload, &msg);

	if (err != ERR_OK)
		return err;
	HASH_FIND(hh, link->deliveries, &msg.claim, sizeof(msg.claim), delivery);
	if (!delivery)
		HASH_FIND(hh, link->orphans, &msg.claim, sizeof(msg.claim), delivery);
	if (delivery) {
		delivery_cancel(delivery);
		return ERR_OK;
	}
	link->cancelled[link->cancelled_at++ % CANCELLED_KEPT] = msg.claim;
	return ERR_OK;
}

static enum err on_try_again(struct queue_link *link, struct slice payload)
{
	struct msg_try_again msg;
	enum err err = ipc_decode(IPC_TRY_AGAIN, payload, &msg);

	if (err == ERR_OK)
		pool_try_again(link->relay->pool, msg.destination);
	return err;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct queue_link *link = arg;

	(void)channel;
	(void)fd;
	switch (type) {
	case IPC_DELIVER:
		return on_deliver(link, payload);
	case IPC_BODY:
		return on_body(link, payload);
	case IPC_RESULTS_ACK:
		return on_results_ack(link, payload);
	case IPC_CLAIM_CANCEL:
		return on_cancel(link, payload);
	case IPC_TRY_AGAIN:
		return on_try_again(link, payload);
	default:
		return ERR_SYNTAX;
	}
}

static void on_room(void *arg, struct channel *channel)
{
	(void)channel;
	send_results(arg);
}

/* ---- the death of queue ---- */

static struct delivery *find_lost(struct queue_link *link)
{
	struct delivery *delivery, *next;

	HASH_ITER (hh, link->orphans, delivery, next) {
		if (!delivery_survives(delivery))
			return delivery;
	}
	return NULL;
}

static void orphan_deliveries(struct queue_link *link)
{
	struct delivery *delivery, *next;

	HASH_ITER (hh, link->deliveries, delivery, next) {
		HASH_DEL(link->deliveries, delivery);
		delivery->orphan = true;
		HASH_ADD(hh, link->orphans, claim, sizeof(delivery->claim), delivery);
	}
	/* The rest of their bodies died with queue: what is not at the dot comes again. */
	while ((delivery = find_lost(link)))
		delivery_drop_unsent(delivery);
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct queue_link *link = arg;
	struct unconfirmed *results;

	if (channel != link->channel)
		return;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "queue sent what it must not: %s", why);
	channel_free(&link->channel);
	DL_FOREACH (link->unconfirmed, results) {
		results->sent = false;
	}
	memset(link->cancelled, 0, sizeof(link->cancelled));
	orphan_deliveries(link);
	relay_check_stopped(link->relay);
}

/* ---- a new queue ---- */

static void tell_in_flight(struct queue_link *link, uint64_t claim, uint64_t key,
			   struct slice destination, struct ipc_list numbers)
{
	const struct msg_in_flight msg = {
		.claim = claim, .key = key, .destination = destination, .numbers = numbers};

	channel_send(link->channel, IPC_IN_FLIGHT, &msg);
}

static void copy_numbers(struct ipc_list_builder *numbers, struct ipc_list list)
{
	struct rec_number number;

	while (ipc_list_next(&list, IPC_REC_number, &number))
		ipc_list_add(numbers, IPC_REC_number, &number);
}

/*
 * All of a claim in one message, though its jobs may have ended apart: queue takes a claim over
 * once, and what it was not told of it would start anew.
 */
static void tell_claim(struct queue_link *link, struct unconfirmed *first,
		       const struct delivery *delivery)
{
	/* cppcheck-suppress nullPointerRedundantCheck ; one of the two is always there */
	uint64_t claim = first ? first->claim : delivery->claim;
	struct ipc_list_builder numbers;

	ipc_list_begin(&numbers, RESULTS_MAX);
	for (struct unconfirmed *results = first; results; results = results->next) {
		if (results->claim != claim)
			continue;
		copy_numbers(&numbers, ipc_list_view(&results->numbers));
		results->told = true;
	}
	for (const struct job *job = delivery ? delivery->jobs : NULL; job;
	     job = job->delivery_next)
		add_numbers(&numbers, job, true);
	tell_in_flight(link, claim, first ? first->key : delivery->key,
		       first ? slice_str(first->destination) : delivery->destination,
		       ipc_list_view(&numbers));
	ipc_list_release(&numbers);
}

static struct unconfirmed *find_unconfirmed(struct queue_link *link, uint64_t claim)
{
	struct unconfirmed *results;

	DL_FOREACH (link->unconfirmed, results) {
		if (results->claim == claim)
			return results;
	}
	return NULL;
}

/*
 * Results that wait to be confirmed count as in flight: RESULTS is BULK, and IN_FLIGHT_END would
 * overtake it.
 */
static void tell_new_queue(struct queue_link *link)
{
	struct msg_in_flight_end end = {.count = 0};
	struct unconfirmed *results;
	struct delivery *delivery, *next;

	DL_FOREACH (link->unconfirmed, results) {
		results->told = false;
	}
	HASH_ITER (hh, link->orphans, delivery, next) {
		tell_claim(link, find_unconfirmed(link, delivery->claim), delivery);
		end.count++;
	}
	DL_FOREACH (link->unconfirmed, results) {
		if (results->told)
			continue;
		tell_claim(link, results, NULL);
		end.count++;
	}
	channel_send(link->channel, IPC_IN_FLIGHT_END, &end);
	send_results(link);
}

static const struct channel_handlers handlers = {
	.message = on_message,
	.room = on_room,
	.ended = on_ended,
};

void queue_link_connect(struct queue_link *link, int fd)
{
	if (link->channel)
		on_ended(link, link->channel, CHANNEL_EOF, "replaced");
	link->channel = channel_new(link->relay->loop, fd, "queue", &handlers, link);
	tell_new_queue(link);
}

/* ---- the end ---- */

static struct delivery *find_idle(struct delivery *all)
{
	struct delivery *delivery, *next;

	HASH_ITER (hh, all, delivery, next) {
		if (!delivery_in_transfer(delivery))
			return delivery;
	}
	return NULL;
}

void queue_link_stop(struct queue_link *link)
{
	struct delivery *delivery;

	link->stopped = true;
	while ((delivery = find_idle(link->deliveries)) || (delivery = find_idle(link->orphans)))
		delivery_drop_unsent(delivery);
}

bool queue_link_is_quiet(const struct queue_link *link)
{
	return !link->deliveries && !link->orphans && !link->unconfirmed;
}

void queue_link_status(const struct queue_link *link, struct operator_rows *rows)
{
	operator_row_begin(rows);
	operator_text(rows, "process", "relay");
	operator_bool(rows, "queue", link->channel != NULL);
	operator_number(rows, "deliveries", HASH_COUNT(link->deliveries));
	operator_number(rows, "orphaned", HASH_COUNT(link->orphans));
	operator_number(rows, "unconfirmed", (int64_t)link->unconfirmed_count);
	operator_number(rows, "taken", (int64_t)link->taken);
	operator_row_end(rows);
}
