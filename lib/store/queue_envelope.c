/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope as it lies in the database: version, ret, then sender, account, log id, bounce
 * address and envid; from version 2 on AUTH=, the time of release, the time to deliver by, its
 * mode and trace, priority; the number of recipients, and each recipient. Numbers are
 * little-endian; texts are a 16-bit length and bytes. Each recipient has a fixed place for its
 * destination, which the writer fills in when it knows it.
 */
#include "store/queue.h"

#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "store/queue_internal.h"

enum {
	ENVELOPE_VERSION = 2,
	ENVELOPE_VERSION_MIN = 1,    /* still read */
	RECIPIENT_FIXED = 8 + 4 + 1, /* destination, n, notify */
};

static enum err put_number(struct buf *out, uint64_t value, size_t bytes)
{
	unsigned char wire[8];

	for (size_t i = 0; i < bytes; i++)
		wire[i] = (unsigned char)(value >> (8 * i));
	return buf_append(out, wire, bytes);
}

static enum err put_text(struct buf *out, struct slice text)
{
	enum err err;

	if (text.len > UINT16_MAX)
		return ERR_RANGE;
	if ((err = put_number(out, text.len, 2)) != ERR_OK)
		return err;
	return buf_append_slice(out, text);
}

static bool take_number(struct slice *rest, size_t bytes, uint64_t *value_out)
{
	uint64_t value = 0;

	if (rest->len < bytes)
		return false;
	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)(unsigned char)rest->ptr[i] << (8 * i);
	*rest = slice_skip(*rest, bytes);
	*value_out = value;
	return true;
}

static bool take_text(struct slice *rest, struct slice *text_out)
{
	uint64_t len;

	if (!take_number(rest, 2, &len) || len > rest->len)
		return false;
	*text_out = slice_head(*rest, len);
	*rest = slice_skip(*rest, len);
	return true;
}

static enum err put_terms(struct buf *out, const struct queue_envelope *envelope)
{
	enum err err;

	if ((err = put_text(out, envelope->auth)) != ERR_OK ||
	    (err = put_number(out, (uint64_t)envelope->release_at, 8)) != ERR_OK ||
	    (err = put_number(out, (uint64_t)envelope->deliver_by, 8)) != ERR_OK ||
	    (err = put_number(out, envelope->by_mode, 1)) != ERR_OK ||
	    (err = put_number(out, envelope->by_trace, 1)) != ERR_OK)
		return err;
	return put_number(out, envelope->priority, 1);
}

static bool take_terms(struct slice *rest, struct queue_envelope *envelope)
{
	uint64_t release_at, deliver_by, by_mode, by_trace, priority;

	if (!take_text(rest, &envelope->auth) || !take_number(rest, 8, &release_at) ||
	    !take_number(rest, 8, &deliver_by) || !take_number(rest, 1, &by_mode) ||
	    !take_number(rest, 1, &by_trace) || !take_number(rest, 1, &priority))
		return false;
	envelope->release_at = (int64_t)release_at;
	envelope->deliver_by = (int64_t)deliver_by;
	envelope->by_mode = (uint8_t)by_mode;
	envelope->by_trace = by_trace != 0;
	envelope->priority = (uint8_t)priority;
	return true;
}

enum err queue_envelope_begin(struct buf *out, const struct queue_envelope *envelope)
{
	enum err err;

	if (envelope->count > QUEUE_RECIPIENTS_MAX)
		return ERR_RANGE;
	if ((err = put_number(out, ENVELOPE_VERSION, 1)) != ERR_OK ||
	    (err = put_number(out, envelope->ret, 1)) != ERR_OK ||
	    (err = put_text(out, envelope->sender)) != ERR_OK ||
	    (err = put_text(out, envelope->account)) != ERR_OK ||
	    (err = put_text(out, envelope->log_id)) != ERR_OK ||
	    (err = put_text(out, envelope->bounce)) != ERR_OK ||
	    (err = put_text(out, envelope->envid)) != ERR_OK ||
	    (err = put_terms(out, envelope)) != ERR_OK)
		return err;
	return put_number(out, envelope->count, 4);
}

enum err queue_envelope_add(struct buf *out, const struct queue_recipient *recipient)
{
	enum err err;

	if ((err = put_number(out, (uint64_t)recipient->destination, 8)) != ERR_OK ||
	    (err = put_number(out, recipient->n, 4)) != ERR_OK ||
	    (err = put_number(out, recipient->notify, 1)) != ERR_OK ||
	    (err = put_text(out, recipient->address)) != ERR_OK)
		return err;
	return put_text(out, recipient->orcpt);
}

bool queue_envelope_next(struct slice *rest, struct queue_recipient *recipient_out)
{
	struct queue_recipient recipient = {0};
	uint64_t destination, n, notify;

	if (!take_number(rest, 8, &destination) || !take_number(rest, 4, &n) ||
	    !take_number(rest, 1, &notify) || !take_text(rest, &recipient.address) ||
	    !take_text(rest, &recipient.orcpt))
		return false;
	recipient.destination = (int64_t)destination;
	recipient.n = (uint32_t)n;
	recipient.notify = (uint8_t)notify;
	recipient.domain =
		slice_skip(recipient.address, slice_find_last(recipient.address, '@') + 1);
	*recipient_out = recipient;
	return true;
}

