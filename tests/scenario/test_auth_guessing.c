/* SPDX-License-Identifier: Apache-2.0 */
/* Who guesses passwords is held off, and keeps nobody else out (C11). */
#include "auth_world.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "os/loop.h"
#include "os/os.h"
#include "policy/penalties.h"

enum { BLOCK_AFTER = 10 };

static uint64_t guess_from(const char *client, uint64_t session, const char *name,
			   const char *password)
{
	char token[256];
	size_t len = (size_t)snprintf(token, sizeof(token), "%c%s%c%s", 0, name, 0, password);
	struct msg_auth_start msg = {
		.session = session,
		.listener = SLICE_LIT("submission"),
		.client = slice_str(client),
		.tls = true,
		.mechanism = SLICE_LIT("PLAIN"),
		.has_token = true,
		.token = slice_of(token, len),
		.log_id = SLICE_LIT("abcdefgh"),
	};

	peer_send(t.smtpd[0], IPC_AUTH_START, &msg);
	return session;
}

static uint64_t guess(const char *client, const char *name, const char *password)
{
	return guess_from(client, ++t.session, name, password);
}

/* The answer to this session: its code, 235 for a login. Those of other sessions are passed over.
 */
static uint16_t answer(uint64_t session)
{
	struct msg_auth_fail fail;
	struct msg_auth_ok ok;

	for (;;) {
		uint16_t type = peer_next_type(t.smtpd[0]);

		if (type == IPC_AUTH_OK) {
			peer_expect(t.smtpd[0], type, &ok);
			peer_send(t.smtpd[0], IPC_GRANT_END, &(struct msg_grant_end){ok.grant});
			if (ok.session == session)
				return 235;
			continue;
		}
		peer_expect(t.smtpd[0], IPC_AUTH_FAIL, &fail);
		if (fail.code == 421)
			assert_true(slice_is(fail.status, "4.7.0"));
		if (fail.session == session)
			return fail.code;
	}
}

/* So many guesses at once, each another password; the answers are not waited for. */
static void guesses(const char *client, const char *name, unsigned count)
{
	static unsigned number;
	char password[32];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(password, sizeof(password), "guess %u", ++number);
		(void)guess(client, name, password);
	}
}

/* The words that the answer's rows have for a blocked source. */
static unsigned listed(const char *source, const char *account)
{
	struct msg_op_end end;
	struct msg_op_row row;
	unsigned count = 0;

	send_op(IPC_OP_AUTH_BLOCKED, "", "", NULL, NULL);
	while (peer_next_type(t.control) == IPC_OP_ROW) {
		bool is_source = false, is_account = false;
		struct rec_field field;
		uint64_t value;

		peer_expect(t.control, IPC_OP_ROW, &row);
		while (ipc_list_next(&row.fields, IPC_REC_field, &field)) {
			if (slice_is(field.key, "source"))
				is_source = slice_is(field.value, source);
			else if (slice_is(field.key, "account"))
				is_account = slice_is(field.value, account);
			else if (slice_is(field.key, "until"))
				assert_true(slice_number(field.value, UINT64_MAX, &value) ==
						    ERR_OK &&
					    (int64_t)value > os_wall_ms());
			else if (slice_is(field.key, "failures"))
				assert_true(slice_number(field.value, UINT64_MAX, &value) ==
						    ERR_OK &&
					    value >= BLOCK_AFTER);
			else if (slice_is(field.key, "reason"))
				assert_true(slice_is(field.value, "bad-password") ||
					    slice_is(field.value, "unknown-user") ||
					    slice_is(field.value, "client-left"));
		}
		count += is_source && is_account;
	}
	peer_expect(t.control, IPC_OP_END, &end);
	assert_int_equal(end.status, 0);
	return count;
}

