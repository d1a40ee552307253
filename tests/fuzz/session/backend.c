/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth and queue as smtpd sees them, over real channels. They keep to their protocol, may answer
 * late or not at all, refuse, die and come back; and they check what smtpd asks of them: no
 * message without a grant that was given to it, none with a sender that is not the grant's, no
 * body with line ends out of place, no word about a session that was never begun.
 */
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "fuzz.h"
#include "ipc/channel.h"
#include "ipc/child.h"
#include "os/net.h"
#include "policy/rights.h"

#include "child.h"
#include "world.h"

enum { KEYS_AT_ONCE = 300, PLAN_MAX = 64, SECRET_LEAST = 12, STANDING = 7, CHALLENGE = 3000 };

/* Grants of devices have numbers of their own. */
enum { DEVICE_GRANTS = 100000 };

static const char device_sender[] = "box@example.org", device_recipients[] = "*@example.org";
static const char *const patterns[] = {"alice@example.org", "*@wild.example"};

/*
 * auth: o logged in, f refused, F not now, p enough of it, c challenge, C a long one of any bytes,
 * e an empty one, n no answer, x dies. queue: s stored, 1..9 the
 * verdict, n no answer yet, x dies without, y dies after storing.
 */
struct plan {
	char letters[PLAN_MAX];
	size_t len, at;
};

static struct {
	struct channel *auth, *queue;
	struct plan auth_plan, queue_plan;
	uint64_t next_key;
	uint64_t last_knock;
	bool door_closed; /* nobody comes in */
	bool no_credit;   /* BULK is read, its credit kept */
	uint32_t owed_bytes, owed_messages;
} backend;

static char next_of(struct plan *plan, char otherwise)
{
	return plan->at < plan->len ? plan->letters[plan->at++] : otherwise;
}

static void set_plan(struct plan *plan, struct slice letters)
{
	plan->at = 0;
	plan->len = letters.len < PLAN_MAX ? letters.len : PLAN_MAX;
	if (plan->len != 0)
		memcpy(plan->letters, letters.ptr, plan->len);
}

void backend_plan(struct slice auth, struct slice queue)
{
	if (auth.len != 0)
		set_plan(&backend.auth_plan, auth);
	if (queue.len != 0)
		set_plan(&backend.queue_plan, queue);
}

/* ---- auth ---- */
static void note_secret(struct slice token)
{
	unsigned at = the_world.secret_count;

	/* What is ours to log, or was sent as something else too, is no secret. */
	if (token.len < SECRET_LEAST || at == SECRETS_MAX ||
	    slice_search(SLICE_LIT("alice@example.org"), token) == 0 ||
	    slice_search(the_world.input, token) < the_world.input.len)
		return;
	the_world.secrets[at].len = token.len < SECRET_MAX ? token.len : SECRET_MAX;
	memcpy(the_world.secrets[at].text, token.ptr, the_world.secrets[at].len);
	the_world.secret_count++;
}

static void log_in(uint64_t session)
{
	struct ipc_list_builder senders;
	struct msg_auth_ok ok = {.session = session,
				 .grant = 100 + the_world.grant_count,
				 .account = SLICE_LIT("alice@example.org"),
				 .mechanism = SLICE_LIT("PLAIN"),
				 .address = SLICE_LIT("alice@example.org")};

	if (the_world.grant_count == GRANTS_MAX)
		return;
	ipc_list_begin(&senders, 4096);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct rec_pattern pattern = {.text = slice_str(patterns[i])};

		HOLDS(ipc_list_add(&senders, IPC_REC_pattern, &pattern) == ERR_OK);
	}
	ok.senders = ipc_list_view(&senders);
	the_world.grants[the_world.grant_count++] = ok.grant;
	(void)channel_send(backend.auth, IPC_AUTH_OK, &ok);
	ipc_list_release(&senders);
}

static void add_pattern(struct ipc_list_builder *list, const char *text)
{
	ipc_list_begin(list, 4096);
	HOLDS(ipc_list_add(list, IPC_REC_pattern, &(struct rec_pattern){slice_str(text)}) ==
	      ERR_OK);
}

