/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that was just committed: its deliveries, straight from memory. */
#include <stdlib.h>

#include "base/mem.h"
#include "deadline.h"
#include "delivery.h"
#include "frozen.h"
#include "os/os.h"
#include "policy/dispatch.h"
#include "queue.h"

enum { ROWS_MAX = 1000 }; /* of one delivery: the recipients of a DELIVER */

struct place {
	int64_t destination;
	uint32_t n;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *first = a, *second = b;

	if (first->destination != second->destination)
		return first->destination < second->destination ? -1 : 1;
	return first->n < second->n ? -1 : first->n > second->n;
}

static void fresh_group(struct deliveries *deliveries, struct queue_mail *mail,
			const struct queue_envelope *envelope, const struct place *places,
			size_t count)
{
	struct dispatch *dispatch = deliveries_dispatch(deliveries);
	size_t rows = count < ROWS_MAX ? count : ROWS_MAX;
	int64_t due = queue_envelope_due(envelope, mail->arrived);
	struct delivery *delivery;

	if (due > mail->arrived || delivery_late(envelope, os_wall_ms()) ||
	    deliveries_relay(deliveries) == NULL ||
	    deliveries_memory(deliveries) > QUEUE_BODY_MEMORY) {
		dispatch_destination(dispatch, places[0].destination, due, 0, 0);
		return;
	}
	delivery = delivery_new(deliveries_queue(deliveries), mail, places[0].destination, rows);
	for (size_t i = 0; i < rows; i++)
		delivery->rows[i] = (struct delivery_row){.due = due, .n = places[i].n};
	if (dispatch_fresh(dispatch, delivery->destination, mail->id.key,
			   delivery_rank(mail, envelope), delivery) != ERR_OK)
		delivery_free(delivery);
	else if (rows < count)
		dispatch_again(dispatch, delivery->destination, mail->id.key);
}

void deliveries_fresh(struct deliveries *deliveries, struct queue_mail *mail)
{
	struct place few[16], *places = few;
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	size_t count = 0, start = 0;

	if (queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope) != ERR_OK)
		return; /* it was just written; it would be set aside when it is read */
	deadlines_note(deliveries_queue(deliveries)->deadlines,
		       queue_envelope_deadline(&envelope, mail->arrived, mail->expires));
	if (frozen_has(deliveries_queue(deliveries)->frozen, envelope.account))
		return; /* it is looked for, and held */
	if (envelope.count > sizeof(few) / sizeof(few[0]))
		places = mem_array(envelope.count, sizeof(*places));
	while (queue_envelope_next(&envelope.recipients, &recipient))
		places[count++] = (struct place){recipient.destination, recipient.n};
	if (count > 1)
		qsort(places, count, sizeof(*places), compare_places);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && places[i].destination == places[start].destination)
			continue;
		fresh_group(deliveries, mail, &envelope, places + start, i - start);
		start = i;
	}
	if (places != few)
		mem_free(places);
}
