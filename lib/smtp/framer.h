/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that decides where a command line and where a message ends: a line ends at
 * CR LF, a message at CR LF . CR LF, a chunk of BDAT (RFC 3030) after as many octets as it was
 * said to have, nothing else ends anything. Internal to the server machine.
 *
 * What it hands out is lent: slices of its own buffer, given up at the next call.
 */
#ifndef POSTERN_SMTP_FRAMER_H
#define POSTERN_SMTP_FRAMER_H

#include "base/buf.h"
#include "smtp/limits.h"

struct smtp_framer {
	struct buf in;
	size_t lent;      /* bytes at the front that the last event still shows */
	size_t scanned;   /* bytes of an unfinished line that hold no end */
	size_t discarded; /* bytes of an overlong line thrown away so far */
	size_t line_len;  /* of the body's current line */
	size_t line_max;  /* of a line of the body, without CRLF */
	uint64_t chunk;   /* octets of the chunk that are still to be taken */
	bool held_cr;     /* chunks: the last octet was CR, and the next one decides about it */
	bool discarding;
	bool after_cr;       /* discarding: the last byte thrown away was CR */
	bool at_line_start;  /* body: the last bytes were CR LF */
	bool long_text_line; /* body: a line passed line_max */
};

enum smtp_frame {
	SMTP_FRAME_MORE, /* more bytes are needed */
	SMTP_FRAME_LINE,
	SMTP_FRAME_LONG_LINE, /* the end of a line that was too long and is gone */
	SMTP_FRAME_ENDLESS,   /* a line passed SMTP_DISCARD_MAX */
	SMTP_FRAME_TEXT,      /* a part of the body, dots unstuffed */
	SMTP_FRAME_BARE,      /* the next byte of the body was a CR or LF alone; it is taken */
	SMTP_FRAME_NUL,       /* the next byte of the body was NUL; it is taken */
	SMTP_FRAME_END,       /* CR LF . CR LF, or the end of the chunk */
};

void smtp_framer_init(struct smtp_framer *framer);
void smtp_framer_wipe(struct smtp_framer *framer); /* forgets all input, with what was lent */
size_t smtp_framer_room(const struct smtp_framer *framer);
void smtp_framer_feed(struct smtp_framer *framer, struct slice bytes);
/* Ends the loan. secret: the bytes are overwritten. */
void smtp_framer_settle(struct smtp_framer *framer, bool secret);
/* Bytes that are there and not lent. */
struct slice smtp_framer_rest(const struct smtp_framer *framer);
/* Gives back memory that so little input does not need. */
void smtp_framer_shrink(struct smtp_framer *framer);

/*
 * The next line, without its end. limit: bytes with CR LF. lf_ends: a bare LF ends it too;
 * otherwise a bare CR or LF is a byte of the line.
 */
enum smtp_frame smtp_framer_line(struct smtp_framer *framer, size_t limit, bool lf_ends,
				 struct slice *line_out);
/* A message starts with the next byte, or chunk; line_max: octets of a line without CRLF. */
void smtp_framer_start_body(struct smtp_framer *framer, size_t line_max);
enum smtp_frame smtp_framer_body(struct smtp_framer *framer, struct slice *text_out);
/* The next size octets are a chunk, whatever is in them. */
void smtp_framer_start_chunk(struct smtp_framer *framer, uint64_t size);
/*
 * Its next part; dots are nothing special. A CR at its end is kept back until the next chunk
 * shows whether an LF follows: smtp_framer_end_chunks tells that there is no next one.
 */
enum smtp_frame smtp_framer_chunk(struct smtp_framer *framer, struct slice *text_out);
/* true: the message ends with a CR alone. */
bool smtp_framer_end_chunks(struct smtp_framer *framer);
/* Throws away what is here of the chunk: MORE or END. */
enum smtp_frame smtp_framer_skip_chunk(struct smtp_framer *framer);

#endif
