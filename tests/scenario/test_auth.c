/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth process as it is, between a master, two smtpd, a queue and a control that the test
 * plays: logins, grants, what operators do, and what happens when a neighbour dies or lies.
 * The tests run in order on one process and one store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"
#include "peers.h"
#include "store/accounts.h"

enum { GRANTS_MAX = 64, WAITING = 8 };

struct fake_queue {
	struct peer *peer;
	bool acknowledges;
	uint32_t incarnation;
	struct { /* what it holds, as queue would */
		uint64_t number;
		char account[64], bounce[64], domains[256], senders[256];
		uint16_t smtpd_index;
		bool any_sender, any_recipient;
		uint32_t recipients_left;
	} grants[GRANTS_MAX];
	size_t count;
	size_t revoked;
};

static struct {
	char folder[64];
	const char *program;
	struct loop *loop;
	struct config *config;
	uint32_t generation;
	struct process process;
	struct peer *smtpd[2], *control;
	struct fake_queue queue;
	uint64_t session, op;
	uint64_t standing[2];
} t;

#define GOOD "correct horse battery"

/* ---- queue ---------------------------------------------------------------------------------- */

static void join(struct ipc_list list, char *out, size_t size)
{
	struct rec_pattern pattern;

	out[0] = '\0';
	while (ipc_list_next(&list, IPC_REC_pattern, &pattern))
		(void)snprintf(out + strlen(out), size - strlen(out), "%.*s;",
			       SLICE_ARG(pattern.text));
}

static size_t find_grant(uint64_t number)
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

static void start_queue(void)
{
	t.queue.count = 0;
	t.queue.acknowledges = true;
	t.queue.peer = process_peer(&t.process, t.loop, IPC_QUEUE, 0, ++t.queue.incarnation);
	peer_set_filter(t.queue.peer, queue_filter, NULL);
}

static bool wait_until_revoked(size_t count)
{
	for (int i = 0; i < 500 && t.queue.revoked < count; i++)
		run_for(t.loop, 10);
	return t.queue.revoked >= count;
}

/* ---- smtpd ---------------------------------------------------------------------------------- */

static void start_smtpd(int index)
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
			assert_true(slice_is(offer.mechanisms, "PLAIN LOGIN"));
			t.standing[index] = offer.standing_grant;
		}
	}
}

static uint64_t start_login(int smtpd, const char *mechanism, bool tls, bool has_token,
			    const void *token, size_t len)
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

static uint64_t start_plain(int smtpd, const char *name, const char *password)
{
	char token[1200];
	size_t len = (size_t)snprintf(token, sizeof(token), "%c%s%c%s", 0, name, 0, password);

	return start_login(smtpd, "PLAIN", true, true, token, len);
}

static void expect_fail(int smtpd, uint64_t session, uint16_t code, const char *status,
			const char *reason)
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

static uint64_t expect_ok(int smtpd, uint64_t session)
{
	struct msg_auth_ok msg;

	peer_expect(t.smtpd[smtpd], IPC_AUTH_OK, &msg);
	assert_int_equal(msg.session, session);
	assert_true(find_grant(msg.grant) < GRANTS_MAX); /* queue has it already */
	return msg.grant;
}

static uint64_t log_in(int smtpd, const char *name, const char *password)
{
	return expect_ok(smtpd, start_plain(smtpd, name, password));
}

static void end_grant(int smtpd, uint64_t grant)
{
	size_t revoked = t.queue.revoked;

	peer_send(t.smtpd[smtpd], IPC_GRANT_END, &(struct msg_grant_end){grant});
	assert_true(wait_until_revoked(revoked + 1));
	assert_int_equal(find_grant(grant), GRANTS_MAX);
}

/* ---- control -------------------------------------------------------------------------------- */

static void send_op(uint16_t op, const char *subject, const char *secret, const char *key,
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
static void expect_end(uint8_t status, const char *words)
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

static void operate(uint16_t op, const char *subject, const char *secret, const char *words)
{
	send_op(op, subject, secret, NULL, NULL);
	expect_end(0, words);
}

static uint64_t status_number(const char *key)
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
	peer_expect(t.control, IPC_OP_END, &end);
	assert_int_not_equal(value, UINT64_MAX);
	return value;
}

