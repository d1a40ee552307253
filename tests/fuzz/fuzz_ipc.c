/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message from a process that somebody has taken over. Input: a byte for the type, then the
 * payload. What the decoder takes is within its bounds, and is the one way to write it.
 */
#include <string.h>

#include "base/mem.h"
#include "ipc/message.h"

#include "fuzz.h"

/* Room for each of them. */
union any {
#define RECORD(name, ...)
#define MESSAGE(number, NAME, name, class, ...) struct msg_##name name;
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), payload, frame;
	uint16_t type = (uint16_t)fuzz_byte(&rest);
	union any *message = mem_alloc(sizeof(*message));
	struct buf out;
	char *copy = fuzz_copy(rest);

	payload = slice_of(copy, rest.len);
	buf_init(&out, IPC_FRAME_MAX + 64);
	HOLDS(ipc_type_name(type)[0] != '\0');
	if (ipc_type_known(type) && ipc_decode(type, payload, message) == ERR_OK) {
		HOLDS(ipc_encode(type, message, 0, &out) == ERR_OK);
		frame = buf_data(&out);
		HOLDS(frame.len >= payload.len);
		frame = slice_skip(frame, frame.len - payload.len);
		HOLDS(slice_equal(frame, payload));
	}
	buf_release(&out);
	mem_free(copy);
	mem_free(message);
	return 0;
}