enum err queue_envelope_read(struct slice encoded, struct queue_envelope *envelope_out)
{
	struct queue_envelope envelope = {.auth = SLICE_LIT("")};
	struct queue_recipient recipient;
	uint64_t version, ret, count;
	struct slice rest = encoded;

	if (!take_number(&rest, 1, &version) || version < ENVELOPE_VERSION_MIN ||
	    version > ENVELOPE_VERSION || !take_number(&rest, 1, &ret) ||
	    !take_text(&rest, &envelope.sender) || !take_text(&rest, &envelope.account) ||
	    !take_text(&rest, &envelope.log_id) || !take_text(&rest, &envelope.bounce) ||
	    !take_text(&rest, &envelope.envid) || (version >= 2 && !take_terms(&rest, &envelope)) ||
	    !take_number(&rest, 4, &count) || count > QUEUE_RECIPIENTS_MAX)
		return ERR_CORRUPT;
	envelope.ret = (uint8_t)ret;
	envelope.count = (uint32_t)count;
	envelope.recipients = rest;
	for (uint64_t i = 0; i < count; i++) {
		if (!queue_envelope_next(&rest, &recipient))
			return ERR_CORRUPT;
	}
	if (rest.len != 0)
		return ERR_CORRUPT;
	*envelope_out = envelope;
	return ERR_OK;
}

int queue_envelope_priority(const struct queue_envelope *envelope)
{
	return envelope->priority == 0 ? 0 : (int)envelope->priority - 10;
}

int64_t queue_envelope_due(const struct queue_envelope *envelope, int64_t arrived)
{
	int priority = queue_envelope_priority(envelope);

	if (envelope->release_at > arrived)
		return envelope->release_at;
	return priority > 0 ? arrived - (int64_t)priority * QUEUE_PRIORITY_MS : arrived;
}

int64_t queue_envelope_deadline(const struct queue_envelope *envelope, int64_t arrived,
				int64_t expires)
{
	if (envelope->deliver_by == 0 || envelope->by_mode == 0 || envelope->deliver_by >= expires)
		return QUEUE_NEVER;
	if (envelope->by_mode == QUEUE_BY_RETURN && envelope->release_at >= envelope->deliver_by)
		return arrived;
	return envelope->deliver_by;
}

bool queue_envelope_find(const struct queue_envelope *envelope, uint32_t n,
			 struct queue_recipient *recipient_out)
{
	struct slice rest = envelope->recipients;
	struct queue_recipient recipient;

	while (queue_envelope_next(&rest, &recipient)) {
		if (recipient.n == n) {
			*recipient_out = recipient;
			return true;
		}
	}
	return false;
}

void queue_envelope_set_destination(char *recipient, int64_t destination)
{
	for (size_t i = 0; i < 8; i++)
		recipient[i] = (char)((uint64_t)destination >> (8 * i));
}

struct queue_mail *queue_mail_new(struct slice envelope, struct slice body)
{
	/* Not zeroed: all behind the struct is copied over, and bodies are most of what comes here.
	 */
	struct queue_mail *mail = mem_resize(NULL, sizeof(*mail) + envelope.len + body.len);

	memset(mail, 0, sizeof(*mail));
	mail->refs = 1;
	mail->envelope = (char *)(mail + 1);
	mail->envelope_len = envelope.len;
	if (envelope.len != 0)
		memcpy(mail->envelope, envelope.ptr, envelope.len);
	if (body.ptr != NULL) {
		mail->body = mail->envelope + envelope.len;
		mail->body_len = body.len;
		memcpy(mail->body, body.ptr, body.len);
	}
	return mail;
}

struct queue_mail *queue_mail_ref(struct queue_mail *mail)
{
	mail->refs++;
	return mail;
}

void queue_mail_unref(struct queue_mail **mail)
{
	if (*mail != NULL && --(*mail)->refs == 0)
		mem_free(*mail);
	*mail = NULL;
}

/* Two messages never share a checksum by being swapped: the key and the random bits are in it. */
uint64_t queue_mail_checksum(const struct queue_mail *mail)
{
	struct {
		uint64_t key, size, envelope_len, body_len, sum;
		int64_t arrived, expires;
		uint32_t flags, recipients;
		uint32_t in_file;
		unsigned char random[MSGID_RANDOM];
	} head;
	uint64_t sum = XXH3_64bits(mail->envelope, mail->envelope_len);

	memset(&head, 0, sizeof(head));
	head.key = mail->id.key;
	head.size = mail->size;
	head.envelope_len = mail->envelope_len;
	head.body_len = mail->body_len;
	head.arrived = mail->arrived;
	head.expires = mail->expires;
	head.flags = mail->flags;
	head.recipients = mail->recipients;
	head.in_file = mail->in_file;
	memcpy(head.random, mail->id.random, MSGID_RANDOM);
	if (mail->body_len != 0)
		sum = XXH3_64bits_withSeed(mail->body, mail->body_len, sum);
	head.sum = sum;
	return XXH3_64bits(&head, sizeof(head));
}

uint64_t queue_chunk_checksum(struct slice chunk)
{
	return XXH3_64bits(chunk.ptr, chunk.len);
}
