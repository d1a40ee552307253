/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "delivery.h"
#include "ipc/message.h"
#include "keys.h"
#include "os/log.h"
#include "os/os.h"
#include "queue.h"
#include "smtp/terms.h"
#include "writer.h"

bool report_allowed(const struct queue_mail *mail, const struct queue_envelope *envelope,
		    const struct queue_recipient *recipient)
{
	return (mail->flags & IPC_MAIL_BOUNCE) == 0 && envelope->bounce.len != 0 &&
	       (recipient->notify & SMTP_NOTIFY_NEVER) == 0;
}

bool report_wanted(const struct queue_mail *mail, const struct queue_envelope *envelope,
		   const struct queue_recipient *recipient, enum report_action action)
{
	uint8_t notify = recipient->notify;

	if (!report_allowed(mail, envelope, recipient))
		return false;
	switch (action) {
	case REPORT_FAILED:
		return notify == 0 || (notify & SMTP_NOTIFY_FAILURE) != 0;
	case REPORT_DELAYED:
		return notify == 0 || (notify & SMTP_NOTIFY_DELAY) != 0;
	default:
		return (notify & SMTP_NOTIFY_SUCCESS) != 0;
	}
}

struct report_quote report_quote(const struct queue_mail *mail, struct slice head)
{
	if (mail->in_file)
		return (struct report_quote){.text = head};
	return (struct report_quote){.text = mail->body != NULL
						     ? slice_of(mail->body, mail->body_len)
						     : (struct slice){"", 0},
				     .whole = mail->body != NULL};
}

struct sent {
	struct queue *queue;
	struct queue_mail *mail;
	struct msgid about;
	uint64_t key;
	bool failed; /* it tells of a failure: a bounce */
	char to[1100];
};

static void stored(void *arg, enum err err)
{
	struct sent *sent = arg;
	char id[MSGID_TEXT_MAX + 1], about[MSGID_TEXT_MAX + 1];

	msgid_print(&sent->mail->id, id);
	msgid_print(&sent->about, about);
	if (err == ERR_OK) {
		log_event(LOG_INFO, sent->failed ? "bounced" : "reported", LOG_TEXT("id", about),
			  LOG_TEXT(sent->failed ? "bounce" : "report", id),
			  LOG_TEXT("recipient", sent->to), LOG_NUMBER("size", sent->mail->size));
		deliveries_fresh(sent->queue->deliveries, sent->mail);
	} else {
		log_note(LOG_ERROR, "the report on %s to %s could not be stored: %s", about,
			 sent->to, err_name(err));
	}
	queue_mail_unref(&sent->mail);
	mem_free(sent);
}

/* The text; shorter words, then no header, if it would be too long. */
static enum err print(const struct report *report, struct buf *out, struct report_form *form_out)
{
	struct report less = *report;
	struct report_recipient *shorter;
	enum err err;

	*form_out = report_form(report);
	if ((err = report_print(report, out)) != ERR_FULL)
		return err;
	shorter = mem_array(report->recipient_count, sizeof(*shorter));
	for (size_t i = 0; i < report->recipient_count; i++) {
		shorter[i] = report->recipients[i];
		shorter[i].text = slice_head(shorter[i].text, 80);
		shorter[i].orcpt = (struct slice){"", 0};
	}
	less.recipients = shorter;
	less.message = (struct slice){"", 0};
	less.whole = false;
	*form_out = report_form(&less);
	buf_clear(out);
	err = report_print(&less, out);
	mem_free(shorter);
	return err;
}

