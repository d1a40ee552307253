/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the header: what is kept goes to out as it came, byte for byte; what is missing
 * is added at its end.
 */
#include "message/submission.h"

#include <stdio.h>
#include <string.h>

#include "base/base32.h"
#include "message/pass.h"
#include "message/scan.h"

void pass_refuse(struct pass *pass, enum submission_verdict verdict, const char *what,
		 struct slice where)
{
	char *detail = pass->report->detail;
	size_t size = sizeof(pass->report->detail);
	size_t len;

	pass->verdict = verdict;
	snprintf(detail, size, "%s%.*s", what, (int)(where.len > 200 ? 200 : where.len),
		 where.len > 0 ? where.ptr : "");
	len = strlen(detail);
	for (size_t i = 0; i < len; i++) {
		if (!ascii_is_print(detail[i]))
			detail[i] = '?';
	}
}

void pass_keep(struct pass *pass, struct slice bytes)
{
	if (pass->err == ERR_OK)
		pass->err = buf_append_slice(pass->out, bytes);
}

void pass_qualify(struct pass *pass, const struct header_field *field, enum field_id id)
{
	bool changed = false;

	if (pass->err == ERR_OK)
		pass->err = qualify_print(pass->submission, field, pass->out, &changed);
	if (changed)
		pass->report->qualified |= FIELD_BIT(id);
}

static void note_message_id(struct pass *pass, struct slice value)
{
	char *text = pass->report->message_id;
	size_t len = 0;

	for (size_t i = 0; i < value.len && len + 1 < sizeof(pass->report->message_id); i++) {
		char c = value.ptr[i];

		if (c != '\r' && c != '\n' && (len > 0 || (c != ' ' && c != '\t')))
			text[len++] = c;
	}
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	text[len] = '\0';
}

/* RFC 8689 3: "No" is the one value there is; comments may stand around it. */
static void note_tls_required(struct pass *pass, struct slice value)
{
	bool no = scan_cfws(&value) && slice_starts_nocase(value, "No");

	value = slice_skip(value, 2);
	if (no && scan_cfws(&value) && value.len == 0)
		pass->tls_no = true;
	else
		pass->tls_other = true;
}

/* Mail of somebody who is not logged in: nothing is changed. */
static void take_foreign(struct pass *pass, const struct header_field *field, enum field_id id)
{
	pass->seen |= FIELD_BIT(id);
	if (id == FIELD_MESSAGE_ID && pass->report->message_id[0] == '\0')
		note_message_id(pass, field->value);
	pass_keep(pass, field->whole);
}

static void take_own(struct pass *pass, const struct header_field *field, enum field_id id)
{
	switch (id) {
	case FIELD_FROM:
	case FIELD_SENDER:
	case FIELD_RESENT_FROM:
	case FIELD_RESENT_SENDER:
		identity_take(pass, field, id);
		return;
	case FIELD_BCC:
	case FIELD_RESENT_BCC: /* recipients that the others must not see */
		pass->report->removed |= FIELD_BIT(id);
		return;
	case FIELD_AUTH_RESULTS:
		if (results_claim(pass->submission, field->value)) {
			pass->report->removed |= FIELD_BIT(id);
			return;
		}
		break;
	case FIELD_REPLY_TO:
	case FIELD_TO:
	case FIELD_CC:
	case FIELD_RESENT_TO:
	case FIELD_RESENT_CC:
		pass->seen |= FIELD_BIT(id);
		pass_qualify(pass, field, id);
		return;
	default:
		break;
	}
	take_foreign(pass, field, id);
}

/* Copies the fields; returns what follows them: the empty line, or what is no field. */
static struct slice copy_fields(struct pass *pass, struct slice header)
{
	const struct submission *submission = pass->submission;
	struct slice rest = header;
	struct header_field field;
	enum err err = ERR_EOF;

