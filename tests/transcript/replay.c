/* SPDX-License-Identifier: Apache-2.0 */
/* Replays dialogues against the server machine; README.md beside it tells the format. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "smtp/server.h"

enum { TEXT_MAX = 1 << 20, MECHANISMS_MAX = 128, CUTS_MAX = 2000 };

#define NOW INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

struct replay {
	const char *path;
	unsigned line;     /* of the file */
	size_t step;       /* bytes the client sends at a time */
	size_t cut;        /* of all it sends, where it makes a pause; 0: nowhere */
	size_t sent;       /* bytes so far */
	struct slice rest; /* of the file */
	struct smtp_server_options options;
	char mechanisms[MECHANISMS_MAX];
	char qualify[MECHANISMS_MAX];
	struct smtp_server *server;
	struct buf pending; /* what the client has still to send */
	struct buf event;   /* the event that waits to be compared; empty: none */
	enum smtp_server_event_type question;
	bool whole;
	bool closed;
	bool failed;
};

static void fail(struct replay *replay, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fail(struct replay *replay, const char *format, ...)
{
	va_list args;

	if (replay->failed)
		return;
	replay->failed = true;
	fprintf(stderr, "%s:%u: (%zu bytes at a time, a pause at %zu) ", replay->path, replay->line,
		replay->step, replay->cut);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- text and bytes ---- */

static void escape(struct buf *out, struct slice bytes)
{
	static const char from[] = "\r\n\t\\", to[] = "rnt\\";

	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char c = (unsigned char)bytes.ptr[i];
		const char *at = c != '\0' ? strchr(from, c) : NULL;

		if (at != NULL)
			buf_printf(out, "\\%c", to[at - from]);
		else if (c == '\0')
			buf_append_str(out, "\\0");
		else if (c < 0x20 || c > 0x7e)
			buf_printf(out, "\\x%02x", c);
		else
			buf_append_byte(out, (char)c);
	}
}

static void unescape(struct replay *replay, struct buf *out, struct slice text)
{
	static const char from[] = "rnt\\0", to[] = "\r\n\t\\\0";

	for (size_t i = 0; i < text.len; i++) {
		const char *at;
		char hex[3] = {0};

		if (text.ptr[i] != '\\') {
			buf_append_byte(out, text.ptr[i]);
			continue;
		}
		at = ++i < text.len ? strchr(from, text.ptr[i]) : NULL;
		if (at != NULL) {
			buf_append_byte(out, to[at - from]);
		} else if (text.len - i >= 3 && text.ptr[i] == 'x') {
			memcpy(hex, text.ptr + i + 1, 2);
			buf_append_byte(out, (char)strtoul(hex, NULL, 16));
			i += 2;
		} else {
			fail(replay, "unknown escape");
			return;
		}
	}
}

/* Takes a word and the blank behind it. */
static struct slice take_word(struct slice *text)
{
	struct slice word = slice_head(*text, slice_find(*text, ' '));

	*text = slice_skip(*text, word.len + 1);
	return word;
}

static unsigned take_number(struct replay *replay, struct slice *text)
{
	uint64_t value = 0;

	if (slice_number(take_word(text), UINT32_MAX, &value) != ERR_OK)
		fail(replay, "a number is missing");
	return (unsigned)value;
}

/* "CODE STATUS TEXT"; the strings live as long as the buffer. */
struct verdict {
	unsigned code;
	char status[16];
	char text[600];
};

static struct verdict take_verdict(struct replay *replay, struct slice text)
{
	struct verdict verdict = {.code = take_number(replay, &text)};
	struct buf words;

	buf_init(&words, sizeof(verdict.text) - 1);
	if (slice_copy(take_word(&text), verdict.status, sizeof(verdict.status)) != ERR_OK)
		fail(replay, "the status is too long");
	unescape(replay, &words, text);
	slice_copy(buf_data(&words), verdict.text, sizeof(verdict.text));
	buf_release(&words);
	return verdict;
}

static const char *status_of(const struct verdict *verdict)
{
	return strcmp(verdict->status, "-") != 0 ? verdict->status : NULL;
}

/* ---- events ---- */

static void describe_terms(struct buf *out, const struct smtp_mail *mail)
{
	static const char *const rets[] = {"", " ret=full", " ret=hdrs"};
	const struct smtp_mail_terms *terms = &mail->terms;

	buf_append_str(out, terms->utf8 ? " utf8" : "");
	buf_append_str(out, terms->require_tls ? " requiretls" : "");
	buf_append_str(out, rets[terms->ret]);
	if (terms->envid.len != 0)
		buf_append_str(out, " envid=");
	escape(out, terms->envid);
	if (mail->hold_for != 0)
		buf_printf(out, " holdfor=%llu", (unsigned long long)mail->hold_for);
	if (mail->hold_until != 0)
		buf_printf(out, " holduntil=%lld", (long long)mail->hold_until);
	if (terms->by != SMTP_BY_NONE)
		buf_printf(out, " by=%lld;%c%s", (long long)mail->by_seconds,
			   terms->by == SMTP_BY_RETURN ? 'R' : 'N', terms->by_trace ? "T" : "");
	if (terms->has_priority)
		buf_printf(out, " priority=%d", terms->priority);
}

static void describe_question(struct buf *out, const struct smtp_server_event *event)
{
	switch (event->type) {
	case SMTP_SERVER_STARTTLS:
		buf_append_str(out, "starttls");
		break;
	case SMTP_SERVER_AUTH:
		buf_printf(out, "auth %s%s", event->mechanism, event->has_text ? " token " : "");
		escape(out, event->text);
		break;
	case SMTP_SERVER_AUTH_TOKEN:
		buf_append_str(out, "token ");
		escape(out, event->text);
		break;
	case SMTP_SERVER_MAIL:
		buf_append_str(out, "mail <");
		escape(out, smtp_address_text(&event->mail->sender));
		buf_append_str(out, ">");
		if (event->mail->size != 0)
			buf_printf(out, " size=%llu", (unsigned long long)event->mail->size);
		buf_append_str(out, event->mail->body_8bit ? " 8bit" : "");
		buf_append_str(out, event->mail->terms.auth.len != 0 ? " auth" : "");
		describe_terms(out, event->mail);
		break;
	case SMTP_SERVER_RCPT:
		buf_append_str(out, "rcpt <");
		escape(out, smtp_address_text(&event->rcpt->address));
		buf_append_str(out, ">");
		if (event->rcpt->terms.notify != 0)
			buf_printf(out, " notify=%u", event->rcpt->terms.notify);
		if (event->rcpt->terms.orcpt.len != 0)
			buf_append_str(out, " orcpt=");
		escape(out, event->rcpt->terms.orcpt);
		break;
	case SMTP_SERVER_DATA:
		buf_append_str(out, "data");
		break;
	case SMTP_SERVER_BODY_END:
		buf_append_str(out, event->repaired ? "end repaired" : "end");
		break;
	case SMTP_SERVER_VRFY:
	case SMTP_SERVER_ETRN:
		buf_append_str(out, event->type == SMTP_SERVER_VRFY ? "vrfy " : "etrn ");
		escape(out, event->text);
		break;
	default:
		abort();
	}
}

/* Puts the event into words; true: it asks for an answer. */
static bool describe(struct buf *out, const struct smtp_server_event *event)
{
	switch (event->type) {
	case SMTP_SERVER_HELO:
		buf_append_str(out, event->esmtp ? "ehlo " : "helo ");
		escape(out, event->text);
		break;
	case SMTP_SERVER_RESET:
		buf_append_str(out, "reset");
		break;
	case SMTP_SERVER_BODY:
		buf_append_str(out, "body ");
		escape(out, event->text);
		break;
	case SMTP_SERVER_BODY_DROP:
		buf_append_str(out, "drop ");
		escape(out, event->reply);
		break;
	case SMTP_SERVER_REFUSED:
		buf_append_str(out, "refused ");
		escape(out, event->text);
		if (event->hint[0] != '\0')
			buf_printf(out, " -- %s", event->hint);
		break;
	case SMTP_SERVER_AUTH_CANCEL:
		buf_append_str(out, "cancel");
		break;
	case SMTP_SERVER_CLOSE:
		buf_append_str(out, "close ");
		escape(out, slice_str(event->reason));
		break;
	default:
		describe_question(out, event);
		return true;
	}
	return false;
}

static void default_answer(struct replay *replay)
{
	struct smtp_server *server = replay->server;

	switch (replay->question) {
	case SMTP_SERVER_STARTTLS:
		smtp_server_tls_done(server);
		break;
	case SMTP_SERVER_MAIL:
		smtp_server_answer(server, 250, "2.1.0", "Sender OK");
		break;
	case SMTP_SERVER_RCPT:
		smtp_server_answer(server, 250, "2.1.5", "Recipient OK");
		break;
	case SMTP_SERVER_DATA:
		smtp_server_answer_data(server);
		break;
	case SMTP_SERVER_BODY_END:
		smtp_server_answer(server, 250, "2.0.0", "Accepted as 1");
		break;
	case SMTP_SERVER_VRFY:
		smtp_server_answer(server, 252, "2.5.0", "Send mail and see");
		break;
	case SMTP_SERVER_ETRN:
		smtp_server_answer(server, 253, "2.0.0", "2 recipients are tried now");
		break;
	default:
		fail(replay, "AUTH has no default answer");
	}
	replay->question = 0;
}

static void answer(struct replay *replay, struct slice text)
{
	enum smtp_server_event_type question = replay->question;
	bool auth = question == SMTP_SERVER_AUTH || question == SMTP_SERVER_AUTH_TOKEN;
	struct slice rest = text;
	struct slice word = take_word(&rest);
	struct verdict verdict;
	struct buf bytes;

	replay->question = 0;
	if (question == 0) {
		fail(replay, "an answer, and nothing was asked");
	} else if (auth && slice_is(word, "ok")) {
		smtp_server_auth_ok(replay->server);
	} else if (auth && slice_is(word, "challenge")) {
		buf_init(&bytes, TEXT_MAX);
		unescape(replay, &bytes, rest);
		smtp_server_auth_challenge(replay->server, buf_data(&bytes));
		buf_release(&bytes);
	} else if (auth && slice_is(word, "fail")) {
		verdict = take_verdict(replay, rest);
		smtp_server_auth_fail(replay->server, verdict.code, status_of(&verdict),
				      verdict.text);
	} else {
		verdict = take_verdict(replay, text);
		smtp_server_answer(replay->server, verdict.code, status_of(&verdict), verdict.text);
	}
}

/* Lets the machine go on until it has an event (in replay->event) or can do no more. */
static bool pull(struct replay *replay)
{
	struct smtp_server_event event;

	if (buf_len(&replay->event) != 0)
		return true;
	if (replay->question != 0)
		default_answer(replay);
	while (!smtp_server_next(replay->server, &event)) {
		struct slice part = slice_head(buf_data(&replay->pending), replay->step);

		part = slice_head(part, smtp_server_room(replay->server));
		if (replay->sent < replay->cut)
			part = slice_head(part, replay->cut - replay->sent);
		if (part.len == 0)
			return false;
		smtp_server_feed(replay->server, part);
		replay->sent += part.len;
		buf_consume(&replay->pending, part.len);
	}
	if (replay->closed)
		fail(replay, "an event after close");
	if (describe(&replay->event, &event))
		replay->question = event.type;
	if (event.type == SMTP_SERVER_CLOSE) {
		replay->closed = true;
		buf_clear(&replay->pending);
	}
	return true;
}

/* ---- lines of the file ---- */

static void expect_said(struct replay *replay, struct slice expected)
{
	struct buf *out = smtp_server_output(replay->server);
	struct slice said;
	bool any_rest =
		expected.len >= 4 && slice_is(slice_skip(expected, expected.len - 4), " ...");
	size_t end;

	while (slice_find(buf_data(out), '\n') == buf_len(out) && buf_len(&replay->event) == 0)
		if (!pull(replay))
			break;
	end = slice_search(buf_data(out), SLICE_LIT("\r\n"));
	said = slice_head(buf_data(out), end);
	if (end == buf_len(out))
		fail(replay, "expected \"%.*s\", the server said nothing", SLICE_ARG(expected));
	else if (any_rest ? !slice_equal(slice_head(said, expected.len - 4),
					 slice_head(expected, expected.len - 4))
			  : !slice_equal(said, expected))
		fail(replay, "expected \"%.*s\", the server said \"%.*s\"", SLICE_ARG(expected),
		     SLICE_ARG(said));
	else
		buf_consume(out, end + 2);
}

/* Body parts in the file are one text, however the machine cuts it. */
static void expect_body(struct replay *replay, struct slice expected)
{
	struct slice got;

	while (pull(replay) && slice_starts(buf_data(&replay->event), "body ") &&
	       buf_len(&replay->event) - strlen("body ") < expected.len) {
		struct buf more;

		buf_init(&more, TEXT_MAX);
		buf_append_slice(&more, buf_data(&replay->event));
		buf_clear(&replay->event);
		if (pull(replay) && slice_starts(buf_data(&replay->event), "body ")) {
			buf_append_slice(&more,
					 slice_skip(buf_data(&replay->event), strlen("body ")));
			buf_clear(&replay->event);
			buf_append_slice(&replay->event, buf_data(&more));
			buf_release(&more);
			continue;
		}
		fail(replay, "expected body \"%.*s\", got \"%.*s\"", SLICE_ARG(expected),
		     SLICE_ARG(slice_skip(buf_data(&more), strlen("body "))));
		buf_release(&more);
		return;
	}
	got = buf_data(&replay->event);
	if (!slice_starts(got, "body ") ||
	    !slice_equal(slice_head(slice_skip(got, strlen("body ")), expected.len), expected)) {
		fail(replay, "expected body \"%.*s\", got \"%.*s\"", SLICE_ARG(expected),
		     SLICE_ARG(got));
		return;
	}
	/* What is more than this line of the file belongs to the next one. */
	got = slice_skip(got, strlen("body ") + expected.len);
	if (got.len == 0) {
		buf_clear(&replay->event);
	} else {
		struct buf left;

		buf_init(&left, TEXT_MAX);
		buf_append_slice(&left, got);
		buf_clear(&replay->event);
		buf_append_str(&replay->event, "body ");
		buf_append_slice(&replay->event, buf_data(&left));
		buf_release(&left);
	}
}

static void expect_event(struct replay *replay, struct slice expected)
{
	struct slice got;

	if (slice_starts(expected, "body ")) {
		expect_body(replay, slice_skip(expected, strlen("body ")));
		return;
	}
	if (!pull(replay)) {
		fail(replay, "expected \"%.*s\", nothing happened", SLICE_ARG(expected));
		return;
	}
	/* "refused" and "close" have an empty text at times, and editors trim. */
	got = slice_trim(buf_data(&replay->event));
	if (!slice_equal(got, slice_trim(expected)))
		fail(replay, "expected \"%.*s\", got \"%.*s\"", SLICE_ARG(expected),
		     SLICE_ARG(got));
	buf_clear(&replay->event);
}

/* Nothing may be left over before the client speaks again, and at the end. */
static void expect_quiet(struct replay *replay)
{
	struct slice said;

	if (pull(replay))
		fail(replay, "not in the transcript: \"%.*s\"",
		     SLICE_ARG(buf_data(&replay->event)));
	said = buf_data(smtp_server_output(replay->server));
	if (said.len != 0)
		fail(replay, "not in the transcript: the server says \"%.*s\"", SLICE_ARG(said));
}

static uint32_t limit(struct replay *replay, struct slice text)
{
	return take_number(replay, &text);
}

static void set_extensions(struct replay *replay, struct slice names)
{
	static const struct {
		const char *name;
		unsigned extension;
	} known[] = {
		{"chunking", SMTP_EXT_CHUNKING},
		{"smtputf8", SMTP_EXT_UTF8},
		{"dsn", SMTP_EXT_DSN},
		{"limits", SMTP_EXT_LIMITS},
		{"requiretls", SMTP_EXT_REQUIRETLS},
		{"futurerelease", SMTP_EXT_FUTURERELEASE},
		{"deliverby", SMTP_EXT_DELIVERBY},
		{"priority", SMTP_EXT_PRIORITY},
		{"etrn", SMTP_EXT_ETRN},
		{"all", SMTP_EXT_ALL},
	};
	struct slice name;

	while (slice_split(&names, ' ', &name)) {
		unsigned extension = 0;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (slice_is(name, known[i].name))
				extension = known[i].extension;
		if (extension == 0)
			fail(replay, "unknown extension");
		replay->options.extensions |= extension;
	}
}

/* Directives that describe the listener. */
static void set_option(struct replay *replay, struct slice word, struct slice value)
{
	struct smtp_server_options *options = &replay->options;

	if (slice_is(word, "tls")) {
		options->tls = slice_is(value, "implicit");
		options->starttls = slice_is(value, "starttls");
	} else if (slice_is(word, "auth")) {
		options->auth = slice_is(value, "off")        ? SMTP_AUTH_OFF
				: slice_is(value, "optional") ? SMTP_AUTH_OPTIONAL
							      : SMTP_AUTH_REQUIRED;
	} else if (slice_is(word, "admitted")) {
		options->admitted = slice_is(value, "yes");
	} else if (slice_is(word, "clear")) {
		options->auth_in_clear = slice_is(value, "yes");
	} else if (slice_is(word, "bare")) {
		options->bare_newline_repair = slice_is(value, "repair");
	} else if (slice_is(word, "mechanisms")) {
		slice_copy(value, replay->mechanisms, sizeof(replay->mechanisms));
	} else if (slice_is(word, "extensions")) {
		set_extensions(replay, value);
	} else if (slice_is(word, "qualify")) {
		slice_copy(value, replay->qualify, sizeof(replay->qualify));
		options->qualify = replay->qualify;
	} else if (slice_is(word, "long-lines")) {
		options->long_lines_refuse = slice_is(value, "refuse");
	} else if (slice_is(word, "auth-equals")) {
		options->auth_equals = true;
	} else if (slice_is(word, "size")) {
		options->message_size = limit(replay, value);
	} else if (slice_is(word, "size-offered")) {
		options->size_offered = limit(replay, value);
	} else if (slice_is(word, "recipients")) {
		options->recipients = limit(replay, value);
	} else if (slice_is(word, "errors")) {
		options->errors = limit(replay, value);
	} else if (slice_is(word, "whole")) {
		replay->whole = true;
	} else {
		fail(replay, "unknown directive");
	}
}

static void open_session(struct replay *replay)
{
	replay->server = smtp_server_new(&replay->options);
	smtp_server_set_time(replay->server, NOW);
}

static void directive(struct replay *replay, struct slice text)
{
	struct slice rest = text;
	struct slice word = take_word(&rest);
	struct verdict verdict;

	if (slice_is(word, "close") && replay->server != NULL) {
		expect_quiet(replay);
		verdict = take_verdict(replay, rest);
		smtp_server_close(replay->server, verdict.code, status_of(&verdict), verdict.text);
		replay->question = 0;
	} else if (slice_is(word, "busy") && replay->server == NULL) {
		verdict = take_verdict(replay, rest);
		open_session(replay);
		smtp_server_greet_refusal(replay->server, verdict.code, status_of(&verdict),
					  verdict.text);
	} else if (replay->server == NULL) {
		set_option(replay, word, rest);
	} else {
		fail(replay, "this directive comes too late");
	}
}

static void do_line(struct replay *replay, struct slice line, bool *client_spoke)
{
	struct slice text = slice_skip(
		line, line.len > 2 && line.ptr[0] != '*' && line.ptr[0] != '=' && line.ptr[0] != '!'
			      ? 3
			      : 2);
	bool speaks = slice_starts(line, "C");

	if (replay->server == NULL && line.ptr[0] != '!') {
		open_session(replay);
		smtp_server_greet(replay->server);
	}
	if (speaks && !*client_spoke)
		expect_quiet(replay);
	*client_spoke = speaks;
	if (slice_starts(line, "C: ") || slice_is(line, "C:")) {
		unescape(replay, &replay->pending, text);
		buf_append_str(&replay->pending, "\r\n");
	} else if (slice_starts(line, "C> ")) {
		unescape(replay, &replay->pending, text);
	} else if (slice_starts(line, "S: ")) {
		expect_said(replay, text);
	} else if (slice_starts(line, "* ")) {
		expect_event(replay, text);
	} else if (slice_starts(line, "= ")) {
		answer(replay, text);
	} else if (slice_starts(line, "! ")) {
		directive(replay, text);
	} else {
		fail(replay, "no such kind of line");
	}
}

/* One pass over the file. true: as it should be. *whole_out: it is not to be cut. */
static bool replay_once(const char *path, struct slice file, size_t step, size_t cut,
			bool *whole_out, size_t *sent_out)
{
	struct replay replay = {
		.path = path,
		.step = step,
		.cut = cut,
		.rest = file,
		.options = {.hostname = "mail.example.org",
			    .auth = SMTP_AUTH_REQUIRED,
			    .starttls = true,
			    .bare_newline_repair = true,
			    .message_size = 1000,
			    .recipients = 3,
			    .errors = 20,
			    .hold_max = 86400},
		.mechanisms = "PLAIN LOGIN",
	};
	bool client_spoke = false;
	struct slice line;

	replay.options.mechanisms = replay.mechanisms;
	buf_init(&replay.pending, TEXT_MAX);
	buf_init(&replay.event, TEXT_MAX);
	while (!replay.failed && slice_split(&replay.rest, '\n', &line)) {
		replay.line++;
		if (line.len != 0 && line.ptr[0] != '#')
			do_line(&replay, line, &client_spoke);
	}
	if (replay.server == NULL)
		fail(&replay, "the file is empty");
	else if (!replay.failed)
		expect_quiet(&replay);
	if (replay.server != NULL)
		smtp_server_free(&replay.server);
	buf_release(&replay.pending);
	buf_release(&replay.event);
	*whole_out = replay.whole;
	*sent_out = replay.sent;
	return !replay.failed;
}

static bool replay_file(const char *path)
{
	static const size_t steps[] = {1, 2, 3, 5, 7, 64};
	char *text = mem_alloc(TEXT_MAX);
	FILE *file = fopen(path, "rb");
	size_t len, sent, unused;
	bool whole, ok;

	if (file == NULL) {
		fprintf(stderr, "%s: cannot be read\n", path);
		mem_free(text);
		return false;
	}
	len = fread(text, 1, TEXT_MAX, file);
	fclose(file);
	ok = replay_once(path, slice_of(text, len), TEXT_MAX, 0, &whole, &sent);
	for (size_t i = 0; ok && !whole && i < sizeof(steps) / sizeof(steps[0]); i++)
		ok = replay_once(path, slice_of(text, len), steps[i], 0, &whole, &unused);
	/* And in two at every place. */
	for (size_t cut = 1; ok && !whole && cut < sent && cut <= CUTS_MAX; cut++)
		ok = replay_once(path, slice_of(text, len), TEXT_MAX, cut, &whole, &unused);
	mem_free(text);
	return ok;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed += !replay_file(argv[i]);
	printf("%d of %d transcripts as they should be\n", argc - 1 - failed, argc - 1);
	return failed == 0 && argc > 1 ? 0 : 1;
}
