/* SPDX-License-Identifier: Apache-2.0 */
/*
 * G1: bytes of every page are turned over. Whatever is read afterwards is right or set aside;
 * nothing crashes, and mail goes on.
 */
#include "queue_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { MESSAGES = 60, RECIPIENTS = 3, DOMAINS = 5 };

static void copy_file(const char *from, const char *to)
{
	struct buf data;

	buf_init(&data, 64 * 1024 * 1024);
	assert_int_equal(os_read_file(from, 64 * 1024 * 1024, &data), ERR_OK);
	assert_int_equal(os_write_file(to, buf_data(&data), 0600), ERR_OK);
	buf_release(&data);
}

/* All messages, some with a recipient that ended. */
static void make_queue(const char *folder)
{
	struct queue_writer *writer = fixture_open(folder, NULL);

	for (uint64_t key = 1; key <= MESSAGES; key++)
		fixture_put(writer, key, RECIPIENTS, DOMAINS);
	for (uint64_t key = 1; key <= MESSAGES; key += 4) {
		struct queue_mail *mail = fixture_mail(key, RECIPIENTS, DOMAINS);
		struct queue_put unused = {.mail = mail};
		struct queue_reader *reader = NULL;
		char name[32];
		struct queue_load load = {.due = NOW, .limit = 1, .key = key, .name = {name, 0}};

		load.name.len = (size_t)snprintf(name, sizeof(name), "d%u.example",
						 (unsigned)(key % DOMAINS));
		assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
		assert_int_equal(queue_reader_load(reader, &load), ERR_OK);
		struct queue_change end = {.row = load.loaded[0].rows[0], .end = true};
		struct queue_batch batch = {.changes = &end, .change_count = 1};

		assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
		queue_batch_release(&batch);
		queue_load_release(&load);
		queue_reader_close(&reader);
		queue_mail_unref(&unused.mail);
	}
	queue_writer_close(&writer);
}

struct tally {
	size_t messages, rows;
	bool corrupt;
	int64_t ids[64];
	size_t id_count;
};

static void take_id(void *arg, const struct queue_destination *destination)
{
	struct tally *tally = arg;

	if (tally->id_count < 64)
		tally->ids[tally->id_count++] = destination->id;
}

/* Claims everything, compares it, sets aside what says it is damaged. */
static struct tally read_all(const char *folder, struct queue_writer *writer)
{
	struct tally tally = {0};
	struct queue_reader *reader = NULL;
	bool seen[MESSAGES + 1] = {false};
	int64_t cursor = 0;
	enum err err;

	if (queue_reader_open(folder, &reader) != ERR_OK) {
		tally.corrupt = true;
		return tally;
	}
	err = queue_reader_destinations(reader, &cursor, 64, take_id, &tally);
	tally.corrupt = err != ERR_EOF;
	for (size_t i = 0; i < tally.id_count && !tally.corrupt; i++) {
		struct queue_load load = {.destination = tally.ids[i],
					  .due = QUEUE_NEVER,
					  .limit = MESSAGES + 1,
					  .bodies = true};

		err = queue_reader_load(reader, &load);
		tally.corrupt = err != ERR_OK;
		for (size_t j = 0; j < load.count && !tally.corrupt; j++) {
			struct queue_loaded *loaded = &load.loaded[j];

			if (loaded->mail == NULL) {
				struct queue_aside aside = {.key = loaded->rows[0].key,
							    .reason = loaded->damage,
							    .rows = loaded->rows,
							    .row_count = loaded->row_count};
				struct queue_batch batch = {.asides = &aside, .aside_count = 1};

				assert_non_null(loaded->damage);
				tally.corrupt |= queue_writer_commit(writer, &batch) != ERR_OK;
				queue_batch_release(&batch);
				continue;
			}
			fixture_compare(loaded->mail, RECIPIENTS, DOMAINS);
			assert_in_range(loaded->mail->id.key, 1, MESSAGES);
			tally.messages += !seen[loaded->mail->id.key];
			seen[loaded->mail->id.key] = true;
			tally.rows += loaded->row_count;
		}
		queue_load_release(&load);
	}
	queue_reader_close(&reader);
	return tally;
}

static bool can_put(struct queue_writer *writer, uint64_t key)
{
	struct queue_put put = {.mail = fixture_mail(key, 1, 1)};
	struct queue_batch batch = {.puts = &put, .put_count = 1};
	enum err err = queue_writer_commit(writer, &batch);

	if (err != ERR_OK)
		assert_int_equal(err, ERR_CORRUPT);
	queue_batch_release(&batch);
	queue_mail_unref(&put.mail);
	return err == ERR_OK;
}

/* Opens the queue and reads it, as the process does: again when it turns out to be damaged. */
static struct tally survive(const char *folder)
{
	struct tally tally = {0};

	for (int round = 0; round < 3; round++) {
		struct queue_writer *writer = fixture_open(folder, NULL);

		tally = read_all(folder, writer);
		if (!tally.corrupt) /* mail goes on, or the damage shows now */
			tally.corrupt = !can_put(writer, 1000000 + (uint64_t)round);
		if (tally.corrupt)
			assert_int_equal(queue_mark_damaged(folder), ERR_OK);
		queue_writer_close(&writer);
		if (!tally.corrupt)
			return tally;
	}
	fail_msg("the salvaged database is damaged too");
	return tally;
}