/* ---- the process ---------------------------------------------------------------------------- */

static void set_accept_for(const char *domain)
{
	struct strings *domains = &t.config->accept_for;

	for (size_t i = 0; i < domains->count; i++)
		mem_free(domains->items[i]);
	mem_free(domains->items);
	*domains = (struct strings){0};
	if (domain == NULL)
		return;
	domains->items = mem_array(1, sizeof(char *));
	domains->items[0] = mem_strdup(domain);
	domains->count = 1;
}

static void start_all(void)
{
	char error[1024];

	process_start(t.loop, t.program, &t.process);
	process_prepare(&t.process, ++t.generation, t.config);
	if (!process_prepared(&t.process, t.generation, error))
		fail_msg("refused: %s", error);
	process_commit(&t.process, t.generation);
	t.control = process_peer(&t.process, t.loop, IPC_CONTROL, 0, 1);
	start_queue();
	start_smtpd(0);
	start_smtpd(1);
}

static int stop_all(void)
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

static int set_up(void **state)
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
	(void)snprintf(path, sizeof(path), "%s/auth", t.folder);
	if (mkdir(path, 0700) != 0)
		return -1;
	set_accept_for("example.org");
	start_all();
	return 0;
}

static int tear_down(void **state)
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

/* ---- logins --------------------------------------------------------------------------------- */

static void test_accounts(void **state)
{
	(void)state;
	operate(IPC_OP_USER_ADD, "alice", GOOD, "alice: added; may send as alice@example.org");
	operate(IPC_OP_USER_ADD, "Bob@example.org", "bob's own password", "bob: added");
	send_op(IPC_OP_USER_ADD, "carol", GOOD, "send_as", "*@lab.example.org");
	expect_end(0, "may send as *@lab.example.org");
	send_op(IPC_OP_USER_ADD, "alice", GOOD, NULL, NULL);
	expect_end(1, "there is an account alice already");
	operate(IPC_OP_USER_TEST, "alice", GOOD, "password correct; account enabled");
	operate(IPC_OP_USER_LIST, "", "", "3 accounts");
	assert_int_equal(status_number("accounts"), 3);
}

static void test_standing_grant(void **state)
{
	size_t at = find_grant(t.standing[0]);

	(void)state;
	assert_true(at < GRANTS_MAX);
	assert_int_equal(t.queue.grants[at].smtpd_index, 0);
	assert_true(t.queue.grants[at].any_sender);
	assert_false(t.queue.grants[at].any_recipient);
	assert_string_equal(t.queue.grants[at].domains, "example.org;");
	assert_string_equal(t.queue.grants[at].bounce, "");
	at = find_grant(t.standing[1]);
	assert_true(at < GRANTS_MAX);
	assert_int_equal(t.queue.grants[at].smtpd_index, 1);
}

static void test_plain(void **state)
{
	uint64_t session = start_plain(1, "alice@EXAMPLE.org", GOOD);
	struct msg_auth_ok msg;
	char senders[256];
	size_t at;

	(void)state;
	peer_expect(t.smtpd[1], IPC_AUTH_OK, &msg);
	assert_int_equal(msg.session, session);
	assert_true(slice_is(msg.account, "alice"));
	assert_true(slice_is(msg.mechanism, "PLAIN"));
	assert_true(slice_is(msg.address, "alice@example.org"));
	join(msg.senders, senders, sizeof(senders));
	assert_string_equal(senders, "alice@example.org;");
	at = find_grant(msg.grant);
	assert_true(at < GRANTS_MAX);
	assert_string_equal(t.queue.grants[at].account, "alice");
	assert_string_equal(t.queue.grants[at].senders, "alice@example.org;");
	assert_string_equal(t.queue.grants[at].bounce, "alice@example.org");
	assert_string_equal(t.queue.grants[at].domains, "");
	assert_int_equal(t.queue.grants[at].smtpd_index, 1);
	assert_false(t.queue.grants[at].any_sender);
	assert_true(t.queue.grants[at].any_recipient);
	end_grant(1, msg.grant);
}

