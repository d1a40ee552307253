/* SPDX-License-Identifier: Apache-2.0 */
#include "upload.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "grants.h"
#include "os/worker.h"
#include "queue.h"
#include "space.h"
#include <utlist.h>

enum {
	/* What smtpd adds to a header after it counted, in bytes: more than it can be. */
	TRACE_SLACK = 1024 * 1024,
	UPLOADS_MAX = 20000, /* of one smtpd: more than it can have sessions */
};

struct chunk {
	struct chunk *next;
	uint32_t credit;
	size_t len;
	char data[];
};

struct upload {
	UT_hash_handle hh;
	uint64_t key;
	struct upload **table; /* that it is in; NULL: smtpd has forgotten it */
	struct front *front;
	uint64_t grant;
	struct queue_mail *mail; /* its envelope; NULL: refused */
	enum ipc_verdict verdict;
	uint64_t size;
	bool running, ended, aborted;
	struct chunk *waiting;
	/* For the job: nobody else touches them while it runs. */
	struct queue_upload *file;
	struct chunk *writing;
	bool finish, discard;
	enum err err;
};

static void forget_chunks(struct upload *upload, struct chunk **chunks)
{
	struct chunk *chunk, *next;
	uint32_t bytes = 0, count = 0;

	LL_FOREACH_SAFE (*chunks, chunk, next) {
		bytes += chunk->credit;
		count++;
		mem_free(chunk);
	}
	*chunks = NULL;
	if (count != 0)
		front_credit(upload->front, bytes, count);
}

static void leave(struct upload *upload)
{
	if (upload->table != NULL)
		HASH_DEL(*upload->table, upload);
	upload->table = NULL;
}

static void free_upload(struct upload *upload)
{
	leave(upload);
	queue_mail_unref(&upload->mail);
	front_unref(&upload->front);
	mem_free(upload);
}

/* ---- on a worker ------------------------------------------------------------------------- */
static void work(void *arg)
{
	struct upload *upload = arg;

	if (upload->discard) {
		queue_upload_close(&upload->file, true);
		return;
	}
	if (upload->file == NULL)
		upload->err = queue_upload_open(front_queue(upload->front)->folder, upload->key,
						&upload->file);
	for (struct chunk *chunk = upload->writing; chunk != NULL && upload->err == ERR_OK;
	     chunk = chunk->next)
		upload->err = queue_upload_write(upload->file, slice_of(chunk->data, chunk->len));
	if (upload->finish && upload->err == ERR_OK)
		upload->err = queue_upload_finish(upload->file);
}

static void go_on(struct upload *upload);

static void fail(struct upload *upload, enum ipc_verdict verdict)
{
	struct queue *queue = front_queue(upload->front);

	upload->verdict = verdict;
	if (upload->mail != NULL)
		grants_give_back(queue->grants, upload->grant, upload->mail->recipients);
	queue_mail_unref(&upload->mail);
	if (verdict == IPC_DISK_FULL)
		space_full(queue->space);
}

/* The file is whole and on disk: the message may be committed. */
static void hand_on(struct upload *upload)
{
	struct slice sums = queue_upload_sums(upload->file);
	struct queue_mail *mail =
		queue_mail_new(slice_of(upload->mail->envelope, upload->mail->envelope_len), sums);

	mail->id = upload->mail->id;
	mail->arrived = upload->mail->arrived;
	mail->expires = upload->mail->expires;
	mail->flags = upload->mail->flags;
	mail->recipients = upload->mail->recipients;
	mail->size = queue_upload_size(upload->file);
	mail->in_file = true;
	queue_upload_close(&upload->file, false); /* not synced again: closing tells nothing new */
	front_put(upload->front, mail, upload->grant, 0);
	free_upload(upload);
}

static void done(void *arg)
{
	struct upload *upload = arg;

	upload->running = false;
	forget_chunks(upload, &upload->writing);
	if (upload->discard) {
		upload->discard = false;
		if (upload->aborted)
			free_upload(upload);
		else
			go_on(upload);
		return;
	}
	if (upload->err != ERR_OK && upload->mail != NULL)
		fail(upload, upload->err == ERR_NO_SPACE ? IPC_DISK_FULL
			     : upload->err == ERR_EXISTS ? IPC_BAD_MESSAGE
							 : IPC_STORE_ERROR);
	if (upload->finish && upload->err == ERR_OK && !upload->aborted)
		hand_on(upload);
	else
		go_on(upload);
}

