/* SPDX-License-Identifier: Apache-2.0 */
#include "queue_fixture.h"

struct fixture {
	char *folder;
	struct queue_writer *writer;
	struct queue_reader *reader;
};

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->folder = fixture_folder();
	f->writer = fixture_open(f->folder, NULL);
	assert_int_equal(queue_reader_open(f->folder, &f->reader), ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	queue_reader_close(&f->reader);
	queue_writer_close(&f->writer);
	fixture_remove(f->folder);
	mem_free(f);
	return 0;
}

static struct queue_load load(struct fixture *f, const char *name, int64_t due, size_t limit)
{
	struct queue_load load = {
		.name = slice_str(name), .due = due, .limit = limit, .bodies = true};

	assert_int_equal(queue_reader_load(f->reader, &load), ERR_OK);
	return load;
}

static void commit(struct fixture *f, struct queue_batch *batch)
{
	assert_int_equal(queue_writer_commit(f->writer, batch), ERR_OK);
}

static void put_and_claim(void **state)
{
	struct fixture *f = *state;
	struct queue_load got;
	struct msgid id = {.key = 5};
	bool known;

	fixture_put(f->writer, 5, 3, 2);
	fixture_put(f->writer, 6, 1, 2);
	got = load(f, "d1.example", NOW, 10);
	assert_int_equal(got.count, 1); /* of 5: recipients 0 and 2 */
	assert_int_equal(got.loaded[0].row_count, 2);
	assert_int_equal(got.loaded[0].rows[1].n, 2);
	assert_int_equal(got.loaded[0].mail->id.key, 5);
	assert_int_equal(got.next_due, QUEUE_NEVER);
	fixture_compare(got.loaded[0].mail, 3, 2);
	queue_load_release(&got);
	got = load(f, "d0.example", NOW, 1);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.next_due, NOW); /* that of 6 */
	queue_load_release(&got);
	got = load(f, "d0.example", NOW - 1, 1);
	assert_int_equal(got.count, 0);
	assert_int_equal(got.next_due, NOW);
	queue_load_release(&got);
	got = load(f, "elsewhere.example", NOW, 1);
	assert_int_equal(got.count, 0);
	queue_load_release(&got);
	fixture_random(5, id.random);
	assert_int_equal(queue_reader_known(f->reader, &id, &known), ERR_OK);
	assert_true(known);
	id.random[3] ^= 1;
	assert_int_equal(queue_reader_known(f->reader, &id, &known), ERR_OK);
	assert_false(known);
}

static void key_is_used_once(void **state)
{
	struct fixture *f = *state;
	struct queue_put puts[] = {{.mail = fixture_mail(1, 1, 1)},
				   {.mail = fixture_mail(1, 1, 1)},
				   {.mail = fixture_mail(2, 1, 1)}};
	struct queue_batch batch = {.puts = puts, .put_count = 3};

	commit(f, &batch);
	assert_int_equal(puts[0].err, ERR_OK);
	assert_int_equal(puts[1].err, ERR_EXISTS);
	assert_int_equal(puts[2].err, ERR_OK);
	queue_batch_release(&batch);
	for (int i = 0; i < 3; i++)
		queue_mail_unref(&puts[i].mail);
	assert_int_equal(fixture_count(f->folder), 2);
}

static void envelope_that_lies_is_refused(void **state)
{
	struct fixture *f = *state;
	struct queue_put put = {.mail = fixture_mail(1, 2, 1)};
	struct queue_batch batch = {.puts = &put, .put_count = 1};

	put.mail->recipients = 3;
	commit(f, &batch);
	assert_int_equal(put.err, ERR_RANGE);
	queue_batch_release(&batch);
	put.mail->recipients = 2;
	put.mail->id.key = UINT64_MAX;
	commit(f, &batch);
	assert_int_equal(put.err, ERR_RANGE);
	queue_batch_release(&batch);
	queue_mail_unref(&put.mail);
	assert_int_equal(fixture_count(f->folder), 0);
}

static size_t change(struct fixture *f, struct queue_change change)
{
	struct queue_batch batch = {.changes = &change, .change_count = 1};
	size_t ended;

	commit(f, &batch);
	ended = batch.ended_count;
	queue_batch_release(&batch);
	return ended;
}

