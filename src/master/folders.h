/* SPDX-License-Identifier: Apache-2.0 */
/* The folders that the processes need, with owners and modes; and the lock of the state folder. */
#ifndef POSTERN_MASTER_FOLDERS_H
#define POSTERN_MASTER_FOLDERS_H

#include "config/config.h"
#include "os/folders.h" /* FOLDERS_WHY_MAX */

/* Takes state_dir/lock, which says who runs. why: FOLDERS_WHY_MAX bytes. */
enum err folders_lock(const struct config *config, int *fd_out, char *why);
/* Makes what is missing; as root each belongs to the user of its process. Capture folders too. */
enum err folders_make(const struct config *config, char *why);

#endif