static void test_login(void **state)
{
	struct msg_auth_challenge challenge;
	uint64_t session = start_login(0, "login", true, false, "", 0);

	(void)state;
	peer_expect(t.smtpd[0], IPC_AUTH_CHALLENGE, &challenge);
	assert_true(slice_is(challenge.token, "Username:"));
	peer_send(t.smtpd[0], IPC_AUTH_TOKEN,
		  &(struct msg_auth_token){session, SLICE_LIT("carol")});
	peer_expect(t.smtpd[0], IPC_AUTH_CHALLENGE, &challenge);
	assert_true(slice_is(challenge.token, "Password:"));
	peer_send(t.smtpd[0], IPC_AUTH_TOKEN, &(struct msg_auth_token){session, SLICE_LIT(GOOD)});
	end_grant(0, expect_ok(0, session));
	/* The user name with the command. */
	session = start_login(0, "LOGIN", true, true, "carol", 5);
	peer_expect(t.smtpd[0], IPC_AUTH_CHALLENGE, &challenge);
	assert_true(slice_is(challenge.token, "Password:"));
	peer_send(t.smtpd[0], IPC_AUTH_TOKEN, &(struct msg_auth_token){session, SLICE_LIT("no")});
	expect_fail(0, session, 535, "5.7.8", "bad-password");
}

static void test_refused(void **state)
{
	(void)state;
	expect_fail(0, start_plain(0, "alice", "wrong"), 535, "5.7.8", "bad-password");
	expect_fail(0, start_plain(0, "nobody", GOOD), 535, "5.7.8", "unknown-user");
	expect_fail(0, start_plain(0, "bob", GOOD), 535, "5.7.8", "bad-password");
	expect_fail(0, start_plain(0, "a'--", GOOD), 535, "5.7.8", "unknown-user");
	expect_fail(0, start_plain(0, "*)(uid=*", GOOD), 535, "5.7.8", "malformed-name");
	expect_fail(0, start_login(0, "PLAIN", true, true, "bob\0alice\0" GOOD, 31), 535, "5.7.8",
		    "authorization-identity");
	expect_fail(0, start_login(0, "PLAIN", true, true, "\0al\nice\0x", 9), 535, "5.7.8",
		    "malformed");
	expect_fail(0, start_login(0, "PLAIN", true, true, "", 0), 535, "5.7.8", "malformed");
	expect_fail(0, start_login(0, "NTLM", true, false, "", 0), 504, "5.5.4", NULL);
	expect_fail(0, start_login(0, "PLAIN", false, true, "\0alice\0" GOOD, 28), 538, "5.7.11",
		    "no-tls");
	operate(IPC_OP_USER_DISABLE, "bob", "", "bob: disabled");
	expect_fail(0, start_plain(0, "bob", "bob's own password"), 535, "5.7.8", "disabled");
	expect_fail(0, start_plain(0, "bob", "wrong"), 535, "5.7.8", "bad-password");
	operate(IPC_OP_USER_ENABLE, "bob", "", "bob: enabled");
	end_grant(0, log_in(0, "bob", "bob's own password"));
	assert_int_equal(t.queue.count, 2); /* the standing ones alone */
}

/* AUTH_OK leaves only when queue has the grant. */
static void test_grant_first(void **state)
{
	uint64_t session;
	struct msg_auth_ok msg;

	(void)state;
	t.queue.acknowledges = false;
	session = start_plain(0, "alice", GOOD);
	peer_expect_silence(t.smtpd[0], 300);
	assert_int_equal(t.queue.count, 3);
	t.queue.acknowledges = true;
	peer_send(t.queue.peer, IPC_GRANT_ACK, &(struct msg_grant_ack){t.queue.grants[2].number});
	peer_expect(t.smtpd[0], IPC_AUTH_OK, &msg);
	assert_int_equal(msg.session, session);
	assert_int_equal(msg.grant, t.queue.grants[2].number);
	end_grant(0, msg.grant);
}

/* ---- the cache ------------------------------------------------------------------------------ */

static void test_cache(void **state)
{
	uint64_t before;

	(void)state;
	end_grant(0, log_in(0, "alice", GOOD));
	before = status_number("logins_from_cache");
	for (int i = 0; i < 100; i++)
		end_grant(i % 2, log_in(i % 2, "alice", GOOD));
	assert_int_equal(status_number("logins_from_cache"), before + 100);
	/* It says yes to what was proven, and nothing else. */
	expect_fail(0, start_plain(0, "alice", GOOD "x"), 535, "5.7.8", "bad-password");
	expect_fail(0, start_plain(0, "bob", GOOD), 535, "5.7.8", "bad-password");
	assert_int_equal(status_number("logins_from_cache"), before + 100);
}

