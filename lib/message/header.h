/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a message (RFC 5322), scanned in one pass, O(n), without recursion. The machine
 * gathers it while the body streams past: feed bytes until the header's end is seen. MIME is
 * never looked into.
 */
#ifndef POSTERN_MESSAGE_HEADER_H
#define POSTERN_MESSAGE_HEADER_H

#include "base/buf.h"

enum {
	HEADER_SIZE_MAX = 512 * 1024,
	HEADER_FIELDS_MAX = 1000,
};

/* Takes bytes up to the empty line that ends the header. */
struct header_gather {
	struct buf bytes; /* the header with its final empty line, once complete */
	bool complete;
	uint8_t state;
};

void header_gather_init(struct header_gather *gather);
void header_gather_release(struct header_gather *gather);
/*
 * Takes from part what belongs to the header; *rest_out is the start of the body once complete.
 * ERR_FULL: larger than HEADER_SIZE_MAX.
 */
enum err header_gather_feed(struct header_gather *gather, struct slice part, struct slice *rest_out);
/* The message ended; a header without an empty line is complete now (RFC 5322 allows no body): no
 * line is added to it. */
void header_gather_end(struct header_gather *gather);

struct header_field {
	struct slice name;  /* "From" */
	struct slice value; /* folded as it came, without the final CRLF */
	struct slice whole; /* name, colon, value, final CRLF */
	bool odd;           /* blanks stand before the colon: programs differ on what that is */
};
/*
 * Takes the next field off *rest. ERR_EOF at the end of the header; ERR_SYNTAX: a line that is
 * no field (white space at the start of the header, a blank inside the name, no colon).
 */
enum err header_next(struct slice *rest, struct header_field *field_out);

#endif