/* Does what is next, if nothing is under way. */
static void go_on(struct upload *upload)
{
	if (upload->running)
		return;
	if (front_queue(upload->front)
		    ->ended) { /* no worker is left: an orphan for the next start */
		queue_upload_close(&upload->file, true);
		forget_chunks(upload, &upload->waiting);
		free_upload(upload);
		return;
	}
	if (upload->mail == NULL || upload->aborted) {
		forget_chunks(upload, &upload->waiting);
		if (upload->file != NULL) {
			upload->discard = true;
		} else if (upload->aborted) {
			free_upload(upload);
			return;
		} else if (upload->ended) {
			front_verdict(upload->front, upload->key, upload->verdict, "");
			free_upload(upload);
			return;
		} else {
			return;
		}
	} else if (upload->waiting == NULL && !upload->ended) {
		return;
	}
	upload->writing = upload->waiting;
	upload->waiting = NULL;
	upload->finish = upload->ended;
	upload->running = true;
	queue_job(front_queue(upload->front)->body_pool, work, done, upload);
}

/* ---- what smtpd says --------------------------------------------------------------------- */
static struct upload *find(struct upload *uploads, uint64_t key)
{
	struct upload *upload;

	HASH_FIND(hh, uploads, &key, sizeof(key), upload);
	return upload;
}

enum err upload_open(struct upload **uploads, struct front *front,
		     const struct rec_submission *submission)
{
	struct upload *upload;

	if (find(*uploads, submission->key) != NULL)
		return ERR_EXISTS;
	if (HASH_COUNT(*uploads) >= UPLOADS_MAX)
		return ERR_RANGE;
	upload = mem_alloc(sizeof(*upload));
	upload->key = submission->key;
	upload->front = front_ref(front);
	upload->grant = submission->grant;
	upload->table = uploads;
	upload->verdict = front_accept(front, submission, (struct slice){0}, &upload->mail);
	HASH_ADD(hh, *uploads, key, sizeof(upload->key), upload);
	return ERR_OK;
}

enum err upload_chunk(struct upload *uploads, struct front *front, struct slice payload)
{
	struct msg_submit_chunk msg;
	struct upload *upload;
	struct chunk *chunk;
	enum err err = ipc_decode(IPC_SUBMIT_CHUNK, payload, &msg);

	if (err != ERR_OK)
		return err;
	if ((upload = find(uploads, msg.key)) == NULL || upload->ended)
		return ERR_NOT_FOUND;
	upload->size += msg.data.len;
	if (upload->mail != NULL &&
	    upload->size >
		    grants_message_size(front_queue(front)->grants, upload->grant) + TRACE_SLACK)
		fail(upload, IPC_BAD_MESSAGE);
	chunk = mem_resize(NULL, sizeof(*chunk) + msg.data.len); /* not zeroed: filled below */
	chunk->next = NULL;
	chunk->credit = (uint32_t)payload.len;
	chunk->len = msg.data.len;
	memcpy(chunk->data, msg.data.ptr, msg.data.len);
	LL_APPEND(upload->waiting, chunk);
	go_on(upload);
	return ERR_OK;
}

enum err upload_end(struct upload *uploads, struct front *front, struct slice payload)
{
	struct msg_submit_end msg;
	struct upload *upload;
	enum err err = ipc_decode(IPC_SUBMIT_END, payload, &msg);

	if (err != ERR_OK)
		return err;
	if ((upload = find(uploads, msg.key)) == NULL || upload->ended)
		return ERR_NOT_FOUND;
	front_credit(front, (uint32_t)payload.len, 1);
	upload->ended = true;
	if (upload->mail != NULL)
		upload->mail->flags |= msg.flags & IPC_MAIL_8BIT;
	if (upload->mail != NULL && msg.size != upload->size)
		fail(upload, IPC_BAD_MESSAGE);
	go_on(upload);
	return ERR_OK;
}

static void give_up(struct upload *upload)
{
	leave(upload);
	upload->aborted = true;
	if (upload->mail != NULL)
		grants_give_back(front_queue(upload->front)->grants, upload->grant,
				 upload->mail->recipients);
	queue_mail_unref(&upload->mail);
	go_on(upload);
}

enum err upload_abort(struct upload *uploads, struct front *front, struct slice payload)
{
	struct msg_submit_abort msg;
	struct upload *upload;
	enum err err = ipc_decode(IPC_SUBMIT_ABORT, payload, &msg);

	if (err != ERR_OK)
		return err;
	front_credit(front, (uint32_t)payload.len, 1);
	/* After its end it is committed or refused already: the answer tells. */
	if ((upload = find(uploads, msg.key)) != NULL && !upload->ended)
		give_up(upload);
	return ERR_OK;
}

void uploads_abort(struct upload **uploads)
{
	struct upload *upload, *next;

	HASH_ITER (hh, *uploads, upload, next)
		give_up(upload);
}
