/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A delivery is what queue hands over: recipients of one message at one destination. It is split
 * into jobs, one per route that its recipients take; a job goes to one host after the other
 * until one of them has answered, or none is left.
 *
 *	ROUTING -> (MX) -> WAITING at a host -> SENDING on a connection -> AT_DOT -> done
 *	                      ^    |  host is down: the next one
 *	                      +----+
 */
#ifndef POSTERN_RELAY_DELIVERY_H
#define POSTERN_RELAY_DELIVERY_H

#include "base/arena.h"
#include "base/msgid.h"
#include "mx.h"
#include "outcome.h"
#include "pool.h"

struct config_route;
struct connection;
struct delivery;
struct host;

enum {
	BODY_PART_MAX = 16384,          /* given to the SMTP machine at a time */
	BODY_AHEAD_MAX = 4 * IPC_CHUNK, /* fetched from queue before it is needed */
};

enum job_state { JOB_ROUTING, JOB_WAITING, JOB_SENDING, JOB_AT_DOT, JOB_CAPTURING };

/* Recipients of a delivery, in the order of the message; of one job they are neighbours. */
struct delivery_recipient {
	uint32_t n;
	struct slice address;
	struct smtp_rcpt_terms terms;
	const struct config_route *route; /* in force when the delivery began; NULL: mx */
	struct outcome *outcome;          /* NULL: no result yet */
};

struct job {
	struct delivery *delivery;
	struct delivery_recipient *recipients;
	uint32_t count;
	/* of the envelope under way: those that have no result yet, and which they are */
	struct smtp_client_recipient *addresses;
	uint32_t *open;
	enum job_state state;
	struct smtp_client_envelope envelope;

	/* where it goes */
	struct mx_wait *mx_wait;
	struct mx_target *targets; /* copied; NULL: one host only */
	size_t target_count, target_next;
	struct host *host; /* WAITING, SENDING */
	struct connection *connection;
	struct capture_job *capture;
	struct outcome last; /* of the hosts tried so far; outcome 0: none was */
	char last_host[512];
	bool reached;   /* one of the hosts tried has spoken with us */
	unsigned stale; /* connections that turned out to be dead before they were of use */

	/* the body, if it is fetched */
	struct buf ahead;
	uint64_t given;     /* bytes that the machine has taken */
	uint64_t received;  /* offset of the next bytes from queue */
	uint64_t requested; /* end of what was asked for */
	bool broken;        /* queue cannot read it, or is gone */

	struct job *prev, *next;   /* in the host's list of waiting */
	struct job *delivery_next; /* in the delivery's list */
};

struct delivery {
	UT_hash_handle hh; /* in queue_link's table, by claim */
	struct relay *relay;
	uint64_t claim, key;
	struct msgid id;
	struct slice destination, sender;
	struct smtp_mail_terms terms;
	int64_t deliver_by; /* ms since 1970, if terms.by is set */
	uint32_t flags, attempt;
	int64_t arrived;
	uint64_t size;
	bool has_body;
	struct slice body; /* if it came with the message */
	struct delivery_recipient *recipients;
	uint32_t recipient_count;
	struct job *jobs;
	uint32_t credit; /* bytes of the DELIVER that are given back at the end */
	bool cancelled;
	bool orphan;    /* queue that gave it is dead */
	unsigned holds; /* who else looks at it */
	struct arena arena;
};

/* ERR_RANGE: the message does not make sense (no recipients, wrong size). Does not start it. */
enum err delivery_new(struct relay *relay, const struct msg_deliver *msg,
		      struct delivery **delivery_out);
void delivery_free(struct delivery **delivery); /* takes its jobs off hosts and connections */
/* Finds routes and starts the jobs. The delivery may be over and gone when it returns. */
void delivery_start(struct delivery *delivery);
/* queue does not want it any more: all but what is at the dot ends. May free it. */
void delivery_cancel(struct delivery *delivery);
/* queue has died: false if it cannot go on, since its body is not all here. */
void delivery_drop_unsent(struct delivery *delivery); /* jobs not at the dot, without results */
bool delivery_survives(const struct delivery *delivery);
bool delivery_in_transfer(const struct delivery *delivery); /* a connection is busy with it */
/* Body bytes from queue; an empty part: it cannot be read. What nobody waits for is dropped. */
void delivery_body(struct delivery *delivery, uint64_t offset, struct slice data);
/* The body is here, or is coming; internal to delivery and its bodies. */
void job_body_begin(struct job *job);
void job_body_forget(struct job *job);
/* For the operator: which way a recipient goes, e.g. "mx", "relay:isp (smtp.isp.example:587)". */
void route_describe(const struct relay *relay, struct slice recipient, char *out, size_t size);

/* ---- for the host and the connection that a job is on ---- */

/*
 * This host cannot be reached (unreachable), or does not want this mail now. The job goes on with
 * the next.
 */
void job_host_failed(struct job *job, const struct outcome *outcome, const char *host,
		     bool unreachable);
void job_taken(struct job *job, struct connection *connection); /* SENDING */
/*
 * Leaves it with at most that many recipients without a result. The others are a job of their own
 * now, which goes the same way from the same host on; NULL: there are none.
 */
struct job *job_split(struct job *job, uint32_t most);
/* The connection was dead before the job was of use to it: the job is nobody's again. */
void job_given_back(struct job *job, struct host *host);

enum job_body { JOB_BODY_PART, JOB_BODY_WAIT, JOB_BODY_END, JOB_BODY_BROKEN };
/* What to send next; *part_out stays valid until job_body_used. */
enum job_body job_body(struct job *job, struct slice *part_out);
void job_body_used(struct job *job, size_t len);
void job_at_dot(struct job *job);
/* The result of a recipient that has none yet. */
void job_settle(struct job *job, struct delivery_recipient *recipient,
		const struct outcome *outcome);
void job_recipient_done(struct job *job, uint32_t index, const struct outcome *outcome);
/*
 * The job is over: rest is the outcome of recipients that have none. host, tls: who said it, how
 * it was reached. down: the destination as a whole cannot be reached. Frees the job, and the
 * delivery if it was the last.
 */
void job_done(struct job *job, const struct outcome *rest, const char *host, const char *tls,
	      bool down);

#endif