static void test_password_change(void **state)
{
	uint64_t grants[2], carol;
	struct msg_grant_lost lost;
	size_t revoked;

	(void)state;
	grants[0] = log_in(0, "alice", GOOD);
	grants[1] = log_in(1, "alice", GOOD);
	carol = log_in(1, "carol", GOOD);
	revoked = t.queue.revoked;
	operate(IPC_OP_USER_PASSWORD, "alice", "quite another one", "2 sessions ended");
	peer_expect(t.smtpd[0], IPC_GRANT_LOST, &lost);
	assert_int_equal(lost.grant, grants[0]);
	peer_expect(t.smtpd[1], IPC_GRANT_LOST, &lost);
	assert_int_equal(lost.grant, grants[1]);
	assert_true(wait_until_revoked(revoked + 2));
	assert_true(find_grant(carol) < GRANTS_MAX);
	/* Its end, told too late, is no crime. */
	peer_send(t.smtpd[0], IPC_GRANT_END, &(struct msg_grant_end){grants[0]});
	expect_fail(0, start_plain(0, "alice", GOOD), 535, "5.7.8", "bad-password");
	end_grant(0, log_in(0, "alice", "quite another one"));
	end_grant(1, carol);
	operate(IPC_OP_USER_PASSWORD, "alice", GOOD, "alice: new password set");
}

static void test_account_ends(void **state)
{
	struct msg_grant_lost lost;
	uint64_t grant;

	(void)state;
	grant = log_in(0, "bob", "bob's own password");
	operate(IPC_OP_USER_DISABLE, "bob", "", "1 session ended");
	peer_expect(t.smtpd[0], IPC_GRANT_LOST, &lost);
	assert_int_equal(lost.grant, grant);
	expect_fail(0, start_plain(0, "bob", "bob's own password"), 535, "5.7.8", "disabled");
	operate(IPC_OP_USER_ENABLE, "bob", "", "enabled");
	grant = log_in(0, "bob", "bob's own password");
	operate(IPC_OP_USER_DELETE, "bob", "", "1 session ended");
	peer_expect(t.smtpd[0], IPC_GRANT_LOST, &lost);
	assert_int_equal(lost.grant, grant);
	expect_fail(0, start_plain(0, "bob", "bob's own password"), 535, "5.7.8", "unknown-user");
	assert_int_equal(t.queue.count, 2);
}

/* The change comes while passwords are being verified: no login slips through. */
static void test_change_during_login(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		uint64_t session;
		struct msg_auth_ok ok;
		struct msg_grant_lost lost;

		operate(IPC_OP_USER_ADD, "dave", GOOD, "added");
		session = start_plain(0, "dave", GOOD);
		run_for(t.loop, (uint64_t)round % 4);
		operate(IPC_OP_USER_DELETE, "dave", "", "deleted");
		switch (peer_next_type(t.smtpd[0])) {
		case IPC_AUTH_OK: /* it was first: then the grant is taken back */
			peer_expect(t.smtpd[0], IPC_AUTH_OK, &ok);
			peer_expect(t.smtpd[0], IPC_GRANT_LOST, &lost);
			assert_int_equal(lost.grant, ok.grant);
			break;
		default: {
			struct msg_auth_fail msg;

			peer_expect(t.smtpd[0], IPC_AUTH_FAIL, &msg);
			assert_int_equal(msg.session, session);
			assert_true(msg.code == 535 || msg.code == 454);
		}
		}
		expect_fail(0, start_plain(0, "dave", GOOD), 535, "5.7.8", "unknown-user");
	}
	assert_int_equal(t.queue.count, 2);
}

/* ---- under way ------------------------------------------------------------------------------ */

