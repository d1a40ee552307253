/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that clients connect to, and the control socket. */
#ifndef POSTERN_MASTER_LISTENERS_H
#define POSTERN_MASTER_LISTENERS_H

#include "generation.h"

enum {
	IPC_CONFIG_MAX = 1048576, /* as PREPARE takes */
	LISTENER_CONTROL = 65535, /* index of the control socket */
	LISTENER_BACKLOG = 1024,
};

/* As generation_fill, its part. */
enum err listeners_bind(struct generation *generation, const struct generation *before,
			struct buf *errors);
/* runtime_dir/control.sock, for root and our own user only. why: 512 bytes. */
enum err listeners_control(const struct config *config, int *fd_out, char *why);

#endif
