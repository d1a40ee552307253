/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many messages a second the store takes in and gives up again, in batches as the queue
 * makes them: each commit puts BATCH messages and ends as many of an earlier one.
 *
 *	bench-queue-store FOLDER [MESSAGES] [BATCH] [BODY BYTES] [BACKLOG]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "os/os.h"
#include "store/queue.h"

struct options {
	const char *folder;
	uint64_t messages, batch, body, backlog;
};

static uint64_t option(int argc, char **argv, int at, uint64_t otherwise)
{
	uint64_t value = otherwise;

	if (argc > at && slice_number(slice_str(argv[at]), INT64_MAX, &value) != ERR_OK)
		fprintf(stderr, "%s is no number\n", argv[at]);
	return value;
}

static struct queue_mail *make(uint64_t key, const char *body, size_t len)
{
	struct queue_envelope envelope = {.sender = SLICE_LIT("alice@example.org"),
					  .account = SLICE_LIT("alice@example.org"),
					  .log_id = SLICE_LIT("abcdefgh"),
					  .bounce = SLICE_LIT("alice@example.org"),
					  .count = 1};
	struct queue_recipient recipient = {.address = SLICE_LIT("bob@sink.example")};
	struct queue_mail *mail;
	struct buf text;

	buf_init(&text, 4096);
	if (queue_envelope_begin(&text, &envelope) != ERR_OK ||
	    queue_envelope_add(&text, &recipient) != ERR_OK)
		abort();
	mail = queue_mail_new(buf_data(&text), slice_of(body, len));
	buf_release(&text);
	mail->id.key = key;
	mail->arrived = 1000;
	mail->size = len;
	mail->recipients = 1;
	return mail;
}

static void fail(enum err err, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, err_name(err));
	exit(1);
}

/* One commit: puts those from key on, ends those from done on (0: none). */
static void step(struct queue_writer *writer, const struct options *options, const char *body,
		 uint64_t key, uint64_t done)
{
	struct queue_put *puts = mem_array(options->batch, sizeof(*puts));
	struct queue_change *ends = mem_array(options->batch, sizeof(*ends));
	struct queue_batch batch = {.puts = puts, .put_count = options->batch, .changes = ends};
	enum err err;

	for (uint64_t i = 0; i < options->batch; i++) {
		puts[i].mail = make(key + i, body, options->body);
		if (done != 0)
			ends[batch.change_count++] = (struct queue_change){
				.row = {.destination = 1, .due = 1000, .key = done + i},
				.end = true};
	}
	if ((err = queue_writer_commit(writer, &batch)) != ERR_OK)
		fail(err, "commit");
	if (done != 0 && batch.ended_count != options->batch)
		fail(ERR_INTERNAL, "messages did not end");
	queue_batch_release(&batch);
	for (uint64_t i = 0; i < options->batch; i++)
		queue_mail_unref(&puts[i].mail);
	mem_free(puts);
	mem_free(ends);
}

int main(int argc, char **argv)
{
	struct options options = {.folder = argc > 1 ? argv[1] : ".",
				  .messages = option(argc, argv, 2, 100000),
				  .batch = option(argc, argv, 3, 50),
				  .body = option(argc, argv, 4, 10240),
				  .backlog = option(argc, argv, 5, 0)};
	struct queue_writer *writer;
	struct queue_report report;
	struct queue_batch keys = {.want_keys = true};
	char *body = mem_alloc(options.body);
	uint64_t key, first, steps = options.messages / options.batch;
	int64_t start, took;
	enum err err;

	memset(body, 'x', options.body);
	if ((err = queue_writer_open(options.folder, 1000, &writer, &report)) != ERR_OK ||
	    (err = queue_writer_commit(writer, &keys)) != ERR_OK)
		fail(err, "open");
	key = first = keys.first_key;
	queue_batch_release(&keys);
	for (uint64_t i = 0; i < options.backlog / options.batch; i++, key += options.batch)
		step(writer, &options, body, key, 0);
	first = key;
	start = os_monotonic_us();
	for (uint64_t i = 0; i < steps; i++, key += options.batch)
		step(writer, &options, body, key, i < 4 ? 0 : first + (i - 4) * options.batch);
	took = os_monotonic_us() - start;
	printf("%" PRIu64 " messages of %" PRIu64 " bytes, %" PRIu64
	       " a commit: %.0f/s put and ended, "
	       "%.2f ms a commit\n",
	       steps * options.batch, options.body, options.batch,
	       (double)(steps * options.batch) * 1e6 / (double)took,
	       (double)took / 1000 / (double)steps);
	queue_writer_close(&writer);
	mem_free(body);
	return 0;
}
