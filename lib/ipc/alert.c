/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/alert.h"

#include "ipc/channel.h"
#include "os/log.h"

enum { EVIDENCE_BYTES = 8192, KIND_MAX = 64, SUBJECT_MAX = 512, TEXT_MAX = 1024 };

void alert_send(struct channel *master, enum ipc_alert state, const struct alert_words *words)
{
	struct ipc_list_builder evidence;
	struct msg_alert msg = {
		.state = (uint8_t)state,
		.kind = slice_head(slice_str(words->kind), KIND_MAX),
		.subject = slice_head(slice_str(words->subject), SUBJECT_MAX),
		.text = slice_head(slice_str(words->text), TEXT_MAX),
	};
	enum err err = ERR_OK;

	ipc_list_begin(&evidence, EVIDENCE_BYTES);
	for (size_t i = 0; i < words->evidence_count && err == ERR_OK; i++)
		err = ipc_list_add(&evidence, IPC_REC_field, &words->evidence[i]);
	msg.evidence = ipc_list_view(&evidence);
	err = channel_send(master, IPC_ALERT, &msg);
	if (err != ERR_OK && err != ERR_EOF)
		log_note(LOG_ERROR, "an alert cannot be sent to master: %s", err_name(err));
	ipc_list_release(&evidence);
}

void alert_send_over(struct channel *master, const char *kind, const char *subject)
{
	alert_send(master, IPC_ALERT_OVER,
		   &(struct alert_words){.kind = kind, .subject = subject, .text = ""});
}
