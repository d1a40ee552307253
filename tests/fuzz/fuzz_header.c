/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a message, from the client's bytes to what is stored: gathered whatever the split,
 * taken apart, fixed up. Input: a byte of options, then the header. What comes out has whole line
 * ends, a Received of ours first, no Bcc, and, if From is checked, one From that the account may
 * use.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "message/header.h"
#include "message/mailbox.h"
#include "message/submission.h"

#include "fuzz.h"

enum { ROOM = 1 << 20 };

static bool may_send(void *arg, struct slice address)
{
	(void)arg;
	return slice_is(address, "alice@example.org");
}

/* The same whole header for every split. */
static bool gather(struct slice message, size_t step, struct header_gather *gathered)
{
	struct slice rest;
	enum err err = ERR_OK;

	header_gather_init(gathered);
	while (message.len != 0 && !gathered->complete && err == ERR_OK) {
		struct slice part = slice_head(message, step);

		err = header_gather_feed(gathered, part, &rest);
		HOLDS(err != ERR_OK || gathered->complete || rest.len == 0);
		message = slice_skip(message, part.len);
	}
	if (err == ERR_OK && !gathered->complete)
		header_gather_end(gathered);
	return err == ERR_OK;
}

static void check_fields(struct slice header, bool fixed, bool one_from)
{
	struct header_field field;
	unsigned count = 0, from = 0;

	for (size_t i = 0; i < header.len; i++) {
		HOLDS(header.ptr[i] != '\n' || (i > 0 && header.ptr[i - 1] == '\r'));
		HOLDS(header.ptr[i] != '\0');
	}
	while (header_next(&header, &field) == ERR_OK) {
		HOLDS(count++ != 0 || slice_is(field.name, "Received"));
		from += slice_is_nocase(field.name, "From");
		if (fixed)
			HOLDS(!slice_is_nocase(field.name, "Bcc") &&
			      !slice_is_nocase(field.name, "Resent-Bcc"));
	}
	HOLDS(!fixed || (one_from ? from == 1 : from >= 1));
}

static void apply(struct slice header, unsigned options)
{
	const struct submission submission = {
		.trace = {.hostname = "mail.example.org",
			  .helo = slice_head(header, 64),
			  .client = SLICE_LIT("192.0.2.1"),
			  .account = SLICE_LIT("alice"),
			  .protocol = SLICE_LIT("ESMTPSA"),
			  .tls = SLICE_LIT(""),
			  .id = SLICE_LIT("1-2"),
			  .recipient = SLICE_LIT("bob@far.example"),
			  .wall = 1700000000000},
		.fix = (options & 1) != 0,
		.policy = (enum submission_policy)(options / 2 % 3),
		.qualify = (options & 8) != 0 ? "example.net" : NULL,
		.domain = "example.org",
		.from_address = SLICE_LIT("alice@example.org"),
		.hops_max = 10,
		.may_send_as = may_send,
	};
	struct submission_report report;
	enum submission_verdict verdict = SUBMISSION_OK;
	struct buf out;

	buf_init(&out, ROOM);
	if (submission_apply(&submission, header, &out, &verdict, &report) == ERR_OK &&
	    verdict == SUBMISSION_OK)
		check_fields(buf_data(&out), submission.fix, submission.policy != SUBMISSION_LOG);
	buf_release(&out);
}

/* Whatever the client sends, the machine gives whole line ends and no NUL. */
static struct slice as_from_machine(struct slice bytes, struct buf *out)
{
	buf_init(out, ROOM);
	for (size_t i = 0; i < bytes.len; i++) {
		char c = bytes.ptr[i] == '\0' || bytes.ptr[i] == '\r' ? ' ' : bytes.ptr[i];

		if (c == '\n')
			(void)buf_append_str(out, "\r\n");
		else
			(void)buf_append_byte(out, c);
	}
	return buf_data(out);
}

/* What is taken prints as one that is taken and prints the same; the slices lie in the value. */
static void read_mailboxes(struct slice value, unsigned options)
{
	struct mailbox_list list = {.rest = value,
				    .qualify = (options & 8) != 0 ? "example.net" : NULL,
				    .utf8 = (options & 16) != 0};
	struct mailbox mailbox;

	while (mailbox_next(&list, &mailbox) == ERR_OK) {
		struct slice text = smtp_address_text(&mailbox.address);
		struct smtp_address again;

		HOLDS(smtp_mailbox_parse(text, true, &again) == SMTP_ADDRESS_OK);
		HOLDS(slice_equal(smtp_address_text(&again), text));
		HOLDS(list.utf8 || utf8_is_ascii(text));
		HOLDS(mailbox.spec.ptr >= value.ptr &&
		      mailbox.spec.ptr + mailbox.spec.len <= value.ptr + value.len);
		HOLDS(!mailbox.bare || list.qualify != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), message;
	unsigned options = fuzz_byte(&rest);
	struct header_gather whole, parts;
	struct buf copy;
	bool ok;

	read_mailboxes(rest, options);
	message = as_from_machine(rest, &copy);
	ok = gather(message, message.len, &whole);
	HOLDS(gather(message, 1 + options % 7, &parts) == ok);
	if (ok) {
		HOLDS(slice_equal(buf_data(&whole.bytes), buf_data(&parts.bytes)));
		apply(buf_data(&whole.bytes), options);
	}
	header_gather_release(&whole);
	header_gather_release(&parts);
	buf_release(&copy);
	return 0;
}
