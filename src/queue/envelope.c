/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope.h"

#include <stdio.h>

#include "base/utf8.h"
#include "grants.h"
#include "ipc/message.h"
#include "smtp/terms.h"

enum {
	RET_MAX = 2,
	PRIORITY_MAX = 10 + SMTP_PRIORITY_MAX,
};
/* The longest that FUTURERELEASE can be set to, and a clock that runs differently. */
#define RELEASE_MAX_MS (367LL * 86400 * 1000)
/* BY= has nine digits of seconds (RFC 2852 4). */
#define BY_MAX_MS (1000000000LL * 1000)

/* It is said to other servers as it is: nothing in it may end a parameter or a line. */
static bool is_word(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
			return false;
	}
	return true;
}

bool envelope_terms_valid(const struct rec_mail *mail, int64_t now)
{
	if (mail->ret > RET_MAX || mail->by_mode > QUEUE_BY_NOTIFY ||
	    mail->priority > PRIORITY_MAX || !is_word(mail->envid) || !is_word(mail->auth))
		return false;
	if (mail->release_at < 0 || mail->release_at > now + RELEASE_MAX_MS)
		return false;
	if (mail->by_mode == 0)
		return mail->deliver_by == 0 && !mail->by_trace;
	return mail->deliver_by > 0 && mail->deliver_by <= now + BY_MAX_MS;
}

/* The same in UTF-8, as "utf-8;..." may be (RFC 6533 3). */
static bool is_utf8_word(struct slice text)
{
	uint32_t code;
	size_t len;

	for (; text.len != 0; text = slice_skip(text, len)) {
		len = utf8_next(text, &code);
		if (len == 0 || code == ' ' || utf8_is_unsafe(code))
			return false;
	}
	return true;
}

static bool orcpt_valid(struct slice orcpt)
{
	return slice_starts_nocase(orcpt, "utf-8;") ? is_utf8_word(orcpt) : is_word(orcpt);
}

static bool recipient_valid(const struct rec_recipient *recipient)
{
	uint8_t notify = recipient->notify;

	/* NEVER stands alone (RFC 3461 4.1). */
	if ((notify & SMTP_NOTIFY_NEVER) != 0 && notify != SMTP_NOTIFY_NEVER)
		return false;
	return notify < SMTP_NOTIFY_DELAY * 2 && orcpt_valid(recipient->orcpt);
}

bool envelope_make(struct buf *out, const char *hostname, const struct rec_submission *s,
		   const struct grant_view *grant, int64_t now)
{
	const struct rec_mail *mail = &s->mail;
	struct queue_envelope envelope = {.sender = mail->sender,
					  .account = grant->account,
					  .log_id = s->log_id,
					  .bounce = grant->bounce,
					  .envid = mail->envid,
					  .ret = mail->ret,
					  .auth = mail->auth,
					  .release_at = mail->release_at,
					  .deliver_by = mail->deliver_by,
					  .by_mode = mail->by_mode,
					  .by_trace = mail->by_trace,
					  .priority = mail->priority,
					  .count = s->recipients.count};
	struct ipc_list list = s->recipients;
	struct rec_recipient recipient;
	int64_t before = -1;

	buf_clear(out);
	if (!envelope_terms_valid(mail, now))
		return false;
	if (queue_envelope_begin(out, &envelope) != ERR_OK)
		return false;
	while (ipc_list_next(&list, IPC_REC_recipient, &recipient)) {
		struct queue_recipient row = {.n = recipient.n,
					      .notify = recipient.notify,
					      .address = recipient.address,
					      .orcpt = recipient.orcpt};
		size_t at = slice_find_last(row.address, '@');
		char whole[1536];

		if (!recipient_valid(&recipient) || recipient.n <= before || row.address.len == 0)
			return false;
		before = recipient.n;
		if (at == row.address.len) { /* "postmaster" is ours */
			int len = snprintf(whole, sizeof(whole), "%.*s@%s", SLICE_ARG(row.address),
					   hostname);

			if (len < 0 || (size_t)len >= sizeof(whole))
				return false;
			row.address = slice_of(whole, (size_t)len);
		} else if (row.address.len - at - 1 == 0 ||
			   row.address.len - at - 1 > QUEUE_NAME_MAX) {
			return false;
		}
		if (queue_envelope_add(out, &row) != ERR_OK)
			return false;
	}
	return true;
}
