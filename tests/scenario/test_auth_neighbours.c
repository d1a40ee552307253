/* SPDX-License-Identifier: Apache-2.0 */
/* The auth process between neighbours that wait, die, lie and reload. */
#include "auth_world.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"

static void test_one_account(void **state)
{
	(void)state;
	operate(IPC_OP_USER_ADD, "alice", GOOD, "alice: added");
	operate(IPC_OP_USER_ADD, "carol", GOOD, "carol: added");
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
static void c12_overload(void **state)
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
	peer_send(t.queue.peer, IPC_GRANT_USED,
		  &(struct msg_grant_used){
			  .grant = grant, .messages = 1, .recipients = 1, .recipients_left = 7});
	for (int i = 0; i < 500 && t.queue.grants[at].recipients_left == 7; i++)
		run_for(t.loop, 10);
	assert_int_equal(t.queue.grants[at].recipients_left, budget);
	end_grant(0, grant);
}

/* smtpd asks before it says yes to a recipient: what queue took beyond that was never asked. */
static void c19_what_was_not_counted_ends_the_login(void **state)
{
	uint64_t mine = log_in(0, "alice", GOOD), other = log_in(1, "alice", GOOD);
	struct msg_grant_lost lost;
	struct msg_counted counted;

	(void)state;
	for (int i = 0; i < 2; i++) {
		peer_send(
			t.smtpd[0], IPC_COUNT,
			&(struct msg_count){7, i == 0 ? mine : other, 0, SLICE_LIT("b@c.example")});
		peer_expect(t.smtpd[0], IPC_COUNTED, &counted);
		assert_int_equal(counted.session, 7);
		assert_int_equal(counted.code, i == 0 ? 0 : 451); /* not its own grant */
	}
	peer_send(t.queue.peer, IPC_GRANT_USED,
		  &(struct msg_grant_used){.grant = mine, .messages = 1, .recipients = 501});
	end_grant(1, other); /* and all the while nothing happens: 1 counted, and a margin of 500 */
	peer_send(t.queue.peer, IPC_GRANT_USED,
		  &(struct msg_grant_used){.grant = mine, .messages = 1, .recipients = 1});
	peer_expect(t.smtpd[0], IPC_GRANT_LOST, &lost);
	assert_int_equal(lost.grant, mine);
	assert_true(slice_is(lost.reason, "recipients-not-counted"));
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

/* A repeatable die. */
static uint32_t next_random(void)
{
	static uint32_t state = 0x9e3779b9;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* A good AUTH_START with some bits turned, or a frame of a known type filled with noise. */
static void make_frame(struct buf *frame, int round)
{
	struct msg_auth_start msg = {
		.session = 1000000 + (uint64_t)round,
		.listener = SLICE_LIT("submission"),
		.client = SLICE_LIT("192.0.2.7"),
		.tls = true,
		.mechanism = SLICE_LIT("PLAIN"),
		.has_token = true,
		.token = SLICE_LIT("\0alice\0wrong"),
		.log_id = SLICE_LIT("abcdefgh"),
	};
	char bytes[256];
	size_t len;

	buf_clear(frame);
	assert_int_equal(ipc_encode(IPC_AUTH_START, &msg, 0, frame), ERR_OK);
	len = buf_len(frame);
	memcpy(bytes, buf_data(frame).ptr, len);
	if (round % 2 == 0) {
		for (uint32_t flips = 1 + next_random() % 4; flips > 0; flips--)
			bytes[next_random() % len] ^= (char)(1u << next_random() % 8);
	} else {
		uint32_t payload = next_random() % 200;
		uint16_t type = (uint16_t)(20 + next_random() % 10);

		memcpy(bytes, &payload, 4);
		memcpy(bytes + 4, &type, 2);
		memset(bytes + 6, 0, 2);
		for (uint32_t at = 0; at < payload; at++)
			bytes[8 + at] = (char)(next_random() % 4 != 0 ? 0 : next_random());
		len = 8 + payload;
	}
	buf_clear(frame);
	assert_int_equal(buf_append(frame, bytes, len), ERR_OK);
}

static void test_noise_of_smtpd(void **state)
{
	struct buf frame;

	(void)state;
	buf_init(&frame, 4096);
	for (int round = 0; round < 200; round++) {
		make_frame(&frame, round);
		peer_send_raw(t.smtpd[1], buf_data(&frame).ptr, buf_len(&frame));
		run_for(t.loop, 2);
		/* Whatever it made of that, a new smtpd starts afresh, and others never notice. */
		peer_free(&t.smtpd[1]);
		start_smtpd(1);
		if (round % 20 == 0)
			end_grant(0, log_in(0, "alice", GOOD));
	}
	buf_release(&frame);
	end_grant(0, log_in(0, "alice", GOOD));
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

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_account),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(c12_overload),
		cmocka_unit_test(test_budget_is_renewed),
		cmocka_unit_test(c19_what_was_not_counted_ends_the_login),
		cmocka_unit_test(test_queue_dies),
		cmocka_unit_test(test_smtpd_dies),
		cmocka_unit_test(test_hostile_smtpd),
		cmocka_unit_test(test_noise_of_smtpd),
		cmocka_unit_test(test_hostile_queue_and_control),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_unreadable_store),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
	return run_auth_tests(argc, argv, run);
}