static struct queue_mail *make(const struct queue *queue, const struct queue_envelope *about,
			       uint32_t flags, struct slice to, struct slice body)
{
	struct queue_envelope envelope = {.sender = {"", 0},
					  .account = about->account,
					  .log_id = about->log_id,
					  .bounce = {"", 0},
					  .envid = {"", 0},
					  .auth = {"", 0},
					  .count = 1};
	struct queue_recipient recipient = {.address = to, .orcpt = {"", 0}};
	struct queue_mail *mail = NULL;
	struct buf text;

	buf_init(&text, 8192);
	if (queue_envelope_begin(&text, &envelope) == ERR_OK &&
	    queue_envelope_add(&text, &recipient) == ERR_OK) {
		mail = queue_mail_new(buf_data(&text), body);
		mail->arrived = os_wall_ms();
		mail->expires = mail->arrived + (int64_t)queue_config(queue)->queue.expire;
		mail->size = body.len;
		mail->flags = IPC_MAIL_BOUNCE | flags;
		mail->recipients = 1;
		os_random(mail->id.random, MSGID_RANDOM);
	}
	buf_release(&text);
	return mail;
}

/* Into the commit that is being gathered; takes sent. */
static void store(struct sent *sent, const struct queue_envelope *about, uint32_t flags,
		  struct slice text)
{
	sent->mail = make(sent->queue, about, flags, slice_str(sent->to), text);
	if (sent->mail == NULL) {
		log_note(LOG_ERROR, "no report could be made for %s", sent->to);
		mem_free(sent);
		return;
	}
	sent->mail->id.key = sent->key;
	writer_put_own(sent->queue->writer, sent->mail, stored, sent);
}

static struct sent *sent_new(struct queue *queue, const struct queue_mail *mail,
			     const struct queue_envelope *envelope, uint64_t key)
{
	struct sent *sent = mem_alloc(sizeof(*sent));
	bool whole = slice_has_byte(envelope->bounce, '@');

	/* An account without a domain is one of ours. */
	(void)snprintf(sent->to, sizeof(sent->to), "%.*s%s%s",
		       SLICE_ARG(slice_head(envelope->bounce, 1024)), whole ? "" : "@",
		       whole ? "" : queue_config(queue)->hostname);
	sent->queue = queue;
	sent->about = mail->id;
	sent->key = key;
	return sent;
}

enum err report_send(struct queue *queue, const struct queue_mail *mail,
		     const struct queue_envelope *envelope,
		     const struct report_recipient *recipients, size_t count,
		     struct report_quote quote)
{
	struct report report = {.hostname = queue_config(queue)->hostname,
				.envid = envelope->envid,
				.arrived = mail->arrived,
				.wall = os_wall_ms(),
				.retry_until = mail->expires,
				.recipients = recipients,
				.recipient_count = count,
				.message = quote.text,
				.whole = quote.whole,
				.utf8 = (mail->flags & IPC_MAIL_UTF8) != 0};
	uint32_t secrecy = mail->flags & IPC_MAIL_REQUIRETLS;
	char id[MSGID_TEXT_MAX + 1];
	struct report_form form;
	struct sent *sent;
	struct buf text;
	uint64_t key;
	enum err err;

	if (keys_take(queue->keys, 1, &key) == 0)
		return ERR_FULL;
	sent = sent_new(queue, mail, envelope, key);
	for (size_t i = 0; i < count; i++)
		sent->failed = sent->failed || recipients[i].action == REPORT_FAILED;
	msgid_print(&mail->id, id);
	report.id = slice_str(id);
	report.to = slice_str(sent->to);
	report.full = envelope->ret == SMTP_RET_FULL && secrecy == 0;
	os_random(report.random, sizeof(report.random));
	buf_init(&text, QUEUE_BODY_MAX);
	err = print(&report, &text, &form);
	if (err == ERR_FULL && count > 1) { /* thousands of recipients: two letters */
		buf_release(&text);
		mem_free(sent);
		err = report_send(queue, mail, envelope, recipients, count / 2, quote);
		return err != ERR_OK ? err
				     : report_send(queue, mail, envelope, recipients + count / 2,
						   count - count / 2, quote);
	}
	if (err == ERR_OK) {
		store(sent, envelope,
		      secrecy | (form.utf8 ? IPC_MAIL_UTF8 : 0) |
			      (form.eight_bit ? IPC_MAIL_8BIT : 0),
		      buf_data(&text));
	} else {
		log_note(LOG_ERROR, "no report could be made for %s: %s", sent->to, err_name(err));
		mem_free(sent);
	}
	buf_release(&text);
	return ERR_OK;
}