static void log_in_device(uint64_t session)
{
	struct ipc_list_builder senders, recipients;
	struct msg_auth_ok ok = {.session = session,
				 .grant = DEVICE_GRANTS + the_world.grant_count,
				 .account = SLICE_LIT("device:box"),
				 .address = slice_str(device_sender)};

	if (the_world.grant_count == GRANTS_MAX)
		return;
	add_pattern(&senders, device_sender);
	add_pattern(&recipients, device_recipients);
	ok.senders = ipc_list_view(&senders);
	ok.recipients = ipc_list_view(&recipients);
	the_world.grants[the_world.grant_count++] = ok.grant;
	(void)channel_send(backend.auth, IPC_AUTH_OK, &ok);
	ipc_list_release(&senders);
	ipc_list_release(&recipients);
}

static void refuse(uint64_t session, char how)
{
	struct msg_auth_fail fail = {.session = session,
				     .code = 535,
				     .status = SLICE_LIT("5.7.8"),
				     .text = SLICE_LIT("Authentication failed"),
				     .account = SLICE_LIT("alice"),
				     .reason = SLICE_LIT("wrong password")};

	if (how != 'f') {
		fail.code = how == 'p' ? 421 : 454;
		fail.status = SLICE_LIT("4.7.0");
	}
	(void)channel_send(backend.auth, IPC_AUTH_FAIL, &fail);
}

/* A step of a mechanism of several: a prompt, a server's first or last message, or nothing. */
static void challenge(uint64_t session, char how)
{
	char bytes[CHALLENGE];
	struct msg_auth_challenge msg = {.session = session, .token = SLICE_LIT("Username:")};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	if (how != 'c')
		msg.token = slice_of(bytes, how == 'C' ? sizeof(bytes) : 0);
	(void)channel_send(backend.auth, IPC_AUTH_CHALLENGE, &msg);
}

static void answer_login(char how)
{
	uint64_t session = the_world.session;

	if (backend.auth == NULL || session == 0)
		return;
	if (how == 'n')
		return;
	if (how == 'c' || how == 'C' || how == 'e') {
		challenge(session, how);
		return;
	}
	the_world.session = 0;
	if (how == 'x')
		channel_free(&backend.auth);
	else if (how == 'f' || how == 'F' || how == 'p')
		refuse(session, how);
	else
		log_in(session);
}

static void answer_device(uint64_t session, char how)
{
	if (how == 'x')
		channel_free(&backend.auth);
	else if (how == 'f' || how == 'F' || how == 'p')
		refuse(session, how);
	else if (how != 'n')
		log_in_device(session);
}

/* Any number. */
static void answer_count(const struct msg_count *count)
{
	const struct msg_counted counted = {.session = count->session, .grant = count->grant};

	(void)channel_send(backend.auth, IPC_COUNTED, &counted);
}

static bool granted(uint64_t grant)
{
	for (unsigned i = 0; i < the_world.grant_count; i++)
		if (the_world.grants[i] == grant)
			return true;
	return false;
}

/* The last that was let in, or is not, makes room. */
static void turn_away(uint64_t id)
{
	const struct msg_turn_away away = {.id = id,
					   .code = 421,
					   .status = SLICE_LIT("4.3.2"),
					   .text = SLICE_LIT("Too many connections"),
					   .reason = SLICE_LIT("a limit")};

	if (backend.auth != NULL)
		(void)channel_send(backend.auth, IPC_TURN_AWAY, &away);
}

static void answer_knock(const struct msg_knock *knock)
{
	const struct msg_admit admit = {.id = knock->id};

	backend.last_knock = knock->id;
	if (knock->inside)
		return;
	if (backend.door_closed)
		turn_away(knock->id);
	else
		(void)channel_send(backend.auth, IPC_ADMIT, &admit);
}

static enum err on_auth(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			int fd)
{
	union {
		struct msg_auth_start start;
		struct msg_auth_token token;
		struct msg_auth_cancel cancel;
		struct msg_grant_end end;
		struct msg_knock knock;
		struct msg_device_mail device;
		struct msg_count count;
	} msg;

