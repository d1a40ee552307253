/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client machine against any server. Input: a byte of options, a byte that seeds what we do,
 * then records: what the server says together, or, while a body is wanted, a part of that body.
 * Whatever comes, what leaves is whole commands and a clean body, and no success is believed
 * that was not the answer to a dot.
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/client.h"

#include "fuzz.h"

enum { TRANSACTIONS_MAX = 20 };

struct world {
	struct smtp_client *client;
	uint32_t seed;
	bool lmtp;
	bool tls;
	bool dead;
	bool in_transaction;
	bool sending; /* BODY_WANTED came, the body is not ended */
	bool dot_sent;
	bool finals[3]; /* recipients with a last word */
	char last;      /* byte that left */
	unsigned transactions;
};

static const struct smtp_client_recipient recipients[] = {
	{.address = {"a@b.example", 11}},
	{.address = {"c@d.example", 11},
	 .terms = {.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY}},
	{.address = {"\"x\"@e.example", 13},
	 .terms = {.notify = SMTP_NOTIFY_NEVER, .orcpt = {"utf-8;\xc3\xa9@x", 10}}},
};

static unsigned chance(struct world *world, unsigned of)
{
	world->seed = world->seed * 1664525u + 1013904223u;
	return (world->seed >> 16) % of;
}

/* Nothing that leaves has a CR or LF alone, or a NUL. */
static void check_output(struct world *world)
{
	struct buf *out = smtp_client_output(world->client);
	struct slice bytes = buf_data(out);

	for (size_t i = 0; i < bytes.len; i++) {
		HOLDS(bytes.ptr[i] != '\0');
		HOLDS((bytes.ptr[i] == '\n') == (world->last == '\r'));
		world->last = bytes.ptr[i];
	}
	buf_release(out);
}

/* What the server must be able to do: refused before a byte leaves if it cannot. */
static void add_demands(struct world *world, struct smtp_client_envelope *envelope)
{
	struct smtp_client_envelope demanding = *envelope;
	size_t before = buf_len(smtp_client_output(world->client));
	bool fits = true;
	enum err err;

	if (chance(world, 4) == 0) {
		demanding.sender = SLICE_LIT("\xc3\xa9@b.example");
		fits = smtp_client_offers(world->client, "SMTPUTF8");
	}
	if (chance(world, 4) == 0) {
		demanding.terms.require_tls = true;
		fits = fits && (world->lmtp ||
				(world->tls && smtp_client_offers(world->client, "REQUIRETLS")));
	}
	if (fits) {
		*envelope = demanding;
		return;
	}
	err = smtp_client_send(world->client, &demanding);
	HOLDS(err == ERR_SYNTAX || err == ERR_DENIED);
	HOLDS(buf_len(smtp_client_output(world->client)) == before);
}

static void start(struct world *world)
{
	static struct smtp_client_envelope envelope;

	if (world->transactions++ >= TRANSACTIONS_MAX) {
		smtp_client_quit(world->client);
		return;
	}
	envelope = (struct smtp_client_envelope){
		.sender = recipients[0].address,
		.recipients = recipients,
		.recipient_count = 1 + chance(world, 3),
		.size = chance(world, 3000),
		.body_8bit = chance(world, 2) != 0,
		.by_seconds = (int64_t)chance(world, 600) - 300,
		.terms = {.has_priority = chance(world, 2) != 0,
			  .priority = (int8_t)((int)chance(world, 19) - 9),
			  .by = (enum smtp_by)chance(world, 3),
			  .ret = (enum smtp_ret)chance(world, 3),
			  .envid = chance(world, 2) != 0 ? SLICE_LIT("Q+2B1") : SLICE_LIT(""),
			  .auth = chance(world, 2) != 0 ? SLICE_LIT("<>") : SLICE_LIT("")},
	};
	add_demands(world, &envelope);
	HOLDS(smtp_client_limit(world->client, "RCPTMAX") != 0);
	HOLDS(smtp_client_idle(world->client));
	memset(world->finals, 0, sizeof(world->finals));
	world->in_transaction = true;
	world->dot_sent = false;
	HOLDS(smtp_client_send(world->client, &envelope) == ERR_OK);
}

