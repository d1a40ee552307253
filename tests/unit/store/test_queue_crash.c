/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that writes is killed at a random moment, many times. What it had been told was on
 * disk is there afterwards, whole; what it had been told was gone is gone.
 */
#include "queue_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { ROUNDS = 40, KEYS_MAX = 20000, RECIPIENTS = 2, DOMAINS = 3 };

/* In memory that both processes see: 1 put committed, 2 first ended, 3 all ended. */
struct ledger {
	volatile unsigned char state[KEYS_MAX];
	volatile unsigned char doing[KEYS_MAX]; /* what is being committed now */
	volatile uint64_t next;
};

static void end_first(struct queue_writer *writer, struct queue_reader *reader,
		      struct ledger *ledger, uint64_t key)
{
	struct queue_change ends[RECIPIENTS];
	struct queue_batch batch = {.changes = ends};
	unsigned char state = ledger->state[key];
	char name[32];

	for (uint32_t n = 0; n < RECIPIENTS; n++) {
		struct queue_load load = {.key = key, .limit = 1, .name = {name, 0}};

		if (n == 0 && state == 2)
			continue;
		load.name.len = (size_t)snprintf(name, sizeof(name), "d%u.example",
						 (unsigned)((key + n) % DOMAINS));
		if (queue_reader_load(reader, &load) != ERR_OK || load.count != 1)
			_exit(3);
		ends[batch.change_count++] =
			(struct queue_change){.row = load.loaded[0].rows[0], .end = true};
		queue_load_release(&load);
		if (n == 0 && key % 2 == 0)
			break;
	}
	ledger->doing[key] = batch.change_count == 1 && state == 1 ? 2 : 3;
	if (queue_writer_commit(writer, &batch) != ERR_OK)
		_exit(4);
	ledger->state[key] = ledger->doing[key];
	ledger->doing[key] = 0;
	queue_batch_release(&batch);
}

static void child(const char *folder, struct ledger *ledger)
{
	struct queue_writer *writer = NULL;
	struct queue_reader *reader = NULL;
	struct queue_report report;
	unsigned seed = (unsigned)getpid();

	if (queue_writer_open(folder, NOW, &writer, &report) != ERR_OK ||
	    queue_reader_open(folder, &reader) != ERR_OK)
		_exit(1);
	while (ledger->next + 8 < KEYS_MAX) {
		struct queue_put puts[8];
		struct queue_batch batch = {.puts = puts, .put_count = 1 + rand_r(&seed) % 8u};
		uint64_t first = ledger->next;

		ledger->next = first + batch.put_count;
		for (size_t i = 0; i < batch.put_count; i++) {
			puts[i].mail = fixture_mail(first + i, RECIPIENTS, DOMAINS);
			ledger->doing[first + i] = 1;
		}
		if (queue_writer_commit(writer, &batch) != ERR_OK)
			_exit(2);
		for (size_t i = 0; i < batch.put_count; i++) {
			ledger->state[first + i] = 1;
			ledger->doing[first + i] = 0;
			queue_mail_unref(&puts[i].mail);
		}
		queue_batch_release(&batch);
		for (int i = 0; i < 3; i++) {
			uint64_t key = 1 + (uint64_t)rand_r(&seed) % (ledger->next - 1);

			if (ledger->state[key] == 1 || ledger->state[key] == 2)
				end_first(writer, reader, ledger, key);
		}
	}
	_exit(0);
}

/* Rows of one message as the disk has them. */
static size_t rows_of(struct queue_reader *reader, uint64_t key)
{
	size_t rows = 0;
	char name[32];

	for (uint32_t n = 0; n < RECIPIENTS; n++) {
		struct queue_load load = {
			.key = key, .limit = 1, .bodies = true, .name = {name, 0}};

		load.name.len = (size_t)snprintf(name, sizeof(name), "d%u.example",
						 (unsigned)((key + n) % DOMAINS));
		assert_int_equal(queue_reader_load(reader, &load), ERR_OK);
		if (load.count != 0) {
			fixture_compare(load.loaded[0].mail, RECIPIENTS, DOMAINS);
			rows += load.loaded[0].row_count;
		}
		queue_load_release(&load);
	}
	return rows;
}

static void compare(const char *folder, struct ledger *ledger)
{
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_reader *reader = NULL;

	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	for (uint64_t key = 1; key < ledger->next; key++) {
		static const size_t expected[] = {0, 2, 1, 0};
		size_t rows = rows_of(reader, key);
		size_t before = expected[ledger->state[key]];
		size_t after = expected[ledger->doing[key]];

		if (rows != before && (ledger->doing[key] == 0 || rows != after))
			fail_msg("message %llu: %zu rows, told %u, doing %u",
				 (unsigned long long)key, rows, ledger->state[key],
				 ledger->doing[key]);
		/* What the death left undecided is decided now. */
		if (ledger->doing[key] != 0 && rows == after)
			ledger->state[key] = ledger->doing[key];
		ledger->doing[key] = 0;
		if (ledger->state[key] == 3) {
			struct queue_mail *mail;

			assert_int_equal(queue_reader_mail(reader, key, &mail), ERR_NOT_FOUND);
		}
	}
	queue_reader_close(&reader);
	queue_writer_close(&writer);
}

/*
 * A moment of its work, however slow the machine is: after so many more messages, and a bit; or,
 * one time in four, soon after its start, when it may not even have opened the queue.
 */
static void wait_for_a_moment(const struct ledger *ledger, unsigned *seed)
{
	enum { PATIENCE = 30000 /* ms: then it has ended by itself, and the caller sees how */ };
	uint64_t until = ledger->next + (unsigned)rand_r(seed) % 30;
	bool at_start = rand_r(seed) % 4 == 0;

	for (int ms = 0; !at_start && ledger->next < until && ms < PATIENCE; ms++)
		usleep(1000);
	usleep((unsigned)rand_r(seed) % 10000);
}

static void killed_at_any_moment(void **state)
{
	char *folder = fixture_folder();
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned seed = 7;
	uint64_t told = 0;

	(void)state;
	assert_true(ledger != MAP_FAILED);
	ledger->next = 1;
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			child(folder, ledger);
		wait_for_a_moment(ledger, &seed);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status))
			fail_msg("the writer gave up with %d", WEXITSTATUS(status));
		compare(folder, ledger);
	}
	for (uint64_t key = 1; key < ledger->next; key++)
		told += ledger->state[key] != 0;
	assert_true(told > 50);
	munmap(ledger, sizeof(*ledger));
	fixture_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_moment)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
