/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message into a Maildir: written below tmp, synced, moved to new, and the folder synced: after
 * maildir_finish it is there even if the power fails. Blocks: for worker threads.
 */
#ifndef POSTERN_OS_MAILDIR_H
#define POSTERN_OS_MAILDIR_H

#include <sys/types.h>

#include "base/slice.h"

struct maildir_file;

/*
 * The folder with its cur, new and tmp; what is not there is made and given to uid and gid
 * ((uid_t)-1: it stays ours). errno is kept on error.
 */
enum err maildir_make(const char *folder, uid_t uid, gid_t gid);
/* name: without '/'; a file of this name in tmp or new is replaced. errno is kept on error. */
enum err maildir_open(const char *folder, const char *name, struct maildir_file **file_out);
enum err maildir_write(struct maildir_file *file, struct slice data);
/* Ends the file; on error it is still there, to be aborted. */
enum err maildir_finish(struct maildir_file **file);
void maildir_abort(struct maildir_file **file); /* may be NULL; keeps errno */

#endif
