/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of a server, made with their owners before any process that needs them starts. */
#ifndef POSTERN_OS_FOLDERS_H
#define POSTERN_OS_FOLDERS_H

#include "base/err.h"

struct config;

enum { FOLDERS_WHY_MAX = 1024 };

/*
 * state_dir (all may pass), in it queue, auth and, if it is needed, agent (0700, as root: owned by
 * the users user_prefix + name); runtime_dir and in it empty, the root folder of processes that
 * need no files. What is there keeps its contents and gets owner and mode. why: FOLDERS_WHY_MAX
 * bytes, for people, on every error.
 */
enum err os_make_state_folders(const struct config *config, char *why);

#endif
