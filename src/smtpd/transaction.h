/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message, from MAIL to the final reply. Its header is gathered and fixed up, then the body
 * goes into a chunk of at most IPC_CHUNK bytes: a message that fits goes to queue in one SUBMIT
 * after its final dot, a larger one is streamed as the chunk fills. Without credit the session
 * stalls, and with it the client.
 *
 *	ENVELOPE --> BODY --> DOT --> SENT --> (reply)
 *	                               |  queue dies
 *	                              HELD --> (the next queue knows: reply; or no reply)
 *
 * What is refused in the body is read to its end all the same, then answered. A message that is
 * SENT or HELD outlives its session, for the log and for order.
 */
#ifndef POSTERN_SMTPD_TRANSACTION_H
#define POSTERN_SMTPD_TRANSACTION_H

#include "base/hash.h"
#include "base/msgid.h"
#include "ipc/message.h"
#include "message/fields.h"
#include "message/header.h"
#include "smtp/terms.h"

struct session;
struct smtp_mail;
struct smtp_rcpt;

enum transaction_state {
	TRANSACTION_ENVELOPE,
	TRANSACTION_BODY,
	TRANSACTION_DOT,
	TRANSACTION_SENT,
	TRANSACTION_HELD,
};

/* What will be said at the end. */
struct verdict {
	unsigned code;
	char status[12];
	char text[512];
};

/* What the log line of an accepted message needs and the session may not know any more. */
struct accepted {
	char log_id[16];
	char client[64];
	char client_name[256];
	char message_id[256];
	field_set added, removed, rewritten, qualified;
	field_set mismatch; /* fields that name others than the account */
	char used[400];     /* the first address of mismatch */
	bool replaced;      /* what does not match was replaced */
	char tls[96];
	bool repaired; /* bare CR or LF became CR LF */
};

struct transaction {
	struct session *session; /* NULL: it is over; only when SENT or HELD */
	enum transaction_state state;
	uint64_t grant;
	char *account; /* "" not logged in */
	char *key;     /* of the account, that was used; "" none */
	char *sender;
	char *foreign_sender; /* what MAIL said, if it is not the account's; else NULL */
	struct ipc_list_builder recipients;
	char *first_recipient; /* NULL: none yet */
	uint32_t counted;      /* recipients that auth counted for it */
	uint32_t flags;        /* enum ipc_mail_flag */
	/* What else was asked for in MAIL; its slices are the transaction's own. */
	struct smtp_mail_terms terms;
	int64_t release_at; /* ms since 1970; 0: at once */
	int64_t deliver_by; /* ms since 1970, if terms.by is set */
	uint64_t size_hint;
	struct msgid id;         /* from DATA on */
	uint32_t incarnation;    /* of the queue that gave the key */
	struct verdict *verdict; /* NULL: nothing is wrong so far */
	struct accepted *accepted;
	struct header_gather gather;
	struct buf head;      /* the new header, what of it is not in the chunk yet */
	struct buf chunk;     /* IPC_CHUNK at most */
	struct slice pending; /* the rest of the machine's part, while stalled */
	uint64_t size;        /* bytes that went into chunks */
	bool opened;          /* it is being streamed: SUBMIT_OPEN was sent */
	UT_hash_handle hh;    /* queue_link.c: those it knows, by id.key */
};

/* Answers to the machine's events. */
void transaction_mail(struct session *session, const struct smtp_mail *mail);
void transaction_rcpt(struct session *session, const struct smtp_rcpt *rcpt);
/* The recipient is wanted, and within the limits. */
void transaction_add_rcpt(struct session *session, const struct smtp_rcpt *rcpt);
void transaction_data(struct session *session);
void transaction_body(struct session *session, struct slice text);
/* The machine will refuse the message. */
void transaction_body_refused(struct session *session);
/* repaired: line ends were not all CR LF, and were made so. */
void transaction_end(struct session *session, bool repaired);
/* RSET, or the session ends: forgets what can be forgotten. */
void transaction_drop(struct session *session);

/* There is credit again: goes on where the session stalled. */
void transaction_go_on(struct session *session);
/* The message will be refused with this; the rest of it is thrown away. */
void transaction_spoil(struct transaction *transaction, unsigned code, const char *status,
		       const char *text, const char *reason);
/* queue has answered: for good. text: queue's words, may be "". */
void transaction_answered(struct transaction *transaction, enum ipc_verdict verdict,
			  struct slice text);
/* Answers with what spoiled it, and forgets it. */
void transaction_answer_verdict(struct transaction *transaction);
void transaction_free(struct transaction **transaction);

#endif