	(void)arg;
	(void)channel;
	HOLDS(fd == -1);
	memset(&msg, 0, sizeof(msg));
	HOLDS(ipc_decode(type, payload, &msg) == ERR_OK);
	switch (type) {
	case IPC_AUTH_START:
		/* What binds to TLS comes with TLS, and of TLS 1.3, which clients here speak. */
		HOLDS((msg.start.exporter.len != 0) == msg.start.tls && msg.start.unique.len == 0);
		the_world.session = msg.start.session;
		note_secret(msg.start.token);
		answer_login(next_of(&backend.auth_plan, 'o'));
		break;
	case IPC_AUTH_TOKEN:
		the_world.session = msg.token.session;
		note_secret(msg.token.token);
		answer_login(next_of(&backend.auth_plan, 'o'));
		break;
	case IPC_AUTH_CANCEL:
		if (the_world.session == msg.cancel.session)
			the_world.session = 0;
		break;
	case IPC_KNOCK:
		answer_knock(&msg.knock);
		break;
	case IPC_DEVICE_MAIL:
		answer_device(msg.device.session, next_of(&backend.auth_plan, 'o'));
		break;
	case IPC_COUNT:
		HOLDS(granted(msg.count.grant));
		answer_count(&msg.count);
		break;
	case IPC_GRANT_END:
		HOLDS(granted(msg.end.grant));
		break;
	default:
		break; /* what else smtpd may tell auth */
	}
	return backend.auth != NULL ? ERR_OK : ERR_EOF;
}

static void on_end(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	(void)arg;
	HOLDS(how == CHANNEL_EOF || why[0] == '\0'); /* smtpd keeps to the protocol */
	if (channel == backend.auth)
		channel_free(&backend.auth);
	else if (channel == backend.queue)
		channel_free(&backend.queue);
}

static const struct channel_handlers auth_handlers = {.message = on_auth, .ended = on_end};

/* For each listener, whatever its sessions are like. */
static void make_offers(struct ipc_list_builder *offers_out)
{
	const struct config *config = the_world.config;

	ipc_list_begin(offers_out, 65536);
	for (size_t i = 0; i < config->listen_count; i++) {
		for (unsigned traits = 0; traits <= IPC_TRAIT_ALL; traits++) {
			const struct rec_offer offer = {
				slice_str(config->listens[i].name), (uint8_t)traits,
				SLICE_LIT("SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN")};

			HOLDS(ipc_list_add(offers_out, IPC_REC_offer, &offer) == ERR_OK);
		}
	}
}

void backend_auth_start(void)
{
	struct msg_auth_offer offer = {.standing_grant = STANDING};
	const struct msg_grants_synced synced = {.queue_incarnation = the_world.incarnation};
	struct ipc_list_builder offers;
	int fds[2];

	make_offers(&offers);
	offer.offers = ipc_list_view(&offers);
	channel_free(&backend.auth);
	the_world.session = 0;
	HOLDS(net_pair(fds) == ERR_OK);
	play_role()->peer(the_world.child, IPC_AUTH, 0, ++the_world.incarnation, fds[0]);
	backend.auth = channel_new(the_world.loop, fds[1], "auth", &auth_handlers, NULL);
	(void)channel_send(backend.auth, IPC_AUTH_OFFER, &offer);
	ipc_list_release(&offers);
	(void)channel_send(backend.auth, IPC_GRANTS_SYNCED, &synced);
}

static void revoke_last(void)
{
	struct msg_grant_lost lost = {.reason = SLICE_LIT("disabled")};

	if (backend.auth == NULL || the_world.grant_count == 0)
		return;
	lost.grant = the_world.grants[the_world.grant_count - 1];
	(void)channel_send(backend.auth, IPC_GRANT_LOST, &lost);
}

/* ---- queue ---- */
static struct known *find(uint64_t key)
{
	for (unsigned i = 0; i < the_world.known_count; i++)
		if (the_world.known[i].id.key == key)
			return &the_world.known[i];
	return NULL;
}

static bool is_ours(struct slice domain)
{
	const struct strings *ours = &the_world.config->accept_for;

	for (size_t i = 0; i < ours->count; i++)
		if (rights_match_domain(slice_str(ours->items[i]), domain))
			return true;
	return false;
}

static bool is_device(const struct rec_submission *submission)
{
	return submission->grant >= DEVICE_GRANTS;
}

static void check_recipients(const struct rec_submission *submission, bool login)
{
	struct ipc_list list = submission->recipients;
	struct rec_recipient recipient;

	HOLDS(list.count != 0);
	while (ipc_list_next(&list, IPC_REC_recipient, &recipient)) {
		size_t at = slice_find_last(recipient.address, '@');

		HOLDS(at < recipient.address.len && at != 0);
		for (size_t i = 0; i < recipient.address.len; i++)
			HOLDS((unsigned char)recipient.address.ptr[i] >= 0x20 &&
			      recipient.address.ptr[i] != 0x7f);
		HOLDS(login || is_ours(slice_skip(recipient.address, at + 1)));
		HOLDS(!is_device(submission) ||
		      (rights_match(slice_str(device_recipients), recipient.address) &&
		       !rights_asks_routing(recipient.address)));
	}
}