	while (pass->verdict == SUBMISSION_OK && (err = header_next(&rest, &field)) == ERR_OK) {
		enum field_id id = field_id(field.name);

		if (++pass->fields > HEADER_FIELDS_MAX) {
			pass_refuse(pass, SUBMISSION_TOO_MANY_FIELDS,
				    "the header has too many fields", SLICE_LIT(""));
			break;
		}
		if (id == FIELD_RECEIVED && ++pass->hops > submission->hops_max) {
			pass_refuse(pass, SUBMISSION_LOOP, "too many Received fields: a mail loop",
				    SLICE_LIT(""));
			break;
		}
		if (id == FIELD_TLS_REQUIRED)
			note_tls_required(pass, field.value);
		if (submission->fix)
			take_own(pass, &field, id);
		else
			take_foreign(pass, &field, id);
	}
	/*
	 * Mail from elsewhere is passed on as it is: what is no header field starts its body. But a
	 * blank at the very start would make its first line a part of our Received field.
	 */
	if (err == ERR_SYNTAX && (submission->fix || (rest.ptr == header.ptr &&
						      (rest.ptr[0] == ' ' || rest.ptr[0] == '\t'))))
		pass_refuse(pass, SUBMISSION_HEADER_SYNTAX,
			    "no header field: ", slice_head(rest, slice_find(rest, '\r')));
	return rest;
}

static void add(struct pass *pass, enum field_id id, const char *value)
{
	if (pass->err == ERR_OK)
		pass->err = buf_printf(pass->out, "%s: %s\r\n", field_name(id), value);
	pass->report->added |= FIELD_BIT(id);
}

static void add_own_address(struct pass *pass, enum field_id id)
{
	struct slice own = pass->submission->from_address;
	char value[520];

	if (own.len == 0 || own.len > 512)
		return;
	snprintf(value, sizeof(value), "<%.*s>", SLICE_ARG(own));
	add(pass, id, value);
}

static void add_message_id(struct pass *pass)
{
	const struct submission *submission = pass->submission;
	char one[BASE32_U64_MAX + 1];
	char two[BASE32_U64_MAX + 1];
	char value[320];

	base32_u64(submission->message_id, one);
	base32_u64(submission->message_id_more, two);
	snprintf(value, sizeof(value), "<%s.%s@%.255s>", one, two, submission->trace.hostname);
	add(pass, FIELD_MESSAGE_ID, value);
	note_message_id(pass, slice_str(value));
}

/* Who the replaced From named still gets the replies, if nobody else is to. */
static void add_reply_to(struct pass *pass)
{
	struct header_field field = {.value = pass->old_from, .whole = pass->old_from};

	pass_keep(pass, SLICE_LIT("Reply-To:"));
	pass_qualify(pass, &field, FIELD_REPLY_TO);
	pass_keep(pass, SLICE_LIT("\r\n"));
	pass->report->added |= FIELD_BIT(FIELD_REPLY_TO);
}

static void add_missing(struct pass *pass)
{
	bool has_sender = (pass->seen & FIELD_BIT(FIELD_SENDER)) != 0;
	char date[40];

	if ((pass->seen & FIELD_BIT(FIELD_DATE)) == 0) {
		message_date(pass->submission->trace.wall, date);
		add(pass, FIELD_DATE, date);
	}
	if ((pass->seen & FIELD_BIT(FIELD_FROM)) == 0)
		add_own_address(pass, FIELD_FROM);
	if (pass->many_authors && !has_sender) /* RFC 5322 3.6.2 */
		add_own_address(pass, FIELD_SENDER);
	if (pass->old_from.len > 0 && (pass->seen & FIELD_BIT(FIELD_REPLY_TO)) == 0)
		add_reply_to(pass);
	if ((pass->seen & FIELD_BIT(FIELD_MESSAGE_ID)) == 0)
		add_message_id(pass);
}

enum err submission_apply(const struct submission *submission, struct slice header, struct buf *out,
			  enum submission_verdict *verdict_out,
			  struct submission_report *report_out)
{
	size_t before = buf_len(out);
	struct submission_report report = {0};
	struct pass pass = {
		.submission = submission, .out = out, .report = &report, .old_from = SLICE_LIT("")};
	struct slice rest;

	pass.err = received_print(&submission->trace, out);
	rest = copy_fields(&pass, header);
	if (submission->fix && pass.verdict == SUBMISSION_OK)
		add_missing(&pass);
	pass_keep(&pass, rest);
	if (pass.err != ERR_OK || pass.verdict != SUBMISSION_OK)
		buf_truncate(out, before);
	if (pass.err != ERR_OK)
		return pass.err;
	report.tls_optional = pass.tls_no && !pass.tls_other;
	*verdict_out = pass.verdict;
	*report_out = report;
	return ERR_OK;
}
