/* SPDX-License-Identifier: Apache-2.0 */
#include "notice.h"

#include <string.h>

#include "base/mem.h"
#include "ended.h"
#include "os/log.h"
#include "os/worker.h"
#include "queue.h"
#include "report.h"
#include "writer.h"

struct notice {
	struct queue *queue;
	struct queue_mail *mail;
	struct buf head;
	uint8_t bits;
	enum report_cause cause;
	uint64_t since;
	unsigned *open;
	size_t count;
	struct notice_item items[];
};

static void notice_free(struct notice *notice)
{
	--*notice->open;
	queue_mail_unref(&notice->mail);
	buf_release(&notice->head);
	mem_free(notice);
}

static void on_disk(void *arg, enum err err)
{
	(void)err;
	notice_free(arg);
}

static void mark(struct notice *notice)
{
	for (size_t i = 0; i < notice->count; i++) {
		const struct queue_change change = {.row = notice->items[i].row,
						    .notice = notice->bits};

		writer_change(notice->queue->writer, &change);
	}
	writer_after(notice->queue->writer, on_disk, notice);
	writer_hurry(notice->queue->writer);
}

/* Who has the message, or never gets it, is not waited for. */
static void leave_out_ended(struct notice *notice)
{
	size_t kept = 0;

	for (size_t i = 0; i < notice->count; i++) {
		if (!ended_since(notice->queue, notice->since, &notice->items[i].row))
			notice->items[kept++] = notice->items[i];
	}
	notice->count = kept;
}

/* Takes the notice. */
static void tell(struct notice *notice)
{
	const struct queue_mail *mail = notice->mail;
	struct report_recipient *list;
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	enum err err = ERR_OK;
	size_t count = 0;

	leave_out_ended(notice);
	list = mem_array(notice->count, sizeof(*list));
	/* What was loaded is known to be well-formed. */
	(void)queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope);
	for (size_t i = 0; i < notice->count; i++) {
		const struct notice_item *item = &notice->items[i];

		if (!queue_envelope_find(&envelope, item->row.n, &recipient) ||
		    !report_wanted(mail, &envelope, &recipient, REPORT_DELAYED))
			continue;
		list[count++] = (struct report_recipient){.action = REPORT_DELAYED,
							  .cause = notice->cause,
							  .address = recipient.address,
							  .orcpt = recipient.orcpt,
							  .status = SLICE_LIT("4.4.7"),
							  .text = slice_str(item->last),
							  .host = {"", 0}};
	}
	if (count != 0)
		err = report_send(notice->queue, mail, &envelope, list, count,
				  report_quote(mail, buf_data(&notice->head)));
	mem_free(list);
	if (err == ERR_OK)
		mark(notice);
	else
		notice_free(notice);
}

static void read_head(void *arg)
{
	struct notice *notice = arg;

	(void)queue_body_read(notice->queue->folder, notice->mail, 0, REPORT_HEAD, &notice->head);
}

static void head_read(void *arg)
{
	struct notice *notice = arg;

	if (buf_len(&notice->head) == 0)
		log_note(LOG_WARNING, "a report goes out without the header of the message");
	tell(notice);
}

void notice_send(struct queue *queue, struct queue_mail *mail, const struct notice_item *items,
		 size_t count, uint8_t bits, enum report_cause cause, uint64_t since,
		 unsigned *open)
{
	struct notice *notice = mem_alloc(sizeof(*notice) + count * sizeof(notice->items[0]));

	notice->queue = queue;
	notice->mail = queue_mail_ref(mail);
	notice->bits = bits;
	notice->cause = cause;
	notice->since = since;
	notice->open = open;
	++*open;
	notice->count = count;
	memcpy(notice->items, items, count * sizeof(notice->items[0]));
	buf_init(&notice->head, REPORT_HEAD);
	if (mail->in_file) {
		queue_job(queue->body_pool, read_head, head_read, notice);
		return;
	}
	tell(notice);
}