/* A message comes only from somebody who may send it. */
static struct known *begin(const struct rec_submission *submission)
{
	bool login = (submission->mail.flags & IPC_MAIL_LOGIN) != 0;
	struct slice sender = submission->mail.sender;
	struct known *known = find(submission->key);
	bool may = sender.len == 0 || !login;

	HOLDS(known == NULL && submission->key < backend.next_key);
	HOLDS(login ? granted(submission->grant) : submission->grant == STANDING);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		may = may ||
		      (!is_device(submission) && rights_match(slice_str(patterns[i]), sender));
	HOLDS(may || (is_device(submission) && rights_match(slice_str(device_sender), sender)));
	check_recipients(submission, login);
	if (the_world.known_count == MESSAGES_MAX)
		return NULL;
	known = &the_world.known[the_world.known_count++];
	*known = (struct known){.id.key = submission->key};
	HOLDS(submission->random.len == sizeof(known->id.random));
	memcpy(known->id.random, submission->random.ptr, sizeof(known->id.random));
	return known;
}

/* The body holds whole line ends only, and no NUL (threats A2, A3). */
static void body(struct known *known, struct slice data)
{
	for (size_t i = 0; i < data.len; i++) {
		HOLDS(data.ptr[i] != '\0');
		HOLDS((data.ptr[i] == '\n') == (known->last == '\r'));
		known->last = data.ptr[i];
	}
}

static void verdict(struct known *known, enum ipc_verdict value)
{
	const struct msg_submitted msg = {
		.key = known->id.key, .verdict = (uint8_t)value, .text = SLICE_LIT("because")};

	known->whole = known->open = false;
	known->stored = value == IPC_STORED;
	(void)channel_send(backend.queue, IPC_SUBMITTED, &msg);
}

static void decide(struct known *known, char how)
{
	known->whole = true;
	if (how == 'n')
		return;
	if (how == 'x' || how == 'y') {
		known->stored = how == 'y';
		channel_free(&backend.queue);
		return;
	}
	verdict(known, how >= '1' && how <= '9' ? (enum ipc_verdict)(how - '0') : IPC_STORED);
}

static void on_part(uint16_t type, struct slice payload)
{
	union {
		struct msg_submit_chunk chunk;
		struct msg_submit_end end;
		struct msg_submit_abort abort;
	} msg;
	struct known *known;

	HOLDS(ipc_decode(type, payload, &msg) == ERR_OK);
	known = find(msg.chunk.key); /* key comes first in each */
	if (known == NULL || !known->open)
		return; /* an abort that crossed our answer */
	if (type == IPC_SUBMIT_CHUNK) {
		body(known, msg.chunk.data);
	} else {
		known->open = false;
		if (type == IPC_SUBMIT_END) {
			HOLDS(known->last != '\r');
			decide(known, next_of(&backend.queue_plan, 's'));
		}
	}
}

static void give_credit(uint32_t bytes)
{
	if (backend.queue == NULL)
		return;
	if (backend.no_credit) {
		backend.owed_bytes += bytes;
		backend.owed_messages++;
	} else {
		channel_done(backend.queue, bytes, 1);
	}
}

static void give_keys(void)
{
	const struct msg_keys keys = {.first = backend.next_key, .count = KEYS_AT_ONCE};

	backend.next_key += KEYS_AT_ONCE;
	(void)channel_send(backend.queue, IPC_KEYS, &keys);
}

static void on_ask(struct slice payload)
{
	struct msg_ask ask;
	struct msg_known answer;
	struct known *known;

	HOLDS(ipc_decode(IPC_ASK, payload, &ask) == ERR_OK);
	known = find(ask.key);
	if (known != NULL)
		HOLDS(slice_equal(ask.random,
				  slice_of(known->id.random, sizeof(known->id.random))));
	answer = (struct msg_known){.key = ask.key, .stored = known != NULL && known->stored};
	if (next_of(&backend.queue_plan, 's') != 'n')
		(void)channel_send(backend.queue, IPC_KNOWN, &answer);
}

static enum err on_queue(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			 int fd)
{
	struct msg_submit submit;
	struct msg_submit_open open;
	struct known *known;

