/* SPDX-License-Identifier: Apache-2.0 */
/* Dovecot's lines: bounded, no yes without a name and a greeting, and the same however cut. */
#include <string.h>

#include "dovecot_lines.h"

#include "fuzz.h"

/* Up to the first answer; *greeted_out: READY came before it. */
static enum dovecot_event read_all(struct slice bytes, size_t step, struct dovecot_lines *lines,
				   bool *greeted_out)
{
	enum dovecot_event event = DOVECOT_MORE;

	*greeted_out = false;
	dovecot_lines_init(lines);
	while (bytes.len != 0 && event == DOVECOT_MORE) {
		struct slice part = slice_head(slice_head(bytes, step), buf_room(&lines->in));

		HOLDS(part.len != 0 && dovecot_lines_feed(lines, part) == ERR_OK);
		bytes = slice_skip(bytes, part.len);
		event = dovecot_lines_next(lines);
		if (event == DOVECOT_READY) {
			HOLDS(!*greeted_out);
			*greeted_out = true;
			event = dovecot_lines_next(lines);
		}
	}
	HOLDS(strlen(lines->user) < sizeof(lines->user));
	HOLDS(strlen(lines->words) < sizeof(lines->words));
	HOLDS(event != DOVECOT_YES || (*greeted_out && lines->user[0] != '\0'));
	HOLDS(event != DOVECOT_BROKEN || lines->words[0] != '\0');
	dovecot_lines_release(lines);
	return event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size);
	unsigned step = fuzz_byte(&bytes) + 1;
	struct dovecot_lines whole, cut;
	bool whole_greeted, cut_greeted;
	enum dovecot_event event = read_all(bytes, SIZE_MAX, &whole, &whole_greeted);

	HOLDS(read_all(bytes, step, &cut, &cut_greeted) == event && whole_greeted == cut_greeted);
	if (event == DOVECOT_YES || event == DOVECOT_NO)
		HOLDS(strcmp(whole.user, cut.user) == 0 && strcmp(whole.words, cut.words) == 0);
	return 0;
}
