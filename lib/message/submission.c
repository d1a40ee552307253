/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the header: what is kept goes to out as it came, byte for byte; what is missing
 * is added at its end. A field that names who sent the message (From, Sender, Resent-From,
 * Resent-Sender) must name somebody the account may be (threats E1); a field that cannot be
 * understood refuses the message, since another program would understand it somehow (E2).
 */
#include "message/submission.h"

#include <stdio.h>
#include <string.h>

#include "base/base32.h"
#include "message/header.h"

enum field_kind {
	FIELD_OTHER,
	FIELD_RECEIVED,
	FIELD_DATE,
	FIELD_MESSAGE_ID,
	FIELD_FROM,
	FIELD_IDENTITY, /* another field that says who sent it */
	FIELD_BLIND,    /* recipients that the others must not see */
	FIELD_AUTH_RESULTS,
};

static const struct {
	const char *name;
	enum field_kind kind;
} field_names[] = {
	{"Received", FIELD_RECEIVED},      {"Date", FIELD_DATE},
	{"Message-ID", FIELD_MESSAGE_ID},  {"From", FIELD_FROM},
	{"Sender", FIELD_IDENTITY},        {"Resent-From", FIELD_IDENTITY},
	{"Resent-Sender", FIELD_IDENTITY}, {"Bcc", FIELD_BLIND},
	{"Resent-Bcc", FIELD_BLIND},       {"Authentication-Results", FIELD_AUTH_RESULTS},
};

struct pass {
	const struct submission *submission;
	struct buf *out;
	struct submission_report *report;
	size_t fields, hops, from_count;
	bool has_date, has_message_id;
	enum submission_verdict verdict;
	enum err err;
};

static enum field_kind field_kind(struct slice name)
{
	for (size_t i = 0; i < sizeof(field_names) / sizeof(field_names[0]); i++) {
		if (slice_is_nocase(name, field_names[i].name))
			return field_names[i].kind;
	}
	return FIELD_OTHER;
}

