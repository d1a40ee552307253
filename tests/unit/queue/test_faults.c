/* SPDX-License-Identifier: Apache-2.0 */
/* G3, G4: what smtpd is told when the disk fails, and that it ends with the failure. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "fault.h"
#include "process.h"
#include "store/queue.h"

static volatile struct fault *fault;

static int setup(void **state)
{
	struct world *world = world_new();

	fault->sync_error = fault->write_error = fault->count = 0;
	fault->spared = 0;
	world_start(world);
	world_connect_all(world);
	*state = world;
	return 0;
}

/* Until mail is taken again, or far too long. */
static void expect_accepting(struct world *world, bool ok)
{
	struct msg_accepting msg;

	do
		end_expect(&world->smtpd, IPC_ACCEPTING, &msg);
	while (msg.ok != ok);
}

static void failed_sync_is_refused_for_certain(void **state)
{
	struct world *world = *state;
	uint64_t key;

	(void)world_mail(world, "a@one.example", world_small);
	fault->sync_error = EIO;
	key = world_submit(world, 1, "alice@example.org", "b@one.example", world_small);
	while (fault->count == 0)
		usleep(1000);
	usleep(20000);
	fault->sync_error = 0; /* the next commit stands in its place */
	assert_int_equal(world_verdict(world, key), IPC_STORE_ERROR);
	(void)world_mail(world, "c@one.example", world_small);
	world_kill(world);
	world_start(world);
	world_connect(world, &world->control, IPC_CONTROL, 1);
	uint8_t status;
	char text[1024];

	/* What was refused is not found after the restart. */
	assert_int_equal(world_op(world, IPC_OP_QUEUE_LIST, "", NULL, NULL, &status, text), 2);
	assert_int_equal(
		world_op(world, IPC_OP_QUEUE_LIST, "", "to", "b@one.example", &status, text), 0);
}

static void disk_that_stays_broken_gives_no_answer(void **state)
{
	struct world *world = *state;
	uint64_t key;

	fault->sync_error = EIO;
	key = world_submit(world, 1, "alice@example.org", "b@one.example", world_small);
	assert_int_equal(world_verdict(world, key), IPC_STORE_UNSURE);
	expect_accepting(world, false);
	key = world_submit(world, 1, "alice@example.org", "b@one.example", world_small);
	assert_int_equal(world_verdict(world, key), IPC_STORE_ERROR);
	fault->sync_error = 0;
	/* Nobody has anything to write, and yet it is noticed. */
	expect_accepting(world, true);
	(void)world_mail(world, "c@one.example", world_small);
}

static void full_disk_recovers_by_itself(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	uint64_t key;

	(void)world_mail(world, "a@one.example", world_small);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	fault->write_error = ENOSPC;
	key = world_submit(world, 1, "alice@example.org", "b@one.example", world_small);
	assert_int_equal(world_verdict(world, key), IPC_DISK_FULL);
	/* A result is not lost by it: it is written when that is possible. */
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	assert_false(end_wait(&world->relay, IPC_RESULTS_ACK, 500, &ack));
	fault->write_error = 0;
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	expect_accepting(world, true);
	(void)world_mail(world, "c@one.example", world_small);
}

static void large_body_on_a_full_disk(void **state)
{
	struct world *world = *state;
	char *bytes = mem_alloc(300000);
	uint64_t key;

	fault->write_error = ENOSPC;
	key = world_submit(world, 1, "alice@example.org", "b@one.example", slice_of(bytes, 300000));
	assert_int_equal(world_verdict(world, key), IPC_DISK_FULL);
	fault->write_error = 0;
	expect_accepting(world, true);
	(void)world_mail(world, "b@one.example", slice_of(bytes, 300000));
	fault->sync_error = EIO; /* of the file */
	key = world_submit(world, 1, "alice@example.org", "b@one.example", slice_of(bytes, 300000));
	assert_int_equal(world_verdict(world, key), IPC_STORE_ERROR);
	fault->sync_error = 0;
	mem_free(bytes);
}

/* Mode N: told of in so many ms. */
static uint64_t ask_notice(struct world *world, int64_t ms, const char *recipients)
{
	const struct rec_recipient each = {.orcpt = {"", 0}};
	const struct rec_mail mail = {.sender = SLICE_LIT("alice@example.org"),
				      .envid = {"", 0},
				      .auth = {"", 0},
				      .by_mode = QUEUE_BY_NOTIFY,
				      .deliver_by = os_wall_ms() + ms};

	return world_ask(world, 1, &mail, &each, recipients, world_small);
}