static void message_goes_with_its_last_recipient(void **state)
{
	struct fixture *f = *state;
	struct queue_load got;
	struct queue_row rows[3];
	struct queue_mail *mail;

	fixture_put(f->writer, 9, 3, 1);
	got = load(f, "d0.example", NOW, 10);
	memcpy(rows, got.loaded[0].rows, sizeof(rows));
	queue_load_release(&got);
	assert_int_equal(change(f, (struct queue_change){.row = rows[1], .end = true}), 0);
	/* The same news again counts once. */
	assert_int_equal(change(f, (struct queue_change){.row = rows[1], .end = true}), 0);
	assert_int_equal(change(f, (struct queue_change){.row = rows[0],
							 .due = NOW + 60,
							 .attempts = 1,
							 .state = QUEUE_DEFERRED,
							 .last = SLICE_LIT("451 later")}),
			 0);
	got = load(f, "d0.example", NOW, 10);
	assert_int_equal(got.loaded[0].row_count, 1);
	assert_int_equal(got.loaded[0].rows[0].n, 2);
	assert_int_equal(got.next_due, NOW + 60);
	queue_load_release(&got);
	assert_int_equal(change(f, (struct queue_change){.row = rows[2], .end = true}), 0);
	/* This row moved since it was read: it is found all the same. */
	assert_int_equal(change(f, (struct queue_change){.row = rows[0], .end = true}), 1);
	assert_int_equal(queue_reader_mail(f->reader, 9, &mail), ERR_NOT_FOUND);
	assert_int_equal(fixture_count(f->folder), 0);
}

static void what_is_held_stays_held(void **state)
{
	struct fixture *f = *state;
	struct queue_load got;
	struct queue_row row;

	fixture_put(f->writer, 9, 1, 1);
	got = load(f, "d0.example", NOW, 10);
	row = got.loaded[0].rows[0];
	queue_load_release(&got);
	change(f, (struct queue_change){
			  .row = row, .due = QUEUE_HELD_DUE, .state = QUEUE_HELD, .force = true});
	/* A result that was under way meanwhile. */
	change(f, (struct queue_change){
			  .row = row, .due = NOW + 5, .attempts = 4, .state = QUEUE_DEFERRED});
	got = load(f, "d0.example", NOW + 1000000, 10);
	assert_int_equal(got.count, 0);
	assert_int_equal(got.next_due, QUEUE_HELD_DUE);
	queue_load_release(&got);
	row.due = QUEUE_HELD_DUE;
	row.state = QUEUE_HELD;
	change(f, (struct queue_change){.row = row, .due = NOW + 7, .attempts = 4, .force = true});
	got = load(f, "d0.example", NOW + 7, 10);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.loaded[0].rows[0].attempts, 4);
	queue_load_release(&got);
}

static void collect(void *arg, const struct queue_destination *destination)
{
	struct queue_destination *all = arg;

	for (int i = 0; i < 4; i++) {
		if (all[i].id == 0) {
			all[i] = *destination;
			return;
		}
	}
}

static void destinations_remember(void **state)
{
	struct fixture *f = *state;
	struct queue_destination all[4] = {{0}}, set;
	struct queue_batch batch = {.destinations = &set, .destination_count = 1};
	int64_t cursor = 0;

	fixture_put(f->writer, 1, 2, 2);
	assert_int_equal(queue_reader_destinations(f->reader, &cursor, 10, collect, all), ERR_EOF);
	assert_int_equal(all[0].first_due, NOW);
	set = (struct queue_destination){
		.id = all[0].id, .due = NOW + 99, .failures = 3, .last = SLICE_LIT("no route")};
	commit(f, &batch);
	queue_batch_release(&batch);
	queue_reader_close(&f->reader);
	queue_writer_close(&f->writer);
	f->writer = fixture_open(f->folder, NULL);
	assert_int_equal(queue_reader_open(f->folder, &f->reader), ERR_OK);
	memset(all, 0, sizeof(all));
	cursor = 0;
	assert_int_equal(queue_reader_destinations(f->reader, &cursor, 1, collect, all), ERR_OK);
	assert_int_equal(queue_reader_destinations(f->reader, &cursor, 1, collect, all), ERR_OK);
	assert_int_equal(queue_reader_destinations(f->reader, &cursor, 1, collect, all), ERR_EOF);
	assert_int_equal(all[0].due, NOW + 99);
	assert_int_equal(all[0].failures, 3);
	assert_int_equal(all[1].due, 0);
}

