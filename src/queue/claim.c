/* SPDX-License-Identifier: Apache-2.0 */
#include "claim.h"

#include <string.h>

#include "base/mem.h"
#include "delivery.h"
#include "ipc/channel.h"
#include "os/worker.h"
#include "policy/dispatch.h"
#include "queue.h"

enum { LIST_MAX = 4 * 1024 * 1024 };

enum err claim_send(struct channel *relay, struct delivery *delivery)
{
	const struct queue_mail *mail = delivery->mail;
	struct ipc_list_builder builder;
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	struct slice rest;
	char domain[QUEUE_NAME_MAX];
	uint32_t attempt = 0, row = 0;
	bool inline_body = !mail->in_file && mail->body != NULL && mail->body_len <= IPC_CHUNK;
	enum err err = queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope);

	if (err != ERR_OK)
		return err;
	ipc_list_begin(&builder, LIST_MAX);
	rest = envelope.recipients;
	struct slice name = {"", 0};
	/* Rows are in the order of the envelope but when they were loaded at different due times.
	 */
	while (row < delivery->row_count && err == ERR_OK) {
		const struct delivery_row *at = &delivery->rows[row];
		bool found = false;

		while (!found && queue_envelope_next(&rest, &recipient))
			found = recipient.n == at->n;
		if (!found && !queue_envelope_find(&envelope, at->n, &recipient)) {
			err = ERR_CORRUPT;
			break;
		}
		const struct rec_recipient out = {.n = at->n,
						  .address = recipient.address,
						  .notify = recipient.notify,
						  .orcpt = recipient.orcpt};

		if (row == 0)
			name = queue_domain(recipient.address, domain);
		attempt = at->attempts + 1 > attempt ? at->attempts + 1 : attempt;
		err = ipc_list_add(&builder, IPC_REC_recipient, &out);
		row++;
	}
	const struct rec_mail terms = {.sender = envelope.sender,
				       .flags = mail->flags,
				       .envid = envelope.envid,
				       .ret = envelope.ret,
				       .auth = envelope.auth,
				       .release_at = envelope.release_at,
				       .deliver_by = envelope.deliver_by,
				       .by_mode = envelope.by_mode,
				       .by_trace = envelope.by_trace,
				       .priority = envelope.priority};
	const struct msg_deliver msg = {.claim = delivery->claim,
					.key = mail->id.key,
					.random = slice_of(mail->id.random, MSGID_RANDOM),
					.destination = name,
					.attempt = attempt,
					.mail = terms,
					.account = envelope.account,
					.recipients = ipc_list_view(&builder),
					.arrived = mail->arrived,
					.size = mail->size,
					.has_body = inline_body,
					.body = inline_body ? slice_of(mail->body, mail->body_len)
							    : slice_of("", 0)};
	if (err == ERR_OK)
		err = channel_send(relay, IPC_DELIVER, &msg);
	ipc_list_release(&builder);
	return err;
}

enum err claim_at_dot(struct deliveries *deliveries, struct slice payload)
{
	struct msg_at_dot msg;
	struct rec_number number;
	struct delivery *delivery;
	enum err err = ipc_decode(IPC_AT_DOT, payload, &msg);

	if (err != ERR_OK || (delivery = deliveries_claim(deliveries, msg.claim)) == NULL)
		return err; /* settled meanwhile, or not revived yet */
	while (ipc_list_next(&msg.numbers, IPC_REC_number, &number)) {
		for (uint32_t i = 0; i < delivery->row_count; i++) {
			if (delivery->rows[i].n == number.value)
				delivery->rows[i].at_dot = true;
		}
	}
	return ERR_OK;
}

/* ---- what was claimed before this queue's time --------------------------------------------- */
struct revival {
	struct queue *queue;
	claim_fn *fn;
	void *arg;
	struct queue_load load;
	enum err err;
	char name[QUEUE_NAME_MAX];
};

static void revive_work(void *arg)
{
	struct revival *revival = arg;

	revival->err = queue_reader_load(revival->queue->claims, &revival->load);
}

