/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth process and back ends that the test plays: "first" with one process, "second" with two.
 * They answer what they like, late, wrongly, or die of it.
 */
#include "auth_world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"

enum { TIMEOUT = 600, QUEUE = 3, CACHE = 60000 };

static struct peer *first, *second[2];
static uint32_t incarnation;

/* ---- the back ends -------------------------------------------------------------------------- */

static struct peer *start_backend(size_t backend, uint32_t n)
{
	return process_peer(&t.process, t.loop, IPC_BACKEND, config_backend_process(backend, n),
			    ++incarnation);
}

static void start_backends(void)
{
	first = start_backend(0, 0);
	second[0] = start_backend(1, 0);
	second[1] = start_backend(1, 1);
}

static void stop_backends(void)
{
	peer_free(&first);
	peer_free(&second[0]);
	peer_free(&second[1]);
}

/* The next question that it gets. */
static uint64_t expect_question(struct peer *peer, const char *name, const char *password)
{
	struct msg_check msg;

	peer_expect(peer, IPC_CHECK, &msg);
	assert_true(slice_is(msg.name, name));
	assert_true(slice_is(msg.password, password));
	assert_true(slice_is(msg.client, "192.0.2.7"));
	return msg.id;
}

static void answer(struct peer *peer, uint64_t id, uint8_t verdict)
{
	peer_send(peer, IPC_CHECKED,
		  &(struct msg_checked){id, verdict, SLICE_LIT("the test says so")});
}

static void play(struct peer *peer, const char *name, const char *password, uint8_t verdict)
{
	answer(peer, expect_question(peer, name, password), verdict);
}

static void add_backend(const char *name, enum backend_type type, uint32_t processes)
{
	struct config *config = t.config;

	config->backends = mem_resize(config->backends,
				      (config->backend_count + 1) * sizeof(*config->backends));
	config->backends[config->backend_count++] = (struct config_backend){
		.name = mem_strdup(name),
		.type = type,
		.processes = processes,
		.timeout = TIMEOUT,
		.waiting = QUEUE,
	};
}

static void reload(void)
{
	char error[1024];

	process_prepare(&t.process, ++t.generation, t.config);
	assert_true(process_prepared(&t.process, t.generation, error));
	process_commit(&t.process, t.generation);
	run_for(t.loop, 50);
}

/* Whether a password is right is all that a back end can say: SCRAM is no longer offered. */
static void expect_plain_offer(int smtpd)
{
	struct msg_auth_offer msg;
	struct rec_offer offer;

	peer_expect(t.smtpd[smtpd], IPC_AUTH_OFFER, &msg);
	while (ipc_list_next(&msg.offers, IPC_REC_offer, &offer))
		assert_true(offer.mechanisms.len == 0 || slice_is(offer.mechanisms, "PLAIN LOGIN"));
}

static int set_up_backends(void **state)
{
	int result = set_up(state);

	if (result != 0)
		return result;
	add_backend("first", BACKEND_SASLAUTHD, 1);
	add_backend("second", BACKEND_PAM, 2);
	reload();
	expect_plain_offer(0);
	expect_plain_offer(1);
	start_backends();
	operate(IPC_OP_USER_ADD, "alice", GOOD, "alice: added");
	return 0;
}

/* ---- who is asked --------------------------------------------------------------------------- */

/* A name of the store is never looked up elsewhere, whatever its password. */
static void test_the_store_comes_first(void **state)
{
	(void)state;
	end_grant(0, log_in(0, "alice", GOOD));
	expect_fail(0, start_plain(0, "alice", "wrong"), 535, "5.7.8", "bad-password");
	assert_int_equal(peer_pending(first) + peer_pending(second[0]) + peer_pending(second[1]),
			 0);
}

