/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a submission server does to a header (RFC 6409 section 8, RFC 5321 4.4): its own Received
 * field on top; missing Date, Message-ID, From and Sender added; Bcc removed; bare addresses
 * completed; results of authentication that claim to be ours removed; and the check that those it
 * is said to be from are the sender's to use. What is there and right stays byte for byte. Mail
 * that came without a login gets Received only.
 */
#ifndef POSTERN_MESSAGE_SUBMISSION_H
#define POSTERN_MESSAGE_SUBMISSION_H

#include "base/buf.h"
#include "message/fields.h"

struct trace {
	const char *hostname;
	struct slice helo;        /* printed filtered and bounded; "" left out */
	struct slice client;      /* address; "" left out */
	struct slice client_name; /* of client by the DNS, "" unknown; printed with client only */
	struct slice account;     /* "" left out */
	struct slice key;         /* of the account, that was used; "" left out */
	struct slice protocol;    /* "ESMTPSA" (RFC 3848) */
	struct slice tls;         /* "TLSv1.3 with cipher ...", "" */
	struct slice id;          /* of the message */
	struct slice recipient;   /* "for <...>" only if there is exactly one, else "" */
	int64_t wall;             /* ms since 1970 */
	bool login;               /* somebody logged in, account or not */
	bool utf8;                /* SMTPUTF8 is in force: names may hold more than ASCII */
};

enum submission_policy { /* what happens if a sender is not the account's */
			 SUBMISSION_REJECT,
			 SUBMISSION_REWRITE, /* the account's address takes its place */
			 SUBMISSION_LOG,     /* it stays, and the report says so */
};

struct submission {
	struct trace trace;
	bool fix; /* logged in: fix-ups and the check of From */
	enum submission_policy policy;
	const char *qualify;       /* domain that completes bare addresses; NULL: none does */
	const char *domain;        /* a name of ours besides trace.hostname; NULL: none */
	struct slice from_address; /* the account's address; "": it has none */
	uint64_t message_id;       /* two random numbers for a missing Message-ID */
	uint64_t message_id_more;
	uint32_t hops_max;
	/* Whether the account may use this address in From. */
	bool (*may_send_as)(void *arg, struct slice address);
	void *arg;
};

enum submission_verdict {
	SUBMISSION_OK,
	SUBMISSION_LOOP,            /* 554 5.4.6 too many Received */
	SUBMISSION_HEADER_SYNTAX,   /* 550 5.6.0 */
	SUBMISSION_TOO_MANY_FIELDS, /* 552 5.3.4 */
	SUBMISSION_FROM_SYNTAX,     /* 550 5.6.0: field cannot be understood, or stands twice */
	SUBMISSION_FROM_DENIED,     /* 550 5.7.1: detail is the address, field where it stands */
};

struct submission_report {
	field_set added, removed, rewritten, qualified;
	field_set mismatch;   /* fields that name others than the account (REWRITE, LOG) */
	char used[400];       /* the first address of mismatch; "" if it could not be understood */
	bool tls_optional;    /* TLS-Required: No (RFC 8689 3) */
	enum field_id field;  /* what a refusal is about; FIELD_OTHER: no certain field */
	char detail[512];     /* for the reply and the log: what was wrong where */
	char message_id[256]; /* as in the header, for the log; "" if it had none and none was added
			       */
};

/*
 * header: with its final empty line if it has one. Appends the new header to out, the final empty
 * line as it was; nothing unless the verdict is SUBMISSION_OK. Time and memory are linear in the
 * header. ERR_FULL if out cannot hold it; else ERR_OK and *verdict_out.
 */
enum err submission_apply(const struct submission *submission, struct slice header, struct buf *out,
			  enum submission_verdict *verdict_out,
			  struct submission_report *report_out);
/* A Received field alone, CRLF at its end. */
enum err received_print(const struct trace *trace, struct buf *out);
/* "Sun, 22 Nov 2026 22:49:08 +0000" (RFC 5322 3.3). */
void message_date(int64_t wall, char text_out[40]);

#endif
