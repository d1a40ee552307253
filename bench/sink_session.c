/* SPDX-License-Identifier: Apache-2.0 */
#include "sink.h"

#include <string.h>
#include <strings.h>

#include "net.h"

static void reply(struct sink_session *session, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(session->out) - session->out_len) {
		session->broken = true;
		return;
	}
	memcpy(session->out + session->out_len, text, len);
	session->out_len += len;
}

void sink_start(struct sink_session *session)
{
	reply(session, "220 sink.example ESMTP\r\n");
}

/* ---- content: header fields and the checksum of the body --------------------------------- */

static void header_line(struct sink_session *session)
{
	static const char name[] = "X-Load-Id: ";
	size_t skip = sizeof(name) - 1;

	if (session->line_len <= 2) {
		session->in_header = false;
		session->sum = CHECKSUM_START;
	} else if (session->line_len > skip && strncasecmp(session->line, name, skip) == 0) {
		size_t len = session->line_len - skip - 2;

		if (len >= sizeof(session->id))
			len = sizeof(session->id) - 1;
		memcpy(session->id, session->line + skip, len);
		session->id[len] = '\0';
	}
	session->line_len = 0;
}

static void content(struct sink_session *session, const char *data, size_t len)
{
	session->size += len;
	if (!session->with_content)
		return;
	while (len > 0 && session->in_header) {
		char c = *data++;

		len--;
		if (session->line_len < sizeof(session->line))
			session->line[session->line_len++] = c;
		if (c == '\n')
			header_line(session);
	}
	session->sum = checksum(session->sum, data, len);
}

static void start_body(struct sink_session *session)
{
	if (session->recipients == 0) {
		reply(session, "503 5.5.1 No recipients\r\n");
		return;
	}
	session->in_body = session->in_header = true;
	session->place = SINK_START;
	session->size = session->sum = 0;
	session->line_len = 0;
	session->id[0] = '\0';
	reply(session, "354 Go on\r\n");
}

static void end_body(struct sink_session *session)
{
	session->in_body = false;
	session->recipients = 0;
	session->line_len = 0;
	session->message(session);
	reply(session, "250 2.0.0 Taken\r\n");
}

/* One byte outside the middle of a line; true when it ended the body. */
static bool body_byte(struct sink_session *session, char c)
{
	enum sink_place place = session->place;

	if (place == SINK_DOT_CR && c == '\n')
		return true;
	if (place == SINK_START && c == '.') {
		session->place = SINK_DOT;
		return false;
	}
	if (place == SINK_DOT && c == '\r') {
		session->place = SINK_DOT_CR;
		return false;
	}
	if (place == SINK_DOT_CR)
		content(session, "\r", 1);
	content(session, &c, 1);
	if (place == SINK_CR && c == '\n')
		session->place = SINK_START;
	else
		session->place = c == '\r' ? SINK_CR : SINK_MIDDLE;
	return false;
}

/* Takes what belongs to the body; returns how much that was. */
static size_t body(struct sink_session *session, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (session->place == SINK_MIDDLE) {
			const char *cr = memchr(data + at, '\r', len - at);
			size_t end = cr == NULL ? len : (size_t)(cr - data) + 1;

			content(session, data + at, end - at);
			at = end;
			if (cr != NULL)
				session->place = SINK_CR;
		} else if (body_byte(session, data[at++])) {
			end_body(session);
			return at;
		}
	}
	return at;
}

/* ---- commands ---------------------------------------------------------------------------- */

static bool verb(const struct sink_session *session, const char *name)
{
	return session->line_len >= 4 && strncasecmp(session->line, name, 4) == 0;
}

static void command(struct sink_session *session)
{
	if (verb(session, "RCPT")) {
		session->recipients++;
		reply(session, "250 2.1.5 Ok\r\n");
	} else if (verb(session, "MAIL") || verb(session, "RSET") || verb(session, "NOOP")) {
		session->recipients = 0;
		reply(session, "250 2.1.0 Ok\r\n");
	} else if (verb(session, "DATA")) {
		start_body(session);
	} else if (verb(session, "EHLO") || verb(session, "LHLO")) {
		reply(session, "250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n"
			       "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	} else if (verb(session, "HELO")) {
		reply(session, "250 sink.example\r\n");
	} else if (verb(session, "QUIT")) {
		session->quit = true;
		reply(session, "221 2.0.0 Bye\r\n");
	} else {
		reply(session, "500 5.5.2 What?\r\n");
	}
	session->line_len = 0;
}

static size_t command_bytes(struct sink_session *session, const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	size_t part = end == NULL ? len : (size_t)(end - data) + 1;

	if (part > sizeof(session->line) - session->line_len) {
		session->broken = true;
		return len;
	}
	memcpy(session->line + session->line_len, data, part);
	session->line_len += part;
	if (end != NULL)
		command(session);
	return part;
}

void sink_feed(struct sink_session *session, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && !session->broken && !session->quit) {
		if (session->in_body)
			at += body(session, data + at, len - at);
		else
			at += command_bytes(session, data + at, len - at);
	}
}
