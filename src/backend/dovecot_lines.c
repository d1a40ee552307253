/* SPDX-License-Identifier: Apache-2.0 */
#include "dovecot_lines.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"

enum { NUMBER_OF_REQUEST = 1, PLAIN_MAX = 320 + 1024 + 2 };

void dovecot_lines_init(struct dovecot_lines *lines)
{
	*lines = (struct dovecot_lines){0};
	buf_init(&lines->in, DOVECOT_LINE_MAX);
}

void dovecot_lines_release(struct dovecot_lines *lines)
{
	buf_release(&lines->in);
}

enum err dovecot_lines_feed(struct dovecot_lines *lines, struct slice bytes)
{
	return buf_append_slice(&lines->in, bytes);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static enum dovecot_event broken(struct dovecot_lines *lines, const char *what)
{
	lines->broken = true;
	(void)snprintf(lines->words, sizeof(lines->words), "%s", what);
	return DOVECOT_BROKEN;
}

/* What says nothing to us is skipped, as the protocol wants it of clients. */
static enum dovecot_event read_greeting(struct dovecot_lines *lines, struct slice line)
{
	struct slice command = {0}, field = {0};
	uint64_t major;

	(void)slice_split(&line, '\t', &command);
	(void)slice_split(&line, '\t', &field);
	if (slice_is(command, "VERSION")) {
		if (slice_number(field, UINT32_MAX, &major) != ERR_OK || major != 1)
			return broken(lines, "it speaks another version of the protocol than 1");
		lines->version = true;
	} else if (!lines->version) {
		return broken(lines, "it does not begin with VERSION; is something else behind "
				     "that socket?");
	} else if (slice_is(command, "MECH")) {
		lines->plain = lines->plain || slice_is_nocase(field, "PLAIN");
	} else if (slice_is(command, "DONE")) {
		if (!lines->plain)
			return broken(lines, "it does not offer PLAIN; add plain to its "
					     "auth_mechanisms");
		lines->ready = true;
		return DOVECOT_READY;
	}
	return DOVECOT_MORE;
}

static void keep(struct slice value, char *out, size_t size)
{
	if (slice_copy(slice_head(value, size - 1), out, size) != ERR_OK)
		out[0] = '\0';
}

static enum dovecot_event read_fields(struct dovecot_lines *lines, struct slice rest,
				      enum dovecot_event event)
{
	struct slice field;

	while (slice_split(&rest, '\t', &field)) {
		if (slice_starts(field, "user="))
			keep(slice_skip(field, 5), lines->user, sizeof(lines->user));
		else if (slice_starts(field, "reason="))
			keep(slice_skip(field, 7), lines->words, sizeof(lines->words));
		else if (event == DOVECOT_NO &&
			 (slice_is(field, "temp") || slice_is(field, "code=temp_fail")))
			event = DOVECOT_TEMPORARY;
		else if (slice_is(field, "user_disabled") || slice_is(field, "pass_expired") ||
			 slice_is(field, "authz"))
			keep(field, lines->words, sizeof(lines->words));
	}
	return event;
}

static enum dovecot_event read_answer(struct dovecot_lines *lines, struct slice line)
{
	struct slice command = {0}, id = {0};
	enum dovecot_event event;
	uint64_t number;

	(void)slice_split(&line, '\t', &command);
	(void)slice_split(&line, '\t', &id);
	if (slice_is(command, "OK"))
		event = DOVECOT_YES;
	else if (slice_is(command, "FAIL"))
		event = DOVECOT_NO;
	else
		return broken(lines, "its answer is neither OK nor FAIL");
	if (slice_number(id, UINT32_MAX, &number) != ERR_OK || number != NUMBER_OF_REQUEST)
		return broken(lines, "it answers what was not asked");
	event = read_fields(lines, line, event);
	if (event == DOVECOT_YES && lines->user[0] == '\0')
		return broken(lines, "its OK does not say for whom");
	return event;
}

enum dovecot_event dovecot_lines_next(struct dovecot_lines *lines)
{
	enum dovecot_event event = DOVECOT_MORE;

	while (!lines->broken && event == DOVECOT_MORE) {
		struct slice data = buf_data(&lines->in);
		size_t end = slice_find(data, '\n');
		struct slice line = slice_head(data, end);

		if (end == data.len)
			return data.len < DOVECOT_LINE_MAX ? DOVECOT_MORE
							   : broken(lines, "a line is too long");
		if (slice_has_byte(line, '\0'))
			return broken(lines, "there is a NUL in a line");
		event = lines->ready ? read_answer(lines, line) : read_greeting(lines, line);
		buf_consume(&lines->in, end + 1);
	}
	return lines->broken ? DOVECOT_BROKEN : event;
}

/* ---- what is sent --------------------------------------------------------------------------- */

enum err dovecot_greeting(uint32_t pid, struct buf *out)
{
	return buf_printf(out, "VERSION\t1\t1\nCPID\t%u\n", (unsigned)pid);
}

static bool is_field(const char *text)
{
	return strpbrk(text, "\t\r\n\001") == NULL;
}

enum err dovecot_request(const char *service, const char *client, const char *user,
			 const char *password, struct buf *out)
{
	struct buf plain;
	enum err err;

	if (!is_field(service) || !is_field(client))
		return ERR_SYNTAX;
	buf_init(&plain, PLAIN_MAX);
	/* Name and password travel in base64: nothing in them can end the line. */
	err = buf_append_byte(&plain, '\0');
	if (err == ERR_OK)
		err = buf_append_str(&plain, user);
	if (err == ERR_OK)
		err = buf_append_byte(&plain, '\0');
	if (err == ERR_OK)
		err = buf_append_str(&plain, password);
	/* TLS was looked at, and guesses are counted, before anybody gets here. */
	if (err == ERR_OK)
		err = buf_printf(out, "AUTH\t%d\tPLAIN\tservice=%s\tsecured\tno-penalty%s%s\tresp=",
				 NUMBER_OF_REQUEST, service, client[0] != '\0' ? "\trip=" : "",
				 client);
	if (err == ERR_OK)
		err = base64_encode(buf_data(&plain), out);
	if (err == ERR_OK)
		err = buf_append_byte(out, '\n');
	buf_wipe(&plain);
	return err;
}
