/* SPDX-License-Identifier: Apache-2.0 */
/* An envelope as it lies in the queue's store: damaged ones are refused, whole ones are read to
 * their end. */
#include "base/mem.h"
#include "store/queue.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct queue_envelope envelope;
	struct queue_recipient recipient, found;
	struct slice rest;
	char *copy = mem_alloc(size);

	/* Of its own, so that a read past the end is seen. */
	for (size_t i = 0; i < size; i++)
		copy[i] = (char)data[i];
	if (queue_envelope_read(slice_of(copy, size), &envelope) == ERR_OK) {
		rest = envelope.recipients;
		HOLDS(rest.ptr + rest.len <= copy + size);
		while (queue_envelope_next(&rest, &recipient)) {
			HOLDS(rest.ptr + rest.len <= copy + size);
			(void)queue_envelope_find(&envelope, recipient.n, &found);
		}
	}
	mem_free(copy);
	return 0;
}
