/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields that say who a message is from must name somebody the account may be (threats E1). One
 * that cannot be understood counts as somebody else's, since another program would understand it
 * somehow (E2). From and Resent-From may hold several mailboxes, each the account's to use; of From
 * and Sender there is one field at most (RFC 5322 3.6).
 */
#include <stdio.h>
#include <string.h>

#include "message/mailbox.h"
#include "message/pass.h"

enum {
	AUTHORS_MAX = 64, /* more in one field are no authors */
	/* In all fields together. Each is held against all that the account may send as; forwarding
	 * a message again and again adds two. */
	ADDRESSES_MAX = 256,
};

struct claim {
	size_t count;
	struct slice phrase;    /* of the first mailbox */
	bool clear;             /* it could be read to its end */
	bool granted;           /* and all it names is the account's */
	const char *why;        /* not clear: what is wrong, for people */
	struct smtp_address by; /* not granted: the first that is not the account's */
};

static void read_claim(struct pass *pass, const struct header_field *field, enum field_id id,
		       struct claim *claim)
{
	const struct submission *submission = pass->submission;
	struct mailbox_list list = {.rest = field->value,
				    .qualify = submission->qualify,
				    .utf8 = submission->trace.utf8};
	size_t most = id == FIELD_FROM || id == FIELD_RESENT_FROM ? AUTHORS_MAX : 1;
	struct mailbox mailbox;
	enum err err = ERR_OK;

	claim->granted = true;
	while (claim->count <= most && (err = mailbox_next(&list, &mailbox)) == ERR_OK) {
		if (claim->count++ == 0)
			claim->phrase = mailbox.phrase;
		if (pass->addresses == ADDRESSES_MAX)
			break;
		pass->addresses++;
		if (!claim->granted ||
		    submission->may_send_as(submission->arg, smtp_address_text(&mailbox.address)))
			continue;
		claim->granted = false;
		claim->by = mailbox.address;
	}
	claim->clear = err == ERR_EOF && !field->odd;
	claim->why = most > 1 ? "must hold addresses and nothing else, not:"
			      : "must hold exactly one address, not:";
	if (field->odd)
		claim->why = "must have no blank before its colon:";
	else if (err == ERR_OK)
		claim->why = pass->addresses == ADDRESSES_MAX
				     ? "is one too many that says who a message is from:"
				     : "holds too many addresses:";
}

static void refuse(struct pass *pass, const struct header_field *field, enum field_id id,
		   const struct claim *claim)
{
	char what[96];

	pass->report->field = id;
	if (claim->clear) {
		pass_refuse(pass, SUBMISSION_FROM_DENIED, "", smtp_address_text(&claim->by));
		return;
	}
	snprintf(what, sizeof(what), "%s %s", field_name(id), claim->why);
	pass_refuse(pass, SUBMISSION_FROM_SYNTAX, what, field->value);
}

/* For the log: the first address that is not the account's; "" if it could not be read. */
static void note(struct pass *pass, enum field_id id, const struct claim *claim)
{
	struct submission_report *report = pass->report;

	if (report->mismatch == 0 && claim->clear)
		(void)slice_copy(smtp_address_text(&claim->by), report->used, sizeof(report->used));
	report->mismatch |= FIELD_BIT(id);
}

static void keep_as_original(struct pass *pass, const struct header_field *field, enum field_id id)
{
	if (pass->err == ERR_OK)
		pass->err = buf_printf(pass->out, "X-Original-%s:", field_name(id));
	pass_keep(pass, field->value);
	pass_keep(pass, SLICE_LIT("\r\n"));
}

/* The account's own address takes the place of the first From; what was there is kept aside. */
static void replace(struct pass *pass, const struct header_field *field, enum field_id id,
		    const struct claim *claim)
{
	struct slice own = slice_head(pass->submission->from_address, SMTP_PATH_MAX * 2);

	pass->report->rewritten |= FIELD_BIT(id);
	if (id == FIELD_FROM && (pass->seen & FIELD_BIT(FIELD_FROM)) == 0) {
		pass_keep(pass, SLICE_LIT("From: "));
		if (claim->clear && claim->count == 1 && claim->phrase.len > 0) {
			pass_keep(pass, claim->phrase);
			pass_keep(pass, SLICE_LIT(" "));
		}
		pass_keep(pass, SLICE_LIT("<"));
		pass_keep(pass, own);
		pass_keep(pass, SLICE_LIT(">\r\n"));
		pass->seen |= FIELD_BIT(FIELD_FROM);
		if (claim->clear)
			pass->old_from = field->value;
	}
	keep_as_original(pass, field, id);
}

void identity_take(struct pass *pass, const struct header_field *field, enum field_id id)
{
	const struct submission *submission = pass->submission;
	struct claim claim = {.phrase = SLICE_LIT("")};
	bool only_one = id == FIELD_FROM || id == FIELD_SENDER;

	read_claim(pass, field, id, &claim);
	if (only_one && (pass->seen & FIELD_BIT(id)) != 0) {
		claim.clear = false;
		claim.why = "stands twice in the header:";
	}
	if (!claim.clear || !claim.granted) {
		if (submission->policy == SUBMISSION_REJECT ||
		    (submission->policy == SUBMISSION_REWRITE &&
		     submission->from_address.len == 0)) {
			refuse(pass, field, id, &claim);
			return;
		}
		note(pass, id, &claim);
		if (submission->policy == SUBMISSION_REWRITE) {
			replace(pass, field, id, &claim);
			return;
		}
	}
	pass->seen |= FIELD_BIT(id);
	if (id == FIELD_FROM && claim.clear && claim.count > 1)
		pass->many_authors = true;
	pass_qualify(pass, field, id);
}
