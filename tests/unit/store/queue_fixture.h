/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of its own for a queue, and messages whose every part can be told from their key. */
#ifndef POSTERN_TEST_QUEUE_FIXTURE_H
#define POSTERN_TEST_QUEUE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "os/disk.h"
#include "os/os.h"
#include "store/queue.h"

enum { NOW = 1000000 };

static inline char *fixture_folder(void)
{
	const char *base = getenv("TMPDIR");
	char path[512];

	snprintf(path, sizeof(path), "%s/postern-queue-XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	return mem_strdup(path);
}

static inline void fixture_remove_one(void *arg, const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	if (unlink(path) != 0)
		(void)file_each(path, fixture_remove_one, path);
	(void)rmdir(path);
}

static inline void fixture_remove(char *folder)
{
	(void)file_each(folder, fixture_remove_one, folder);
	(void)rmdir(folder);
	mem_free(folder);
}

static inline void fixture_random(uint64_t key, unsigned char random_out[MSGID_RANDOM])
{
	for (int i = 0; i < MSGID_RANDOM; i++)
		random_out[i] = (unsigned char)(key * 31 + (uint64_t)i * 7);
}

static inline size_t fixture_body_len(uint64_t key)
{
	return 100 + key * 7919 % 30000;
}

static inline char fixture_byte(uint64_t key, size_t at)
{
	return (char)('a' + (key * 131 + at * 17 + at / 97) % 26);
}

/* count recipients, number i at the domain dI.example (I modulo domains). */
static inline struct queue_mail *fixture_mail(uint64_t key, uint32_t count, uint32_t domains)
{
	struct buf text;
	char sender[64], address[64], *body;
	size_t len = fixture_body_len(key);
	struct queue_mail *mail;

	buf_init(&text, QUEUE_ENVELOPE_MAX);
	snprintf(sender, sizeof(sender), "sender-%llu@here.example", (unsigned long long)key);
	struct queue_envelope envelope = {.sender = slice_str(sender),
					  .account = SLICE_LIT("account"),
					  .log_id = SLICE_LIT("logid"),
					  .bounce = slice_str(sender),
					  .envid = SLICE_LIT("env"),
					  .ret = 2,
					  .count = count};
	assert_int_equal(queue_envelope_begin(&text, &envelope), ERR_OK);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(address, sizeof(address), "r%u.%llu@D%u.Example", i,
			 (unsigned long long)key, (unsigned)((key + i) % domains));
		struct queue_recipient recipient = {.n = i,
						    .notify = 4,
						    .address = slice_str(address),
						    .orcpt = SLICE_LIT("o")};

		assert_int_equal(queue_envelope_add(&text, &recipient), ERR_OK);
	}
	body = mem_alloc(len);
	for (size_t i = 0; i < len; i++)
		body[i] = fixture_byte(key, i);
	mail = queue_mail_new(buf_data(&text), slice_of(body, len));
	mem_free(body);
	buf_release(&text);
	mail->id.key = key;
	fixture_random(key, mail->id.random);
	mail->arrived = NOW;
	mail->expires = NOW + 1000;
	mail->size = len;
	mail->flags = 8;
	mail->recipients = count;
	return mail;
}

/* Fails the test unless mail is, in every part, what fixture_mail made. */
static inline void fixture_compare(const struct queue_mail *mail, uint32_t count, uint32_t domains)
{
	uint64_t key = mail->id.key;
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	unsigned char random[MSGID_RANDOM];
	char text[64];
	uint32_t i = 0;

	fixture_random(key, random);
	assert_memory_equal(mail->id.random, random, MSGID_RANDOM);
	assert_int_equal(mail->recipients, count);
	assert_int_equal(mail->flags, 8);
	assert_int_equal(mail->size, fixture_body_len(key));
	assert_int_equal(
		queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope),
		ERR_OK);
	snprintf(text, sizeof(text), "sender-%llu@here.example", (unsigned long long)key);
	assert_true(slice_is(envelope.sender, text));
	assert_true(slice_is(envelope.bounce, text));
	while (queue_envelope_next(&envelope.recipients, &recipient)) {
		snprintf(text, sizeof(text), "r%u.%llu@D%u.Example", i, (unsigned long long)key,
			 (unsigned)((key + i) % domains));
		assert_true(slice_is(recipient.address, text));
		assert_int_equal(recipient.n, i);
		i++;
	}
	assert_int_equal(i, count);
	if (mail->body == NULL)
		return;
	for (size_t at = 0; at < mail->body_len; at++)
		assert_true(mail->body[at] == fixture_byte(key, at));
}

static inline struct queue_writer *fixture_open(const char *folder, struct queue_report *report)
{
	struct queue_report unused;
	struct queue_writer *writer = NULL;

	if (report == NULL)
		report = &unused;
	if (queue_writer_open(folder, NOW, &writer, report) != ERR_OK)
		fail_msg("%s", report->why);
	return writer;
}

static inline void fixture_put(struct queue_writer *writer, uint64_t key, uint32_t count,
			       uint32_t domains)
{
	struct queue_put put = {.mail = fixture_mail(key, count, domains)};
	struct queue_batch batch = {.puts = &put, .put_count = 1};

	assert_int_equal(queue_writer_commit(writer, &batch), ERR_OK);
	assert_int_equal(put.err, ERR_OK);
	queue_batch_release(&batch);
	queue_mail_unref(&put.mail);
}

static inline size_t fixture_count(const char *folder)
{
	struct queue_reader *reader = NULL;
	uint64_t rows = 0;

	assert_int_equal(queue_reader_open(folder, &reader), ERR_OK);
	assert_int_equal(queue_reader_count(reader, &rows), ERR_OK);
	queue_reader_close(&reader);
	return (size_t)rows;
}

#endif
