/* SPDX-License-Identifier: Apache-2.0 */
/* What a sender asked for, as the store keeps it: when rows are due, deadlines, notices; and the
 * way from the schema before these. */
#include "queue_fixture.h"

#include <sqlite3.h>

#include "store/queue_internal.h"

/* One recipient at d.example. */
static struct queue_mail *terms_mail(uint64_t key, const struct queue_envelope *terms)
{
	struct queue_envelope envelope = *terms;
	struct queue_recipient recipient = {.address = SLICE_LIT("r@d.example"),
					    .orcpt = SLICE_LIT("")};
	struct queue_mail *mail;
	struct buf text;

	envelope.sender = envelope.bounce = SLICE_LIT("s@here.example");
	envelope.account = envelope.log_id = envelope.envid = envelope.auth = SLICE_LIT("");
	envelope.count = 1;
	buf_init(&text, 4096);
	assert_int_equal(queue_envelope_begin(&text, &envelope), ERR_OK);
	assert_int_equal(queue_envelope_add(&text, &recipient), ERR_OK);
	mail = queue_mail_new(buf_data(&text), SLICE_LIT("body\r\n"));
	buf_release(&text);
	mail->id.key = key;
	fixture_random(key, mail->id.random);
	mail->arrived = NOW;
	mail->expires = NOW + 100000;
	mail->size = 6;
	mail->recipients = 1;
	return mail;
}

static void put_terms(struct queue_writer *writer, uint64_t key, const struct queue_envelope *terms)
{
	struct queue_put put = {.mail = terms_mail(key, terms)};
	struct queue_batch batch = {.puts = &put, .put_count = 1};

	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	assert_int_equal(put.err, ERR_OK);
	queue_batch_release(&batch);
	queue_mail_unref(&put.mail);
}

struct seen {
	struct queue_row rows[16];
	size_t count;
};

static bool see(void *arg, const struct queue_view *view)
{
	struct seen *seen = arg;

	assert_true(seen->count < 16);
	seen->rows[seen->count++] = view->row;
	return true;
}

static struct seen look(const char *folder)
{
	struct queue_reader *reader = NULL;
	struct queue_scan scan = {0};
	struct seen seen = {0};

	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	assert_int_equal(queue_reader_scan(reader, &scan, 100, see, &seen), ERR_EOF);
	queue_reader_close(&reader);
	return seen;
}

/* RFC 4865: not tried before; RFC 6710: what is urgent stands in front, nothing behind its time. */
static void rows_are_due_as_asked(void **state)
{
	char *folder = fixture_folder();
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct seen seen;

	(void)state;
	put_terms(writer, 1, &(struct queue_envelope){.priority = 0});
	put_terms(writer, 2, &(struct queue_envelope){.priority = 10 + 3});
	put_terms(writer, 3, &(struct queue_envelope){.priority = 10 - 3});
	put_terms(writer, 4, &(struct queue_envelope){.release_at = NOW + 5000});
	put_terms(writer, 5,
		  &(struct queue_envelope){.release_at = NOW + 6000, .priority = 10 + 9});
	queue_writer_close(&writer);
	seen = look(folder);
	assert_int_equal(seen.count, 5);
	assert_int_equal(seen.rows[0].key, 2);
	assert_int_equal(seen.rows[0].due, NOW - 3 * QUEUE_PRIORITY_MS);
	assert_int_equal(seen.rows[1].key, 1);
	assert_int_equal(seen.rows[2].key, 3);
	assert_int_equal(seen.rows[2].due, NOW);
	assert_int_equal(seen.rows[3].due, NOW + 5000);
	assert_int_equal(seen.rows[4].due, NOW + 6000);
	fixture_remove(folder);
}

