/* SPDX-License-Identifier: Apache-2.0 */
#include "auth_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"

struct auth_world t;

/* ---- queue ---------------------------------------------------------------------------------- */

void join(struct ipc_list list, char *out, size_t size)
{
	struct rec_pattern pattern;

	out[0] = '\0';
	while (ipc_list_next(&list, IPC_REC_pattern, &pattern))
		(void)snprintf(out + strlen(out), size - strlen(out), "%.*s;",
			       SLICE_ARG(pattern.text));
}

size_t find_grant(uint64_t number)
{
	for (size_t i = 0; i < t.queue.count; i++)
		if (t.queue.grants[i].number == number)
			return i;
	return GRANTS_MAX;
}

static void store_grant(const struct msg_grant *msg)
{
	size_t at = find_grant(msg->grant);

	if (at == GRANTS_MAX)
		at = t.queue.count++;
	assert_true(at < GRANTS_MAX);
	t.queue.grants[at].number = msg->grant;
	t.queue.grants[at].smtpd_index = msg->smtpd_index;
	t.queue.grants[at].any_sender = msg->any_sender;
	t.queue.grants[at].any_recipient = msg->any_recipient;
	t.queue.grants[at].recipients_left = msg->recipients_left;
	assert_int_equal(slice_copy(msg->account, t.queue.grants[at].account, 64), ERR_OK);
	assert_int_equal(slice_copy(msg->bounce, t.queue.grants[at].bounce, 64), ERR_OK);
	join(msg->domains, t.queue.grants[at].domains, 256);
	join(msg->senders, t.queue.grants[at].senders, 256);
}

static bool queue_filter(struct peer *peer, uint16_t type, struct slice payload, void *arg)
{
	union {
		struct msg_grant grant;
		struct msg_grant_revoke revoke;
		struct msg_grant_renew renew;
		struct msg_grant_sync sync;
	} msg;
	size_t at;

	(void)arg;
	assert_int_equal(ipc_decode(type, payload, &msg), ERR_OK);
	switch (type) {
	case IPC_GRANT:
		store_grant(&msg.grant);
		if (t.queue.acknowledges)
			peer_send(peer, IPC_GRANT_ACK, &(struct msg_grant_ack){msg.grant.grant});
		return true;
	case IPC_GRANT_REVOKE:
		at = find_grant(msg.revoke.grant);
		assert_true(at < GRANTS_MAX);
		t.queue.grants[at] = t.queue.grants[--t.queue.count];
		t.queue.revoked++;
		return true;
	case IPC_GRANT_RENEW:
		at = find_grant(msg.renew.grant);
		assert_true(at < GRANTS_MAX);
		t.queue.grants[at].recipients_left = msg.renew.recipients_left;
		return true;
	case IPC_GRANT_SYNC:
		if (t.queue.acknowledges)
			peer_send(peer, IPC_GRANT_SYNC_ACK,
				  &(struct msg_grant_sync_ack){msg.sync.round});
		return true;
	default:
		return false;
	}
}

void start_queue(void)
{
	t.queue.count = 0;
	t.queue.acknowledges = true;
	t.queue.peer = process_peer(&t.process, t.loop, IPC_QUEUE, 0, ++t.queue.incarnation);
	peer_set_filter(t.queue.peer, queue_filter, NULL);
}

bool wait_until_revoked(size_t count)
{
	for (int i = 0; i < 500 && t.queue.revoked < count; i++)
		run_for(t.loop, 10);
	return t.queue.revoked >= count;
}

/* ---- smtpd ---------------------------------------------------------------------------------- */

/* What is the default; -PLUS only where there is TLS to bind to. */
static void expect_offers(struct ipc_list offers)
{
	struct rec_offer offer;
	size_t seen = 0;

	while (ipc_list_next(&offers, IPC_REC_offer, &offer)) {
		if (!slice_is(offer.listener, "submission"))
			continue;
		seen++;
		assert_true(slice_is(offer.mechanisms,
				     (offer.traits & IPC_TRAIT_BINDING) != 0
					     ? "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"
					     : "PLAIN LOGIN SCRAM-SHA-256"));
	}
	assert_int_equal(seen, 7); /* a name in a certificate is nothing without one */
}

void start_smtpd(int index)
{
	struct msg_grants_synced synced;
	struct msg_auth_offer offer;

	t.smtpd[index] = process_peer(&t.process, t.loop, IPC_SMTPD, (uint16_t)index, 1);
	for (int i = 0; i < 2; i++) { /* in either order: queue may have synced before or after */
		if (peer_next_type(t.smtpd[index]) == IPC_GRANTS_SYNCED) {
			peer_expect(t.smtpd[index], IPC_GRANTS_SYNCED, &synced);
			assert_int_equal(synced.queue_incarnation, t.queue.incarnation);
		} else {
			peer_expect(t.smtpd[index], IPC_AUTH_OFFER, &offer);
			expect_offers(offer.offers);
			t.standing[index] = offer.standing_grant;
		}
	}
}

