/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route into a folder: a Maildir, written by a thread, one file per message and route. The
 * bytes are the message and nothing else. A file's name comes from the message's ID, so that an
 * attempt that is made twice leaves one file.
 */
#ifndef POSTERN_RELAY_CAPTURE_H
#define POSTERN_RELAY_CAPTURE_H

struct capture;
struct capture_job;
struct job;
struct relay;

/* Starts its thread: before the sandbox closes. */
struct capture *capture_new(struct relay *relay);
void capture_free(struct capture **capture);
/* The job may be over when it returns. */
void capture_start(struct job *job, const char *folder);
void capture_body_ready(struct capture_job *capture);
/* The job goes away; the file too, when the thread is done with it. */
void capture_cancel(struct capture_job **capture);

#endif