	(void)arg;
	(void)channel;
	HOLDS(fd == -1);
	if (type == IPC_SUBMIT) {
		HOLDS(ipc_decode(type, payload, &submit) == ERR_OK);
		known = begin(&submit.submission);
		if (known != NULL) {
			body(known, submit.body);
			HOLDS(known->last != '\r');
			decide(known, next_of(&backend.queue_plan, 's'));
		}
	} else if (type == IPC_SUBMIT_OPEN) {
		HOLDS(ipc_decode(type, payload, &open) == ERR_OK);
		known = begin(&open.submission);
		if (known != NULL)
			known->open = true;
	} else if (type == IPC_SUBMIT_CHUNK || type == IPC_SUBMIT_END || type == IPC_SUBMIT_ABORT) {
		on_part(type, payload);
	} else if (type == IPC_KEYS_WANTED) {
		give_keys();
	} else if (type == IPC_ASK) {
		on_ask(payload);
	}
	if (ipc_type_bulk(type))
		give_credit((uint32_t)payload.len);
	return backend.queue != NULL ? ERR_OK : ERR_EOF;
}

static const struct channel_handlers queue_handlers = {.message = on_queue, .ended = on_end};

static void accepting(bool ok, uint64_t largest)
{
	const struct msg_accepting msg = {.ok = ok,
					  .code = 452,
					  .status = SLICE_LIT("4.3.1"),
					  .text = SLICE_LIT("The disk is full"),
					  .largest = largest};

	if (backend.queue != NULL)
		(void)channel_send(backend.queue, IPC_ACCEPTING, &msg);
}

void backend_queue_start(void)
{
	const struct msg_grants_synced synced = {.queue_incarnation = the_world.incarnation + 1};
	int fds[2];

	channel_free(&backend.queue);
	/* What the one before did not store is lost with it. */
	for (unsigned i = 0; i < the_world.known_count; i++)
		the_world.known[i].open = the_world.known[i].whole = false;
	backend.owed_bytes = backend.owed_messages = 0;
	HOLDS(net_pair(fds) == ERR_OK);
	play_role()->peer(the_world.child, IPC_QUEUE, 0, ++the_world.incarnation, fds[0]);
	backend.queue = channel_new(the_world.loop, fds[1], "queue", &queue_handlers, NULL);
	give_keys();
	accepting(true, 0);
	if (backend.auth != NULL)
		(void)channel_send(backend.auth, IPC_GRANTS_SYNCED, &synced);
}

static void answer_waiting(void)
{
	for (unsigned i = 0; i < the_world.known_count && backend.queue != NULL; i++)
		if (the_world.known[i].whole)
			verdict(&the_world.known[i], IPC_STORED);
}

static void set_credit(bool given)
{
	backend.no_credit = !given;
	if (given && backend.queue != NULL && backend.owed_messages != 0) {
		channel_done(backend.queue, backend.owed_bytes, backend.owed_messages);
		backend.owed_bytes = backend.owed_messages = 0;
	}
}

/*
 * auth: o f F p c C e answer who waits, g takes the last grant back, x dies, r is started anew.
 * queue: s answers those that wait, 0 takes nothing, 1 takes all, 2 little, k keeps credit, u gives
 * it, d dies, R is started anew.
 */
void backend_act(char what)
{
	switch (what) {
	case 'o':
	case 'f':
	case 'F':
	case 'p':
	case 'c':
	case 'C':
	case 'e':
	case 'x':
		if (what == 'x')
			channel_free(&backend.auth);
		else
			answer_login(what);
		break;
	case 'g':
		revoke_last();
		break;
	case 'r':
		backend_auth_start();
		break;
	case 's':
		answer_waiting();
		break;
	case '0':
	case '1':
	case '2':
		accepting(what != '0', what == '2' ? 100 : 0);
		break;
	case 'k':
	case 'u':
		set_credit(what == 'u');
		break;
	case 't':
		turn_away(backend.last_knock);
		break;
	case 'a':
	case 'A':
		backend.door_closed = what == 'A';
		break;
	case 'd':
		channel_free(&backend.queue);
		break;
	case 'R':
		backend_queue_start();
		break;
	default:
		break;
	}
}

void backend_stop(void)
{
	channel_free(&backend.auth);
	channel_free(&backend.queue);
	memset(&backend, 0, sizeof(backend));
}