static void test_in_the_order_of_the_file(void **state)
{
	uint64_t session;

	(void)state;
	session = start_plain(0, "Bob@Example.ORG", "pw of bob");
	play(first, "bob", "pw of bob", IPC_CHECK_UNKNOWN);
	play(second[0], "bob", "pw of bob", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, session));
	operate(IPC_OP_USER_SHOW, "bob", "", "");
	/* From now on it is the account of "second", which alone is asked. */
	session = start_plain(0, "bob", "pw of bob");
	play(second[0], "bob", "pw of bob", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, session));
	session = start_plain(0, "bob", "guess");
	play(second[0], "bob", "guess", IPC_CHECK_NO);
	expect_fail(0, session, 535, "5.7.8", "bad-password");
	assert_int_equal(peer_pending(first), 0);
	assert_int_equal(status_number("accounts"), 2);
}

/* Nobody says yes: 535, in the same words as for all others; and no account is made (C9). */
static void test_c9_nobody_knows(void **state)
{
	uint64_t session = start_plain(0, "carol", "pw");

	(void)state;
	play(first, "carol", "pw", IPC_CHECK_UNKNOWN);
	play(second[0], "carol", "pw", IPC_CHECK_UNKNOWN);
	expect_fail(0, session, 535, "5.7.8", "unknown-user");
	session = start_plain(0, "carol", "pw");
	play(first, "carol", "pw", IPC_CHECK_NO);
	play(second[0], "carol", "pw", IPC_CHECK_UNKNOWN);
	expect_fail(0, session, 535, "5.7.8", "bad-password");
	assert_int_equal(status_number("accounts"), 2);
}

/* One that cannot be asked might have said yes: 454, unless another one does. */
static void test_one_is_down(void **state)
{
	uint64_t session = start_plain(0, "carol", "pw");

	(void)state;
	play(first, "carol", "pw", IPC_CHECK_UNAVAILABLE);
	play(second[0], "carol", "pw", IPC_CHECK_NO);
	expect_fail(0, session, 454, "4.7.0", "backend-unavailable");
	session = start_plain(0, "carol", "pw");
	play(first, "carol", "pw", IPC_CHECK_UNAVAILABLE);
	play(second[0], "carol", "pw", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, session));
}

/* No control characters reach a back end (C1). */
static void test_c1_no_controls(void **state)
{
	static const char *const NAMES[] = {"eve\n", "e\rve", "\x01", "eve\x7f"};

	(void)state;
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		expect_fail(0, start_plain(0, NAMES[i], "pw"), 535, "5.7.8", "malformed");
	expect_fail(0, start_plain(0, "eve", "p\nw"), 535, "5.7.8", "malformed");
	expect_fail(0, start_plain(0, "eve", "p\rw"), 535, "5.7.8", "malformed");
	assert_int_equal(peer_pending(first), 0);
}

/* ---- accounts of back ends ------------------------------------------------------------------ */

static void test_a_disabled_account_stays_out(void **state)
{
	uint64_t session;

	(void)state;
	operate(IPC_OP_USER_DISABLE, "bob", "", "bob: disabled");
	session = start_plain(0, "bob", "pw of bob");
	play(second[0], "bob", "pw of bob", IPC_CHECK_YES);
	expect_fail(0, session, 535, "5.7.8", "disabled");
	operate(IPC_OP_USER_ENABLE, "bob", "", "bob: enabled");
}

static void send_test(const char *name, const char *password)
{
	send_op(IPC_OP_USER_TEST, name, password, NULL, NULL);
}

/* A question of the operator; no client asks. */
static void play_test(struct peer *peer, const char *name, uint8_t verdict)
{
	struct msg_check msg;

	peer_expect(peer, IPC_CHECK, &msg);
	assert_true(slice_is(msg.name, name));
	assert_int_equal(msg.client.len, 0);
	answer(peer, msg.id, verdict);
}

static void expect_answer(const char *backend, const char *verdict)
{
	struct msg_op_row row;
	struct rec_field field;
	char text[256] = "";

	peer_expect(t.control, IPC_OP_ROW, &row);
	while (ipc_list_next(&row.fields, IPC_REC_field, &field))
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s;",
			       SLICE_ARG(field.value));
	assert_non_null(strstr(text, backend));
	assert_non_null(strstr(text, verdict));
}

