/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of names and hashes: lines NAME:HASH, passwd-files of Dovecot, shadow(5). It is read anew
 * when it changes. A file that is being written, or was emptied, does not count: what was read
 * before stays in force until there is a whole one. One that is gone, or may not be read, is no
 * answer at all.
 */
#ifndef POSTERN_BACKEND_PASSWD_FILE_H
#define POSTERN_BACKEND_PASSWD_FILE_H

#include "backend.h"

enum { PASSWD_FILE_MAX = 128 * 1024 * 1024 };

struct passwd_file;

/* path, scheme and domain stay the caller's. scheme: of hashes without one, "" for crypt(3). */
struct passwd_file *passwd_file_new(const char *path, const char *scheme, const char *domain);
void passwd_file_free(struct passwd_file **file); /* wipes */
/*
 * now: ms since 1970. answer->note tells, once for each state of the file, what in it is of no use.
 */
void passwd_file_check(struct passwd_file *file, const struct backend_question *question,
		       int64_t now, struct backend_answer *answer);

#endif
