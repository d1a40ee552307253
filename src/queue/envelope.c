/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope.h"

#include <stdio.h>

#include "grants.h"
#include "ipc/message.h"

bool envelope_make(struct buf *out, const char *hostname, const struct rec_submission *s,
		   const struct grant_view *grant)
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
	if (queue_envelope_begin(out, &envelope) != ERR_OK)
		return false;
	while (ipc_list_next(&list, IPC_REC_recipient, &recipient)) {
		struct queue_recipient row = {.n = recipient.n,
					      .notify = recipient.notify,
					      .address = recipient.address,
					      .orcpt = recipient.orcpt};
		size_t at = slice_find_last(row.address, '@');
		char whole[1536];

		if (recipient.n <= before || row.address.len == 0)
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
