/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An envelope as it lies in the queue's store: damaged ones are refused, whole ones are read to
 * their end, and written they are the same again. Times in it may be anything.
 */
#include "base/mem.h"
#include "store/queue.h"

#include "fuzz.h"

enum { ROOM = 1 << 20, VERSION = 2 /* that is written now */ };

static const int64_t ARRIVED = 1700000000000, EXPIRES = 1700432000000;

static void check_recipients(const struct queue_envelope *envelope, struct buf *out)
{
	struct queue_recipient recipient, found;
	struct slice rest = envelope->recipients;
	uint32_t count = 0;

	while (queue_envelope_next(&rest, &recipient)) {
		HOLDS(queue_envelope_find(envelope, recipient.n, &found));
		HOLDS(found.n == recipient.n);
		HOLDS(recipient.domain.len <= recipient.address.len);
		HOLDS(!slice_has_byte(recipient.domain, '@'));
		HOLDS(queue_envelope_add(out, &recipient) == ERR_OK);
		count++;
	}
	HOLDS(count == envelope->count && rest.len == 0);
}

static void check_times(const struct queue_envelope *envelope)
{
	int64_t deadline = queue_envelope_deadline(envelope, ARRIVED, EXPIRES);

	HOLDS(queue_envelope_due(envelope, ARRIVED) <=
	      (envelope->release_at > ARRIVED ? envelope->release_at : ARRIVED));
	HOLDS(deadline == QUEUE_NEVER || deadline < EXPIRES);
}

static void check(struct slice encoded)
{
	struct queue_envelope envelope;
	struct buf again;

	if (queue_envelope_read(encoded, &envelope) != ERR_OK)
		return;
	buf_init(&again, ROOM);
	HOLDS(queue_envelope_begin(&again, &envelope) == ERR_OK);
	check_recipients(&envelope, &again);
	check_times(&envelope);
	/* Any byte but 0 stands for a trace, and is written as 1. */
	if (encoded.ptr[0] == VERSION && !envelope.by_trace)
		HOLDS(slice_equal(buf_data(&again), encoded));
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = fuzz_copy(slice_of(data, size));

	check(slice_of(copy, size));
	mem_free(copy);
	return 0;
}