static int set_up_guessing(void **state)
{
	int status = set_up(state);

	assert_int_equal(stop_all(), 0);
	t.config->auth.block_after = BLOCK_AFTER;
	t.config->auth.waiting = 100;
	start_all();
	operate(IPC_OP_USER_ADD, "alice", GOOD, "added");
	operate(IPC_OP_USER_ADD, "bob", GOOD, "added");
	return status;
}

/* ---- one connection -------------------------------------------------------------------------- */

static void test_c11_three_failures_on_a_connection(void **state)
{
	struct msg_admit admit;

	(void)state;
	for (uint64_t id = 100001; id <= 100002; id++) {
		peer_send(t.smtpd[0], IPC_KNOCK,
			  &(struct msg_knock){.id = id, .client = SLICE_LIT("203.0.113.1")});
		peer_expect(t.smtpd[0], IPC_ADMIT, &admit);
	}
	for (int i = 0; i < 3; i++) /* the same each time, as programs do */
		assert_int_equal(answer(guess_from("203.0.113.1", 100001, "alice", "old")), 535);
	assert_int_equal(answer(guess_from("203.0.113.1", 100001, "alice", GOOD)), 421);
	assert_int_equal(answer(guess_from("203.0.113.1", 100002, "alice", GOOD)), 235);
}

/* ---- one source ------------------------------------------------------------------------------ */

static void test_c11_one_source(void **state)
{
	uint64_t failures, before;

	(void)state;
	assert_int_equal(answer(guess("192.0.2.1", "alice", GOOD)), 235);
	failures = status_number("logins_failed");
	before = status_number("logins_blocked");
	/* Names that are there and names that are not, far more at once than it may try. */
	guesses("192.0.2.1", "bob", 5);
	guesses("192.0.2.1", "nobody", 50);
	assert_int_equal(answer(guess("192.0.2.1", "bob", GOOD)), 421);
	assert_int_equal(status_number("logins_blocked"), before + 55 + 1 - BLOCK_AFTER);
	assert_int_equal(listed("192.0.2.1", ""), 1);
	/* Their answers wait still, but for the first ones. */
	assert_in_range(status_number("logins_held"), BLOCK_AFTER - 4, BLOCK_AFTER);
	assert_in_range(status_number("logins_failed"), failures, failures + 4);
	assert_int_equal(status_number("sources_blocked"), 1);
	/* Who has been there before, and who is elsewhere. */
	assert_int_equal(answer(guess("192.0.2.1", "alice", GOOD)), 235);
	assert_int_equal(answer(guess("192.0.2.2", "bob", GOOD)), 235);
	/* IPv6: the /64 is one. */
	guesses("2001:db8::1", "bob", BLOCK_AFTER);
	assert_int_equal(answer(guess("2001:db8::2", "bob", GOOD)), 421);
	assert_int_equal(answer(guess("2001:db8:0:1::2", "bob", GOOD)), 235);
	assert_int_equal(listed("2001:db8::/64", "bob"), 1);
}

static void test_unblock(void **state)
{
	(void)state;
	send_op(IPC_OP_AUTH_UNBLOCK, "192.0.2/24", "", NULL, NULL);
	expect_end(1, "expected an address");
	operate(IPC_OP_AUTH_UNBLOCK, "2001:db8:0:1::2", "", "was not blocked");
	operate(IPC_OP_AUTH_UNBLOCK, "2001:db8::77", "", "unblocked");
	assert_int_equal(answer(guess("2001:db8::2", "bob", GOOD)), 235);
	operate(IPC_OP_AUTH_UNBLOCK, "192.0.2.0/24", "", "unblocked");
	assert_int_equal(answer(guess("192.0.2.1", "bob", GOOD)), 235);
	assert_int_equal(status_number("sources_blocked"), 0);
	operate(IPC_OP_AUTH_UNBLOCK, "bob", "", "bob: was not blocked");
}

