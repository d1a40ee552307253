/* SPDX-License-Identifier: Apache-2.0 */
#include "settlement.h"

#include "base/mem.h"
#include "delivery.h"
#include "ended.h"
#include "ipc/channel.h"
#include "os/log.h"
#include "os/os.h"
#include "os/worker.h"
#include "outcomes.h"
#include "queue.h"
#include "report.h"
#include "writer.h"

enum { KEYLESS_PAUSE_MS = 60000 };

/* ---- life -------------------------------------------------------------------------------- */
struct settlement *settlement_new(struct queue *queue, struct delivery *delivery, size_t items)
{
	struct settlement *s = mem_alloc(sizeof(*s));

	s->queue = queue;
	s->delivery = delivery;
	s->items = mem_array(items, sizeof(*s->items));
	s->host = s->tls = (struct slice){"", 0};
	buf_init(&s->head, REPORT_HEAD);
	/* What was stored or loaded is known to be well-formed. */
	s->mail = queue_mail_ref(delivery->mail);
	(void)queue_envelope_read(slice_of(s->mail->envelope, s->mail->envelope_len), &s->envelope);
	delivery->settling++;
	return s;
}

static void settlement_free(struct settlement *s)
{
	mem_free(s->payload);
	mem_free(s->items);
	queue_mail_unref(&s->loaded);
	queue_mail_unref(&s->mail);
	buf_release(&s->head);
	mem_free(s);
}

struct settlement_item *settlement_add(struct settlement *s, struct delivery_row *row)
{
	struct settlement_item *item = &s->items[s->count++];

	item->row = row;
	item->status = item->text = (struct slice){"", 0};
	row->settled = true;
	s->delivery->unsettled--;
	return item;
}

/* ---- on disk ----------------------------------------------------------------------------- */
static void log_item(const struct settlement *s, const struct settlement_item *item)
{
	static const char *const events[] = {[IPC_DELIVERED] = "delivered",
					     [IPC_DEFERRED] = "deferred",
					     [IPC_FAILED] = "failed",
					     [IPC_UNCERTAIN] = "deferred"};
	const struct queue_mail *mail = s->mail;
	struct queue_recipient recipient = {.address = {"", 0}};
	bool waits = item->outcome == IPC_DEFERRED || item->outcome == IPC_UNCERTAIN;
	char id[MSGID_TEXT_MAX + 1];
	int64_t now = os_wall_ms();

	msgid_print(&mail->id, id);
	(void)queue_envelope_find(&s->envelope, item->row->n, &recipient);
	log_event(item->outcome == IPC_DELIVERED ? LOG_INFO : LOG_WARNING, events[item->outcome],
		  LOG_TEXT("id", id), LOG_SLICE("session", s->envelope.log_id),
		  LOG_SLICE_IF("account", s->envelope.account),
		  LOG_SLICE("sender", s->envelope.sender),
		  LOG_SLICE("recipient", recipient.address), LOG_SLICE_IF("host", s->host),
		  LOG_SLICE_IF("tls", s->tls), LOG_NUMBER("attempt", item->row->attempts),
		  LOG_NUMBER("delay_ms", now > mail->arrived ? now - mail->arrived : 0),
		  LOG_TEXT_IF("uncertain", item->outcome == IPC_UNCERTAIN ? "yes" : ""),
		  LOG_TEXT_IF("expired", item->cause == REPORT_EXPIRED ? "yes" : ""),
		  LOG_TEXT_IF("late", item->cause == REPORT_LATE ? "yes" : ""),
		  LOG_TEXT_IF("bounce",
			      item->outcome == IPC_FAILED ? (item->report ? "yes" : "no") : ""),
		  LOG_SLICE_IF("status", item->status),
		  waits ? LOG_NUMBER("retry_in_ms", item->due > now ? item->due - now : 0)
			: LOG_TEXT_IF("", ""),
		  LOG_TEXT_IF("reply", item->last));
}

static void on_disk(void *arg, enum err err)
{
	struct settlement *s = arg;
	struct delivery *delivery = s->delivery;
	struct channel *relay = deliveries_relay(s->queue->deliveries);
	const struct msg_results_ack ack = {.claim = s->ack};

	(void)err;
	for (size_t i = 0; i < s->count; i++) {
		const struct settlement_item *item = &s->items[i];

		log_item(s, item);
		if (item->outcome == IPC_DELIVERED || item->outcome == IPC_FAILED) {
			ended_note(s->queue->lately, s->mail->id.key, item->row->n);
			/* Our reports are no mail of the account that hears of its own. */
			if ((s->mail->flags & IPC_MAIL_BOUNCE) == 0)
				outcomes_note(s->queue->outcomes, s->envelope.account,
					      item->outcome == IPC_FAILED &&
						      item->cause == REPORT_SAID,
					      item->status);
		}
		if ((item->outcome == IPC_DEFERRED || item->outcome == IPC_UNCERTAIN) &&
		    item->due < delivery->next_due)
			delivery->next_due = item->due;
	}
	if (s->ack != 0 && relay != NULL)
		(void)channel_send(relay, IPC_RESULTS_ACK, &ack);
	settlement_free(s);
	delivery->settling--;
	delivery_settled(delivery);
}

