/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies of other servers (RFC 5321 4.2), without I/O: bounded lines, bounded count, one code
 * in all lines. A bare LF ends a line too: on reading only.
 */
#ifndef POSTERN_SMTP_REPLY_H
#define POSTERN_SMTP_REPLY_H

#include "base/buf.h"
#include "smtp/limits.h"

struct smtp_reply {
	unsigned code;       /* 200 to 599 */
	char status[12];     /* "5.1.1", "" if it gave none */
	struct slice text;   /* lines joined by '\n', code and status taken off each */
};

struct smtp_reply_reader {
	struct buf in;
	struct buf text;
	unsigned code;
	unsigned lines;
	char status[12];
	enum err failed; /* ERR_OK while nothing is wrong */
};

void smtp_reply_init(struct smtp_reply_reader *reader);
void smtp_reply_release(struct smtp_reply_reader *reader);
/* ERR_FULL: the peer sends without end. */
enum err smtp_reply_feed(struct smtp_reply_reader *reader, struct slice bytes);
/*
 * ERR_OK: a whole reply, valid until the next call; ERR_AGAIN: more bytes are needed;
 * ERR_SYNTAX, ERR_RANGE: not a reply; the error stays until init.
 */
enum err smtp_reply_next(struct smtp_reply_reader *reader, struct smtp_reply *reply_out);
/* Bytes that are there beyond the replies taken so far: after STARTTLS there must be none. */
size_t smtp_reply_buffered(const struct smtp_reply_reader *reader);

#endif
