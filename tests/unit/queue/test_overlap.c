/* SPDX-License-Identifier: Apache-2.0 */
/* What relay says while the queue is still busy with what relay said before. */
#include "process.h"
#include "store/queue.h"

static void relay_comes(struct world *world)
{
	const struct msg_in_flight_end end = {.count = 0};

	world_connect(world, &world->relay, IPC_RELAY, 2);
	end_send(&world->relay, IPC_IN_FLIGHT_END, &end);
}

static void refuse(struct world *world, const struct msg_deliver *deliver, uint32_t n)
{
	struct ipc_list_builder list;
	const struct rec_result result = {.n = n,
					  .outcome = IPC_FAILED,
					  .scope = IPC_SCOPE_RECIPIENT,
					  .code = 550,
					  .status = SLICE_LIT("5.1.1"),
					  .text = SLICE_LIT("no such user")};

	ipc_list_begin(&list, 1000);
	assert_int_equal(ipc_list_add(&list, IPC_REC_result, &result), ERR_OK);
	const struct msg_results msg = {.claim = deliver->claim,
					.key = deliver->key,
					.destination = deliver->destination,
					.results = ipc_list_view(&list),
					.host = SLICE_LIT("mx.test"),
					.tls = SLICE_LIT("")};

	end_send(&world->relay, IPC_RESULTS, &msg);
	ipc_list_release(&list);
}

/*
 * More mail than is kept in memory, so that bodies are read when relay asks: then the message is
 * replaced by one with its body while the result of a recipient that was refused is being written.
 */
static void refused_while_the_body_is_read(void **state)
{
	enum { DESTINATIONS = 60, MESSAGES = 16, SIZE = 60000 };

	struct world *world = *state;
	char *text = mem_alloc(SIZE), recipients[DESTINATIONS * 32];
	struct msg_deliver deliver;
	unsigned asked = 0, bounced = 0;
	size_t at = 0;

	world_hang_up(&world->relay);
	for (int i = 0; i < DESTINATIONS; i++)
		at += (size_t)snprintf(recipients + at, sizeof(recipients) - at,
				       "%sbob@d%d.example", i == 0 ? "" : " ", i);
	memset(text, 'x', SIZE);
	memcpy(text, "Subject: x\r\n\r\n", 14);
	for (int i = 0; i < MESSAGES; i++)
		(void)world_mail(world, recipients, slice_of(text, SIZE));
	relay_comes(world);
	while (bounced < DESTINATIONS * MESSAGES) {
		struct msg_body_want want = {.length = SIZE};
		struct ipc_list list;
		struct rec_recipient recipient;

		end_expect(&world->relay, IPC_DELIVER, &deliver);
		want.claim = deliver.claim;
		list = deliver.recipients;
		if (deliver.mail.sender.len == 0) { /* a bounce */
			bounced++;
			if (deliver.has_body)
				assert_true(slice_search(deliver.body, SLICE_LIT("no such user")) <
					    deliver.body.len);
			world_result(world, &deliver, IPC_DELIVERED, "ok", false);
			continue;
		}
		assert_true(ipc_list_next(&list, IPC_REC_recipient, &recipient));
		if (!deliver.has_body) {
			asked++;
			assert_int_equal(channel_send(world->relay.channel, IPC_BODY_WANT, &want),
					 ERR_OK);
		}
		refuse(world, &deliver, recipient.n);
	}
	assert_false(world->relay.over);
	assert_false(end_wait(&world->relay, IPC_DELIVER, 300, &deliver)); /* nor any more */
	assert_true(asked > 10);
	mem_free(text);
	world_shut_down(world);
}

/* Nothing is read from the store before the results of a claim of old times are in it. */
static void result_of_an_unknown_claim(void **state)
{
	struct world *world = *state;
	const struct msg_in_flight_end end = {.count = 0};
	struct msg_deliver told = {.claim = 77, .destination = SLICE_LIT("one.example")}, deliver;
	struct ipc_list_builder list;
	const struct rec_recipient recipient = {
		.n = 0, .address = SLICE_LIT("bob@one.example"), .orcpt = SLICE_LIT("")};
	struct msg_results_ack ack;

	world_hang_up(&world->relay);
	told.key = world_mail(world, "bob@one.example", world_small);
	world_connect(world, &world->relay, IPC_RELAY, 2);
	ipc_list_begin(&list, 1000);
	assert_int_equal(ipc_list_add(&list, IPC_REC_recipient, &recipient), ERR_OK);
	told.recipients = ipc_list_view(&list);
	world_result(world, &told, IPC_DELIVERED, "ok", false);
	end_send(&world->relay, IPC_IN_FLIGHT_END, &end);
	assert_false(end_wait(&world->relay, IPC_DELIVER, 300, &deliver));
	world_result(world, &told, IPC_DELIVERED, "ok", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	ipc_list_release(&list);
	world_shut_down(world);
}

/* The operator drops it while relay has it, and the server refuses it: nobody is told. */
static void dropped_before_it_is_refused(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	char text[1024];
	uint8_t status;

	(void)world_mail(world, "bob@one.example eve@one.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	(void)world_op(world, IPC_OP_QUEUE_DROP, "", "to", "eve", &status, text);
	assert_string_equal(text, "1 recipient dropped");
	deliver.destination = SLICE_LIT("one.example"); /* the message is gone by now */
	refuse(world, &deliver, 1);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	assert_false(end_wait(&world->relay, IPC_DELIVER, 300, &deliver));
	/* The other one was not dropped. */
	refuse(world, &deliver, 0);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.mail.sender.len, 0);
	assert_true(slice_search(deliver.body, SLICE_LIT("bob@one.example")) < deliver.body.len);
	assert_true(slice_search(deliver.body, SLICE_LIT("eve@one.example")) == deliver.body.len);
	world_shut_down(world);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(refused_while_the_body_is_read, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(result_of_an_unknown_claim, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(dropped_before_it_is_refused, world_setup,
						world_teardown),
	};

	if (!world_begin(argc, argv))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