static void change(struct settlement *s, struct settlement_item *item)
{
	bool end = item->outcome == IPC_DELIVERED || item->outcome == IPC_FAILED;
	struct queue_change change = {.row = delivery_row(s->delivery, item->row),
				      .end = end,
				      .in_file = s->mail->in_file};

	item->row->attempts++;
	if (!end) {
		change.due = item->due;
		change.attempts = item->row->attempts;
		change.state = item->outcome == IPC_UNCERTAIN ? QUEUE_UNCERTAIN : QUEUE_DEFERRED;
		change.last = slice_str(item->last);
	}
	writer_change(s->queue->writer, &change);
}

/* ---- reports ----------------------------------------------------------------------------- */
/*
 * There is no key for a report. Who failed waits a little instead; who has the message has it: the
 * sender is not told.
 */
static void postpone(struct settlement *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (!s->items[i].report)
			continue;
		s->items[i].report = false;
		if (s->items[i].outcome == IPC_FAILED) {
			s->items[i].cause = REPORT_SAID;
			s->items[i].outcome = IPC_DEFERRED;
			s->items[i].due = os_wall_ms() + KEYLESS_PAUSE_MS;
		}
	}
}

static size_t list_told(const struct settlement *s, struct report_recipient *list)
{
	struct queue_recipient recipient;
	size_t count = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct settlement_item *item = &s->items[i];

		if (!item->report || !queue_envelope_find(&s->envelope, item->row->n, &recipient))
			continue;
		list[count++] = (struct report_recipient){.action = item->action,
							  .cause = item->cause,
							  .address = recipient.address,
							  .orcpt = recipient.orcpt,
							  .status = item->status,
							  .text = item->text,
							  .host = s->host,
							  .code = item->code};
	}
	return count;
}

static void send_report(struct settlement *first)
{
	const struct queue_mail *mail = first->loaded != NULL ? first->loaded : first->mail;
	struct report_recipient *list;
	size_t count = 0;

	for (const struct settlement *s = first; s != NULL; s = s->next)
		count += s->count;
	list = mem_array(count, sizeof(*list));
	count = 0;
	for (const struct settlement *s = first; s != NULL; s = s->next)
		count += list_told(s, list + count);
	if (count != 0 && report_send(first->queue, first->mail, &first->envelope, list, count,
				      report_quote(mail, buf_data(&first->head))) != ERR_OK)
		for (struct settlement *s = first; s != NULL; s = s->next)
			postpone(s);
	mem_free(list);
}

/* What was dropped while relay, or the disk, was at it: its sender hears nothing. */
static void forget_dropped(struct settlement *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].row->dropped)
			s->items[i].report = false;
}

/* All that belongs to one commit is handed in without a break. */
static void commit(struct settlement *first)
{
	struct settlement *s, *next;

	for (s = first; s != NULL; s = s->next)
		forget_dropped(s);
	send_report(first);
	for (s = first; s != NULL; s = next) {
		next = s->next;
		for (size_t i = 0; i < s->count; i++)
			change(s, &s->items[i]);
		writer_after(s->queue->writer, on_disk, s);
	}
}

static void fetch_work(void *arg)
{
	struct settlement *s = arg;
	const struct queue_mail *mail = s->mail;

	if (mail->in_file)
		s->head_err = queue_body_read(s->queue->folder, mail, 0, REPORT_HEAD, &s->head);
	else
		s->head_err = queue_reader_mail(s->queue->claims, mail->id.key, &s->loaded);
}

static void fetch_done(void *arg)
{
	struct settlement *s = arg;

	if (s->head_err != ERR_OK)
		log_note(LOG_WARNING, "a report goes out without the header of the message: %s",
			 err_name(s->head_err));
	commit(s);
}

static bool tells(const struct settlement *s)
{
	for (; s != NULL; s = s->next)
		for (size_t i = 0; i < s->count; i++)
			if (s->items[i].report)
				return true;
	return false;
}

/* The message is read first if its report is to quote what is not in memory. */
void settlement_commit(struct settlement *s)
{
	const struct queue_mail *mail = s->mail;

	if (!tells(s) || (!mail->in_file && mail->body != NULL))
		commit(s);
	else
		queue_job(mail->in_file ? s->queue->body_pool : s->queue->claim_pool, fetch_work,
			  fetch_done, s);
}
