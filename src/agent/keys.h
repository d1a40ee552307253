/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of one issuer, as its jwks_url has them. */
#ifndef POSTERN_AGENT_KEYS_H
#define POSTERN_AGENT_KEYS_H

#include "issuers.h"

/* Takes what lies on disk, and fetches them. */
struct keys *keys_new(struct issuer *issuer);
void keys_free(struct keys **keys);
/* Tells auth what there is, if there is anything. */
void keys_tell(struct keys *keys);
/* auth wants newer ones than those of this time: tells of them, now or when they were asked for. */
void keys_wanted(struct keys *keys, int64_t fetched);

/* ---- keys_file.c ---- */
struct buf;
/*
 * The set that was last saved for this URL, if it is whole and what was saved. time: ms since 1970
 * when it was fetched, not later than now. ERR_NOT_FOUND: there is none; else why (512 bytes).
 */
enum err keys_file_read(const char *folder, const char *url, int64_t now, struct buf *text_out,
			int64_t *fetched_out, char *why);
/* Saves it on a thread of agent->disk; a failure is logged. ERR_FULL: not now. */
enum err keys_file_save(struct agent *agent, const char *url, struct slice text, int64_t fetched);

#endif