static void test_cancel(void **state)
{
	struct msg_auth_challenge challenge;
	uint64_t session = start_login(0, "LOGIN", true, false, "", 0);

	(void)state;
	peer_expect(t.smtpd[0], IPC_AUTH_CHALLENGE, &challenge);
	peer_send(t.smtpd[0], IPC_AUTH_CANCEL, &(struct msg_auth_cancel){session});
	/* While a thread has it. */
	session = start_plain(0, "alice", "wrong");
	peer_send(t.smtpd[0], IPC_AUTH_CANCEL, &(struct msg_auth_cancel){session});
	peer_expect_silence(t.smtpd[0], 200);
	/* While queue has it: the grant is taken back. */
	t.queue.acknowledges = false;
	session = start_plain(0, "alice", GOOD);
	for (int i = 0; i < 500 && t.queue.count < 3; i++)
		run_for(t.loop, 10);
	assert_int_equal(t.queue.count, 3);
	peer_send(t.smtpd[0], IPC_AUTH_CANCEL, &(struct msg_auth_cancel){session});
	for (int i = 0; i < 500 && t.queue.count > 2; i++)
		run_for(t.loop, 10);
	assert_int_equal(t.queue.count, 2);
	t.queue.acknowledges = true;
	peer_expect_silence(t.smtpd[0], 100);
	/* Cancelling what is over is no crime. */
	peer_send(t.smtpd[0], IPC_AUTH_CANCEL, &(struct msg_auth_cancel){session});
	end_grant(0, log_in(0, "alice", GOOD));
}

/* More logins than may wait for the one thread: 454, and nobody waits for long (C12). */
static void test_overload(void **state)
{
	enum { LOGINS = 200 };
	size_t unavailable = 0, invalid = 0;
	struct msg_auth_fail msg;

	(void)state;
	for (int i = 0; i < LOGINS; i++)
		(void)start_plain(0, "alice", "wrong");
	for (int i = 0; i < LOGINS; i++) {
		peer_expect(t.smtpd[0], IPC_AUTH_FAIL, &msg);
		if (msg.code == 454) {
			assert_true(slice_is(msg.status, "4.7.0"));
			assert_true(slice_is(msg.reason, "too-many-logins"));
			unavailable++;
		} else {
			assert_int_equal(msg.code, 535);
			invalid++;
		}
	}
	assert_true(unavailable > 0);
	assert_true(invalid >= WAITING);
	end_grant(0, log_in(0, "alice", GOOD));
}

static void test_budget_is_renewed(void **state)
{
	uint64_t grant = log_in(0, "alice", GOOD);
	size_t at = find_grant(grant);
	uint32_t budget;

	(void)state;
	assert_true(at < GRANTS_MAX);
	budget = t.queue.grants[at].recipients_left;
	t.queue.grants[at].recipients_left = 7;
	peer_send(t.queue.peer, IPC_GRANT_USED, &(struct msg_grant_used){grant, 1, budget - 7, 7});
	for (int i = 0; i < 500 && t.queue.grants[at].recipients_left == 7; i++)
		run_for(t.loop, 10);
	assert_int_equal(t.queue.grants[at].recipients_left, budget);
	end_grant(0, grant);
}

/* ---- neighbours that die -------------------------------------------------------------------- */

static void test_queue_dies(void **state)
{
	uint64_t grants[3], session;
	struct msg_grants_synced synced;

	(void)state;
	for (int i = 0; i < 3; i++)
		grants[i] = log_in(i % 2, "alice", GOOD);
	t.queue.acknowledges = false;
	session = start_plain(0, "alice", GOOD);
	for (int i = 0; i < 500 && t.queue.count < 6; i++)
		run_for(t.loop, 10);
	peer_free(&t.queue.peer);
	expect_fail(0, session, 454, "4.7.0", "queue-gone");
	expect_fail(0, start_plain(0, "alice", GOOD), 454, "4.7.0", "no-queue");
	expect_fail(0, start_plain(0, "alice", "wrong"), 535, "5.7.8", "bad-password");
	start_queue();
	for (int i = 0; i < 2; i++) {
		peer_expect(t.smtpd[i], IPC_GRANTS_SYNCED, &synced);
		assert_int_equal(synced.queue_incarnation, t.queue.incarnation);
	}
	assert_int_equal(t.queue.count, 5); /* three sessions, two standing */
	for (int i = 0; i < 3; i++) {
		assert_true(find_grant(grants[i]) < GRANTS_MAX);
		end_grant(i % 2, grants[i]);
	}
	assert_true(find_grant(t.standing[0]) < GRANTS_MAX);
	end_grant(0, log_in(0, "alice", GOOD));
}