static void keys_never_come_twice(void **state)
{
	struct fixture *f = *state;
	uint64_t above = 0;

	for (int i = 0; i < 3; i++) {
		struct queue_batch batch = {.want_keys = true};

		commit(f, &batch);
		assert_true(batch.first_key > above);
		above = batch.first_key + batch.key_count - 1;
		queue_batch_release(&batch);
		queue_writer_close(&f->writer);
		f->writer = fixture_open(f->folder, NULL);
	}
}

struct seen {
	size_t rows;
	uint64_t keys;
	size_t stop_after;
};

static bool see(void *arg, const struct queue_view *view)
{
	struct seen *seen = arg;

	assert_non_null(view->mail);
	assert_true(slice_starts(view->recipient.address, "r"));
	assert_true(slice_starts(view->destination, "d"));
	assert_true(slice_starts(view->envelope->sender, "sender-"));
	seen->keys += view->mail->id.key;
	seen->rows++;
	return seen->rows != seen->stop_after;
}

static void scan_goes_on_where_it_stopped(void **state)
{
	struct fixture *f = *state;
	struct queue_scan scan = {.with_mail = true};
	struct seen seen = {.stop_after = 5};
	enum err err;

	for (uint64_t key = 1; key <= 20; key++)
		fixture_put(f->writer, key, 2, 3);
	while ((err = queue_reader_scan(f->reader, &scan, 7, see, &seen)) == ERR_OK)
		;
	assert_int_equal(err, ERR_EOF);
	assert_int_equal(seen.rows, 40);
	assert_int_equal(seen.keys, 2 * 210);
}

static void damaged_message_is_set_aside(void **state)
{
	struct fixture *f = *state;
	struct queue_load got;
	struct queue_aside aside = {.key = 3, .reason = "test"};
	struct queue_batch batch = {.asides = &aside, .aside_count = 1};
	uint64_t damaged = 0;

	fixture_put(f->writer, 3, 2, 2); /* d1 and d0 */
	got = load(f, "d0.example", NOW, 10);
	aside.rows = got.loaded[0].rows;
	aside.row_count = 1;
	commit(f, &batch);
	queue_batch_release(&batch);
	queue_load_release(&got);
	assert_int_equal(queue_reader_damaged(f->reader, &damaged), ERR_OK);
	assert_int_equal(damaged, 1);
	got = load(f, "d0.example", NOW, 10);
	assert_int_equal(got.count, 0);
	queue_load_release(&got);
	got = load(f, "d1.example", NOW, 10); /* its other row says why it has no message */
	assert_int_equal(got.count, 1);
	assert_null(got.loaded[0].mail);
	assert_non_null(got.loaded[0].damage);
	queue_load_release(&got);
}

static void tidy_forgets_idle_destinations(void **state)
{
	struct fixture *f = *state;
	struct queue_destination all[4] = {{0}};
	struct queue_load got;
	int64_t cursor = 0;

	fixture_put(f->writer, 1, 1, 2); /* d1 */
	fixture_put(f->writer, 2, 1, 2); /* d0 */
	got = load(f, "d1.example", NOW, 1);
	change(f, (struct queue_change){.row = got.loaded[0].rows[0], .end = true});
	queue_load_release(&got);
	assert_int_equal(queue_writer_tidy(f->writer), ERR_OK);
	assert_int_equal(queue_reader_destinations(f->reader, &cursor, 9, collect, all), ERR_EOF);
	assert_true(slice_is(slice_head(all[0].name, 0), ""));
	assert_int_equal(all[1].id, 0);
	fixture_put(f->writer, 3, 1, 2); /* d1 again, under a number of its own */
	got = load(f, "d1.example", NOW, 1);
	assert_int_equal(got.count, 1);
	queue_load_release(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(put_and_claim, setup, teardown),
		cmocka_unit_test_setup_teardown(key_is_used_once, setup, teardown),
		cmocka_unit_test_setup_teardown(envelope_that_lies_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(message_goes_with_its_last_recipient, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_held_stays_held, setup, teardown),
		cmocka_unit_test_setup_teardown(destinations_remember, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_never_come_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(scan_goes_on_where_it_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_message_is_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(tidy_forgets_idle_destinations, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
