/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report made of what others said (threats H2). Input: records for the recipient's address,
 * ORCPT, its kind (first byte: 2 bits the action, 4 SMTPUTF8, 8 RET=FULL, 16 goes to an address in
 * UTF-8), the server's words, its name, ENVID, and the message. What comes out has whole line ends,
 * no NUL, short lines, the parts it should have, and bytes above ASCII only if it is said.
 */
#include "message/report.h"

#include "fuzz.h"

enum { ROOM = 1 << 20, LINE_MAX_BYTES = 998 /* RFC 5322 2.1.1 */ };

static unsigned count(struct slice text, struct slice what)
{
	unsigned found = 0;
	size_t at;

	while ((at = slice_search(text, what)) < text.len) {
		found++;
		text = slice_skip(text, at + what.len);
	}
	return found;
}

static void check(struct slice text, struct slice quoted, bool eight_bit)
{
	size_t line = 0;

	for (size_t i = 0; i < text.len; i++) {
		HOLDS(text.ptr[i] != '\0' || slice_has_byte(quoted, '\0'));
		HOLDS(eight_bit || (unsigned char)text.ptr[i] < 0x80);
		if (text.ptr[i] == '\n') {
			HOLDS(i > 0 && text.ptr[i - 1] == '\r');
			line = 0;
		} else {
			line++;
		}
		HOLDS(line <= LINE_MAX_BYTES || quoted.len > LINE_MAX_BYTES);
	}
	HOLDS(count(text, SLICE_LIT("\r\nReporting-MTA: ")) >= 1);
	HOLDS(count(text, SLICE_LIT("\r\nContent-Type: message/delivery-status")) +
		      count(text, SLICE_LIT("\r\nContent-Type: message/global-delivery-status")) >=
	      1);
	HOLDS(count(text, SLICE_LIT("\r\nAction: ")) >= 1);
}

static bool whole_lines(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((text.ptr[i] == '\n') != (i > 0 && text.ptr[i - 1] == '\r'))
			return false;
	}
	return text.len == 0 || text.ptr[text.len - 1] == '\n';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), parts[7] = {{NULL, 0}};
	struct report_recipient recipient;
	struct report report;
	uint8_t kind;
	struct buf out;

	for (unsigned i = 0; i < 7; i++)
		if (!slice_split(&rest, FUZZ_RECORD_END, &parts[i]))
			parts[i] = SLICE_LIT("");
	kind = parts[2].len != 0 ? (uint8_t)parts[2].ptr[0] : 0;
	recipient = (struct report_recipient){.action = (enum report_action)(kind & 3),
					      .address = parts[0],
					      .orcpt = parts[1],
					      .status = SLICE_LIT("5.1.1"),
					      .text = parts[3],
					      .host = parts[4],
					      .code = 550};
	report = (struct report){.hostname = "mail.example.org",
				 .id = SLICE_LIT("1-2"),
				 .to = (kind & 16) != 0 ? SLICE_LIT("\xc3\xa4nn@example.org")
							: SLICE_LIT("alice@example.org"),
				 .envid = parts[5],
				 .arrived = 1700000000000,
				 .wall = 1700000100000,
				 .random = {1, 2},
				 .recipients = &recipient,
				 .recipient_count = 1,
				 .message = parts[6],
				 .whole = true,
				 .utf8 = (kind & 4) != 0,
				 /* Whole it is quoted as it came, and it came with whole lines. */
				 .full = (kind & 8) != 0 && whole_lines(parts[6])};
	buf_init(&out, ROOM);
	HOLDS(report_print(&report, &out) == ERR_OK);
	check(buf_data(&out), parts[6], report_form(&report).eight_bit);
	buf_release(&out);
	return 0;
}
