/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a client sends its message fast enough: at least so many bytes per second, averaged over
 * a minute of the time in which it was its turn to send. A pause counts for half a minute at most,
 * so that a line that was dead for a while and works again is no reason to be cut off: for pauses
 * there are time-outs. Times in monotonic ms.
 */
#ifndef POSTERN_POLICY_PACE_H
#define POSTERN_POLICY_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum { PACE_WINDOW = 60000, PACE_PAUSE_MAX = 30000 };

struct pace {           /* all zero at the beginning of a message */
	int64_t since;  /* it is the client's turn since then; 0: it is not */
	uint64_t spent; /* ms of its time in this window */
	uint64_t bytes; /* in this window */
};

/* From now on it is the client's turn; nothing changes if it was already. */
void pace_wait(struct pace *pace, int64_t now);
/* The client waits for us. */
void pace_stop(struct pace *pace, int64_t now);
/* Bytes came in its turn, which goes on. false: it is slower than least (bytes/s; 0: never). */
bool pace_take(struct pace *pace, int64_t now, uint64_t bytes, uint64_t least);

#endif
