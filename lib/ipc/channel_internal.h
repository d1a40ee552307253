/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a channel has to write, without its socket: channel_out.c. Two queues of whole frames,
 * CONTROL and BULK; a write gathers what is left of a BULK frame that was begun, then all CONTROL,
 * then BULK. Descriptors go with CONTROL frames only, each in a write that begins with its frame,
 * so that the reader meets frame and descriptor together.
 *
 * Invariants: the front of the CONTROL queue need not be a frame's start, that of BULK is one after
 * bulk_begun bytes; credit_bytes and credit_messages are what the peer may still be sent.
 */
#ifndef POSTERN_IPC_CHANNEL_INTERNAL_H
#define POSTERN_IPC_CHANNEL_INTERNAL_H

#include "base/buf.h"
#include "ipc/channel.h"

enum { OUTGOING_PARTS = 3 };

struct out_fd {
	uint64_t at; /* place of its frame's first byte in the CONTROL stream */
	int fd;
};

struct outgoing {
	struct buf control, bulk;
	uint64_t control_sent; /* bytes of the CONTROL stream that were written */
	size_t bulk_begun;     /* bytes still to write of a BULK frame that was begun */
	struct out_fd *fds;
	size_t fd_count, fd_room;
	uint32_t credit_bytes, credit_messages;
	bool refused; /* a BULK message found no credit: room is to be called */
	bool secret;  /* there may be a secret in control */
};

void outgoing_init(struct outgoing *out);
/* Nothing of it is sent any more; its descriptors are closed. */
void outgoing_drop(struct outgoing *out);
/* Gives all memory back, wiped. After outgoing_drop. */
void outgoing_release(struct outgoing *out);

/*
 * Puts a frame behind those of its class; fd: -1, or what goes with it, which is taken only with
 * ERR_OK. ERR_FULL: no credit (BULK; refused is set), or more CONTROL waits than any peer that
 * reads leaves. Else as ipc_encode.
 */
enum err outgoing_put(struct outgoing *out, uint16_t type, const void *message, int fd);
bool outgoing_waits(const struct outgoing *out);
/* Whether a BULK message of that payload may go; if not, refused is set. */
bool outgoing_has_credit(struct outgoing *out, size_t payload_len);
/* What a CREDIT message gives. false: it is malformed, or more than was used. */
bool outgoing_take_credit(struct outgoing *out, struct slice payload);

/*
 * What the next write holds, in this order: the rest of a begun BULK frame, CONTROL, BULK; up to,
 * and not past, the frame of a descriptor other than *pass_out, which goes with this write (-1:
 * none).
 */
void outgoing_gather(const struct outgoing *out, struct slice parts_out[OUTGOING_PARTS],
		     int *pass_out);
/* len bytes of these parts were written, and if passed their descriptor, which is closed here. */
void outgoing_wrote(struct outgoing *out, const struct slice parts[OUTGOING_PARTS], size_t len,
		    bool passed);

/* An empty buffer that has grown large gives its memory back. */
void channel_trim(struct buf *buf);
/* Overwrites what was dealt with of a message that holds a secret. */
void channel_wipe(struct slice done);

#endif
