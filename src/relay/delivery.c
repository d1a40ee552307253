/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "capture.h"
#include "config/config.h"
#include "connection.h"
#include "policy/route.h"
#include "queue_link.h"
#include "route.h"
#include "terms.h"

enum { ARENA_MAX = 16 * 1024 * 1024 }; /* a thousand recipients with the longest results */

/* ---- from the message ---- */

static enum err copy_recipients(struct delivery *delivery, struct ipc_list list)
{
	struct rec_recipient record;
	void *memory;
	enum err err;

	if (list.count == 0)
		return ERR_RANGE;
	err = arena_alloc(&delivery->arena, list.count * sizeof(*delivery->recipients), &memory);
	delivery->recipients = memory;
	while (err == ERR_OK && ipc_list_next(&list, IPC_REC_recipient, &record)) {
		struct delivery_recipient *recipient =
			&delivery->recipients[delivery->recipient_count++];

		recipient->n = record.n;
		err = arena_copy(&delivery->arena, record.address, &recipient->address);
		if (err == ERR_OK)
			err = arena_copy(&delivery->arena, record.orcpt, &recipient->terms.orcpt);
		recipient->terms.notify = record.notify;
	}
	return err;
}

static enum err copy_terms(struct delivery *delivery, const struct rec_mail *mail)
{
	struct smtp_mail_terms *terms = &delivery->terms;
	enum err err = arena_copy(&delivery->arena, mail->envid, &terms->envid);

	if (err == ERR_OK)
		err = arena_copy(&delivery->arena, mail->auth, &terms->auth);
	if (mail->ret > SMTP_RET_HDRS || mail->by_mode > SMTP_BY_NOTIFY ||
	    mail->priority > 10 + SMTP_PRIORITY_MAX)
		return ERR_RANGE;
	terms->utf8 = (mail->flags & IPC_MAIL_UTF8) != 0;
	terms->require_tls = (mail->flags & IPC_MAIL_REQUIRETLS) != 0;
	terms->ret = (enum smtp_ret)mail->ret;
	terms->by = (enum smtp_by)mail->by_mode;
	terms->by_trace = mail->by_trace;
	terms->has_priority = mail->priority != 0;
	terms->priority = (int8_t)(mail->priority != 0 ? (int)mail->priority - 10 : 0);
	delivery->deliver_by = mail->deliver_by;
	return err;
}

enum err delivery_new(struct relay *relay, const struct msg_deliver *msg,
		      struct delivery **delivery_out)
{
	struct delivery *delivery = mem_alloc(sizeof(*delivery));
	enum err err = ERR_OK;

	delivery->relay = relay;
	delivery->claim = msg->claim;
	delivery->key = delivery->id.key = msg->key;
	delivery->flags = msg->mail.flags;
	delivery->attempt = msg->attempt;
	delivery->arrived = msg->arrived;
	delivery->size = msg->size;
	delivery->has_body = msg->has_body;
	arena_init(&delivery->arena, ARENA_MAX);
	if (msg->random.len != MSGID_RANDOM || (msg->has_body && msg->body.len != msg->size))
		err = ERR_RANGE;
	else
		memcpy(delivery->id.random, msg->random.ptr, MSGID_RANDOM);
	if (err == ERR_OK)
		err = arena_copy(&delivery->arena, msg->destination, &delivery->destination);
	if (err == ERR_OK)
		err = arena_copy(&delivery->arena, msg->mail.sender, &delivery->sender);
	if (err == ERR_OK)
		err = copy_terms(delivery, &msg->mail);
	if (err == ERR_OK && msg->has_body)
		err = arena_copy(&delivery->arena, msg->body, &delivery->body);
	if (err == ERR_OK)
		err = copy_recipients(delivery, msg->recipients);
	if (err != ERR_OK) {
		arena_release(&delivery->arena);
		mem_free(delivery);
		return err;
	}
	*delivery_out = delivery;
	return ERR_OK;
}

/* ---- jobs ---- */

static void job_add(struct delivery *delivery, struct delivery_recipient *first, uint32_t count)
{
	struct job *job = mem_alloc(sizeof(*job));

	job->delivery = delivery;
	job->recipients = first;
	job->count = count;
	job->addresses = mem_array(count, sizeof(*job->addresses));
	job->open = mem_array(count, sizeof(*job->open));
	buf_init(&job->ahead, BODY_AHEAD_MAX);
	job->delivery_next = delivery->jobs;
	delivery->jobs = job;
}

