/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery status notifications (RFC 3464, 6522): first paragraph for people, then for programs. */
#ifndef POSTERN_MESSAGE_BOUNCE_H
#define POSTERN_MESSAGE_BOUNCE_H

#include "base/buf.h"

struct bounce_recipient {
	struct slice address;
	struct slice orcpt;   /* "" none */
	struct slice status;  /* "5.1.1" */
	struct slice text;    /* the remote server's words, any bytes; "" none */
	struct slice host;    /* who said it; "" us */
	unsigned code;        /* SMTP code, 0 none */
	bool expired;         /* given up after the queue's lifetime */
};

struct bounce {
	const char *hostname;
	struct slice id;       /* queue ID of the message that failed */
	struct slice to;       /* bounce address */
	struct slice envid;    /* "" none */
	int64_t arrived;       /* ms since 1970 */
	int64_t wall;          /* now */
	uint64_t random[2];    /* for Message-ID and boundary */
	const struct bounce_recipient *recipients;
	size_t recipient_count;
	struct slice header;   /* of the original message; at most its first 32 KiB are quoted */
};

/* Appends the whole message, CRLF line ends. ERR_FULL. */
enum err bounce_print(const struct bounce *bounce, struct buf *out);

#endif