/* What was wrong, for people: printable, cut to what there is room for. */
static void refuse(struct pass *pass, enum submission_verdict verdict, const char *what,
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

static void check_identity(struct pass *pass, const struct header_field *field)
{
	const struct submission *submission = pass->submission;
	char address[512];

	if (message_from_address(field->value, address) != ERR_OK) {
		char what[64];

		snprintf(what, sizeof(what), "%.*s must hold exactly one address, not:",
			 SLICE_ARG(slice_head(field->name, 32)));
		refuse(pass, SUBMISSION_FROM_SYNTAX, what, field->value);
	} else if (!submission->may_send_as(submission->arg, slice_str(address))) {
		refuse(pass, SUBMISSION_FROM_DENIED, "", slice_str(address));
	}
}

/* Authentication-Results that claims to come from us (RFC 8601 section 5). */
static bool claims_our_name(const struct pass *pass, struct slice value)
{
	const char *hostname = pass->submission->trace.hostname;
	size_t at = 0;
	size_t len = strlen(hostname);

	while (at < value.len && slice_has_byte(SLICE_LIT(" \t\r\n\""), value.ptr[at]))
		at++;
	value = slice_skip(value, at);
	return slice_starts_nocase(value, hostname) &&
	       (value.len == len || slice_has_byte(SLICE_LIT(" \t\r\n;\"(/"), value.ptr[len]));
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

/* Looks at one field; returns whether it stays in the header. */
static bool look_at(struct pass *pass, const struct header_field *field)
{
	enum field_kind kind = field_kind(field->name);
	bool fix = pass->submission->fix;

	/* "From :" is From to some programs and nothing to others (E2). */
	if (fix && field->odd && kind != FIELD_OTHER) {
		refuse(pass, SUBMISSION_HEADER_SYNTAX, "a blank before the colon: ", field->name);
		return true;
	}
	switch (kind) {
	case FIELD_RECEIVED:
		pass->hops++;
		return true;
	case FIELD_DATE:
		pass->has_date = true;
		return true;
	case FIELD_MESSAGE_ID:
		if (!pass->has_message_id)
			note_message_id(pass, field->value);
		pass->has_message_id = true;
		return true;
	case FIELD_FROM:
		pass->from_count++;
		if (fix && pass->from_count > 1)
			refuse(pass, SUBMISSION_FROM_SYNTAX, "the header has two From fields",
			       SLICE_LIT(""));
		else if (fix)
			check_identity(pass, field);
		return true;
	case FIELD_IDENTITY:
		if (fix)
			check_identity(pass, field);
		return true;
	case FIELD_BLIND:
		pass->report->removed_bcc |= fix;
		return !fix;
	case FIELD_AUTH_RESULTS:
		return !fix || !claims_our_name(pass, field->value);
	default:
		return true;
	}
}

static void keep(struct pass *pass, struct slice bytes)
{
	if (pass->err == ERR_OK)
		pass->err = buf_append_slice(pass->out, bytes);
}

/* Copies the fields; returns what follows them: the empty line, or what is no field. */
static struct slice copy_fields(struct pass *pass, struct slice header)
{
	const struct submission *submission = pass->submission;
	struct slice rest = header;
	struct header_field field;
	enum err err = ERR_EOF;

	while (pass->verdict == SUBMISSION_OK && (err = header_next(&rest, &field)) == ERR_OK) {
		if (++pass->fields > HEADER_FIELDS_MAX) {
			refuse(pass, SUBMISSION_TOO_MANY_FIELDS, "the header has too many fields",
			       SLICE_LIT(""));
			break;
		}
		if (look_at(pass, &field))
			keep(pass, field.whole);
		if (pass->hops > submission->hops_max)
			refuse(pass, SUBMISSION_LOOP, "too many Received fields: a mail loop",
			       SLICE_LIT(""));
	}
	/* Mail from elsewhere is passed on as it is: what is no header field starts its body. */
	if (err == ERR_SYNTAX && submission->fix)
		refuse(pass, SUBMISSION_HEADER_SYNTAX,
		       "no header field: ", slice_head(rest, slice_find(rest, '\r')));
	return rest;
}

static void add(struct pass *pass, const char *name, const char *value)
{
	if (pass->err == ERR_OK)
		pass->err = buf_printf(pass->out, "%s: %s\r\n", name, value);
}

static void add_missing(struct pass *pass)
{
	const struct submission *submission = pass->submission;
	struct submission_report *report = pass->report;
	char value[600];
	char one[BASE32_U64_MAX + 1];
	char two[BASE32_U64_MAX + 1];

	if (!pass->has_date) {
		message_date(submission->trace.wall, value);
		add(pass, "Date", value);
		report->added_date = true;
	}
	if (pass->from_count == 0 && submission->from_address.len > 0) {
		snprintf(value, sizeof(value), "<%.*s>",
			 SLICE_ARG(slice_head(submission->from_address, 512)));
		add(pass, "From", value);
		report->added_from = true;
	}
	if (!pass->has_message_id) {
		base32_u64(submission->message_id, one);
		base32_u64(submission->message_id_more, two);
		snprintf(value, sizeof(value), "<%s.%s@%.255s>", one, two,
			 submission->trace.hostname);
		add(pass, "Message-ID", value);
		note_message_id(pass, slice_str(value));
		report->added_message_id = true;
	}
}

enum err submission_apply(const struct submission *submission, struct slice header, struct buf *out,
			  enum submission_verdict *verdict_out,
			  struct submission_report *report_out)
{
	size_t before = buf_len(out);
	struct submission_report report = {0};
	struct pass pass = {.submission = submission, .out = out, .report = &report};
	struct slice rest;

	pass.err = received_print(&submission->trace, out);
	rest = copy_fields(&pass, header);
	if (submission->fix && pass.verdict == SUBMISSION_OK)
		add_missing(&pass);
	keep(&pass, rest);
	if (pass.err != ERR_OK || pass.verdict != SUBMISSION_OK)
		buf_truncate(out, before);
	if (pass.err != ERR_OK)
		return pass.err;
	*verdict_out = pass.verdict;
	*report_out = report;
	return ERR_OK;
}
