/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel to queue: keys for messages, messages, and what became of them.
 *
 * When queue dies, messages that it had whole are held up to 10 s; the next queue is asked for
 * each by its name: 250 if it has it, 451 if not, no reply at all if nobody can say. Messages that
 * were being streamed get 451 at their end. Nothing new is given to a queue before auth says that
 * it holds our grants; only the first queue of our life had them before we began.
 */
#ifndef POSTERN_SMTPD_QUEUE_LINK_H
#define POSTERN_SMTPD_QUEUE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct channel;
struct queue_link;
struct session;
struct smtpd;
struct transaction;

/* What to say instead of taking mail. */
struct queue_refusal {
	unsigned code;
	const char *status;
	const char *text;
};

struct queue_link *queue_link_new(struct smtpd *smtpd);
void queue_link_free(struct queue_link **link);
/* A new channel, in place of one that died; takes fd. */
void queue_link_peer(struct queue_link *link, int fd, uint32_t incarnation);
/* auth: the queue of this incarnation holds every live grant of ours. */
void queue_link_synced(struct queue_link *link, uint32_t incarnation);
/* It is there, has given keys, and has said whether it takes mail. */
bool queue_link_ready(const struct queue_link *link);
/* NULL: there is no queue just now. */
struct channel *queue_link_channel(const struct queue_link *link);
/* false: no mail of this many bytes (0: unknown) can be taken now; *refusal_out, valid for now. */
bool queue_link_takes(const struct queue_link *link, uint64_t size,
		      struct queue_refusal *refusal_out);

/* Gives the transaction its name. ERR_AGAIN: there is no key. */
enum err queue_link_name(struct queue_link *link, struct transaction *transaction);
/*
 * Each: ERR_OK; ERR_FULL: no credit, the session is to stall; ERR_EOF: the queue that the
 * transaction was named by is gone. chunk sends the chunk (and opens before), end what is left
 * of it and the end, or the whole message.
 */
enum err queue_link_chunk(struct queue_link *link, struct transaction *transaction);
enum err queue_link_end(struct queue_link *link, struct transaction *transaction);
/* Forgets a message that was being streamed. */
void queue_link_abort(struct queue_link *link, struct transaction *transaction);

/* transaction_go_on is called when there is credit. */
void queue_link_stall(struct queue_link *link, struct session *session);
void queue_link_unstall(struct queue_link *link, struct session *session);
/* Messages whose answer a client waits for. */
uint32_t queue_link_waiting(const struct queue_link *link);

#endif