static void test_what_each_said(void **state)
{
	struct msg_op_row row;

	(void)state;
	send_test("nobody", "pw");
	play_test(first, "nobody", IPC_CHECK_UNAVAILABLE);
	play_test(second[0], "nobody", IPC_CHECK_UNKNOWN);
	peer_expect(t.control, IPC_OP_ROW, &row); /* the name */
	expect_answer("first", "cannot be asked;the test says so");
	expect_answer("second", "unknown name");
	expect_end(1, "\"first\" cannot be asked");
	/* After a yes the others are asked all the same. */
	send_test("nobody", "pw");
	play_test(first, "nobody", IPC_CHECK_YES);
	play_test(second[0], "nobody", IPC_CHECK_NO);
	expect_end(0,
		   "password correct, says back end \"first\"; its account is made at the first");
	assert_int_equal(status_number("accounts"), 3);
	/* One that has an account: its back end alone. */
	send_test("bob", "pw");
	play_test(second[0], "bob", IPC_CHECK_NO);
	expect_end(1, "password wrong, says back end \"second\"");
	/* One of the store's: nobody. */
	send_test("alice", GOOD);
	expect_end(0, "password correct");
	send_test("alice", "wrong");
	expect_end(1, "password wrong");
}

/* What the operator does while a back end thinks counts. */
static void test_a_bar_meanwhile(void **state)
{
	uint64_t session = start_plain(0, "bob", "pw of bob"), id;

	(void)state;
	id = expect_question(second[0], "bob", "pw of bob");
	operate(IPC_OP_USER_DISABLE, "bob", "", "bob: disabled");
	answer(second[0], id, IPC_CHECK_YES);
	expect_fail(0, session, 535, "5.7.8", "disabled");
	operate(IPC_OP_USER_ENABLE, "bob", "", "bob: enabled");
	/* A name that the operator adds meanwhile is the store's. */
	session = start_plain(0, "dave", "pw");
	play(first, "dave", "pw", IPC_CHECK_UNKNOWN);
	id = expect_question(second[0], "dave", "pw");
	operate(IPC_OP_USER_ADD, "dave", GOOD, "dave: added");
	answer(second[0], id, IPC_CHECK_YES);
	expect_fail(0, session, 454, "4.7.0", "account-changing");
	end_grant(0, log_in(0, "dave", GOOD));
}

/* Nothing is remembered of a yes, unless the section says so: a change there counts at once. */
static void test_cache(void **state)
{
	uint64_t session;

	(void)state;
	for (int i = 0; i < 2; i++) {
		session = start_plain(0, "bob", "pw of bob");
		play(second[0], "bob", "pw of bob", IPC_CHECK_YES);
		end_grant(0, expect_ok(0, session));
	}
	t.config->backends[1].cache = CACHE;
	peer_free(&second[0]);
	peer_free(&second[1]);
	reload();
	second[0] = start_backend(1, 0);
	second[1] = start_backend(1, 1);
	session = start_plain(0, "bob", "pw of bob");
	play(second[0], "bob", "pw of bob", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, session));
	end_grant(0, log_in(0, "bob", "pw of bob"));
	assert_int_equal(peer_pending(second[0]), 0);
	/* Another password is asked about. */
	session = start_plain(0, "bob", "guess");
	play(second[0], "bob", "guess", IPC_CHECK_NO);
	expect_fail(0, session, 535, "5.7.8", "bad-password");
}

/* ---- slow, dying and lying ------------------------------------------------------------------ */