uint64_t start_login(int smtpd, const char *mechanism, bool tls, bool has_token, const void *token,
		     size_t len)
{
	struct msg_auth_start msg = {
		.session = ++t.session,
		.listener = SLICE_LIT("submission"),
		.client = SLICE_LIT("192.0.2.7"),
		.tls = tls,
		.mechanism = slice_str(mechanism),
		.has_token = has_token,
		.token = slice_of(token, len),
		.log_id = SLICE_LIT("abcdefgh"),
	};

	peer_send(t.smtpd[smtpd], IPC_AUTH_START, &msg);
	return t.session;
}

uint64_t start_plain(int smtpd, const char *name, const char *password)
{
	char token[1200];
	size_t len = (size_t)snprintf(token, sizeof(token), "%c%s%c%s", 0, name, 0, password);

	return start_login(smtpd, "PLAIN", true, true, token, len);
}

void expect_fail(int smtpd, uint64_t session, uint16_t code, const char *status, const char *reason)
{
	struct msg_auth_fail msg;

	peer_expect(t.smtpd[smtpd], IPC_AUTH_FAIL, &msg);
	assert_int_equal(msg.session, session);
	assert_int_equal(msg.code, code);
	assert_true(slice_is(msg.status, status));
	if (reason != NULL && !slice_is(msg.reason, reason))
		fail_msg("%.*s instead of %s", SLICE_ARG(msg.reason), reason);
	if (code == 535) /* the same words for every reason (C9) */
		assert_true(slice_is(msg.text, "Authentication credentials invalid"));
}

uint64_t expect_ok(int smtpd, uint64_t session)
{
	struct msg_auth_ok msg;

	peer_expect(t.smtpd[smtpd], IPC_AUTH_OK, &msg);
	assert_int_equal(msg.session, session);
	assert_true(find_grant(msg.grant) < GRANTS_MAX); /* queue has it already */
	return msg.grant;
}

uint64_t log_in(int smtpd, const char *name, const char *password)
{
	return expect_ok(smtpd, start_plain(smtpd, name, password));
}

void end_grant(int smtpd, uint64_t grant)
{
	size_t revoked = t.queue.revoked;

	peer_send(t.smtpd[smtpd], IPC_GRANT_END, &(struct msg_grant_end){grant});
	assert_true(wait_until_revoked(revoked + 1));
	assert_int_equal(find_grant(grant), GRANTS_MAX);
}

/* ---- control -------------------------------------------------------------------------------- */

void send_op(uint16_t op, const char *subject, const char *secret, const char *key,
	     const char *value)
{
	struct msg_op msg = {
		.id = ++t.op, .op = op, .subject = slice_str(subject), .secret = slice_str(secret)};
	struct ipc_list_builder args;

	ipc_list_begin(&args, 4096);
	if (key != NULL)
		assert_int_equal(ipc_list_add(&args, IPC_REC_field,
					      &(struct rec_field){slice_str(key), IPC_FIELD_TEXT,
								  slice_str(value)}),
				 ERR_OK);
	msg.args = ipc_list_view(&args);
	peer_send(t.control, IPC_OP, &msg);
	ipc_list_release(&args);
}

/* Its last line must hold words; rows are passed over. */
void expect_end(uint8_t status, const char *words)
{
	struct msg_op_end msg;
	char text[2049];

	peer_await(t.control, IPC_OP_END, &msg);
	assert_int_equal(msg.id, t.op);
	assert_int_equal(slice_copy(msg.text, text, sizeof(text)), ERR_OK);
	if (msg.status != status || strstr(text, words) == NULL)
		fail_msg("status %u, \"%s\" instead of %u, \"%s\"", msg.status, text, status,
			 words);
}

void operate(uint16_t op, const char *subject, const char *secret, const char *words)
{
	send_op(op, subject, secret, NULL, NULL);
	expect_end(0, words);
}

uint64_t status_number(const char *key)
{
	struct msg_op_row row;
	struct msg_op_end end;
	struct rec_field field;
	uint64_t value = UINT64_MAX;

	send_op(IPC_OP_STATUS, "", "", NULL, NULL);
	peer_expect(t.control, IPC_OP_ROW, &row);
	while (ipc_list_next(&row.fields, IPC_REC_field, &field))
		if (slice_is(field.key, key))
			assert_int_equal(slice_number(field.value, UINT64_MAX, &value), ERR_OK);
	peer_await(t.control, IPC_OP_END, &end); /* rows of limits come between */
	assert_int_not_equal(value, UINT64_MAX);
	return value;
}

