/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery status notifications (RFC 3464, 6522, 6533): that recipients failed, wait, were handed
 * to a server that makes no reports, or have the message. First words for people, then fields for
 * programs, then the header of the message, or all of it.
 */
#ifndef POSTERN_MESSAGE_REPORT_H
#define POSTERN_MESSAGE_REPORT_H

#include "base/buf.h"

enum report_action { REPORT_FAILED, REPORT_DELAYED, REPORT_RELAYED, REPORT_DELIVERED };
enum report_cause {                 /* of failed and delayed */
		    REPORT_SAID,    /* what a server or we said, in text */
		    REPORT_EXPIRED, /* the queue's lifetime is over */
		    REPORT_LATE,    /* the sender's time to deliver by has passed (RFC 2852) */
};

struct report_recipient {
	enum report_action action;
	enum report_cause cause;
	struct slice address;
	struct slice orcpt;  /* as in RCPT: "rfc822;xtext"; "" none */
	struct slice status; /* "5.1.1" */
	struct slice text;   /* the remote server's words, any bytes; "" none */
	struct slice host;   /* who said it; "" us */
	unsigned code;       /* SMTP code, 0 none */
};

struct report {
	const char *hostname;
	struct slice id;     /* queue ID of the message */
	struct slice to;     /* where the report goes */
	struct slice envid;  /* as in MAIL: xtext; "" none */
	int64_t arrived;     /* ms since 1970 */
	int64_t wall;        /* now */
	int64_t retry_until; /* of delayed ones; 0: not said */
	uint64_t random[2];  /* for Message-ID and boundary */
	const struct report_recipient *recipients;
	size_t recipient_count;
	struct slice
		message; /* the original, or its start; at most 32 KiB of its header are quoted */
	bool whole;      /* message is all of it */
	bool full;       /* the sender wants it back whole if somebody failed (RET=FULL) */
	bool utf8;       /* it came with SMTPUTF8 */
};

/* What comes out, and so what it takes to send it. */
struct report_form {
	bool utf8;      /* it goes to an address that is not ASCII: SMTPUTF8 */
	bool eight_bit; /* bytes above 127: 8BITMIME */
	bool full;      /* the message is in it whole */
};

enum {
	/* A message larger than that, as it goes out, comes back as its header (a report stays
	 * below 64 KiB). */
	REPORT_FULL_MAX = 40 * 1024,
};

struct report_form report_form(const struct report *report);
/* Appends the whole report, CRLF line ends. ERR_FULL. */
enum err report_print(const struct report *report, struct buf *out);

#endif