/* Takes the job off whatever it is on. */
static void job_detach(struct job *job)
{
	struct connection *connection = job->connection;

	mx_cancel(&job->mx_wait);
	job->connection = NULL;
	if (connection)
		connection_abandon(connection);
	else if (job->host)
		host_dequeue(job->host, job);
	if (job->capture)
		capture_cancel(&job->capture);
	job->host = NULL;
}

static void job_free(struct job *job)
{
	struct job **link = &job->delivery->jobs;

	while (*link != job)
		link = &(*link)->delivery_next;
	*link = job->delivery_next;
	job_detach(job);
	buf_release(&job->ahead);
	mem_free(job->targets);
	mem_free(job->addresses);
	mem_free(job->open);
	mem_free(job);
}

void delivery_free(struct delivery **delivery)
{
	struct delivery *d = *delivery;

	*delivery = NULL;
	if (!d)
		return;
	while (d->jobs)
		job_free(d->jobs);
	arena_release(&d->arena);
	mem_free(d);
}

static void release(struct delivery *delivery)
{
	if (delivery->holds == 0 && !delivery->jobs)
		queue_link_over(delivery->relay->queue, delivery);
}

/* ---- which way ---- */

static bool same_way(const struct config_route *a, const struct config_route *b)
{
	if (a == b)
		return true;
	if (!a || !b)
		return (a ? a : b)->kind == ROUTE_MX;
	return a->kind == b->kind && (a->kind == ROUTE_MX || !strcmp(a->target, b->target));
}

/* Brings recipients that go the same way together, from first on; returns how many they are. */
static uint32_t gather(struct delivery *delivery, uint32_t first)
{
	struct delivery_recipient *all = delivery->recipients;
	uint32_t count = 1;

	for (uint32_t i = first + 1; i < delivery->recipient_count; i++) {
		struct delivery_recipient taken = all[i];

		if (!same_way(all[first].route, taken.route))
			continue;
		all[i] = all[first + count];
		all[first + count] = taken;
		count++;
	}
	return count;
}

void delivery_start(struct delivery *delivery)
{
	const struct config *config = delivery->relay->config;
	uint32_t count;

	delivery->holds++;
	for (uint32_t i = 0; i < delivery->recipient_count; i++)
		delivery->recipients[i].route = route_find(config, delivery->recipients[i].address);
	for (uint32_t at = 0; at < delivery->recipient_count; at += count) {
		count = gather(delivery, at);
		job_add(delivery, &delivery->recipients[at], count);
		job_route(delivery->jobs, delivery->recipients[at].route);
	}
	delivery->holds--;
	release(delivery);
}

/* ---- one host after the other ---- */

void job_next_host(struct job *job)
{
	struct host_spec spec = {.kind = HOST_MX};

	if (job->target_next >= job->target_count) {
		job_done(job, &job->last, job->last_host, "", !job->reached);
		return;
	}
	spec.name = job->targets[job->target_next++].name;
	spec.port = job->delivery->relay->config->delivery.port;
	host_enqueue(pool_host(job->delivery->relay->pool, &spec), job);
}

void job_host_failed(struct job *job, const struct outcome *outcome, const char *host,
		     bool unreachable)
{
	struct outcome last_word;

	if (terms_miss_tls(job, outcome, host, &last_word)) {
		outcome = &last_word;
		unreachable = false;
	}
	/* What may pass weighs more than what is for good: another host could still take it. */
	if (job->last.outcome == 0 || outcome->outcome == IPC_DEFERRED) {
		job->last = *outcome;
		snprintf(job->last_host, sizeof(job->last_host), "%s", host);
	}
	if (!unreachable)
		job->reached = true;
	job->host = NULL;
	job_body_forget(job);
	if (outcome->scope == IPC_SCOPE_OURS)
		job->target_next = job->target_count;
	job_next_host(job);
}

void job_taken(struct job *job, struct connection *connection)
{
	struct delivery *delivery = job->delivery;
	uint32_t open = 0;

	job->state = JOB_SENDING;
	job->connection = connection;
	for (uint32_t i = 0; i < job->count; i++) {
		if (job->recipients[i].outcome)
			continue;
		job->addresses[open] = (struct smtp_client_recipient){job->recipients[i].address,
								      job->recipients[i].terms};
		job->open[open++] = i;
	}
	job->envelope = (struct smtp_client_envelope){
		.sender = delivery->sender,
		.recipients = job->addresses,
		.recipient_count = open,
		.size = delivery->size,
		/* RFC 6531 3.1, 8: what was sent with SMTPUTF8 may hold UTF-8, its header too. */
		.body_8bit = (delivery->flags & (IPC_MAIL_8BIT | IPC_MAIL_UTF8)) != 0,
		.terms = delivery->terms,
		.by_seconds = terms_seconds_left(job),
	};
	job_body_begin(job);
}

