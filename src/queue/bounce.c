/* SPDX-License-Identifier: Apache-2.0 */
#include "bounce.h"

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
#include "writer.h"

enum { NOTIFY_FAILURE = 4 };

bool bounce_wanted(const struct queue_mail *mail, const struct queue_envelope *envelope,
		   const struct queue_recipient *recipient)
{
	if ((mail->flags & IPC_MAIL_BOUNCE) != 0 || envelope->bounce.len == 0)
		return false;
	return recipient->notify == 0 || (recipient->notify & NOTIFY_FAILURE) != 0;
}

struct sent {
	struct queue *queue;
	struct queue_mail *mail;
	struct msgid about;
	char to[1100];
};

static void stored(void *arg, enum err err)
{
	struct sent *sent = arg;
	char id[MSGID_TEXT_MAX + 1], about[MSGID_TEXT_MAX + 1];

	msgid_print(&sent->mail->id, id);
	msgid_print(&sent->about, about);
	if (err == ERR_OK) {
		log_event(LOG_INFO, "bounced", LOG_TEXT("id", about), LOG_TEXT("bounce", id),
			  LOG_TEXT("recipient", sent->to), LOG_NUMBER("size", sent->mail->size));
		deliveries_fresh(sent->queue->deliveries, sent->mail);
	} else {
		log_note(LOG_ERROR, "the bounce for %s to %s could not be stored: %s", about,
			 sent->to, err_name(err));
	}
	queue_mail_unref(&sent->mail);
	mem_free(sent);
}

/* The text; shorter words, then no header, if it would be too long. */
static enum err print(const struct queue *queue, const struct queue_mail *mail,
		      const struct queue_envelope *envelope,
		      const struct bounce_recipient *recipients, size_t count, struct slice head,
		      struct buf *out)
{
	char id[MSGID_TEXT_MAX + 1];
	size_t end = slice_search(head, SLICE_LIT("\r\n\r\n"));
	struct bounce bounce = {.hostname = queue_config(queue)->hostname,
				.to = envelope->bounce,
				.envid = envelope->envid,
				.arrived = mail->arrived,
				.wall = os_wall_ms(),
				.recipients = recipients,
				.recipient_count = count};
	struct bounce_recipient *shorter;
	enum err err;

	msgid_print(&mail->id, id);
	bounce.id = slice_str(id);
	os_random(bounce.random, sizeof(bounce.random));
	bounce.header = end == head.len ? head : slice_head(head, end + 2);
	if ((err = bounce_print(&bounce, out)) != ERR_FULL)
		return err;
	shorter = mem_array(count, sizeof(*shorter));
	for (size_t i = 0; i < count; i++) {
		shorter[i] = recipients[i];
		shorter[i].text = slice_head(shorter[i].text, 80);
		shorter[i].orcpt = (struct slice){"", 0};
	}
	bounce.recipients = shorter;
	bounce.header = (struct slice){"", 0};
	buf_clear(out);
	err = bounce_print(&bounce, out);
	mem_free(shorter);
	return err;
}

static struct queue_mail *make(const struct queue *queue, const struct queue_envelope *about,
			       struct slice to, struct slice body)
{
	struct queue_envelope envelope = {.sender = {"", 0},
					  .account = about->account,
					  .log_id = about->log_id,
					  .bounce = {"", 0},
					  .envid = {"", 0},
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
		mail->flags = IPC_MAIL_BOUNCE;
		mail->recipients = 1;
		os_random(mail->id.random, MSGID_RANDOM);
	}
	buf_release(&text);
	return mail;
}

enum err bounce_send(struct queue *queue, const struct queue_mail *mail,
		     const struct queue_envelope *envelope,
		     const struct bounce_recipient *recipients, size_t count, struct slice head)
{
	struct sent *sent;
	struct buf body;
	uint64_t key;
	enum err err;

	if (keys_take(queue->keys, 1, &key) == 0)
		return ERR_FULL;
	sent = mem_alloc(sizeof(*sent));
	/* An account without a domain is one of ours. */
	(void)snprintf(sent->to, sizeof(sent->to), "%.*s%s%s",
		       SLICE_ARG(slice_head(envelope->bounce, 1024)),
		       slice_has_byte(envelope->bounce, '@') ? "" : "@",
		       slice_has_byte(envelope->bounce, '@') ? "" : queue_config(queue)->hostname);
	sent->queue = queue;
	sent->about = mail->id;
	buf_init(&body, QUEUE_BODY_MAX);
	err = print(queue, mail, envelope, recipients, count, head, &body);
	if (err == ERR_FULL && count > 1) { /* thousands of recipients: two letters */
		buf_release(&body);
		mem_free(sent);
		err = bounce_send(queue, mail, envelope, recipients, count / 2, head);
		return err != ERR_OK ? err
				     : bounce_send(queue, mail, envelope, recipients + count / 2,
						   count - count / 2, head);
	}
	if (err == ERR_OK &&
	    (sent->mail = make(queue, envelope, slice_str(sent->to), buf_data(&body))) != NULL) {
		sent->mail->id.key = key;
		writer_put_own(queue->writer, sent->mail, stored, sent);
	} else {
		log_note(LOG_ERROR, "no bounce could be made for %s", sent->to);
		mem_free(sent);
	}
	buf_release(&body);
	return ERR_OK;
}