/* "second" hangs in both its processes: logins to the store and to "first" do not notice. */
static void test_c12_slow(void **state)
{
	uint64_t sessions[2 + QUEUE + 1];
	char name[16];

	(void)state;
	for (int i = 0; i < 2 + QUEUE + 1; i++) {
		(void)snprintf(name, sizeof(name), "slow%d", i);
		sessions[i] = start_plain(0, name, "pw");
		play(first, name, "pw", IPC_CHECK_UNKNOWN);
	}
	/* One too many: it hears so at once. */
	expect_fail(0, sessions[2 + QUEUE], 454, "4.7.0", "backend-unavailable");
	end_grant(1, log_in(1, "alice", GOOD));
	/* The others hear it when their time is over. */
	for (int i = 0; i < 2 + QUEUE; i++) {
		struct msg_auth_fail msg;

		peer_expect(t.smtpd[0], IPC_AUTH_FAIL, &msg);
		assert_int_equal(msg.code, 454);
		assert_true(slice_is(msg.status, "4.7.0"));
	}
	/* Late answers are nobody's, and the process is free again. */
	for (int i = 0; i < 2; i++) {
		struct msg_check msg;

		peer_expect(second[i], IPC_CHECK, &msg);
		answer(second[i], msg.id, IPC_CHECK_YES);
	}
	peer_expect_silence(t.smtpd[0], 100);
	sessions[0] = start_plain(0, "bob", "other pw");
	play(second[0], "bob", "other pw", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, sessions[0]));
}

/* What postern status says of a back end. */
static void expect_state(const char *name, const char *expected)
{
	struct msg_op_row row;
	struct msg_op_end end;
	struct rec_field field;

	send_op(IPC_OP_STATUS, "", "", NULL, NULL);
	do {
		peer_expect(t.control, IPC_OP_ROW, &row);
		assert_true(ipc_list_next(&row.fields, IPC_REC_field, &field));
	} while (!slice_is(field.key, "backend") || !slice_is(field.value, name));
	while (!slice_is(field.key, "state"))
		assert_true(ipc_list_next(&row.fields, IPC_REC_field, &field));
	if (!slice_is(field.value, expected))
		fail_msg("%s: \"%.*s\" instead of \"%s\"", name, SLICE_ARG(field.value), expected);
	peer_await(t.control, IPC_OP_END, &end);
}

/* Whoever has waited for a process until little of the time is left finds nobody to be down. */
static void test_busy_is_not_down(void **state)
{
	uint64_t sessions[2], id;

	(void)state;
	expect_state("first", "answers");
	sessions[0] = start_plain(0, "kim", "pw");
	id = expect_question(first, "kim", "pw");
	run_for(t.loop, TIMEOUT / 2);
	sessions[1] = start_plain(0, "leo", "pw");
	run_for(t.loop, TIMEOUT / 2);
	answer(first, id, IPC_CHECK_YES);
	end_grant(0, expect_ok(0, sessions[0]));
	id = expect_question(first, "leo", "pw");
	play(second[0], "leo", "pw", IPC_CHECK_NO);
	expect_fail(0, sessions[1], 454, "4.7.0", "backend-unavailable");
	expect_state("first", "answers");
	/* What the process says itself counts, though nobody waits for it any more. */
	answer(first, id, IPC_CHECK_UNAVAILABLE);
	run_for(t.loop, 50);
	expect_state("first", "down");
	sessions[0] = start_plain(0, "kim", "pw");
	play(first, "kim", "pw", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, sessions[0]));
	expect_state("first", "answers");
}

static void test_dying(void **state)
{
	uint64_t session = start_plain(0, "erin", "pw");
	unsigned alerts = t.alerts, over;

	(void)state;
	(void)expect_question(first, "erin", "pw");
	peer_free(&first);
	play(second[0], "erin", "pw", IPC_CHECK_NO);
	expect_fail(0, session, 454, "4.7.0", "backend-unavailable");
	assert_int_equal(t.alerts, alerts + 1);
	assert_string_equal(t.alert, "backend-down first");
	/* Who comes before the next process is there waits for it. */
	over = t.alerts_over;
	session = start_plain(0, "erin", "pw");
	run_for(t.loop, 100);
	first = start_backend(0, 0);
	play(first, "erin", "pw", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, session));
	assert_int_equal(t.alerts_over, over + 1);
	/* One that is asked by nobody any more is of no interest. */
	session = start_plain(0, "frank", "pw");
	(void)expect_question(first, "frank", "pw");
	peer_send(t.smtpd[0], IPC_AUTH_CANCEL, &(struct msg_auth_cancel){session});
	run_for(t.loop, 50);
	peer_free(&first);
	first = start_backend(0, 0);
	peer_expect_silence(t.smtpd[0], 50);
}