static void test_smtpd_dies(void **state)
{
	size_t revoked;

	(void)state;
	(void)log_in(1, "alice", GOOD);
	(void)log_in(1, "carol", GOOD);
	(void)start_plain(1, "alice", "wrong"); /* under way */
	revoked = t.queue.revoked;
	peer_free(&t.smtpd[1]);
	assert_true(wait_until_revoked(revoked + 3));
	assert_int_equal(t.queue.count, 1);
	start_smtpd(1);
	end_grant(1, log_in(1, "alice", GOOD));
}

/* ---- neighbours that lie -------------------------------------------------------------------- */

static void expect_smtpd_1_cut(const char *what)
{
	print_message("         %s\n", what);
	peer_expect_end(t.smtpd[1]);
	peer_free(&t.smtpd[1]);
	end_grant(0, log_in(0, "alice", GOOD)); /* nobody else notices */
	start_smtpd(1);
}

static void test_hostile_smtpd(void **state)
{
	static const char NOISE[] = "EHLO x\r\n\xff\xff\xff\xff\xff\xff\xff\xff";
	uint64_t grant, session;

	(void)state;
	peer_send(t.smtpd[1], IPC_AUTH_TOKEN, &(struct msg_auth_token){999, SLICE_LIT("x")});
	expect_smtpd_1_cut("a token without a challenge");
	session = start_login(1, "LOGIN", true, false, "", 0);
	t.session = session - 1;
	(void)start_login(1, "LOGIN", true, false, "", 0);
	expect_smtpd_1_cut("a session that logs in twice at once");
	session = start_plain(1, "alice", "wrong");
	peer_send(t.smtpd[1], IPC_AUTH_TOKEN, &(struct msg_auth_token){session, SLICE_LIT("x")});
	expect_smtpd_1_cut("a token while it is being verified");
	grant = log_in(0, "alice", GOOD);
	peer_send(t.smtpd[1], IPC_GRANT_END, &(struct msg_grant_end){grant});
	expect_smtpd_1_cut("the end of another's grant");
	assert_true(find_grant(grant) < GRANTS_MAX);
	end_grant(0, grant);
	peer_send(t.smtpd[1], IPC_GRANT_END, &(struct msg_grant_end){t.standing[1]});
	expect_smtpd_1_cut("the end of its standing grant");
	peer_send(t.smtpd[1], IPC_GRANT_ACK, &(struct msg_grant_ack){t.standing[0]});
	expect_smtpd_1_cut("a message that is queue's to send");
	peer_send(
		t.smtpd[1], IPC_OP,
		&(struct msg_op){.id = 1, .op = IPC_OP_USER_DELETE, .subject = SLICE_LIT("alice")});
	expect_smtpd_1_cut("an operation, which is control's to ask");
	peer_send_raw(t.smtpd[1], NOISE, sizeof(NOISE));
	expect_smtpd_1_cut("noise");
}

static void test_hostile_queue_and_control(void **state)
{
	struct msg_grants_synced synced;

	(void)state;
	/* Acknowledging and using what is not there is passed over. */
	peer_send(t.queue.peer, IPC_GRANT_ACK, &(struct msg_grant_ack){12345});
	peer_send(t.queue.peer, IPC_GRANT_USED, &(struct msg_grant_used){12345, 1, 1, 1});
	peer_send(t.queue.peer, IPC_GRANT_SYNC_ACK, &(struct msg_grant_sync_ack){77});
	peer_send(t.queue.peer, IPC_AUTH_CANCEL, &(struct msg_auth_cancel){1});
	peer_expect_end(t.queue.peer);
	peer_free(&t.queue.peer);
	start_queue();
	for (int i = 0; i < 2; i++)
		peer_expect(t.smtpd[i], IPC_GRANTS_SYNCED, &synced);
	peer_send(t.control, IPC_AUTH_CANCEL, &(struct msg_auth_cancel){1});
	peer_expect_end(t.control);
	peer_free(&t.control);
	t.control = process_peer(&t.process, t.loop, IPC_CONTROL, 0, 2);
	operate(IPC_OP_USER_TEST, "alice", GOOD, "password correct");
	send_op(IPC_OP_QUEUE_LIST, "", "", NULL, NULL);
	expect_end(1, "does not know");
	end_grant(0, log_in(0, "alice", GOOD));
}

