/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the sink: an SMTP server without I/O that takes everything. Bytes in by
 * sink_feed, replies in session->out, one call of the given function for each message before its
 * reply stands there.
 */
#ifndef POSTERN_BENCH_SINK_H
#define POSTERN_BENCH_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINK_LINE_MAX 2048u
#define SINK_OUT_MAX  32768u

/* Where the body's reader is: in a line, after its CR, at the start of one, after a dot there. */
enum sink_place { SINK_START, SINK_MIDDLE, SINK_CR, SINK_DOT, SINK_DOT_CR };

struct sink_session {
	void (*message)(struct sink_session *session);
	bool with_content; /* look at header and checksum: costs time */
	bool in_body, quit, broken;
	enum sink_place place;
	bool in_header;
	unsigned recipients;
	uint64_t size, sum; /* of the message so far; sum: of its body, dots undone */
	char id[64];        /* X-Load-Id */
	char line[SINK_LINE_MAX];
	size_t line_len;
	char out[SINK_OUT_MAX];
	size_t out_len;
};

void sink_start(struct sink_session *session); /* puts the greeting */
/* Sets broken when the client talks nonsense or does not read its replies. */
void sink_feed(struct sink_session *session, const char *data, size_t len);

#endif
