/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"
#include "store/queue.h"

static void deliver_one(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	uint64_t key = world_mail(world, "bob@Sink.Example", world_small);

	assert_int_equal(world_in_queue(world), 1);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.key, key);
	assert_true(slice_is(deliver.destination, "sink.example"));
	assert_true(slice_is(deliver.mail.sender, "alice@example.org"));
	assert_true(deliver.has_body && slice_equal(deliver.body, world_small));
	assert_int_equal(deliver.attempt, 1);
	assert_int_equal(deliver.recipients.count, 1);
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	assert_int_equal(world_in_queue(world), 0);
	world_shut_down(world);
}

static void grouped_by_destination(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	struct msg_results_ack ack;

	(void)world_mail(world, "a@one.example b@two.example c@ONE.example d@two.example",
			 world_small);
	for (int i = 0; i < 2; i++) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		assert_int_equal(deliver.recipients.count, 2);
		world_result(world, &deliver, i == 0 ? IPC_DELIVERED : IPC_DEFERRED, "-", false);
	}
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	assert_int_equal(world_in_queue(world), 2);
}

static void grants_rule(void **state)
{
	struct world *world = *state;
	const struct msg_grant_revoke revoke = {.grant = 2};
	const struct msg_grant_sync sync = {.round = 7};
	struct msg_grant_sync_ack ack;
	struct msg_grant_used used;
	uint64_t key;

	world_grant(world, 2, "alice@example.org", "example.net", 3);
	world_grant(world, 3, "scan@example.org", "bob@*.example.net", 3);
	key = world_submit(world, 3, "scan@example.org", "alice@a.example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_BAD_RECIPIENT);
	key = world_submit(world, 3, "scan@example.org", "bob@a.example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_STORED);
	key = world_submit(world, 3, "scan@example.org", "bob@a.example.net b@b.example",
			   world_small);
	assert_int_equal(world_verdict(world, key), IPC_BAD_RECIPIENT);
	key = world_submit(world, 9, "alice@example.org", "b@example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_NO_GRANT);
	key = world_submit(world, 2, "boss@example.org", "b@example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_BAD_SENDER);
	key = world_submit(world, 2, "alice@example.org", "b@example.net c@evil.example",
			   world_small);
	assert_int_equal(world_verdict(world, key), IPC_BAD_RECIPIENT);
	key = world_submit(world, 2, "alice@example.org", "b@example.net c@example.net",
			   world_small);
	assert_int_equal(world_verdict(world, key), IPC_STORED);
	key = world_submit(world, 2, "alice@example.org", "b@example.net c@example.net",
			   world_small);
	assert_int_equal(world_verdict(world, key), IPC_OVER_BUDGET);
	end_expect(&world->auth, IPC_GRANT_USED, &used);
	assert_int_equal(used.grant, 2);
	assert_int_equal(used.recipients, 2);
	assert_int_equal(used.recipients_left, 1);
	end_send(&world->auth, IPC_GRANT_REVOKE, &revoke);
	end_send(&world->auth, IPC_GRANT_SYNC, &sync);
	end_expect(&world->auth, IPC_GRANT_SYNC_ACK, &ack);
	assert_int_equal(ack.round, 7);
	key = world_submit(world, 2, "alice@example.org", "b@example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_NO_GRANT);
	/* auth dies: none of its grants is worth anything. */
	world_hang_up(&world->auth);
	world_connect(world, &world->auth, IPC_AUTH, 2);
	end_send(&world->auth, IPC_GRANT_SYNC, &sync);
	end_expect(&world->auth, IPC_GRANT_SYNC_ACK, &ack);
	key = world_submit(world, 1, "alice@example.org", "b@example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_NO_GRANT);
	/* Nor is a grant of another incarnation of smtpd. */
	world_grant(world, 5, NULL, NULL, 10);
	world_connect(world, &world->smtpd, IPC_SMTPD, 2);
	struct msg_keys keys;

	end_expect(&world->smtpd, IPC_KEYS, &keys);
	world->key = keys.first;
	key = world_submit(world, 5, "alice@example.org", "b@example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_NO_GRANT);
}

/* What came to nothing is not counted, also if auth had been told of it before. */
static void given_up_is_not_counted(void **state)
{
	struct world *world = *state;
	const struct rec_recipient bob = {.address = SLICE_LIT("b@one.example"),
					  .orcpt = SLICE_LIT("")};
	const struct rec_recipient eve = {
		.n = 1, .address = SLICE_LIT("e@one.example"), .orcpt = SLICE_LIT("")};
	const struct msg_submit_abort abort = {.key = world->key++};
	unsigned char random[MSGID_RANDOM];
	struct ipc_list_builder list;
	struct msg_grant_used used;
	uint64_t key;

	world_grant(world, 2, NULL, NULL, 10);
	world_random(abort.key, random);
	ipc_list_begin(&list, 1000);
	assert_int_equal(ipc_list_add(&list, IPC_REC_recipient, &bob), ERR_OK);
	assert_int_equal(ipc_list_add(&list, IPC_REC_recipient, &eve), ERR_OK);
	const struct msg_submit_open open = {
		.submission = {.key = abort.key,
			       .random = slice_of(random, MSGID_RANDOM),
			       .grant = 2,
			       .log_id = SLICE_LIT("session1"),
			       .mail = {.sender = SLICE_LIT("alice@example.org"),
					.envid = SLICE_LIT(""),
					.auth = SLICE_LIT("")},
			       .recipients = ipc_list_view(&list)}};

	end_send(&world->smtpd, IPC_SUBMIT_OPEN, &open);
	end_expect(&world->auth, IPC_GRANT_USED, &used);
	assert_int_equal(used.recipients, 2);
	assert_int_equal(used.recipients_left, 8);
	end_send(&world->smtpd, IPC_SUBMIT_ABORT, &abort);
	end_expect(&world->auth, IPC_GRANT_USED, &used);
	assert_int_equal(used.recipients, 0);
	assert_int_equal(used.recipients_left, 10);
	key = world_submit(world, 2, "alice@example.org", "a@x.example b@x.example c@x.example",
			   world_small);
	assert_int_equal(world_verdict(world, key), IPC_STORED);
	end_expect(&world->auth, IPC_GRANT_USED, &used);
	assert_int_equal(used.recipients, 1);
	assert_int_equal(used.recipients_left, 7);
	ipc_list_release(&list);
}

static void keys_of_others_are_refused(void **state)
{
	struct world *world = *state;
	uint64_t key;

	world->key += 10000000;
	key = world_submit(world, 1, "alice@example.org", "b@example.net", world_small);
	assert_int_equal(world_verdict(world, key), IPC_BAD_MESSAGE);
}

static void temporary_failure_is_retried(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	int64_t start = os_wall_ms();

	(void)world_mail(world, "bob@sink.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DEFERRED, "451 later", false);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.attempt, 2);
	assert_true(os_wall_ms() - start >= 850);
	assert_true(deliver.has_body && slice_equal(deliver.body, world_small));
}

static void dead_host_is_probed(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	unsigned first = 0, probes = 0;
	int64_t end;

	for (int i = 0; i < 30; i++)
		(void)world_mail(world, "bob@dead.example", world_small);
	while (end_wait(&world->relay, IPC_DELIVER, 100, &deliver)) {
		first++;
		world_result(world, &deliver, IPC_DEFERRED, "no route", true);
	}
	assert_in_range(first, 1, 4);
	end = os_wall_ms() + 5500;
	while (os_wall_ms() < end) {
		if (end_wait(&world->relay, IPC_DELIVER, 100, &deliver)) {
			probes++;
			world_result(world, &deliver, IPC_DEFERRED, "no route", true);
		}
	}
	assert_in_range(probes, 2, 4); /* pauses of 1, 2, 2 seconds */
	assert_int_equal(world_in_queue(world), 30);
}

static void failure_bounces_once(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	struct msg_results_ack ack;

	(void)world_mail(world, "a@sink.example b@sink.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.recipients.count, 2);
	world_result(world, &deliver, IPC_FAILED, "550 no such user here", false);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.mail.sender.len, 0);
	assert_true(slice_is(deliver.destination, "example.org"));
	assert_int_equal(deliver.recipients.count, 1);
	assert_true((deliver.mail.flags & IPC_MAIL_BOUNCE) != 0);
	assert_true(slice_search(deliver.body, SLICE_LIT("a@sink.example")) < deliver.body.len);
	assert_true(slice_search(deliver.body, SLICE_LIT("b@sink.example")) < deliver.body.len);
	assert_true(slice_search(deliver.body, SLICE_LIT("no such user here")) < deliver.body.len);
	/* A bounce that bounces ends there (H1). */
	world_result(world, &deliver, IPC_FAILED, "550 gone", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	assert_false(end_wait(&world->relay, IPC_DELIVER, 200, &deliver));
	assert_int_equal(world_in_queue(world), 0);
}

/* Messages that have been there too long, put where the process will find them. */
static void plant_old(const char *folder, uint64_t first, unsigned count)
{
	struct queue_envelope envelope = {.sender = SLICE_LIT("alice@example.org"),
					  .account = SLICE_LIT("alice@example.org"),
					  .log_id = SLICE_LIT("session0"),
					  .bounce = SLICE_LIT("alice@example.org"),
					  .envid = SLICE_LIT(""),
					  .count = 1};
	struct queue_recipient recipient = {.address = SLICE_LIT("bob@dead.example"),
					    .orcpt = SLICE_LIT("")};
	struct queue_writer *writer;
	struct queue_report report;
	struct buf text;

	assert_int_equal(queue_writer_open(folder, os_wall_ms(), &writer, &report), ERR_OK);
	for (unsigned i = 0; i < count; i++) {
		struct queue_put put = {0};
		struct queue_batch batch = {.puts = &put, .put_count = 1};

		buf_init(&text, 4096);
		assert_int_equal(queue_envelope_begin(&text, &envelope), ERR_OK);
		assert_int_equal(queue_envelope_add(&text, &recipient), ERR_OK);
		put.mail = queue_mail_new(buf_data(&text), world_small);
		put.mail->id.key = first + i;
		put.mail->arrived = os_wall_ms() - 100000;
		put.mail->expires = os_wall_ms() - 1000;
		put.mail->size = world_small.len;
		put.mail->recipients = 1;
		assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
		assert_int_equal(put.err, ERR_OK);
		queue_batch_release(&batch);
		queue_mail_unref(&put.mail);
		buf_release(&text);
	}
	queue_writer_close(&writer);
}

static void expiry_bounces(void **state)
{
	enum { OLD = 8 };
	struct world *world = *state;
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	unsigned attempts = 0, bounces = 0;
	char folder[512];

	world_shut_down(world);
	snprintf(folder, sizeof(folder), "%s/queue", world->folder);
	plant_old(folder, world->key, OLD);
	world_start(world);
	world_connect_all(world);
	while (bounces < OLD) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		if (slice_is(deliver.destination, "example.org")) {
			bounces++;
			assert_int_equal(deliver.mail.sender.len, 0);
			assert_true(slice_search(deliver.body, SLICE_LIT("bob@dead.example")) <
				    deliver.body.len);
			world_result(world, &deliver, IPC_DELIVERED, "ok", false);
		} else {
			attempts++; /* each was tried once more, or its host is known to be down */
			world_result(world, &deliver, IPC_DEFERRED, "no route", true);
		}
	}
	assert_in_range(attempts, 1, 4);
	while (world_in_queue(world) != 0)
		(void)end_wait(&world->relay, IPC_RESULTS_ACK, 100, &ack);
}

static void large_message_in_chunks(void **state)
{
	enum { LARGE = 5000000 };
	struct world *world = *state;
	char *bytes = mem_alloc(LARGE);
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	struct msg_body body;
	uint64_t key;

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)('a' + (i * 7 + i / 1000) % 26);
	key = world_mail(world, "bob@sink.example", slice_of(bytes, LARGE));
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.key, key);
	assert_int_equal(deliver.size, LARGE);
	assert_false(deliver.has_body);
	const struct msg_deliver kept = deliver;
	const uint64_t claim = deliver.claim;

	for (uint64_t offset = 0; offset < LARGE;) {
		const struct msg_body_want want = {
			.claim = claim, .offset = offset, .length = IPC_CHUNK};

		end_send(&world->relay, IPC_BODY_WANT, &want);
		end_expect(&world->relay, IPC_BODY, &body);
		assert_int_equal(body.offset, offset);
		assert_true(body.data.len != 0);
		assert_memory_equal(body.data.ptr, bytes + offset, body.data.len);
		offset += body.data.len;
	}
	(void)kept;
	const struct rec_result result = {.n = 0,
					  .outcome = IPC_DELIVERED,
					  .scope = IPC_SCOPE_RECIPIENT,
					  .status = SLICE_LIT("2.0.0"),
					  .text = SLICE_LIT("ok")};
	struct ipc_list_builder list;

	ipc_list_begin(&list, 4096);
	assert_int_equal(ipc_list_add(&list, IPC_REC_result, &result), ERR_OK);
	const struct msg_results results = {.claim = claim,
					    .key = key,
					    .destination = SLICE_LIT("sink.example"),
					    .results = ipc_list_view(&list),
					    .host = SLICE_LIT(""),
					    .tls = SLICE_LIT("")};

	end_send(&world->relay, IPC_RESULTS, &results);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	ipc_list_release(&list);
	assert_int_equal(world_in_queue(world), 0);
	mem_free(bytes);
}

static void nothing_is_lost_by_a_kill(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	struct msg_known known;
	unsigned char random[MSGID_RANDOM];
	uint64_t key = world_mail(world, "bob@sink.example", world_small), other = world->key + 5;

	world_kill(world);
	world_start(world);
	world_connect_all(world);
	world_random(key, random);
	const struct msg_ask ask = {.key = key, .random = slice_of(random, MSGID_RANDOM)};
	const struct msg_ask ask_other = {.key = other, .random = slice_of(random, MSGID_RANDOM)};

	end_send(&world->smtpd, IPC_ASK, &ask);
	end_expect(&world->smtpd, IPC_KNOWN, &known);
	assert_int_equal(known.key, key);
	assert_true(known.stored);
	end_send(&world->smtpd, IPC_ASK, &ask_other);
	end_expect(&world->smtpd, IPC_KNOWN, &known);
	assert_false(known.stored);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.key, key);
	assert_true(slice_equal(deliver.body, world_small));
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
}

/* relay outlives queue: what it holds is not claimed again, and its results count. */
static void relay_outlives_queue(void **state)
{
	struct world *world = *state;
	const struct msg_in_flight_end end = {.count = 1};
	const struct rec_number number = {.value = 0};
	struct ipc_list_builder numbers;
	struct msg_deliver first, second, again;
	struct msg_results_ack ack;
	struct msg_keys keys;
	uint64_t keys_of[2], claims[2];

	keys_of[0] = world_mail(world, "bob@one.example", world_small);
	keys_of[1] = world_mail(world, "bob@two.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &first);
	claims[0] = first.claim;
	end_expect(&world->relay, IPC_DELIVER, &second);
	claims[1] = second.claim;
	world_kill(world);
	world_start(world);
	world_connect(world, &world->smtpd, IPC_SMTPD, 1);
	end_expect(&world->smtpd, IPC_KEYS, &keys);
	world_connect(world, &world->relay, IPC_RELAY, 1);
	world_connect(world, &world->control, IPC_CONTROL, 1);
	/* The result of the first was not confirmed; the second is still under way. */
	ipc_list_begin(&numbers, 100);
	assert_int_equal(ipc_list_add(&numbers, IPC_REC_number, &number), ERR_OK);
	const struct msg_in_flight flight = {.claim = claims[1],
					     .key = keys_of[1],
					     .destination = SLICE_LIT("two.example"),
					     .numbers = ipc_list_view(&numbers)};
	struct msg_deliver told = {
		.claim = claims[0], .key = keys_of[0], .destination = SLICE_LIT("one.example")};
	struct ipc_list_builder list;
	const struct rec_recipient recipient = {
		.n = 0, .address = SLICE_LIT("bob@one.example"), .orcpt = SLICE_LIT("")};

	ipc_list_begin(&list, 1000);
	assert_int_equal(ipc_list_add(&list, IPC_REC_recipient, &recipient), ERR_OK);
	told.recipients = ipc_list_view(&list);
	world_result(world, &told, IPC_DELIVERED, "ok", false);
	end_send(&world->relay, IPC_IN_FLIGHT, &flight);
	end_send(&world->relay, IPC_IN_FLIGHT_END, &end);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	assert_int_equal(ack.claim, claims[0]);
	assert_false(end_wait(&world->relay, IPC_DELIVER, 300, &again));
	assert_int_equal(world_in_queue(world), 1);
	told.claim = claims[1];
	told.key = keys_of[1];
	told.destination = SLICE_LIT("two.example");
	world_result(world, &told, IPC_DELIVERED, "ok", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	assert_int_equal(world_in_queue(world), 0);
	/* The same news once more: confirmed, no harm. */
	world_result(world, &told, IPC_DELIVERED, "ok", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	ipc_list_release(&list);
	ipc_list_release(&numbers);
}

static void relay_dies_at_the_dot(void **state)
{
	struct world *world = *state;
	const struct msg_in_flight_end end = {.count = 0};
	const struct rec_number number = {.value = 0};
	struct ipc_list_builder numbers;
	struct msg_deliver deliver;
	uint64_t dotted, other;
	uint8_t status;
	char text[1024];

	dotted = world_mail(world, "bob@one.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	ipc_list_begin(&numbers, 100);
	assert_int_equal(ipc_list_add(&numbers, IPC_REC_number, &number), ERR_OK);
	const struct msg_at_dot dot = {.claim = deliver.claim, .numbers = ipc_list_view(&numbers)};

	end_send(&world->relay, IPC_AT_DOT, &dot);
	other = world_mail(world, "bob@two.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_hang_up(&world->relay);
	world_connect(world, &world->relay, IPC_RELAY, 2);
	end_send(&world->relay, IPC_IN_FLIGHT_END, &end);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.key, other); /* that one at once, the uncertain one not */
	assert_int_equal(deliver.attempt, 1);
	assert_false(end_wait(&world->relay, IPC_DELIVER, 300, &deliver));
	assert_int_equal(world_in_queue(world), 2);
	/* The operator may say so. */
	(void)world_op(world, IPC_OP_QUEUE_RETRY, "", "to", "@one.example", &status, text);
	assert_int_equal(status, 0);
	assert_string_equal(text, "1 recipient to be tried now");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.key, dotted);
	assert_int_equal(deliver.attempt, 2);
	ipc_list_release(&numbers);
}

static void operator_has_the_say(void **state)
{
	struct world *world = *state;
	const struct msg_in_flight_end end = {.count = 0};
	struct msg_deliver deliver;
	struct msgid id;
	char name[MSGID_TEXT_MAX + 1], text[1024];
	uint8_t status;

	world_hang_up(&world->relay); /* nothing leaves */
	for (int i = 0; i < 600; i++)
		id.key = world_mail(world, i % 2 ? "bob@one.example" : "eve@two.example",
				    world_small);
	world_random(id.key, id.random);
	msgid_print(&id, name);
	assert_int_equal(world_op(world, IPC_OP_QUEUE_LIST, "", NULL, NULL, &status, text), 600);
	assert_int_equal(
		world_op(world, IPC_OP_QUEUE_LIST, "", "to", "eve@two.example", &status, text),
		300);
	assert_int_equal(world_op(world, IPC_OP_QUEUE_LIST, "", "limit", "7", &status, text), 7);
	assert_int_equal(world_op(world, IPC_OP_QUEUE_LIST, "", "older", "1h", &status, text), 0);
	assert_int_equal(world_op(world, IPC_OP_QUEUE_SUMMARY, "", NULL, NULL, &status, text), 2);
	assert_string_equal(text, "600 recipients at 2 destinations");
	assert_int_equal(world_op(world, IPC_OP_QUEUE_SHOW, name, NULL, NULL, &status, text), 1);
	assert_int_equal(status, 0);
	(void)world_op(world, IPC_OP_QUEUE_SHOW, "zzz-00000000000000000000", NULL, NULL, &status,
		       text);
	assert_int_equal(status, 1);
	(void)world_op(world, IPC_OP_QUEUE_DROP, "", NULL, NULL, &status, text);
	assert_int_equal(status, 1); /* not all of it by a forgotten word */
	(void)world_op(world, IPC_OP_QUEUE_HOLD, "", "from", "alice", &status, text);
	assert_string_equal(text, "600 recipients held");
	(void)world_op(world, IPC_OP_QUEUE_DROP, "", "to", "eve", &status, text);
	assert_string_equal(text, "300 recipients dropped");
	assert_int_equal(world_in_queue(world), 300);
	world_connect(world, &world->relay, IPC_RELAY, 2);
	end_send(&world->relay, IPC_IN_FLIGHT_END, &end);
	assert_false(end_wait(&world->relay, IPC_DELIVER, 300, &deliver));
	(void)world_op(world, IPC_OP_QUEUE_RELEASE, name, NULL, NULL, &status, text);
	assert_string_equal(text, "1 recipient released");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.key, id.key);
	(void)world_op(world, IPC_OP_STATUS, "", NULL, NULL, &status, text);
	assert_int_equal(status, 0);
}

/* As the CLI does when the server is down: nobody but control. */
static void operator_alone(void **state)
{
	struct world *world = *state;
	uint8_t status;
	char text[1024];

	world_hang_up(&world->relay);
	(void)world_mail(world, "bob@one.example", world_small);
	world_shut_down(world);
	world_start(world);
	world_connect(world, &world->control, IPC_CONTROL, 1);
	assert_int_equal(world_in_queue(world), 1);
	(void)world_op(world, IPC_OP_QUEUE_DROP, "", "all", "true", &status, text);
	assert_string_equal(text, "1 recipient dropped");
	assert_int_equal(world_in_queue(world), 0);
	world_shut_down(world);
}

static void malformed_ends_the_channel_only(void **state)
{
	struct world *world = *state;
	const struct msg_keys nonsense = {.first = 1, .count = 1};
	struct msg_keys never;
	struct msg_deliver deliver;

	end_send(&world->smtpd, IPC_KEYS, &nonsense); /* ours to send, not theirs */
	assert_false(end_wait(&world->smtpd, IPC_HELLO, 5000, &never));
	assert_true(world->smtpd.over);
	world_connect(world, &world->smtpd, IPC_SMTPD, 1);
	end_expect(&world->smtpd, IPC_KEYS, &never);
	world->key = never.first;
	(void)world_mail(world, "bob@one.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
}

/* However much a smtpd asks, the queue goes on for the others. */
static void flood_of_questions_ends_the_channel_only(void **state)
{
	struct world *world = *state;
	unsigned char random[MSGID_RANDOM] = {0};
	struct msg_keys keys;
	struct msg_deliver deliver;

	for (uint64_t key = 1; key <= 400000; key++) {
		const struct msg_ask ask = {.key = key, .random = slice_of(random, MSGID_RANDOM)};

		end_send(&world->smtpd, IPC_ASK, &ask);
	}
	(void)end_wait(&world->smtpd, IPC_SUBMITTED, 5000, &keys);
	assert_true(world->smtpd.over);
	assert_int_equal(waitpid(world->pid, NULL, WNOHANG), 0);
	world_connect(world, &world->smtpd, IPC_SMTPD, 1);
	end_expect(&world->smtpd, IPC_KEYS, &keys);
	world->key = keys.first;
	(void)world_mail(world, "bob@one.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(deliver_one, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(grouped_by_destination, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(grants_rule, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(given_up_is_not_counted, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(keys_of_others_are_refused, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(temporary_failure_is_retried, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(dead_host_is_probed, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(failure_bounces_once, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(expiry_bounces, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(large_message_in_chunks, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(nothing_is_lost_by_a_kill, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(relay_outlives_queue, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(relay_dies_at_the_dot, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(operator_has_the_say, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(operator_alone, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(malformed_ends_the_channel_only, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(flood_of_questions_ends_the_channel_only,
						world_setup, world_teardown),
	};

	if (!world_begin(argc, argv))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