/* What a process must not say ends its channel; the login is answered 454. */
static void expect_breach(uint64_t id_offset, uint8_t verdict)
{
	uint64_t session = start_plain(0, "grace", "pw"),
		 id = expect_question(first, "grace", "pw");

	answer(first, id + id_offset, verdict);
	peer_expect_end(first);
	play(second[0], "grace", "pw", IPC_CHECK_NO);
	expect_fail(0, session, 454, "4.7.0", "backend-unavailable");
	peer_free(&first);
	first = start_backend(0, 0);
}

static void test_c6_lying(void **state)
{
	(void)state;
	expect_breach(1, IPC_CHECK_YES); /* to what was not asked */
	expect_breach(0, 0);
	expect_breach(0, IPC_CHECK_UNAVAILABLE + 1);
	/* An answer to nothing. */
	answer(first, 1, IPC_CHECK_YES);
	peer_expect_end(first);
	peer_free(&first);
	first = start_backend(0, 0);
	end_grant(0, log_in(0, "alice", GOOD));
}

/* ---- the configuration ---------------------------------------------------------------------- */

/* "second" goes, while it is asked: 454; its accounts are nobody else's from then on. */
static void test_a_reload_takes_one_away(void **state)
{
	uint64_t session = start_plain(0, "bob", "pw");

	(void)state;
	(void)expect_question(second[0], "bob", "pw");
	t.config->backend_count = 1;
	reload();
	expect_fail(0, session, 454, "4.7.0", "backend-unavailable");
	peer_expect_end(second[0]);
	session = start_plain(0, "bob", "pw");
	expect_fail(0, session, 535, "5.7.8", "unknown-user");
	assert_int_equal(peer_pending(first), 0);
	/* "first" was not touched. */
	session = start_plain(0, "heidi", "pw");
	play(first, "heidi", "pw", IPC_CHECK_YES);
	end_grant(0, expect_ok(0, session));
	t.config->backend_count = 2;
	reload();
	peer_free(&second[0]);
	peer_free(&second[1]);
	second[0] = start_backend(1, 0);
	second[1] = start_backend(1, 1);
}

static void test_a_channel_for_no_back_end(void **state)
{
	struct peer *peer = start_backend(5, 0);

	(void)state;
	peer_expect_end(peer);
	peer_free(&peer);
	peer = start_backend(0, 7);
	peer_expect_end(peer);
	peer_free(&peer);
}

static void test_the_end(void **state)
{
	(void)state;
	/* With questions under way. */
	(void)start_plain(0, "ivan", "pw");
	(void)expect_question(first, "ivan", "pw");
	(void)start_plain(0, "judy", "pw");
	send_test("nobody", "pw");
	run_for(t.loop, 50);
	assert_int_equal(stop_all(), 0);
	stop_backends();
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_store_comes_first),
		cmocka_unit_test(test_in_the_order_of_the_file),
		cmocka_unit_test(test_c9_nobody_knows),
		cmocka_unit_test(test_one_is_down),
		cmocka_unit_test(test_c1_no_controls),
		cmocka_unit_test(test_a_disabled_account_stays_out),
		cmocka_unit_test(test_what_each_said),
		cmocka_unit_test(test_a_bar_meanwhile),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_c12_slow),
		cmocka_unit_test(test_busy_is_not_down),
		cmocka_unit_test(test_dying),
		cmocka_unit_test(test_c6_lying),
		cmocka_unit_test(test_a_reload_takes_one_away),
		cmocka_unit_test(test_a_channel_for_no_back_end),
		cmocka_unit_test(test_the_end),
	};

	return cmocka_run_group_tests(tests, set_up_backends, tear_down);
}

int main(int argc, char **argv)
{
	return run_auth_tests(argc, argv, run);
}
