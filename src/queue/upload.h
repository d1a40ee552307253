/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large messages on their way to disk. Chunks are written by the body workers, those of one
 * message in order, one job at a time; credit goes back when a chunk is written, so a slow disk
 * slows the client. A message that failed takes and forgets the rest of its chunks, and says so
 * at its end.
 */
#ifndef POSTERN_QUEUE_UPLOAD_H
#define POSTERN_QUEUE_UPLOAD_H

#include "intake.h"

struct upload;

/* *uploads: those of one front. ERR_EXISTS: the key is in use; the channel ends. */
enum err upload_open(struct upload **uploads, struct front *front,
		     const struct rec_submission *submission);
/* payloads of SUBMIT_CHUNK, SUBMIT_END, SUBMIT_ABORT. ERR_NOT_FOUND: nothing was opened. */
enum err upload_chunk(struct upload *uploads, struct front *front, struct slice payload);
enum err upload_end(struct upload *uploads, struct front *front, struct slice payload);
enum err upload_abort(struct upload *uploads, struct front *front, struct slice payload);
/* The smtpd process is gone. */
void uploads_abort(struct upload **uploads);

#endif
