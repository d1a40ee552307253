/* SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "delivery.h"
#include "os/maildir.h"
#include "os/os.h"
#include "os/worker.h"

enum { WAITING_MAX = 10000, THREADS = 4 /* a disk syncs several files at a time */ };

struct capture {
	struct relay *relay;
	struct worker_pool *pool;
};

/*
 * One step of work at a time is with the thread; what it needs is copied, for the job may go
 * away meanwhile.
 */
struct capture_job {
	struct capture *capture;
	struct job *job; /* NULL: it is gone */
	char folder[OS_PATH_MAX];
	char name[256];
	struct maildir_file *file;
	bool busy;       /* the thread has it */
	struct buf part; /* to be written */
	bool last;       /* and then the file is complete */
	bool abort;
	enum err err;
	int error; /* errno */
};

struct capture *capture_new(struct relay *relay)
{
	struct capture *capture = mem_alloc(sizeof(*capture));

	capture->relay = relay;
	capture->pool = worker_pool_new(relay->loop, "relay-capture", THREADS, WAITING_MAX);
	return capture;
}

void capture_free(struct capture **capture)
{
	if (!*capture)
		return;
	worker_pool_free(&(*capture)->pool);
	MEM_FREE(*capture);
}

/* ---- on the thread ---- */

static void work(void *arg)
{
	struct capture_job *c = arg;

	if (c->abort) {
		maildir_abort(&c->file);
		return;
	}
	if (!c->file)
		c->err = maildir_open(c->folder, c->name, &c->file);
	if (c->err == ERR_OK)
		c->err = maildir_write(c->file, buf_data(&c->part));
	if (c->err == ERR_OK && c->last)
		c->err = maildir_finish(&c->file);
	if (c->err != ERR_OK) {
		c->error = errno;
		maildir_abort(&c->file);
	}
}

/* ---- on the loop ---- */

static void capture_step(struct capture_job *c);

static void finish(struct capture_job *c)
{
	buf_release(&c->part);
	mem_free(c);
}

static void tell(struct capture_job *c)
{
	struct job *job = c->job;
	struct outcome outcome;

	if (c->err == ERR_OK) {
		outcome_set(&outcome, IPC_DELIVERED, IPC_SCOPE_RECIPIENT, 250, "2.0.0",
			    "captured as %s/new/%s", c->folder, c->name);
		outcome.taken = IPC_TAKEN_FINAL;
	} else {
		outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_OURS, 0,
			    c->err == ERR_NO_SPACE ? "4.3.1" : "4.3.0",
			    "capture folder %s cannot be written by user number %u: %s", c->folder,
			    (unsigned)getuid(), strerror(c->error));
	}
	job->capture = NULL;
	finish(c);
	job_done(job, &outcome, "", "", false);
}

static void done(void *arg)
{
	struct capture_job *c = arg;

	c->busy = false;
	if (!c->job) {
		/* Withdrawn while the thread was at it. */
		if (c->file && !c->abort) {
			c->abort = true;
			if (worker_submit(c->capture->pool, work, done, c) == ERR_OK)
				return;
			maildir_abort(&c->file);
		}
		finish(c);
		return;
	}
	if (c->err != ERR_OK || c->last) {
		tell(c);
		return;
	}
	job_body_used(c->job, buf_len(&c->part));
	buf_clear(&c->part);
	capture_step(c);
}

static void give_up(struct capture_job *c, const char *text)
{
	struct job *job = c->job;
	struct outcome outcome;

	outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_OURS, 0, "4.3.0", "%s", text);
	capture_cancel(&job->capture);
	job_done(job, &outcome, "", "", false);
}

/* Gives the thread what there is of the body. */
static void capture_step(struct capture_job *c)
{
	struct delivery *delivery = c->job->delivery;
	struct slice part = SLICE_LIT("");
	enum job_body body;

	if (c->busy)
		return;
	body = job_body(c->job, &part);
	if (body == JOB_BODY_WAIT)
		return;
	if (body == JOB_BODY_BROKEN) {
		give_up(c, "the message cannot be read from the queue");
		return;
	}
	if (body == JOB_BODY_PART && delivery->has_body)
		part = slice_skip(delivery->body, c->job->given);
	if (body == JOB_BODY_END)
		part = SLICE_LIT("");
	buf_append_slice(&c->part, part);
	c->last = c->job->given + part.len == delivery->size;
	if (worker_submit(c->capture->pool, work, done, c) != ERR_OK) {
		give_up(c, "too many messages are being captured");
		return;
	}
	c->busy = true;
}

void capture_start(struct job *job, const char *folder)
{
	struct delivery *delivery = job->delivery;
	struct capture_job *c = mem_alloc(sizeof(*c));
	char id[MSGID_TEXT_MAX + 1];

	c->capture = delivery->relay->capture;
	c->job = job;
	buf_init(&c->part, IPC_CHUNK);
	msgid_print(&delivery->id, id);
	snprintf(c->folder, sizeof(c->folder), "%s", folder);
	snprintf(c->name, sizeof(c->name), "%lld.%s.%u", (long long)(delivery->arrived / 1000), id,
		 job->recipients[0].n);
	job->capture = c;
	job->state = JOB_CAPTURING;
	job_body_begin(job);
	capture_step(c);
}

void capture_body_ready(struct capture_job *capture)
{
	capture_step(capture);
}

void capture_cancel(struct capture_job **capture)
{
	struct capture_job *c = *capture;

	*capture = NULL;
	if (!c)
		return;
	c->job = NULL;
	if (c->busy)
		return; /* done sees to it */
	c->busy = true;
	done(c);
}