/* ---- configuration -------------------------------------------------------------------------- */

static void reload(void)
{
	char error[1024];

	process_prepare(&t.process, ++t.generation, t.config);
	assert_true(process_prepared(&t.process, t.generation, error));
	process_commit(&t.process, t.generation);
}

static void test_reload(void **state)
{
	uint64_t old = t.standing[0], grant = log_in(0, "alice", GOOD);
	struct msg_auth_offer offer;
	size_t at;

	(void)state;
	reload(); /* nothing changed, nothing happens */
	peer_expect_silence(t.smtpd[0], 200);
	set_accept_for("example.net");
	reload();
	peer_expect(t.smtpd[0], IPC_AUTH_OFFER, &offer);
	assert_int_not_equal(offer.standing_grant, old);
	at = find_grant(offer.standing_grant);
	assert_true(at < GRANTS_MAX);
	assert_string_equal(t.queue.grants[at].domains, "example.net;");
	assert_true(find_grant(old) < GRANTS_MAX); /* for what is under way */
	assert_true(find_grant(grant) < GRANTS_MAX);
	end_grant(0, grant);
	set_accept_for(NULL);
	reload();
	peer_expect(t.smtpd[0], IPC_AUTH_OFFER, &offer);
	assert_int_equal(offer.standing_grant, 0);
	/* Names mean what the new configuration says. */
	mem_free(t.config->domain);
	t.config->domain = mem_strdup("example.net");
	reload();
	expect_fail(0, start_plain(0, "alice@example.org", GOOD), 535, "5.7.8", "unknown-user");
	end_grant(0, log_in(0, "alice@example.net", GOOD));
	mem_free(t.config->domain);
	t.config->domain = mem_strdup("example.org");
	reload();
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void test_restart(void **state)
{
	uint64_t grant = log_in(0, "alice", GOOD);

	(void)state;
	assert_int_equal(stop_all(), 0);
	start_all();
	assert_int_equal(find_grant(grant), GRANTS_MAX);
	assert_int_not_equal(log_in(0, "alice", GOOD), grant);
	assert_int_equal(stop_all(), 0);
}

/* Under the CLI, when the server is down: control alone. */
static void test_alone(void **state)
{
	char error[1024];

	(void)state;
	process_start(t.loop, t.program, &t.process);
	process_prepare(&t.process, ++t.generation, t.config);
	assert_true(process_prepared(&t.process, t.generation, error));
	process_commit(&t.process, t.generation);
	t.control = process_peer(&t.process, t.loop, IPC_CONTROL, 0, 1);
	operate(IPC_OP_USER_TEST, "alice", GOOD, "password correct; account enabled");
	operate(IPC_OP_USER_DELETE, "carol", "", "carol: deleted");
	peer_free(&t.process.master); /* it ends with whoever started it */
	assert_int_equal(process_wait(&t.process), 0);
	peer_free(&t.control);
}

static void test_unreadable_store(void **state)
{
	char path[128], error[1024];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/auth/accounts.db", t.folder);
	assert_int_equal(chmod(path, 0), 0);
	process_start(t.loop, t.program, &t.process);
	process_prepare(&t.process, ++t.generation, t.config);
	assert_false(process_prepared(&t.process, t.generation, error));
	print_message("         %s\n", error);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "0000"));
	assert_non_null(strstr(error, "mend it with"));
	assert_int_equal(process_wait(&t.process), 1);
	peer_free(&t.process.master);
	assert_int_equal(chmod(path, 0600), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_standing_grant),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_grant_first),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_password_change),
		cmocka_unit_test(test_account_ends),
		cmocka_unit_test(test_change_during_login),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_overload),
		cmocka_unit_test(test_budget_is_renewed),
		cmocka_unit_test(test_queue_dies),
		cmocka_unit_test(test_smtpd_dies),
		cmocka_unit_test(test_hostile_smtpd),
		cmocka_unit_test(test_hostile_queue_and_control),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_unreadable_store),
	};

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
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