/* ---- the process ---------------------------------------------------------------------------- */

static void add_text(struct strings *list, const char *text)
{
	list->items = mem_resize(list->items, (list->count + 1) * sizeof(char *));
	list->items[list->count++] = mem_strdup(text);
}

void set_accept_for(const char *domain)
{
	struct strings *domains = &t.config->accept_for;

	for (size_t i = 0; i < domains->count; i++)
		mem_free(domains->items[i]);
	mem_free(domains->items);
	*domains = (struct strings){0};
	if (domain == NULL)
		return;
	add_text(domains, domain);
}

/* Listeners: "printers", where some may log in without TLS, and "submission", where none may. */
static void add_listeners(void)
{
	static const char *const NAMES[] = {"printers", "submission"};

	t.config->listens = mem_array(2, sizeof(*t.config->listens));
	t.config->listen_count = 2;
	for (int i = 0; i < 2; i++) {
		struct config_listen *listen = &t.config->listens[i];

		*listen = (struct config_listen){.name = mem_strdup(NAMES[i]),
						 .tls = TLS_MODE_STARTTLS,
						 .auth = AUTH_MODE_REQUIRED};
		add_text(&listen->address, i == 0 ? "127.0.0.1:2525" : "127.0.0.1:2587");
	}
	add_text(&t.config->listens[0].clear_auth_from, "198.51.100.0/24");
	add_text(&t.config->listens[0].clear_auth_from, "2001:db8::7");
}

/* What auth has to tell an administrator comes between all else. */
static bool master_filter(struct peer *peer, uint16_t type, struct slice payload, void *arg)
{
	struct msg_alert msg;

	(void)peer;
	(void)arg;
	if (type != IPC_ALERT || ipc_decode(type, payload, &msg) != ERR_OK)
		return false;
	t.alerts += msg.state != IPC_ALERT_OVER;
	t.alerts_over += msg.state == IPC_ALERT_OVER;
	(void)snprintf(t.alert, sizeof(t.alert), "%.*s %.*s", SLICE_ARG(msg.kind),
		       SLICE_ARG(msg.subject));
	return true;
}

void start_all(void)
{
	char error[1024];

	process_start(t.loop, t.program, &t.process);
	peer_set_filter(t.process.master, master_filter, NULL);
	process_prepare(&t.process, ++t.generation, t.config);
	if (!process_prepared(&t.process, t.generation, error))
		fail_msg("refused: %s", error);
	process_commit(&t.process, t.generation);
	t.control = process_peer(&t.process, t.loop, IPC_CONTROL, 0, 1);
	start_queue();
	start_smtpd(0);
	start_smtpd(1);
}

int stop_all(void)
{
	int status;

	peer_send(t.process.master, IPC_SHUTDOWN, &(struct msg_shutdown){2000});
	status = process_wait(&t.process);
	peer_free(&t.smtpd[0]);
	peer_free(&t.smtpd[1]);
	peer_free(&t.control);
	peer_free(&t.queue.peer);
	peer_free(&t.process.master);
	return status;
}

int set_up(void **state)
{
	char path[128];

	(void)state;
	t.loop = loop_new();
	t.config = config_new();
	mem_free(t.config->state_dir);
	t.config->state_dir = mem_strdup(t.folder);
	t.config->hostname = mem_strdup("mail.example.org");
	t.config->domain = mem_strdup("example.org");
	t.config->auth.iterations = 4096;
	t.config->auth.workers = 1;
	t.config->auth.waiting = WAITING;
	t.config->auth.cache = 60000;
	t.config->auth.block_after = 0; /* a test of its own has that */
	(void)snprintf(path, sizeof(path), "%s/auth", t.folder);
	if (mkdir(path, 0700) != 0)
		return -1;
	set_accept_for("example.org");
	add_listeners();
	start_all();
	return 0;
}

int tear_down(void **state)
{
	static const char *const NAMES[] = {"auth/accounts.db", "auth/accounts.db-wal",
					    "auth/accounts.db-shm", "auth", ""};
	char path[128];

	(void)state;
	for (int i = 0; i < 5; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", t.folder, NAMES[i]);
		(void)remove(path);
	}
	config_free(&t.config);
	loop_free(&t.loop);
	return 0;
}

/* ---- main ----------------------------------------------------------------------------------- */

int run_auth_tests(int argc, char **argv, int (*run)(void))
{
	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s AUTH-EXECUTABLE\n", argv[0]);
		return 2;
	}
	t.program = argv[1];
	(void)snprintf(t.folder, sizeof(t.folder), "/tmp/postern-auth-XXXXXX");
	if (mkdtemp(t.folder) == NULL)
		return 1;
	become_nobody(t.folder);
	hash_set_key((const unsigned char *)"0123456789abcdef");
	return run();
}
