/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a submission server does to a header (RFC 6409 section 8, RFC 5321 4.4): its own Received
 * field on top, missing Date, Message-ID and From added, Bcc removed; and the check that header
 * From is the sender's to use. Mail that came without a login gets Received only.
 */
#ifndef POSTERN_MESSAGE_SUBMISSION_H
#define POSTERN_MESSAGE_SUBMISSION_H

#include "base/buf.h"

struct trace {
	const char *hostname;
	struct slice helo;      /* printed filtered and bounded */
	struct slice client;    /* address; left out if the sender logged in (default privacy) */
	struct slice account;   /* "" without a login */
	struct slice protocol;  /* "ESMTPSA" (RFC 3848) */
	struct slice tls;       /* "TLSv1.3 with cipher ...", "" */
	struct slice id;        /* of the message */
	struct slice recipient; /* "for <...>" only if there is exactly one, else "" */
	int64_t wall;           /* ms since 1970 */
};

struct submission {
	struct trace trace;
	bool fix;                  /* logged in: fix-ups and the check of From */
	struct slice from_address; /* for a missing From: the account's address */
	uint64_t message_id;       /* two random numbers for a missing Message-ID */
	uint64_t message_id_more;
	uint32_t hops_max;
	/* Whether the account may use this address in From. */
	bool (*may_send_as)(void *arg, struct slice address);
	void *arg;
};

enum submission_verdict {
	SUBMISSION_OK,
	SUBMISSION_LOOP,           /* 554 5.4.6 too many Received */
	SUBMISSION_HEADER_SYNTAX,  /* 550 5.6.0 */
	SUBMISSION_TOO_MANY_FIELDS,/* 552 5.3.4 */
	SUBMISSION_FROM_SYNTAX,    /* 550 5.6.0: none, two, or one that cannot be understood */
	SUBMISSION_FROM_DENIED,    /* 550 5.7.1: detail is the address */
};

struct submission_report {
	bool added_date, added_message_id, added_from, removed_bcc;
	char detail[512]; /* for the reply and the log: what was wrong where */
	char message_id[256]; /* as in the header, for the log; "" if it had none and none was added */
};

/*
 * header: with its final empty line if it has one. Appends the new header to out, the final empty
 * line as it was; nothing unless the verdict is SUBMISSION_OK.
 * ERR_FULL if out cannot hold it; else ERR_OK and *verdict_out.
 */
enum err submission_apply(const struct submission *submission, struct slice header, struct buf *out,
			  enum submission_verdict *verdict_out, struct submission_report *report_out);
/* A Received field alone, CRLF at its end. */
enum err received_print(const struct trace *trace, struct buf *out);
/* "Sun, 22 Nov 2026 22:49:08 +0000" (RFC 5322 3.3). */
void message_date(int64_t wall, char text_out[40]);
/*
 * The one mailbox of a From field's value, strictly (RFC 5322 3.4): display name, comments and
 * folding around the address are understood, groups, lists and obsolete routes are ERR_SYNTAX.
 * In one form: quoted only where it must be, domain in lower case.
 */
enum err message_from_address(struct slice value, char address_out[512]);

#endif
