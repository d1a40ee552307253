/* SPDX-License-Identifier: Apache-2.0 */
#include "sender.h"

#include <stdio.h>

#include "auth_link.h"
#include "base/buf.h"
#include "base/msgid.h"
#include "config/config.h"
#include "events.h"
#include "os/log.h"
#include "session.h"
#include "smtp/server.h"
#include "smtp/xtext.h"
#include "smtpd.h"
#include "transaction.h"

enum { PATTERNS_SHOWN = 5 /* of an account's sender rights, in a refusal */ };

enum submission_policy sender_policy(const struct config *config)
{
	switch (config->submission.sender_check) {
	case SENDER_CHECK_REWRITE:
		return SUBMISSION_REWRITE;
	case SENDER_CHECK_LOG:
		return SUBMISSION_LOG;
	default:
		return SUBMISSION_REJECT;
	}
}

void sender_explain(const struct session *session, struct slice address, char *text, size_t size)
{
	const struct login *login = session->login;
	struct buf buf;

	buf_init(&buf, size);
	(void)buf_printf(&buf, "%.100s may not send as %.*s (allowed:", login->account,
			 SLICE_ARG(slice_head(address.len > 0 ? address : SLICE_LIT("<>"), 150)));
	for (size_t i = 0; i < login->sender_count && i < PATTERNS_SHOWN; i++)
		(void)buf_printf(&buf, "%s %.80s", i > 0 ? "," : "", login->senders[i]);
	if (login->sender_count == 0)
		(void)buf_append_str(&buf, " nothing");
	else if (login->sender_count > PATTERNS_SHOWN)
		(void)buf_append_str(&buf, ", ...");
	(void)buf_printf(&buf, "; ask postmaster@%.100s)", config_domain(session->smtpd->config));
	snprintf(text, size, "%.*s", SLICE_ARG(buf_data(&buf)));
	buf_release(&buf);
}

bool sender_take(struct session *session, struct slice *sender, bool *foreign_out)
{
	enum submission_policy policy = sender_policy(session->smtpd->config);
	struct slice own = slice_str(session->login->address);
	char text[480];

	if (session->login->lost) {
		events_log_refusal(session,
				   &(struct refusal){.code = 421,
						     .status = "4.3.0",
						     .text = "Please log in again",
						     .reason = "the login is no longer valid",
						     .sender = *sender});
		smtp_server_answer(session->server, 421, "4.3.0", "Please log in again");
		return false;
	}
	*foreign_out = !login_may_send_as(session->login, *sender);
	if (!*foreign_out || policy == SUBMISSION_LOG)
		return true;
	/*
	 * The null sender is not replaced: what it is for, reports and replies of programs, must
	 * not be answered (RFC 5321 4.5.5), and with an address it would be.
	 */
	if (policy == SUBMISSION_REWRITE && own.len > 0 && sender->len > 0) {
		*sender = own;
		return true;
	}
	sender_explain(session, *sender, text, sizeof(text));
	events_refuse(
		session,
		&(struct refusal){.code = 553, .status = "5.7.1", .text = text, .sender = *sender});
	return false;
}

struct slice sender_auth(const struct session *session, struct slice auth)
{
	struct smtp_address address;
	char text[512];

	if (auth.len == 0)
		return auth;
	if (session->login != NULL && smtp_xtext_decode(auth, text, sizeof(text)) == ERR_OK &&
	    smtp_mailbox_parse(slice_str(text), true, &address) == SMTP_ADDRESS_OK &&
	    login_may_send_as(session->login, smtp_address_text(&address)))
		return auth;
	return SLICE_LIT("<>");
}

void sender_log(const struct transaction *transaction)
{
	const struct accepted *accepted = transaction->accepted;
	bool envelope = transaction->foreign_sender != NULL;
	char id[MSGID_TEXT_MAX + 1];
	char fields[128];

	if (!envelope && accepted->mismatch == 0)
		return;
	msgid_print(&transaction->id, id);
	field_set_print(accepted->mismatch, fields, sizeof(fields));
	log_event(LOG_WARNING, "sender-mismatch", LOG_TEXT("id", id),
		  LOG_TEXT("session", accepted->log_id), LOG_TEXT("account", transaction->account),
		  LOG_TEXT_IF("key", transaction->key),
		  LOG_TEXT("action", accepted->replaced ? "rewritten" : "accepted"),
		  LOG_TEXT_IF("sender", envelope ? transaction->foreign_sender : ""),
		  LOG_TEXT_IF("fields", fields), LOG_TEXT_IF("from", accepted->used));
	if (transaction->session !=
	    NULL) /* else its grant is over, and auth does not know whose it was */
		auth_link_foreign(transaction->session->smtpd->auth, transaction->grant,
				  transaction->foreign_sender,
				  accepted->mismatch != 0 ? accepted->used : "");
}