struct job *job_split(struct job *job, uint32_t most)
{
	struct delivery *delivery = job->delivery;
	uint32_t open = 0, keep = 0;
	struct job *rest;

	while (keep < job->count && (open < most || job->recipients[keep].outcome))
		open += !job->recipients[keep++].outcome;
	if (keep == job->count)
		return NULL;
	job_add(delivery, &job->recipients[keep], job->count - keep);
	job->count = keep;
	rest = delivery->jobs;
	if (job->targets) {
		rest->targets = mem_array(job->target_count, sizeof(*rest->targets));
		memcpy(rest->targets, job->targets, job->target_count * sizeof(*rest->targets));
	}
	rest->target_count = job->target_count;
	rest->target_next = job->target_next;
	rest->last = job->last;
	memcpy(rest->last_host, job->last_host, sizeof(rest->last_host));
	rest->reached = job->reached;
	return rest;
}

void job_given_back(struct job *job, struct host *host)
{
	job->stale++;
	job_body_forget(job);
	host_enqueue(host, job);
}

/* ---- results ---- */

static struct outcome *keep_outcome(struct delivery *delivery, const struct outcome *outcome)
{
	void *memory = NULL;
	struct outcome *kept;

	if (arena_alloc(&delivery->arena, sizeof(*kept), &memory) != ERR_OK)
		abort(); /* the arena was made for the largest delivery there is */
	kept = memory;
	*kept = *outcome;
	return kept;
}

void job_settle(struct job *job, struct delivery_recipient *recipient,
		const struct outcome *outcome)
{
	if (!recipient->outcome)
		recipient->outcome = keep_outcome(job->delivery, outcome);
}

void job_recipient_done(struct job *job, uint32_t index, const struct outcome *outcome)
{
	if (index < job->envelope.recipient_count)
		job_settle(job, &job->recipients[job->open[index]], outcome);
}

void job_at_dot(struct job *job)
{
	job->state = JOB_AT_DOT;
	queue_link_at_dot(job->delivery->relay->queue, job);
}

void job_done(struct job *job, const struct outcome *rest, const char *host, const char *tls,
	      bool down)
{
	struct delivery *delivery = job->delivery;
	struct outcome *kept = NULL;

	job->host = NULL;
	for (uint32_t i = 0; i < job->count; i++) {
		if (job->recipients[i].outcome)
			continue;
		if (!kept)
			kept = keep_outcome(delivery, rest);
		job->recipients[i].outcome = kept;
	}
	queue_link_results(delivery->relay->queue, job, host, tls,
			   down && rest->scope == IPC_SCOPE_HOST);
	job_free(job);
	release(delivery);
}

/* ---- seen from queue ---- */

/* One that may still be stopped; each stop may end others as well, so they are found anew. */
static struct job *stoppable(struct delivery *delivery)
{
	for (struct job *job = delivery->jobs; job; job = job->delivery_next)
		if (job->state != JOB_AT_DOT)
			return job;
	return NULL;
}

void delivery_cancel(struct delivery *delivery)
{
	struct outcome outcome;
	struct job *job;

	outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_OURS, 0, "4.3.0", "withdrawn by the queue");
	delivery->holds++;
	while ((job = stoppable(delivery))) {
		job_detach(job);
		job_done(job, &outcome, "", "", false);
	}
	delivery->holds--;
	release(delivery);
}

bool delivery_survives(const struct delivery *delivery)
{
	if (delivery->has_body)
		return true;
	for (const struct job *job = delivery->jobs; job; job = job->delivery_next)
		if (job->state != JOB_AT_DOT)
			return false;
	return true;
}

bool delivery_in_transfer(const struct delivery *delivery)
{
	for (const struct job *job = delivery->jobs; job; job = job->delivery_next)
		if (job->state >= JOB_SENDING)
			return true;
	return false;
}

void delivery_drop_unsent(struct delivery *delivery)
{
	struct job *job;

	delivery->holds++;
	while ((job = stoppable(delivery)))
		job_free(job);
	delivery->holds--;
	release(delivery);
}