static void revive_done(void *arg)
{
	struct revival *revival = arg;
	struct delivery *delivery = NULL;

	deliveries_adopting(revival->queue->deliveries, -1);
	if (revival->err == ERR_CORRUPT)
		queue_damaged(revival->queue, "looking for a claim");
	else if (revival->err == ERR_OK && revival->load.count == 1 &&
		 revival->load.loaded[0].mail != NULL)
		delivery = delivery_of(revival->queue, &revival->load.loaded[0]);
	queue_load_release(&revival->load);
	revival->fn(revival->arg, delivery);
	deliveries_poke(revival->queue->deliveries);
	mem_free(revival);
}

enum err claim_revive(struct queue *queue, uint64_t key, struct slice destination, claim_fn *fn,
		      void *arg)
{
	struct revival *revival;

	if (destination.len == 0 || destination.len > QUEUE_NAME_MAX || key == 0 || key > INT64_MAX)
		return ERR_RANGE;
	revival = mem_alloc(sizeof(*revival));
	revival->queue = queue;
	revival->fn = fn;
	revival->arg = arg;
	for (size_t i = 0; i < destination.len; i++)
		revival->name[i] = ascii_lower(destination.ptr[i]);
	revival->load = (struct queue_load){.name = slice_of(revival->name, destination.len),
					    .key = key,
					    .limit = 1,
					    .bodies = true};
	/* Until it is known what relay holds nothing is claimed: it could be the same. */
	deliveries_adopting(queue->deliveries, 1);
	queue_job(queue->claim_pool, revive_work, revive_done, revival);
	return ERR_OK;
}

struct flight {
	struct queue *queue;
	uint64_t claim;
	uint32_t count;
	uint32_t numbers[];
};

static bool in_flight(const struct flight *flight, uint32_t n)
{
	for (uint32_t i = 0; i < flight->count; i++) {
		if (flight->numbers[i] == n)
			return true;
	}
	return false;
}

static void adopt(void *arg, struct delivery *delivery)
{
	struct flight *flight = arg;
	struct deliveries *deliveries = flight->queue->deliveries;
	struct dispatch *dispatch = deliveries_dispatch(deliveries);
	uint32_t kept = 0, all;

	if (delivery == NULL)
		goto out; /* nothing waits for a result */
	all = delivery->row_count;
	for (uint32_t i = 0; i < all; i++) {
		if (in_flight(flight, delivery->rows[i].n))
			delivery->rows[kept++] = delivery->rows[i];
	}
	delivery->row_count = delivery->unsettled = kept;
	if (kept == 0 ||
	    !dispatch_adopt(dispatch, delivery->destination, delivery->mail->id.key, delivery)) {
		delivery_free(delivery);
		goto out;
	}
	delivery->in_dispatch = true;
	if (kept < all)
		dispatch_again(dispatch, delivery->destination, delivery->mail->id.key);
	if (!deliveries_add_claim(deliveries, delivery, flight->claim)) {
		delivery->over = true;
		delivery->next_due = 0;
		delivery_settled(delivery);
	}
out:
	mem_free(flight);
}

enum err claim_in_flight(struct deliveries *deliveries, struct slice payload)
{
	struct queue *queue;
	struct msg_in_flight msg;
	struct rec_number number;
	struct flight *flight;
	enum err err = ipc_decode(IPC_IN_FLIGHT, payload, &msg);

	if (err != ERR_OK)
		return err;
	queue = deliveries_queue(deliveries);
	if (deliveries_claim(deliveries, msg.claim) != NULL)
		return ERR_EXISTS;
	flight = mem_alloc(sizeof(*flight) + msg.numbers.count * sizeof(flight->numbers[0]));
	flight->queue = queue;
	flight->claim = msg.claim;
	while (ipc_list_next(&msg.numbers, IPC_REC_number, &number))
		flight->numbers[flight->count++] = number.value;
	if ((err = claim_revive(queue, msg.key, msg.destination, adopt, flight)) != ERR_OK)
		mem_free(flight);
	return err;
}
