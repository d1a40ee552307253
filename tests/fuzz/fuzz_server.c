/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole session against the server machine. Input: a byte of options, a byte that seeds the
 * caller's verdicts, then records of what the client sends together. The caller behaves as it
 * may; what must hold at every step is checked.
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/server.h"

#include "fuzz.h"

struct world {
	struct smtp_server *server;
	uint32_t seed;
	bool closed;
	bool in_body;
	bool logged_in;
	bool mail; /* a MAIL was agreed to and is not over */
	bool dropped;
	bool repair;
	char last; /* byte of the body; '\n' at its start */
	unsigned recipients;
};

static unsigned chance(struct world *world, unsigned of)
{
	world->seed = world->seed * 1664525u + 1013904223u;
	return (world->seed >> 16) % of;
}

/* What is shown of a message has no CR or LF alone and no NUL. */
static void check_body(struct world *world, struct slice text)
{
	HOLDS(world->in_body && !world->dropped && text.len != 0);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		HOLDS(c != '\0');
		HOLDS((c == '\n') == (world->last == '\r'));
		world->last = c;
	}
}

/* What we say is lines of printable text that start with a code. */
static void check_output(struct world *world)
{
	struct buf *out = smtp_server_output(world->server);
	struct slice rest = buf_data(out), line;

	HOLDS(rest.len == 0 || rest.ptr[rest.len - 1] == '\n');
	while (slice_split(&rest, '\n', &line)) {
		uint64_t code;

		HOLDS(line.len >= 5 && line.ptr[line.len - 1] == '\r');
		HOLDS(slice_number(slice_head(line, 3), 599, &code) == ERR_OK && code >= 200);
		HOLDS(line.ptr[3] == ' ' || line.ptr[3] == '-');
		for (size_t i = 0; i + 1 < line.len; i++)
			HOLDS(ascii_is_print(line.ptr[i]));
	}
	buf_release(out);
}

static void judge_auth(struct world *world)
{
	HOLDS(smtp_server_tls(world->server) && !world->logged_in && !world->mail);
	switch (chance(world, 4)) {
	case 0:
		smtp_server_auth_fail(world->server, 535, "5.7.8", "no");
		break;
	case 1:
		smtp_server_auth_challenge(world->server, SLICE_LIT("Username:"));
		break;
	default:
		smtp_server_auth_ok(world->server);
		world->logged_in = smtp_server_authenticated(world->server);
	}
}

static void judge_mail(struct world *world, const struct smtp_server_event *event)
{
	bool yes = chance(world, 8) != 0;

	if (event->type == SMTP_SERVER_MAIL) {
		HOLDS(!world->mail);
		HOLDS(event->mail->sender.len <= SMTP_PATH_MAX);
		world->mail = yes;
		world->recipients = 0;
	} else {
		HOLDS(world->mail && event->rcpt->address.len != 0);
		world->recipients += yes;
	}
	smtp_server_answer(world->server,
			   yes                     ? 250
			   : chance(world, 9) == 0 ? 421
						   : 550,
			   "2.0.0", "words \x80\r\n");
}

static void judge_message(struct world *world, const struct smtp_server_event *event)
{
	HOLDS(world->mail && world->recipients != 0);
	if (event->type == SMTP_SERVER_DATA) {
		HOLDS(!world->in_body);
		if (chance(world, 8) == 0) {
			smtp_server_answer(world->server, 452, NULL, "full");
			return;
		}
		smtp_server_answer_data(world->server);
		world->in_body = smtp_server_phase(world->server) == SMTP_PHASE_BODY;
		world->dropped = false;
		world->last = '\0';
		return;
	}
	HOLDS(world->in_body && !world->dropped && world->last != '\r');
	HOLDS(!event->repaired || (world->repair && world->logged_in));
	world->in_body = world->mail = false;
	smtp_server_answer(world->server, chance(world, 8) != 0 ? 250 : 451, "2.0.0", "done");
}

static void handle(struct world *world, const struct smtp_server_event *event)
{
	switch (event->type) {
	case SMTP_SERVER_BODY:
		check_body(world, event->text);
		break;
	case SMTP_SERVER_BODY_DROP:
		HOLDS(world->in_body && !world->dropped);
		world->dropped = true;
		break;
	case SMTP_SERVER_RESET:
		HOLDS(world->mail);
		world->mail = world->in_body = false;
		break;
	case SMTP_SERVER_CLOSE:
		HOLDS(event->reason != NULL && !world->mail);
		world->closed = true;
		break;
	case SMTP_SERVER_STARTTLS:
		HOLDS(!smtp_server_tls(world->server));
		if (chance(world, 8) == 0)
			smtp_server_answer(world->server, 454, NULL, "no");
		else
			smtp_server_tls_done(world->server);
		break;
	case SMTP_SERVER_AUTH:
	case SMTP_SERVER_AUTH_TOKEN:
		judge_auth(world);
		break;
	case SMTP_SERVER_MAIL:
	case SMTP_SERVER_RCPT:
		judge_mail(world, event);
		break;
	case SMTP_SERVER_DATA:
	case SMTP_SERVER_BODY_END:
		judge_message(world, event);
		break;
	case SMTP_SERVER_VRFY:
	case SMTP_SERVER_ETRN:
		HOLDS(event->text.len != 0);
		smtp_server_answer(world->server, 252, "2.5.0", "maybe");
		break;
	case SMTP_SERVER_HELO:
	case SMTP_SERVER_REFUSED:
		HOLDS(event->text.len <= 512);
		break;
	case SMTP_SERVER_AUTH_CANCEL:
		break;
	}
}

static void run(struct world *world)
{
	struct smtp_server_event event;

	while (smtp_server_next(world->server, &event)) {
		HOLDS(!world->closed);
		handle(world, &event);
		if (chance(world, 4) == 0)
			check_output(world);
	}
	check_output(world);
	HOLDS(smtp_server_authenticated(world->server) == world->logged_in);
	HOLDS(world->closed == (smtp_server_phase(world->server) == SMTP_PHASE_CLOSED));
}

static void client_sends(struct world *world, struct slice record)
{
	while (record.len != 0 && !world->closed) {
		struct slice part = slice_head(record, smtp_server_room(world->server));

		if (chance(world, 3) == 0)
			part = slice_head(part, 1 + chance(world, 40));
		HOLDS(part.len != 0);
		smtp_server_feed(world->server, part);
		record = slice_skip(record, part.len);
		run(world);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), record;
	unsigned flags = fuzz_byte(&rest);
	struct world world = {.seed = fuzz_byte(&rest), .repair = (flags & 16) == 0};
	struct smtp_server_options options = {
		.hostname = "mail.example.org",
		.mechanisms = "PLAIN LOGIN",
		.auth = (flags & 3) == 3   ? SMTP_AUTH_OFF
			: (flags & 3) == 2 ? SMTP_AUTH_REQUIRED
					   : SMTP_AUTH_OPTIONAL,
		.tls = (flags & 4) != 0,
		.starttls = (flags & 8) != 0,
		.bare_newline_repair = world.repair,
		.message_size = (flags & 32) != 0 ? 100 : 1 << 20,
		.recipients = 3,
		.errors = 20,
	};

	world.server = smtp_server_new(&options);
	smtp_server_greet(world.server);
	run(&world);
	while (!world.closed && slice_split(&rest, FUZZ_RECORD_END, &record))
		client_sends(&world, record);
	if ((flags & 64) != 0 && !world.closed) {
		smtp_server_close(world.server, 421, "4.3.2", "stop");
		run(&world);
		HOLDS(world.closed);
	}
	smtp_server_free(&world.server);
	return 0;
}
