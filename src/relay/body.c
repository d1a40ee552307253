/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of jobs: what came with the delivery, or is fetched from queue a few chunks ahead of
 * what the connection takes, so that a large message never lies in memory whole.
 */
#include "capture.h"
#include "connection.h"
#include "delivery.h"
#include "queue_link.h"

static void want_more(struct job *job)
{
	struct delivery *delivery = job->delivery;

	while (job->requested < delivery->size && !job->broken) {
		uint64_t left = delivery->size - job->requested;
		uint32_t part = left < IPC_CHUNK ? (uint32_t)left : IPC_CHUNK;

		if (job->requested - job->given + part > BODY_AHEAD_MAX)
			return;
		queue_link_want(delivery->relay->queue, delivery->claim, job->requested, part);
		job->requested += part;
	}
}

void job_body_begin(struct job *job)
{
	if (!job->delivery->has_body)
		want_more(job);
}

/* Starts anew from the first byte. */
void job_body_forget(struct job *job)
{
	buf_clear(&job->ahead);
	job->given = job->received = job->requested = 0;
	job->broken = false;
}

enum job_body job_body(struct job *job, struct slice *part_out)
{
	struct delivery *delivery = job->delivery;

	if (job->broken)
		return JOB_BODY_BROKEN;
	if (job->given == delivery->size)
		return JOB_BODY_END;
	if (delivery->has_body)
		*part_out = slice_skip(delivery->body, job->given);
	else
		*part_out = buf_data(&job->ahead);
	if (part_out->len == 0) {
		want_more(job);
		return JOB_BODY_WAIT;
	}
	*part_out = slice_head(*part_out, BODY_PART_MAX);
	return JOB_BODY_PART;
}

void job_body_used(struct job *job, size_t len)
{
	job->given += len;
	if (job->delivery->has_body)
		return;
	buf_consume(&job->ahead, len);
	want_more(job);
}

/*
 * Who waits for bytes at this offset. It may get what another, or itself before it changed hosts,
 * asked for: the bytes at an offset are always the same.
 */
static struct job *asker(struct delivery *delivery, uint64_t offset, size_t len)
{
	for (struct job *job = delivery->jobs; job; job = job->delivery_next)
		if (job->received == offset && len <= job->requested - job->received &&
		    job->requested > job->received)
			return job;
	return NULL;
}

void delivery_body(struct delivery *delivery, uint64_t offset, struct slice data)
{
	struct job *job = asker(delivery, offset, data.len);

	/* Nobody: who asked has ended meanwhile. */
	if (!job)
		return;
	if (data.len == 0 || buf_append_slice(&job->ahead, data) != ERR_OK)
		job->broken = true;
	job->received += data.len;
	if (job->connection)
		connection_body_ready(job->connection);
	else if (job->capture)
		capture_body_ready(job->capture);
}