/* Who hangs up before the answer has cost a hash all the same, and has guessed. */
static void test_c11_hanging_up_is_no_way_around(void **state)
{
	char password[32];

	(void)state;
	for (unsigned i = 0; i < BLOCK_AFTER; i++) {
		(void)snprintf(password, sizeof(password), "hasty %u", i);
		(void)guess("192.0.2.40", "alice", password);
		peer_send(t.smtpd[0], IPC_AUTH_CANCEL, &(struct msg_auth_cancel){t.session});
	}
	assert_int_equal(answer(guess("192.0.2.40", "alice", GOOD)), 421);
}

/* One guess each, from far more networks than an account is to be tried from. */
static void test_c11_many_sources_and_one_account(void **state)
{
	uint64_t held = status_number("logins_held"), before = status_number("logins_failed");
	unsigned tries = 0;
	char client[32];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(client, sizeof(client), "10.%u.0.7", i);
		guesses(client, "alice", 1);
		if (i % 50 == 25) /* the person, where she always is */
			assert_int_equal(answer(guess("192.0.2.1", "alice", GOOD)), 235);
	}
	/* Another stranger to alice waits for a while and is told to come again; to bob he is one.
	 */
	assert_int_equal(answer(guess("198.51.100.1", "bob", GOOD)), 235);
	assert_int_equal(answer(guess("198.51.100.1", "alice", GOOD)), 454);
	assert_true(listed("strangers", "alice") <= 1);
	tries = (unsigned)(status_number("logins_failed") - before);
	assert_in_range(tries, PENALTIES_STRANGERS, PENALTIES_STRANGERS + held + 5);
	assert_int_equal(answer(guess("192.0.2.1", "alice", GOOD)), 235);
	operate(IPC_OP_AUTH_UNBLOCK, "alice", "", "alice: ");
	assert_int_equal(answer(guess("198.51.100.1", "alice", GOOD)), 235);
}

/* A webmail server on this machine: whoever logs in through it has its address. */
static void test_this_machine_is_never_blocked(void **state)
{
	(void)state;
	guesses("127.0.0.1", "bob", 3 * BLOCK_AFTER);
	guesses("::1", "bob", 3 * BLOCK_AFTER);
	assert_int_equal(answer(guess("127.0.0.1", "bob", GOOD)), 235);
	assert_int_equal(answer(guess("::1", "bob", GOOD)), 235);
}

/* ---- and later ------------------------------------------------------------------------------- */

static void test_c11_known_sources_are_known_after_a_restart(void **state)
{
	(void)state;
	assert_int_equal(stop_all(), 0);
	start_all();
	guesses("192.0.2.1", "nobody", BLOCK_AFTER);
	assert_int_equal(answer(guess("192.0.2.1", "carol", GOOD)), 421);
	assert_int_equal(answer(guess("192.0.2.1", "alice", GOOD)), 235);
}

static void test_off(void **state)
{
	char error[1024];

	(void)state;
	t.config->auth.block_after = 0;
	process_prepare(&t.process, ++t.generation, t.config);
	assert_true(process_prepared(&t.process, t.generation, error));
	process_commit(&t.process, t.generation);
	for (unsigned i = 0; i < 5 * BLOCK_AFTER; i++)
		assert_int_equal(answer(guess("192.0.2.1", "bob", "wrong")), 535);
	assert_int_equal(answer(guess("192.0.2.1", "bob", GOOD)), 235);
	assert_int_equal(stop_all(), 0);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c11_three_failures_on_a_connection),
		cmocka_unit_test(test_c11_one_source),
		cmocka_unit_test(test_unblock),
		cmocka_unit_test(test_c11_hanging_up_is_no_way_around),
		cmocka_unit_test(test_c11_many_sources_and_one_account),
		cmocka_unit_test(test_this_machine_is_never_blocked),
		cmocka_unit_test(test_c11_known_sources_are_known_after_a_restart),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests(tests, set_up_guessing, tear_down);
}

int main(int argc, char **argv)
{
	return run_auth_tests(argc, argv, run);
}