static void deadlines_come_in_order(void **state)
{
	char *folder = fixture_folder();
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_reader *reader = NULL;
	struct queue_deadline found[4], from = {0};
	size_t count;
	int64_t next;

	(void)state;
	put_terms(writer, 1,
		  &(struct queue_envelope){.deliver_by = NOW + 300, .by_mode = QUEUE_BY_RETURN});
	put_terms(writer, 2,
		  &(struct queue_envelope){.deliver_by = NOW + 200, .by_mode = QUEUE_BY_NOTIFY});
	/* Later than it expires: nothing is to be done then. */
	put_terms(writer, 3,
		  &(struct queue_envelope){.deliver_by = NOW + 100000, .by_mode = QUEUE_BY_RETURN});
	/* It cannot be met: at once. */
	put_terms(writer, 4,
		  &(struct queue_envelope){.deliver_by = NOW + 500,
					   .by_mode = QUEUE_BY_RETURN,
					   .release_at = NOW + 500});
	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	assert_int_equal(queue_reader_deadlines(reader, from, NOW + 200, 4, found, &count, &next),
			 ERR_OK);
	assert_int_equal(count, 2);
	assert_int_equal(found[0].key, 4);
	assert_int_equal(found[1].key, 2);
	assert_int_equal(next, NOW + 300);
	assert_int_equal(queue_reader_deadlines(reader, from, NOW + 300, 1, found, &count, &next),
			 ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(next, NOW + 200); /* no room */
	from = found[0];
	assert_int_equal(queue_reader_deadlines(reader, from, NOW + 300, 1, found, &count, &next),
			 ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(found[0].key, 2);
	assert_int_equal(next, NOW + 300);
	from = (struct queue_deadline){0};

	struct queue_deadline done[] = {{NOW, 4}, {NOW + 200, 2}};
	struct queue_batch batch = {.deadlines = done, .deadline_count = 2};

	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	queue_batch_release(&batch);
	assert_int_equal(queue_reader_deadlines(reader, from, NOW + 900, 4, found, &count, &next),
			 ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(found[0].key, 1);
	assert_int_equal(next, QUEUE_NEVER);
	queue_reader_close(&reader);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

static void notice_changes_nothing_else(void **state)
{
	char *folder = fixture_folder();
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_change later = {.row = {.destination = 1, .due = NOW, .key = 1},
				     .due = NOW + 70,
				     .attempts = 1,
				     .state = QUEUE_DEFERRED};
	/* The row has moved since it was read: it is found all the same. */
	struct queue_change notice = {.row = {.destination = 1, .due = NOW, .key = 1},
				      .notice = QUEUE_NOTICE_FIRST};
	struct queue_change more = notice, both[2];
	struct queue_batch batch = {.changes = both, .change_count = 2};
	struct seen seen;

	(void)state;
	put_terms(writer, 1, &(struct queue_envelope){0});
	both[0] = later;
	both[1] = notice;
	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	queue_batch_release(&batch);
	more.notice = QUEUE_NOTICE_BY;
	batch = (struct queue_batch){.changes = &more, .change_count = 1};
	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	queue_batch_release(&batch);
	queue_writer_close(&writer);
	seen = look(folder);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.rows[0].due, NOW + 70);
	assert_int_equal(seen.rows[0].state, QUEUE_DEFERRED);
	assert_int_equal(seen.rows[0].attempts, 1);
	assert_int_equal(seen.rows[0].notice, QUEUE_NOTICE_FIRST | QUEUE_NOTICE_BY);
	fixture_remove(folder);
}

static void chosen_messages_are_loaded_in_one_pass(void **state)
{
	char *folder = fixture_folder();
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_reader *reader = NULL;
	const uint64_t keys[] = {2, 5, 9, 77};
	struct queue_load load = {.destination = 1, .keys = keys, .key_count = 4, .limit = 4};

	(void)state;
	for (uint64_t key = 1; key < 10; key++)
		put_terms(writer, key, &(struct queue_envelope){0});
	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	assert_int_equal(queue_reader_load(reader, &load), ERR_OK);
	assert_int_equal(load.count, 3);
	assert_int_equal(load.loaded[0].rows[0].key, 2);
	assert_int_equal(load.loaded[2].rows[0].key, 9);
	assert_int_equal(load.loaded[1].mail->id.key, 5);
	queue_load_release(&load);
	queue_reader_close(&reader);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

static void place_knows_who_waits(void **state)
{
	char *folder = fixture_folder();
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_reader *reader = NULL;
	struct queue_change changes[3] = {{.row = {.destination = 1, .due = NOW, .key = 1},
					   .due = NOW + 70,
					   .state = QUEUE_DEFERRED},
					  {.row = {.destination = 1, .due = NOW, .key = 2},
					   .due = QUEUE_HELD_DUE,
					   .state = QUEUE_HELD},
					  {.row = {.destination = 1, .due = NOW, .key = 5},
					   .due = NOW + 60,
					   .state = QUEUE_UNCERTAIN}};
	struct queue_batch batch = {.changes = changes, .change_count = 3};
	struct queue_row rows[4];
	int64_t destination;
	uint64_t waiting;
	size_t count;
	bool there;

	(void)state;
	for (uint64_t key = 1; key < 4; key++)
		put_terms(writer, key, &(struct queue_envelope){0});
	put_terms(writer, 4, &(struct queue_envelope){.release_at = NOW + 50});
	put_terms(writer, 5, &(struct queue_envelope){0});
	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	queue_batch_release(&batch);
	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	assert_int_equal(queue_reader_place(reader, SLICE_LIT("d.example"), NOW, 4, &destination,
					    &waiting, rows, &count),
			 ERR_OK);
	assert_int_equal(destination, 1);
	assert_int_equal(waiting, 2); /* not held, not before its release, not uncertain */
	assert_int_equal(count, 1);   /* what waits for its release is not woken */
	assert_int_equal(rows[0].key, 1);
	assert_int_equal(queue_reader_has(reader, &rows[0], &there), ERR_OK);
	assert_true(there);
	rows[0].due++; /* as it was before it moved */
	assert_int_equal(queue_reader_has(reader, &rows[0], &there), ERR_OK);
	assert_false(there);
	assert_int_equal(queue_reader_place(reader, SLICE_LIT("other.example"), NOW, 4,
					    &destination, &waiting, rows, &count),
			 ERR_OK);
	assert_int_equal(destination, 0);
	assert_int_equal(waiting, 0);
	queue_reader_close(&reader);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

/* ---- from schema 1 ----------------------------------------------------------------------- */
/* Word for word what this schema was made with. */
static const char schema_1[] =
	"PRAGMA page_size=8192; PRAGMA journal_mode=WAL;"
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE destination(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" due INTEGER NOT NULL, failures INTEGER NOT NULL, last TEXT NOT NULL);"
	"CREATE TABLE message(key INTEGER PRIMARY KEY, random BLOB NOT NULL, arrived INTEGER NOT "
	"NULL,"
	" expires INTEGER NOT NULL, size INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" recipients INTEGER NOT NULL, in_file INTEGER NOT NULL, envelope BLOB NOT NULL,"
	" checksum INTEGER NOT NULL, body BLOB NOT NULL);"
	"CREATE TABLE progress(key INTEGER PRIMARY KEY, ended INTEGER NOT NULL);"
	"CREATE TABLE recipient(destination INTEGER NOT NULL, due INTEGER NOT NULL,"
	" key INTEGER NOT NULL, n INTEGER NOT NULL, attempts INTEGER NOT NULL, state INTEGER NOT "
	"NULL,"
	" last TEXT NOT NULL, PRIMARY KEY(destination, due, key, n)) WITHOUT ROWID;"
	"CREATE TABLE damaged(key INTEGER PRIMARY KEY, found INTEGER NOT NULL, reason TEXT NOT "
	"NULL,"
	" random BLOB, arrived INTEGER, expires INTEGER, size INTEGER, flags INTEGER,"
	" recipients INTEGER, in_file INTEGER, envelope BLOB, checksum INTEGER, body BLOB);"
	"CREATE TABLE damaged_recipient(key INTEGER NOT NULL, destination INTEGER NOT NULL,"
	" n INTEGER NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY(key, destination, n)) WITHOUT "
	"ROWID;"
	"PRAGMA application_id=1349743697;"
	"INSERT INTO meta VALUES('schema', 1), ('next_key', 5), ('overwritten', 0);"
	"INSERT INTO destination VALUES(1, 'd.example', 777, 2, '421 no');";

static void insert_old(sqlite3 *db, struct queue_mail *mail)
{
	static const char message[] =
		"INSERT INTO message VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)";
	static const char row[] = "INSERT INTO recipient VALUES(1,?1,?2,0,2,1,'450 later')";
	struct queue_envelope envelope;
	sqlite3_stmt *s;

	assert_int_equal(
		queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope),
		ERR_OK);
	queue_envelope_set_destination(mail->envelope + (envelope.recipients.ptr - mail->envelope),
				       1);
	assert_int_equal(sqlite3_prepare_v2(db, message, -1, &s, NULL), SQLITE_OK);
	sqlite3_bind_int64(s, 1, (int64_t)mail->id.key);
	sqlite3_bind_blob(s, 2, mail->id.random, MSGID_RANDOM, SQLITE_STATIC);
	sqlite3_bind_int64(s, 3, mail->arrived);
	sqlite3_bind_int64(s, 4, mail->expires);
	sqlite3_bind_int64(s, 5, (int64_t)mail->size);
	sqlite3_bind_int64(s, 6, mail->flags);
	sqlite3_bind_int64(s, 7, mail->recipients);
	sqlite3_bind_int64(s, 8, 0);
	sqlite3_bind_blob(s, 9, mail->envelope, (int)mail->envelope_len, SQLITE_STATIC);
	sqlite3_bind_int64(s, 10, (int64_t)queue_mail_checksum(mail));
	sqlite3_bind_blob(s, 11, mail->body, (int)mail->body_len, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(s), SQLITE_DONE);
	sqlite3_finalize(s);
	assert_int_equal(sqlite3_prepare_v2(db, row, -1, &s, NULL), SQLITE_OK);
	sqlite3_bind_int64(s, 1, NOW + 300);
	sqlite3_bind_int64(s, 2, (int64_t)mail->id.key);
	assert_int_equal(sqlite3_step(s), SQLITE_DONE);
	sqlite3_finalize(s);
}

static void make_old(const char *folder)
{
	struct queue_mail *mail = terms_mail(3, &(struct queue_envelope){0});
	char path[1024];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/queue.db", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_1, NULL, NULL, NULL), SQLITE_OK);
	insert_old(db, mail);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	queue_mail_unref(&mail);
}

static void schema_1_is_taken_over(void **state)
{
	char *folder = fixture_folder();
	struct queue_report report;
	struct queue_writer *writer;
	struct queue_reader *reader = NULL;
	struct queue_mail *mail = NULL;
	struct seen seen;

	(void)state;
	make_old(folder);
	writer = fixture_open(folder, &report);
	assert_int_equal(report.upgraded_from, 1);
	assert_false(report.set_aside || report.created);
	put_terms(writer, 9, &(struct queue_envelope){.deliver_by = NOW + 9, .by_mode = 2});
	seen = look(folder);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.rows[0].key, 9);
	assert_int_equal(seen.rows[1].key, 3);
	assert_int_equal(seen.rows[1].due, NOW + 300);
	assert_int_equal(seen.rows[1].attempts, 2);
	assert_int_equal(seen.rows[1].notice, 0);
	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	assert_int_equal(queue_reader_mail(reader, 3, &mail), ERR_OK);
	assert_int_equal(mail->body_len, 6);
	queue_mail_unref(&mail);
	queue_reader_close(&reader);
	queue_writer_close(&writer);
	/* Once. */
	writer = fixture_open(folder, &report);
	assert_int_equal(report.upgraded_from, 0);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

/* Its damaged database is salvaged into one of today's. */
static void damaged_schema_1_is_salvaged(void **state)
{
	char *folder = fixture_folder();
	struct queue_report report;
	struct queue_writer *writer;
	struct seen seen;

	(void)state;
	make_old(folder);
	assert_int_equal(queue_mark_damaged(folder), ERR_OK);
	writer = fixture_open(folder, &report);
	assert_true(report.set_aside);
	assert_int_equal(report.salvaged, 1);
	queue_writer_close(&writer);
	seen = look(folder);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.rows[0].due, NOW + 300);
	assert_int_equal(seen.rows[0].attempts, 2);
	fixture_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_due_as_asked),
		cmocka_unit_test(deadlines_come_in_order),
		cmocka_unit_test(notice_changes_nothing_else),
		cmocka_unit_test(chosen_messages_are_loaded_in_one_pass),
		cmocka_unit_test(place_knows_who_waits),
		cmocka_unit_test(schema_1_is_taken_over),
		cmocka_unit_test(damaged_schema_1_is_salvaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
