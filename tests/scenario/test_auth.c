/* SPDX-License-Identifier: Apache-2.0 */
/* The auth process as it is: logins, the cache, what operators do and what that ends. */
#include "auth_world.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"

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

static uint64_t start_clear(const char *listener, const char *client)
{
	struct msg_auth_start msg = {
		.session = ++t.session,
		.listener = slice_str(listener),
		.client = slice_str(client),
		.mechanism = SLICE_LIT("PLAIN"),
		.has_token = true,
		.token = SLICE_LIT("\0alice\0" GOOD),
		.log_id = SLICE_LIT("abcdefgh"),
	};

	peer_send(t.smtpd[0], IPC_AUTH_START, &msg);
	return t.session;
}

/* Without TLS: the configuration must name both the listener and the client; smtpd cannot. */
static void test_b7_clear_where_it_is_allowed(void **state)
{
	(void)state;
	end_grant(0, expect_ok(0, start_clear("printers", "198.51.100.9")));
	end_grant(0, expect_ok(0, start_clear("printers", "2001:db8::7")));
	expect_fail(0, start_clear("printers", "198.51.101.9"), 538, "5.7.11", "no-tls");
	expect_fail(0, start_clear("printers", "127.0.0.1"), 538, "5.7.11", "no-tls");
	expect_fail(0, start_clear("printers", ""), 538, "5.7.11", "no-tls");
	expect_fail(0, start_clear("printer", "198.51.100.9"), 538, "5.7.11", "no-tls");
	expect_fail(0, start_clear("", "198.51.100.9"), 538, "5.7.11", "no-tls");
	expect_fail(0, start_clear("submission", "198.51.100.9"), 538, "5.7.11", "no-tls");
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

/* queue learns who is frozen, and answers that it has held and released so many recipients. */
static void answer_frozen(const char *name, uint64_t held, uint64_t released)
{
	struct msg_frozen_end end;
	struct msg_frozen one;

	while (name != NULL &&
	       peer_next_type(t.queue.peer) == IPC_FROZEN_END) /* of earlier times */
		peer_expect(t.queue.peer, IPC_FROZEN_END, &end);
	if (name != NULL) {
		peer_expect(t.queue.peer, IPC_FROZEN, &one);
		assert_true(slice_is(one.account, name));
	}
	peer_expect(t.queue.peer, IPC_FROZEN_END, &end);
	peer_send(t.queue.peer, IPC_FROZEN_DONE,
		  &(struct msg_frozen_done){end.round, held, released});
}

/* The operator is told of what he asked for, whatever queue did for others in the same run. */
static void test_c19_what_became_of_the_mail(void **state)
{
	struct msg_grant_lost lost;
	uint64_t grant;

	(void)state;
	operate(IPC_OP_USER_ADD, "erin", GOOD, "added");
	grant = log_in(0, "erin", GOOD);
	send_op(IPC_OP_USER_FREEZE, "erin", "", NULL, NULL);
	answer_frozen("erin", 2, 3);
	expect_end(0, "; 1 session ended; 2 recipients in the queue held");
	peer_expect(t.smtpd[0], IPC_GRANT_LOST, &lost);
	assert_int_equal(lost.grant, grant);
	send_op(IPC_OP_USER_THAW, "erin", "", NULL, NULL);
	answer_frozen(NULL, 2, 1);
	expect_end(0, "; 1 recipient in the queue released");
	send_op(IPC_OP_USER_FREEZE, "erin", "", NULL, NULL);
	answer_frozen("erin", 0, 0);
	expect_end(0, "; 0 recipients in the queue held");
	send_op(IPC_OP_USER_THAW, "erin", "", NULL, NULL);
	answer_frozen(NULL, 0, 0);
	expect_end(0, "; 0 recipients in the queue released");
	end_grant(0, log_in(0, "erin", GOOD));
}

static void send_ended(const char *account, uint32_t recipients, uint32_t refused)
{
	peer_send(t.queue.peer, IPC_ENDED,
		  &(struct msg_ended){slice_str(account), recipients, refused});
}

/* Mail to people who do not exist: 30 percent of 20 within an hour are well, more is not. */
static void test_c19_mail_to_nobody(void **state)
{
	uint64_t grant = log_in(0, "erin", GOOD);
	unsigned alerts = t.alerts;
	struct msg_grant_lost lost;

	(void)state;
	send_ended("erin", 14, 0);
	send_ended("erin", 6, 6);
	send_ended("bob", 19, 19);
	end_grant(0, log_in(0, "erin", GOOD));
	send_ended("erin", 1, 1);
	answer_frozen("erin", 0, 0);
	peer_expect(t.smtpd[0], IPC_GRANT_LOST, &lost);
	assert_int_equal(lost.grant, grant);
	for (int i = 0; i < 500 && t.alerts == alerts; i++)
		run_for(t.loop, 10);
	assert_int_equal(t.alerts, alerts + 1);
	assert_string_equal(t.alert, "account-frozen erin");
	expect_fail(0, start_plain(0, "erin", GOOD), 535, "5.7.8", "frozen");
	send_op(IPC_OP_USER_THAW, "erin", "", NULL, NULL);
	answer_frozen(NULL, 0, 0);
	expect_end(0, "0 recipients in the queue released");
	/* The next one counts for nothing: it begins anew. */
	send_ended("erin", 1, 1);
	end_grant(0, log_in(0, "erin", GOOD));
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_standing_grant),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_b7_clear_where_it_is_allowed),
		cmocka_unit_test(test_grant_first),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_password_change),
		cmocka_unit_test(test_account_ends),
		cmocka_unit_test(test_change_during_login),
		cmocka_unit_test(test_c19_what_became_of_the_mail),
		cmocka_unit_test(test_c19_mail_to_nobody),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
	return run_auth_tests(argc, argv, run);
}