static void flip(const char *path, off_t at, size_t len, unsigned char mask)
{
	int fd = open(path, O_RDWR);
	unsigned char bytes[512];

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, len, at), (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= mask;
	assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
	close(fd);
}

static bool is_inner(const char *path, off_t page)
{
	int fd = open(path, O_RDONLY);
	unsigned char type = 0;

	assert_int_equal(pread(fd, &type, 1, page), 1);
	close(fd);
	return type == 5;
}

static void every_page(void **state)
{
	char *origin = fixture_folder(), from[1024], to[1024];
	struct tally whole;
	struct stat st;
	unsigned seed = 1;
	size_t pages, page;

	(void)state;
	make_queue(origin);
	snprintf(from, sizeof(from), "%s/queue.db", origin);
	assert_int_equal(stat(from, &st), 0);
	page = 8192;
	pages = (size_t)st.st_size / page;
	assert_true(pages > 20);
	whole = (struct tally){.messages = MESSAGES,
			       .rows = MESSAGES * RECIPIENTS - (MESSAGES + 3) / 4};
	for (size_t i = 0; i < pages * 4; i++) {
		char *folder = fixture_folder();
		off_t start = (off_t)(i / 4 * page);
		struct tally tally;

		snprintf(to, sizeof(to), "%s/queue.db", folder);
		copy_file(from, to);
		if (i % 4 == 0) /* header and cell pointers of the page */
			flip(to, start, 64, 0xff);
		else if (i % 4 == 1) /* its end, where the first cells lie */
			flip(to, start + (off_t)page - 200, 200, 0x55);
		else /* one bit anywhere */
			flip(to, start + (off_t)((size_t)rand_r(&seed) % page), 1,
			     (unsigned char)(1u << rand_r(&seed) % 8));
		tally = survive(folder);
		/*
		 * One page holds a few messages; all others are there. Page 1 (the schema) and the
		 * inner pages of the tree of messages lead to many: what they lead to stays in the
		 * file that is set aside.
		 */
		if (i / 4 != 0 && !is_inner(from, start) && tally.messages + 12 < whole.messages)
			fail_msg("page %zu, case %zu: %zu messages left", i / 4, i % 4,
				 tally.messages);
		fixture_remove(folder);
	}
	fixture_remove(origin);
}

static void untouched_queue_is_whole(void **state)
{
	char *folder = fixture_folder();
	struct tally tally;

	(void)state;
	make_queue(folder);
	tally = survive(folder);
	assert_int_equal(tally.messages, MESSAGES);
	assert_int_equal(tally.rows, MESSAGES * RECIPIENTS - (MESSAGES + 3) / 4);
	fixture_remove(folder);
}

static void salvage_keeps_everything_readable(void **state)
{
	char *folder = fixture_folder();
	struct queue_writer *writer;
	struct queue_report report;
	struct tally tally;

	(void)state;
	make_queue(folder);
	assert_int_equal(queue_mark_damaged(folder), ERR_OK);
	writer = fixture_open(folder, &report);
	assert_true(report.set_aside);
	assert_int_equal(report.salvaged, MESSAGES);
	assert_int_equal(report.lost, 0);
	assert_true(file_exists(report.aside_path));
	tally = read_all(folder, writer);
	assert_false(tally.corrupt);
	assert_int_equal(tally.messages, MESSAGES);
	assert_int_equal(tally.rows, MESSAGES * RECIPIENTS - (MESSAGES + 3) / 4);
	queue_writer_close(&writer);
	/* The mark is gone: the next start is an ordinary one. */
	writer = fixture_open(folder, &report);
	assert_false(report.set_aside);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

static void no_database_at_all(void **state)
{
	char *folder = fixture_folder(), path[1024];
	struct queue_report report;
	struct queue_writer *writer;

	(void)state;
	snprintf(path, sizeof(path), "%s/queue.db", folder);
	assert_int_equal(os_write_file(path,
				       SLICE_LIT("From: me\n\nthis is no database, "
						 "whatever its name may say ........"),
				       0600),
			 ERR_OK);
	writer = fixture_open(folder, &report);
	assert_true(report.set_aside);
	fixture_put(writer, 1000000, 1, 1);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

static void other_version_is_refused(void **state)
{
	char *folder = fixture_folder(), command[1024];
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_report report;

	(void)state;
	fixture_put(writer, 1, 1, 1);
	queue_writer_close(&writer);
	snprintf(command, sizeof(command),
		 "sqlite3 %s/queue.db \"UPDATE meta SET value=99 WHERE name='schema'\"", folder);
	if (system(command) != 0) /* the tool is not there */
		skip();
	assert_int_equal(queue_writer_open(folder, NOW, &writer, &report), ERR_RANGE);
	assert_non_null(strstr(report.why, "schema 99"));
	assert_false(report.set_aside);
	fixture_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(untouched_queue_is_whole),
		cmocka_unit_test(salvage_keeps_everything_readable),
		cmocka_unit_test(every_page),
		cmocka_unit_test(no_database_at_all),
		cmocka_unit_test(other_version_is_refused),
	};

	/* Hundreds of databases are made, and nobody pulls the plug: a disk would only be waited
	 * for. */
	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
