/* SPDX-License-Identifier: Apache-2.0 */
/* One pass of submission.c over a header, for the files that do parts of it. */
#ifndef POSTERN_MESSAGE_PASS_H
#define POSTERN_MESSAGE_PASS_H

#include "message/header.h"
#include "message/submission.h"

struct pass {
	const struct submission *submission;
	struct buf *out;
	struct submission_report *report;
	size_t fields, hops;
	unsigned addresses;     /* in fields that say who it is from, looked at so far */
	field_set seen;         /* and still in the header */
	bool many_authors;      /* From has several mailboxes */
	bool tls_no, tls_other; /* TLS-Required: No; with another value */
	struct slice old_from;  /* value of a From that was replaced, fit for Reply-To; "" none */
	enum submission_verdict verdict;
	enum err err;
};

/* What was wrong, for people: printable, cut to what there is room for. */
void pass_refuse(struct pass *pass, enum submission_verdict verdict, const char *what,
		 struct slice where);
void pass_keep(struct pass *pass, struct slice bytes);
/* Keeps the field, bare addresses completed. */
void pass_qualify(struct pass *pass, const struct header_field *field, enum field_id id);

/*
 * identity.c. From, Sender, Resent-From, Resent-Sender of somebody logged in: kept, replaced or
 * reason to refuse, by the policy.
 */
void identity_take(struct pass *pass, const struct header_field *field, enum field_id id);

/*
 * results.c. Whether an Authentication-Results field claims to be ours (RFC 8601 5), or cannot be
 * understood.
 */
bool results_claim(const struct submission *submission, struct slice value);

/* qualify.c. Appends the whole field. ERR_FULL. */
enum err qualify_print(const struct submission *submission, const struct header_field *field,
		       struct buf *out, bool *changed_out);

#endif
