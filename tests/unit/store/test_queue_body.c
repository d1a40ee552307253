/* SPDX-License-Identifier: Apache-2.0 */
#include "queue_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { LARGE = 300001 };

static char *large_body(void)
{
	char *body = mem_alloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		body[i] = fixture_byte(77, i);
	return body;
}

/* Puts a message whose body went through an upload in parts of this size. */
static struct queue_mail *put_large(struct queue_writer *writer, const char *folder, uint64_t key,
				    size_t part)
{
	struct queue_upload *upload = NULL;
	struct queue_mail *mail = fixture_mail(key, 1, 1), *large;
	char *body = large_body();
	struct queue_put put = {0};
	struct queue_batch batch = {.puts = &put, .put_count = 1};

	assert_int_equal(queue_upload_open(folder, key, &upload), ERR_OK);
	for (struct slice rest = slice_of(body, LARGE); rest.len != 0;
	     rest = slice_skip(rest, part))
		assert_int_equal(queue_upload_write(upload, slice_head(rest, part)), ERR_OK);
	assert_int_equal(queue_upload_finish(upload), ERR_OK);
	assert_int_equal(queue_upload_size(upload), LARGE);
	large = queue_mail_new(slice_of(mail->envelope, mail->envelope_len),
			       queue_upload_sums(upload));
	large->id = mail->id;
	large->arrived = NOW;
	large->expires = NOW + 1;
	large->size = LARGE;
	large->recipients = 1;
	large->in_file = true;
	queue_upload_close(&upload, false);
	put.mail = large;
	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	assert_int_equal(put.err, ERR_OK);
	queue_batch_release(&batch);
	queue_mail_unref(&mail);
	mem_free(body);
	return large;
}

static void large_body_comes_back(void **state)
{
	static const size_t parts[] = {1000, 65536, 99999, LARGE};
	char *folder = fixture_folder(), *body = large_body(), path[1024];
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_reader *reader = NULL;
	struct queue_load load = {.name = SLICE_LIT("d0.example"), .due = NOW, .limit = 10};
	struct buf out;

	(void)state;
	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	for (uint64_t i = 0; i < 4; i++) {
		struct queue_mail *mail = put_large(writer, folder, i + 1, parts[i]), *again = NULL;

		queue_mail_unref(&mail);
		assert_int_equal(queue_reader_mail(reader, i + 1, &again), ERR_OK);
		for (size_t offset = 0; offset < LARGE; offset += 50000) {
			buf_init(&out, QUEUE_CHUNK);
			assert_int_equal(queue_body_read(folder, again, offset, 50000, &out),
					 ERR_OK);
			assert_memory_equal(buf_data(&out).ptr, body + offset, buf_len(&out));
			assert_int_equal(buf_len(&out),
					 LARGE - offset < 50000 ? LARGE - offset : 50000);
			buf_release(&out);
		}
		buf_init(&out, 10);
		assert_int_equal(queue_body_read(folder, again, LARGE, 1, &out), ERR_RANGE);
		queue_mail_unref(&again);
	}
	/* With its last recipient the file goes. */
	assert_int_equal(queue_reader_load(reader, &load), ERR_OK);
	assert_int_equal(load.count, 4);
	struct queue_change end = {.row = load.loaded[0].rows[0], .end = true, .in_file = true};
	struct queue_batch batch = {.changes = &end, .change_count = 1};

	snprintf(path, sizeof(path), "%s/bodies/%016x", folder, (unsigned)end.row.key);
	assert_true(file_exists(path));
	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	assert_false(file_exists(path));
	queue_batch_release(&batch);
	queue_load_release(&load);
	queue_reader_close(&reader);
	queue_writer_close(&writer);
	fixture_remove(folder);
	mem_free(body);
}

static void changed_file_is_noticed(void **state)
{
	char *folder = fixture_folder(), path[1024];
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_mail *mail = put_large(writer, folder, 1, 5000);
	struct buf out;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/bodies/%016x", folder, 1);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "!", 1, 2 * QUEUE_CHUNK + 5), 1);
	buf_init(&out, QUEUE_CHUNK);
	assert_int_equal(queue_body_read(folder, mail, 0, 1000, &out), ERR_OK);
	buf_clear(&out);
	assert_int_equal(queue_body_read(folder, mail, 2 * QUEUE_CHUNK + 100, 10, &out),
			 ERR_CORRUPT);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_int_equal(queue_body_read(folder, mail, 0, 10, &out), ERR_CORRUPT);
	close(fd);
	/* Neither links nor second names are followed (G6). */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(queue_body_read(folder, mail, 0, 10, &out), ERR_DENIED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(queue_body_read(folder, mail, 0, 10, &out), ERR_DENIED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(queue_body_read(folder, mail, 0, 10, &out), ERR_NOT_FOUND);
	buf_release(&out);
	queue_mail_unref(&mail);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

static void orphans_go_at_start(void **state)
{
	char *folder = fixture_folder(), orphan[1024], kept[1024], other[1024];
	struct queue_writer *writer = fixture_open(folder, NULL);
	struct queue_mail *mail = put_large(writer, folder, 1, 5000);
	struct queue_upload *upload = NULL;
	struct queue_report report;

	(void)state;
	snprintf(orphan, sizeof(orphan), "%s/bodies/%016x", folder, 2);
	snprintf(kept, sizeof(kept), "%s/bodies/%016x", folder, 1);
	snprintf(other, sizeof(other), "%s/bodies/README", folder);
	assert_int_equal(queue_upload_open(folder, 2, &upload), ERR_OK);
	assert_int_equal(queue_upload_write(upload, SLICE_LIT("x")), ERR_OK);
	assert_int_equal(queue_upload_finish(upload), ERR_OK);
	queue_upload_close(&upload, false);
	assert_int_equal(os_write_file(other, SLICE_LIT("mine"), 0600), ERR_OK);
	queue_writer_close(&writer);
	writer = fixture_open(folder, &report);
	assert_int_equal(report.orphans, 1);
	assert_false(file_exists(orphan));
	assert_true(file_exists(kept));
	assert_true(file_exists(other)); /* not ours to remove */
	/* A key that was used has a file that is never written over. */
	assert_int_equal(queue_upload_open(folder, 1, &upload), ERR_EXISTS);
	queue_mail_unref(&mail);
	queue_writer_close(&writer);
	fixture_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_body_comes_back),
		cmocka_unit_test(changed_file_is_noticed),
		cmocka_unit_test(orphans_go_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