/* As long as the marks of a notice cannot be written it is not made once more. */
static void late_is_told_once_on_a_full_disk(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	unsigned reports = 0;
	uint64_t key = ask_notice(world, 300, "b@one.example");

	assert_int_equal(world_verdict(world, key), IPC_STORED);
	end_expect(&world->relay, IPC_DELIVER, &deliver); /* and it takes its time */
	fault->write_error = ENOSPC;
	usleep(4500000);
	assert_true(fault->count > 0);
	fault->write_error = 0;
	expect_accepting(world, true);
	while (end_wait(&world->relay, IPC_DELIVER, 2500, &deliver)) {
		assert_int_equal(deliver.mail.sender.len, 0);
		reports++;
		world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	}
	assert_int_equal(reports, 1);
}

/* Who has the message is not told of as waiting, also while that is not on disk yet. */
static void late_leaves_out_who_has_it(void **state)
{
	struct world *world = *state;
	struct msg_deliver deliver;
	uint64_t key = ask_notice(world, 1000, "waits@one.example has@two.example");

	assert_int_equal(world_verdict(world, key), IPC_STORED);
	fault->write_error = ENOSPC;
	world->taken = IPC_TAKEN_FINAL; /* which nobody asked to hear of */
	for (int i = 0; i < 2; i++) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		if (slice_is(deliver.destination, "two.example"))
			world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	}
	usleep(2500000);
	assert_true(fault->count > 0);
	fault->write_error = 0;
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.mail.sender.len, 0);
	assert_true(slice_search(deliver.body, SLICE_LIT("<waits@one.example>")) <
		    deliver.body.len);
	assert_int_equal(slice_search(deliver.body, SLICE_LIT("has@two.example")),
			 deliver.body.len);
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
}

static void count_one(void *arg, const char *name)
{
	(void)name;
	(*(int *)arg)++;
}

static int bodies(const struct world *world)
{
	char path[256];
	int count = 0;

	snprintf(path, sizeof(path), "%s/queue/bodies", world->folder);
	assert_int_equal(file_each(path, count_one, &count), ERR_OK);
	return count;
}

/* There is room for the file, and none for the message: nothing may be left of either. */
static void refused_large_body_leaves_no_file(void **state)
{
	enum { CHUNKS = 4, SIZE = CHUNKS * 65536 };

	struct world *world = *state;
	char *bytes = mem_alloc(SIZE);
	uint64_t key;

	(void)world_mail(world, "b@one.example", slice_of(bytes, SIZE));
	assert_int_equal(bodies(world), 1);
	fault->spared = 65536;
	fault->write_error = ENOSPC;
	key = world_submit(world, 1, "alice@example.org", "b@one.example", slice_of(bytes, SIZE));
	assert_int_equal(world_verdict(world, key), IPC_DISK_FULL);
	assert_true(fault->count > 0);
	assert_int_equal(bodies(world), 1);
	fault->write_error = 0;
	expect_accepting(world, true);
	(void)world_mail(world, "b@one.example", slice_of(bytes, SIZE));
	assert_int_equal(bodies(world), 2);
	mem_free(bytes);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(failed_sync_is_refused_for_certain, setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(disk_that_stays_broken_gives_no_answer, setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(full_disk_recovers_by_itself, setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(large_body_on_a_full_disk, setup, world_teardown),
		cmocka_unit_test_setup_teardown(late_is_told_once_on_a_full_disk, setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(late_leaves_out_who_has_it, setup, world_teardown),
		cmocka_unit_test_setup_teardown(refused_large_body_leaves_no_file, setup,
						world_teardown),
	};
	char page[] = "/tmp/postern-fault-XXXXXX";
	int fd, status;

	if (argc < 3) {
		fprintf(stderr, "usage: %s PROGRAM LIBRARY\n", argv[0]);
		return 2;
	}
	world_program = argv[1];
	if (os_is_root() && (setgid(65534) != 0 || setuid(65534) != 0))
		return 2;
	fd = mkstemp(page);
	if (fd < 0 || ftruncate(fd, sizeof(*fault)) != 0)
		return 2;
	fault = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	setenv("FAULT_PAGE", page, 1);
	setenv("LD_PRELOAD", argv[2], 1); /* of what is started from here */
	status = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(page);
	return status;
}