static void login(struct world *world, bool first)
{
	if (chance(world, 8) == 0)
		smtp_client_auth_cancel(world->client);
	else if (first)
		smtp_client_auth(world->client, "PLAIN", SLICE_LIT("\0u\0p"),
				 chance(world, 2) != 0);
	else
		smtp_client_auth_response(world->client, SLICE_LIT("\0u\0p"));
}

static void recipient_told(struct world *world, const struct smtp_client_event *event)
{
	HOLDS(world->in_transaction && event->index < 3 && event->reply.code >= 200);
	HOLDS(!world->finals[event->index]);
	HOLDS(event->final || event->reply.code < 300);
	HOLDS(!event->final || event->reply.code >= 400 || (world->lmtp && world->dot_sent));
	world->finals[event->index] = event->final;
}

static void handle(struct world *world, const struct smtp_client_event *event)
{
	HOLDS(!world->dead);
	switch (event->type) {
	case SMTP_CLIENT_STARTTLS:
		smtp_client_tls_done(world->client);
		world->tls = true;
		break;
	case SMTP_CLIENT_AUTH:
	case SMTP_CLIENT_CHALLENGE:
		login(world, event->type == SMTP_CLIENT_AUTH);
		break;
	case SMTP_CLIENT_READY:
		HOLDS(!world->in_transaction);
		start(world);
		break;
	case SMTP_CLIENT_RECIPIENT:
		recipient_told(world, event);
		break;
	case SMTP_CLIENT_BODY_WANTED:
		HOLDS(world->in_transaction && !world->sending);
		world->sending = true;
		break;
	case SMTP_CLIENT_SENT:
		HOLDS(world->in_transaction && world->dot_sent);
		world->in_transaction = false;
		break;
	case SMTP_CLIENT_REFUSED:
		HOLDS(world->in_transaction && !world->dot_sent);
		world->in_transaction = false;
		break;
	case SMTP_CLIENT_FAILED:
		HOLDS(event->reason != NULL);
		HOLDS(event->certain || world->dot_sent);
		HOLDS(event->certain || world->in_transaction);
		world->dead = true;
		world->sending = false;
		break;
	}
}

static void run(struct world *world)
{
	struct smtp_client_event event;

	check_output(world);
	while (smtp_client_next(world->client, &event))
		handle(world, &event);
	check_output(world);
	HOLDS(!world->dead || smtp_client_phase(world->client) == SMTP_CLIENT_DEAD);
}

/* A part of the body, and perhaps its end. */
static void give_body(struct world *world, struct slice part)
{
	enum err err = smtp_client_body(world->client, part);

	HOLDS(err == ERR_OK || err == ERR_SYNTAX);
	if (err == ERR_OK && chance(world, 2) == 0) {
		err = smtp_client_body_end(world->client);
		HOLDS(err == ERR_OK || err == ERR_SYNTAX);
		world->dot_sent = err == ERR_OK;
		world->sending = false;
	}
	if (err == ERR_SYNTAX)
		HOLDS(smtp_client_phase(world->client) == SMTP_CLIENT_DEAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), record;
	unsigned flags = fuzz_byte(&rest);
	struct world world = {.seed = fuzz_byte(&rest), .lmtp = (flags & 1) != 0};
	struct smtp_client_options options = {
		.hostname = "us.example",
		.lmtp = world.lmtp,
		.tls = (flags & 2) != 0   ? SMTP_CLIENT_TLS_REQUIRED
		       : (flags & 4) != 0 ? SMTP_CLIENT_TLS_IF_OFFERED
					  : SMTP_CLIENT_TLS_NONE,
		.tls_on = (flags & 8) != 0,
		.auth = (flags & 16) != 0,
	};

	world.tls = options.tls_on;
	world.client = smtp_client_new(&options);
	while (!world.dead && slice_split(&rest, FUZZ_RECORD_END, &record)) {
		if (world.sending && chance(&world, 8) != 0)
			give_body(&world, slice_head(record, 128 * 1024));
		else
			smtp_client_feed(world.client, record);
		run(&world);
	}
	if ((flags & 32) != 0) {
		smtp_client_eof(world.client);
		run(&world);
		HOLDS(smtp_client_phase(world.client) == SMTP_CLIENT_DEAD);
	}
	smtp_client_free(&world.client);
	return 0;
}
