/* SPDX-License-Identifier: Apache-2.0 */
/* The door that auth keeps: what smtpd may tell it, and what those who wait are told. */
#include "auth_world.h"

#include <stdio.h>

#include "config/config.h"

static void reload(void)
{
	char error[1024];

	process_prepare(&t.process, ++t.generation, t.config);
	assert_true(process_prepared(&t.process, t.generation, error));
	process_commit(&t.process, t.generation);
}

static void knock(int smtpd, uint64_t id, const char *client, bool inside)
{
	peer_send(t.smtpd[smtpd], IPC_KNOCK,
		  &(struct msg_knock){.id = id, .client = slice_str(client), .inside = inside});
}

static void expect_admitted(int smtpd, uint64_t id)
{
	struct msg_admit msg;

	peer_expect(t.smtpd[smtpd], IPC_ADMIT, &msg);
	assert_int_equal(msg.id, id);
}

static void expect_away(int smtpd, uint64_t id, const char *text)
{
	struct msg_turn_away msg;

	peer_expect(t.smtpd[smtpd], IPC_TURN_AWAY, &msg);
	assert_int_equal(msg.id, id);
	assert_int_equal(msg.code, 421);
	if (!slice_is(msg.text, text))
		fail_msg("%.*s instead of %s", SLICE_ARG(msg.text), text);
}

/* A field of the row of a limit, as a number. */
static uint64_t limit(const char *name, const char *key)
{
	uint64_t value = UINT64_MAX;
	struct msg_op_row row;
	struct msg_op_end end;

	send_op(IPC_OP_STATUS, "", "", NULL, NULL);
	while (peer_next_type(t.control) == IPC_OP_ROW) {
		struct rec_field field;
		bool this = false;

		peer_expect(t.control, IPC_OP_ROW, &row);
		while (ipc_list_next(&row.fields, IPC_REC_field, &field)) {
			if (slice_is(field.key, "limit"))
				this = slice_is(field.value, name);
			if (this && slice_is(field.key, key))
				assert_int_equal(slice_number(field.value, UINT64_MAX, &value),
						 ERR_OK);
		}
	}
	peer_expect(t.control, IPC_OP_END, &end);
	return value;
}

static void restart_smtpd(int index)
{
	peer_free(&t.smtpd[index]);
	start_smtpd(index);
}

static void test_m1_who_is_inside_is_told_before_all_else(void **state)
{
	(void)state;
	knock(1, 1, "192.0.2.1", true);
	knock(1, 2, "192.0.2.2", true);
	knock(1, 3, "192.0.2.3", false);
	expect_admitted(1, 3);
	assert_int_equal(limit("sessions", "now"), 3);
	knock(1, 4, "192.0.2.4", true);
	peer_expect_end(t.smtpd[1]);
	restart_smtpd(1);
	/* Whatever it has said, not only a knock. */
	peer_send(t.smtpd[1], IPC_LEFT, &(struct msg_left){7});
	knock(1, 4, "192.0.2.4", true);
	peer_expect_end(t.smtpd[1]);
	restart_smtpd(1);
	assert_int_equal(limit("sessions", "now"), 0);
}

static void test_m1_no_more_are_inside_than_there_are_places(void **state)
{
	uint32_t before = t.config->limits.sessions;

	(void)state;
	t.config->limits.sessions = 4;
	reload();
	knock(0, 1, "192.0.2.1", false);
	expect_admitted(0, 1);
	for (uint64_t id = 1; id <= 5; id++)
		knock(1, id, "192.0.2.9", true);
	expect_away(1, 4, "Too many connections; try again later");
	expect_away(1, 5, "Too many connections; try again later");
	peer_expect_silence(t.smtpd[1], 100);
	assert_int_equal(limit("sessions", "now"), 4);
	t.config->limits.sessions = before;
	reload();
	restart_smtpd(0);
	restart_smtpd(1);
}

/* One per second: one source may have sixteen that wait, and who gave up makes room. */
static void test_m1_who_waits(void **state)
{
	(void)state;
	t.config->limits.connection_rate = 1;
	reload();
	knock(0, 1, "192.0.2.1", false);
	expect_admitted(0, 1);
	for (uint64_t id = 2; id <= 18; id++)
		knock(0, id, "192.0.2.1", false);
	expect_away(0, 18, "Too many connections from your address are waiting; try again later");
	assert_int_equal(limit("connections waiting", "now"), 16);
	assert_int_equal(limit("connections waiting", "value"), 1024);
	assert_int_equal(limit("connections waiting per source", "now"), 16);
	assert_int_equal(limit("connections waiting per source", "struck"), 1);
	peer_send(t.smtpd[0], IPC_LEFT, &(struct msg_left){17});
	knock(0, 19, "192.0.2.1", false);
	knock(1, 1, "192.0.2.2", false); /* a person on another smtpd */
	for (int i = 0; i < 2; i++) {    /* has the next turn, or that after it */
		while (peer_pending(t.smtpd[0]) == 0 && peer_pending(t.smtpd[1]) == 0)
			run_for(t.loop, 10);
		if (peer_pending(t.smtpd[1]) > 0)
			break;
		expect_admitted(0, (uint64_t)2 + (uint64_t)i);
	}
	expect_admitted(1, 1);
	t.config->limits.connection_rate = 0;
	reload();
	restart_smtpd(0);
	restart_smtpd(1);
}

/* A thousand wait: the newest of a crowd makes room for one who comes alone. */
static void test_m1_a_full_waiting_room(void **state)
{
	enum { WAITING_MAX = 1024, EACH = 16 };

	(void)state;
	t.config->limits.connection_rate = 1;
	reload();
	knock(0, 1, "198.51.100.1", false);
	expect_admitted(0, 1);
	for (uint64_t id = 0; id < WAITING_MAX; id++) {
		char client[40]; /* all of one /48 */

		(void)snprintf(client, sizeof(client), "2001:db8:1:%x::1", (unsigned)(id / EACH));
		knock(0, 100 + id, client, false);
	}
	knock(1, 1, "2001:db8:2::1", false);
	/* Some have had their turn while these were sent. */
	while (peer_next_type(t.smtpd[0]) == IPC_ADMIT) {
		struct msg_admit msg;

		peer_expect(t.smtpd[0], IPC_ADMIT, &msg);
		knock(1, 1000 + msg.id, "192.0.2.1", false);
	}
	struct msg_turn_away away;

	peer_expect(t.smtpd[0], IPC_TURN_AWAY, &away);
	assert_true(slice_is(away.text, "Too many connections are waiting; try again later"));
	assert_true(away.id >= 100);
	assert_true(limit("connections waiting", "struck") > 0);
	t.config->limits.connection_rate = 0;
	reload();
	restart_smtpd(0);
	restart_smtpd(1);
	assert_int_equal(stop_all(), 0);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_m1_who_is_inside_is_told_before_all_else),
		cmocka_unit_test(test_m1_no_more_are_inside_than_there_are_places),
		cmocka_unit_test(test_m1_who_waits),
		cmocka_unit_test(test_m1_a_full_waiting_room),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
	return run_auth_tests(argc, argv, run);
}
